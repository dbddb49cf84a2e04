"""Names that gcc 12 wrote, with both settings of `_GLIBCXX_USE_CXX11_ABI`."""

from __future__ import annotations

import pytest

from smoke.mangled import layouts_of, words_of

STRING = "NSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE"


@pytest.mark.parametrize(
    ("name", "layouts"),
    [
        (f"_ZN3own1fE{STRING}", {"cxx11"}),
        ("_ZN3own1fESs", {"old"}),
        ("_ZN3own1gEPNSt7__cxx114listIiSaIiEEE", {"cxx11"}),
        ("_ZN3own1gEPSt4listIiSaIiEE", {"old"}),
        ("_ZN3own1vENSt7__cxx1112basic_stringIwSt11char_traitsIwESaIwEEE", {"cxx11"}),
        ("_ZN3own1vESbIwSt11char_traitsIwESaIwEE", {"old"}),
        ("_ZN3own5Sscan1mB5cxx11Ev", {"cxx11"}),
        ("_ZN3own5Sscan1mEv", set()),
        ("_ZN3own10scan5SscanEi", set()),
        ("_ZN3own1hESt17basic_string_viewIcSt11char_traitsIcEE", set()),
        ("_ZN3own2enILNS_1EE1EEEvSt17basic_string_viewIcSt11char_traitsIcEE", set()),
        ("_ZN3own3numILi5EEEvSs", {"old"}),
        ("_ZN3own3numILin12EEEvSs", {"old"}),
        (f"_ZN5other1fE{STRING}", set()),
        (f"_ZNSt6vectorI{STRING}SaIS4_EE4sizeEv", set()),
        ("own_open", set()),
        ("_Z", set()),
        ("_ZN3own99999999999999999999Ss", set()),
    ],
)
def test_a_name_speaks_of_a_layout(name: str, layouts: set[str]) -> None:
    assert layouts_of(name, ("own",)) == layouts


@pytest.mark.parametrize(
    ("name", "layouts"),
    [
        (f"_ZN5other1fE{STRING}", {"cxx11"}),
        (f"_ZNSt6vectorI{STRING}SaIS4_EE4sizeEv", set()),
        (f"_ZNKSt6vectorI{STRING}SaIS4_EE4sizeEv", set()),
        ("_ZNKSs4sizeEv", set()),
        ("_ZTINSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE", set()),
        ("_Z1fSs", {"old"}),
    ],
)
def test_without_namespaces_all_but_those_of_std_count(name: str, layouts: set[str]) -> None:
    assert layouts_of(name, ()) == layouts


def test_words_are_cut_where_a_demangler_cuts_them() -> None:
    assert list(words_of("N3own1fESsT_S1_Li12E")) == [
        "N", "=own", "=f", "E", "Ss", "T_", "S1_", "Li12E",
    ]  # fmt: skip
