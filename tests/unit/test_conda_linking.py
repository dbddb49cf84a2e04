from __future__ import annotations

from dataclasses import replace

import pytest
from builder_conda.recipes.linking import Linked, allowed_by, link_problems

SOUND = Linked(
    needed={"lib/python3.11/site-packages/w.so": ("libw.so.1", "libc.so.6")},
    files=frozenset({"lib/python3.11/site-packages/w.so"}),
    owners={"lib/libw.so.1": "libw", "lib/libz.so.1": "zlib", "lib/libpython3.11.so.1.0": "python"},
    depends=("libw >=1,<2", "python", "python_abi 3.11.* *_cp311"),
)


def test_what_agrees_has_no_problem() -> None:
    assert link_problems(SOUND) == ()


@pytest.mark.parametrize(
    ("linked", "problem"),
    [
        pytest.param(
            replace(SOUND, depends=("python",)),
            "lib/python3.11/site-packages/w.so: needs libw.so.1 of `libw`, which the package does not depend on",
            id="not depended on",
        ),
        pytest.param(
            replace(SOUND, needed={"a.so": ("libw.so.1", "libssl.so.3")}),
            "a.so: needs libssl.so.3, which neither the package nor a dependency brings",
            id="of the machine",
        ),
        pytest.param(
            replace(SOUND, depends=(*SOUND.depends, "zlib")),
            "depends on `zlib`, and links to none of its libraries",
            id="for nothing",
        ),
    ],
)
def test_what_does_not_agree_is_named(linked: Linked, problem: str) -> None:
    assert link_problems(linked) == (problem,)


@pytest.mark.parametrize(
    "linked",
    [
        pytest.param(
            replace(SOUND, needed={"a.so": ("libw.so.1", "libssl.so.3")}, allowed=("libssl.so.*",)),
            id="allowed",
        ),
        pytest.param(
            replace(SOUND, depends=(*SOUND.depends, "zlib"), unused_allowed=("zl*",)),
            id="allowed to be unused",
        ),
        pytest.param(
            replace(SOUND, files=frozenset({"lib/libown.so"}), needed={"a.so": ("libown.so", "libw.so.1")}),
            id="its own",
        ),
        pytest.param(
            replace(SOUND, needed={}, depends=("libw", "zlib", "python")), id="no binaries at all"
        ),
        pytest.param(
            replace(SOUND, needed={"a.so": ("libw.so.1", "libpython3.11.so.1.0")}), id="python itself"
        ),
    ],
)  # fmt: skip
def test_what_may_be(linked: Linked) -> None:
    assert link_problems(linked) == ()


def test_a_recipe_says_what_it_allows() -> None:
    recipe = {
        "build": {"dynamic_linking": {"missing_dso_allowlist": ["libssl*"]}},
        "extra": {"builder": {"unlinked": ["zlib"]}},
    }

    assert allowed_by(recipe) == (("libssl*",), ("zlib",))
    assert allowed_by({}) == ((), ())
