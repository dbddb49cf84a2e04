"""What is asked of a solver about the packages of one call, and what is imagined for it."""

from __future__ import annotations

import pytest
from builder_conda.verdict import expectations, imagined

from builder.channel.package import Listed


def listed(name: str, build: str, *depends: str, subdir: str = "linux-64") -> Listed:
    entry = {
        "name": name,
        "version": "1.0",
        "build": build,
        "build_number": 0,
        "depends": list(depends),
    }
    return Listed(f"{name}-1.0-{build}.conda", subdir, entry, {})


@pytest.mark.parametrize(
    ("specs", "found"),
    [
        (["python 3.11.*", "python_abi 3.11.* *_cp311"], {"python": "3.11", "python_abi": "3.11 0_cp311"}),
        (["numpy"], {"numpy": "0"}),
        (["numpy >=1.21,<3"], {"numpy": "1.21"}),
        (["numpy >=1.9", "numpy >=1.10"], {"numpy": "1.10"}),
        (["numpy >1.9"], {"numpy": "1.9.1"}),
        (["numpy <2"], {"numpy": "0"}),
        (["numpy ~=1.4", "numpy !=1.5"], {"numpy": "1.4"}),
        (["blas * mkl"], {"blas": "0 mkl"}),
        (["own >=1", "__cuda >=13"], {}),
    ],
)  # fmt: skip
def test_what_nobody_brings_is_imagined_as_it_is_asked_for(
    specs: list[str], found: dict[str, str]
) -> None:
    assert imagined(specs, ["own"]) == found


def test_each_python_is_asked_about_where_there_are_both_kinds() -> None:
    pythons = [
        listed("own", f"py3{minor}_{word}", f"python 3.{minor}.*", *gpu, "libown 1.0")
        for minor in (11, 12)
        for word, gpu in (("cpu", ()), ("cuda130", ("__cuda >=13",)))
    ]
    asked = expectations([*pythons, listed("libown", "cpu_0", "zlib >=1.2")])

    assert {one.package for one in asked} == {"own"}
    machines = {(one.question.virtual["python"], one.question.cuda) for one in asked}
    assert machines == {("3.11", ""), ("3.11", "99.0"), ("3.12", ""), ("3.12", "99.0")}
    assert all(one.question.virtual["zlib"] == "1.2" for one in asked)
    assert expectations([one for one in pythons if "cpu" in one.file]) == ()
