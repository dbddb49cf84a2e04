from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builder.config.machine import Machine
from builder.config.target import Target
from builder.config.toolchain import Toolchain
from builder.errors import BuilderError
from builder.process import Processes
from builder.stage.toolchain import choose

CPU = Target.parse("manywheel-cp311-cpu-linux_x86_64")
BANNER = "GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\n"
DRIVER = """#!/bin/sh
# made with @make@
case $1 in
  --version) echo "gcc (Debian 12.2.0-14) 12.2.0"; echo "Copyright" ;;
  -dumpmachine) echo x86_64-linux-gnu ;;
  -print-prog-name=cc1plus) echo "${0%/*}/cc1plus" ;;
  -print-prog-name=*) echo "${1#*=}" ;;
  -print-file-name=libc.so.6) echo "${0%/*}/libc.so.6" ;;
  -print-file-name=*) echo "${1#*=}" ;;
esac
"""


def compilers(
    folder: Path,
    *,
    make: str = "1",
    cc1plus: str = "one",
    banner: str = BANNER,
    names: tuple[str, ...] = ("gcc", "g++"),
) -> Path:
    """A folder with compilers that only answer questions."""
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(DRIVER.replace("@make@", make))
        (folder / name).chmod(0o755)
    (folder / "cc1plus").write_text(cc1plus)
    (folder / "cc1plus").chmod(0o755)
    (folder / "libc.so.6").write_text(f"\0junk\n{banner}\0")
    return folder


def machine(tmp_path: Path, folder: Path, cache: str = "cache") -> Machine:
    return Machine((folder,), tmp_path, 1, "linux", "x86_64", cache=tmp_path / cache)


def get(tmp_path: Path, folder: Path, *, baseline: str = "auto") -> Toolchain:
    return choose(CPU, machine(tmp_path, folder), Processes(), baseline=baseline)


def test_the_compilers_of_the_search_path_are_chosen(tmp_path: Path) -> None:
    folder = compilers(tmp_path / "bin")
    chain = get(tmp_path, folder)
    assert (chain.cc, chain.cxx) == (folder / "gcc", folder / "g++")
    assert chain.summary == "gcc (Debian 12.2.0-14) 12.2.0, glibc 2.36"
    assert (chain.cuda, chain.architectures, chain.cache) == (None, (), None)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("clang", "clang++", "cc", "c++"), "clang"),
        (("cc", "c++"), "cc"),
        (("gcc", "clang", "clang++"), "clang"),
    ],
    ids=["clang", "only cc", "gcc without g++"],
)
def test_without_gcc_others_are_taken(
    names: tuple[str, ...], expected: str, tmp_path: Path
) -> None:
    assert get(tmp_path, compilers(tmp_path / "bin", names=names)).cc.name == expected


def test_identity_does_not_know_the_place(tmp_path: Path) -> None:
    one = get(tmp_path, compilers(tmp_path / "one"))
    two = get(tmp_path, compilers(tmp_path / "deeper" / "two"))
    assert one.identity == two.identity


CHANGES = {
    "driver": {"make": "2"},
    "compiler proper": {"cc1plus": "two"},
    "glibc": {"banner": BANNER.replace("2.36", "2.28")},
    "build of glibc": {"banner": BANNER.replace("u10", "u11")},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_identity_follows_what_decides_about_the_bytes(
    change: dict[str, str], tmp_path: Path
) -> None:
    before = get(tmp_path, compilers(tmp_path / "one"))
    after = get(tmp_path, compilers(tmp_path / "two", **change))  # type: ignore[arg-type]  # texts
    assert before.identity != after.identity


def test_a_baseline_is_a_promise_about_the_package_and_not_another_compiler(
    tmp_path: Path,
) -> None:
    folder = compilers(tmp_path / "bin")
    chains = [get(tmp_path, folder, baseline=name) for name in ("auto", "manylinux_2_28")]
    assert [chain.baseline for chain in chains] == ["auto", "manylinux_2_28"]
    assert chains[0].identity == chains[1].identity


def test_a_compiler_that_is_replaced_in_place_is_noticed(tmp_path: Path) -> None:
    folder = compilers(tmp_path / "bin")
    before = get(tmp_path, folder)
    (folder / "cc1plus").write_text("another one")
    after = get(tmp_path, folder)
    assert before.identity != after.identity
    assert replace(before, identity="") == replace(after, identity="")


def test_another_libc_is_no_error(tmp_path: Path) -> None:
    chain = get(tmp_path, compilers(tmp_path / "bin", banner="musl libc"))
    assert chain.summary == "gcc (Debian 12.2.0-14) 12.2.0"


@pytest.mark.parametrize(
    ("names", "expected"),
    [(("ccache", "sccache"), "ccache"), (("sccache",), "sccache")],
    ids=["both", "one"],
)
def test_a_compiler_cache_is_found(names: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    folder = compilers(tmp_path / "bin")
    plain = get(tmp_path, folder)
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    cached = get(tmp_path, folder)
    assert cached.cache == folder / expected
    assert cached.identity == plain.identity


def test_a_missing_compiler_names_the_places_and_the_package(tmp_path: Path) -> None:
    folder = compilers(tmp_path / "bin", names=("gcc",))
    with pytest.raises(BuilderError, match="no C and C\\+\\+ compiler") as caught:
        get(tmp_path, folder)
    assert caught.value.faults == (f"searched {folder}",)
    assert "build-essential" in caught.value.hint


def test_a_compiler_that_does_not_start_is_told(tmp_path: Path) -> None:
    folder = compilers(tmp_path / "bin")
    (folder / "gcc").write_text("#!/bin/sh\necho cannot find libisl >&2\nexit 1\n")
    with pytest.raises(BuilderError, match="does not answer") as caught:
        get(tmp_path, folder)
    assert caught.value.faults == ("cannot find libisl",)


def test_a_plan_may_imagine_a_toolkit_and_says_what_to_install(tmp_path: Path) -> None:
    folder = compilers(tmp_path / "bin")
    target = Target.parse("manywheel-cp311-cuda100-linux_x86_64")
    with pytest.raises(BuilderError, match=r"no CUDA 10\.0 toolkit"):
        choose(target, machine(tmp_path, folder), Processes())
    planned = choose(target, machine(tmp_path, folder), Processes(), planning=True)
    assert planned.cuda is None
    assert planned.architectures[0] == "35-real"
    assert planned.missing.startswith("there is no CUDA 10.0 toolkit on this machine: install it")
    assert "\n" not in planned.missing
