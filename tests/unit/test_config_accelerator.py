"""`Accelerator`: every spelling, one canonical name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.config.accelerator import Accelerator
from builder.errors import UsageError

cuda_versions = st.one_of(
    st.tuples(st.integers(1, 9), st.integers(0, 9)),
    st.tuples(st.integers(10, 99), st.integers(0, 99)),
)
rocm_versions = st.lists(st.integers(0, 30), min_size=2, max_size=3).map(tuple)
accelerators = st.one_of(
    st.just(Accelerator("cpu")),
    st.just(Accelerator("xpu")),
    cuda_versions.map(lambda version: Accelerator("cuda", version)),
    rocm_versions.map(lambda version: Accelerator("rocm", version)),
)


@given(accelerators)
def test_parse_is_the_inverse_of_str(accelerator: Accelerator) -> None:
    assert Accelerator.parse(str(accelerator)) == accelerator
    assert Accelerator.parse(accelerator.label) == accelerator


@given(accelerators, accelerators)
def test_different_accelerators_have_different_names(one: Accelerator, other: Accelerator) -> None:
    assert (str(one) == str(other)) is (one == other)
    assert (one.label == other.label) is (one == other)


@given(cuda_versions)
def test_every_cuda_spelling_reads_back(version: tuple[int, int]) -> None:
    dotted, compact = "{}.{}".format(*version), "{}{}".format(*version)
    texts = [dotted, compact, f"cu{compact}", f"cuda{compact}", f"cuda{dotted}", f"cu{dotted}"]
    assert {Accelerator.parse(text) for text in texts} == {Accelerator("cuda", version)}


@given(st.integers(1, 200), st.integers(0, 200))
def test_a_cuda_version_is_accepted_exactly_when_its_spelling_is_its_own(
    major: int, minor: int
) -> None:
    compact = f"{major}{minor}"
    split = 1 if len(compact) == 2 else 2
    reads_back = len(compact) <= 4 and (compact[:split], compact[split:]) == (
        str(major),
        str(minor),
    )
    try:
        Accelerator("cuda", (major, minor))
    except UsageError:
        assert not reads_back
    else:
        assert reads_back


@pytest.mark.parametrize(
    ("text", "name", "label", "dotted"),
    [
        ("cpu", "cpu", "cpu", ""),
        ("CPU", "cpu", "cpu", ""),
        ("cu100", "cuda100", "cu100", "10.0"),
        ("100", "cuda100", "cu100", "10.0"),
        ("10.0", "cuda100", "cu100", "10.0"),
        ("cuda100", "cuda100", "cu100", "10.0"),
        ("cuda10.0", "cuda100", "cu100", "10.0"),
        ("cu92", "cuda92", "cu92", "9.2"),
        ("92", "cuda92", "cu92", "9.2"),
        ("9.2", "cuda92", "cu92", "9.2"),
        ("cu90", "cuda90", "cu90", "9.0"),
        ("cu118", "cuda118", "cu118", "11.8"),
        ("cuda12_6", "cuda126", "cu126", "12.6"),
        ("13.0", "cuda130", "cu130", "13.0"),
        ("1010", "cuda1010", "cu1010", "10.10"),
        ("rocm6.2", "rocm6.2", "rocm6.2", "6.2"),
        ("rocm6_2", "rocm6.2", "rocm6.2", "6.2"),
        ("rocm6.2.4", "rocm6.2.4", "rocm6.2.4", "6.2.4"),
        ("xpu", "xpu", "xpu", ""),
    ],
)
def test_old_spellings(text: str, name: str, label: str, dotted: str) -> None:
    accelerator = Accelerator.parse(text)
    assert (str(accelerator), accelerator.label, accelerator.dotted) == (name, label, dotted)


@pytest.mark.parametrize(
    "text",
    ["", "gpu", "cuda", "cu", "cu1", "9", "10.0.130", "cuda-10.0", "9.10", "100.1", "1001", "012",
     "0.9", "10.01", "12345", "rocm", "rocm6", "rocm6.2.1.1", "xpu1", "cpu1", "cu1\u0966\u0966"],
)  # fmt: skip
def test_nonsense_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Accelerator.parse(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("cpu", (1,)),
        ("xpu", (1, 0)),
        ("cuda", ()),
        ("cuda", (12,)),
        ("rocm", ()),
        ("rocm", (6, -1)),
    ],
)
def test_a_senseless_value_cannot_be_made(kind: str, version: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        Accelerator(kind, version)  # type: ignore[arg-type]  # any string must be refused at run time


def test_an_unknown_kind_cannot_be_made() -> None:
    with pytest.raises(UsageError, match="no such accelerator"):
        Accelerator("tpu")  # type: ignore[arg-type]  # any string must be refused at run time


def test_versions_sort_as_numbers() -> None:
    texts = ["xpu", "cu118", "cu92", "rocm6.2", "cpu", "cu130"]
    ordered = sorted(Accelerator.parse(text) for text in texts)
    assert list(map(str, ordered)) == ["cpu", "cuda92", "cuda118", "cuda130", "rocm6.2", "xpu"]
