"""Edited ELF files, proven by those that use them: linkers, `strip`, patchelf, the loader."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.binary import Edit, read
from builder.binary.elf import padded
from tests.e2e.elf_tools import (
    LINKERS,
    NEW_DEP,
    PROGRAM,
    Way,
    apply,
    grown_tree,
    linked,
    load_segments,
    make,
    moved,
    patchelf,
    run,
    strip,
)

pytestmark = pytest.mark.e2e

RPATH, RUNPATH = "-Wl,--disable-new-dtags", "-Wl,--enable-new-dtags"
POOL = padded("$ORIGIN")
WAYS = {
    **{f"{linker}-runpath": Way(linker, (RUNPATH,), grows=True) for linker in LINKERS},
    **{f"{linker}-rpath": Way(linker, (RPATH,), grows=True) for linker in LINKERS},
    **{f"{linker}-no-path": Way(linker, (RUNPATH,), path="", grows=True) for linker in LINKERS},
    **{f"{linker}-many": Way(linker, (RUNPATH,), many=3000, grows=True) for linker in LINKERS},
    **{f"{linker}-pool": Way(linker, (RUNPATH,), path=POOL, grows=False) for linker in LINKERS},
    "bfd-noseparate": Way("bfd", ("-Wl,-z,noseparate-code",)),
    "lld-separate": Way("lld", ("-Wl,-z,separate-code",)),
    "bfd-no-notes": Way("bfd", ("-Wl,--build-id=none", "-fcf-protection=none")),
    "gold-no-notes": Way("gold", ("-Wl,--build-id=none", "-fcf-protection=none")),
    "bfd-large-pages": Way("bfd", ("-Wl,-z,max-page-size=0x200000",)),
    "lld-large-pages": Way("lld", ("-Wl,-z,max-page-size=0x200000",)),
    "bfd-sysv-hash": Way("bfd", ("-Wl,--hash-style=sysv",)),
    "bfd-now": Way("bfd", ("-Wl,-z,now,-z,relro",)),
    "bfd-lazy-norelro": Way("bfd", ("-Wl,-z,lazy,-z,norelro",)),
    "lld-packed": Way("lld", ("-Wl,--pack-dyn-relocs=relr",)),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_an_edited_library_is_linked_against_and_runs(way: Way, tmp_path: Path) -> None:
    user, growth = moved(grown_tree(way, tmp_path / "tree"))
    if way.grows is not None:
        assert (growth > 0) == way.grows
    for linker in LINKERS:
        assert run(linked(user, linker), LD_BIND_NOW="1") == "42"
    strip(user)
    strip(user.parent / "deps" / NEW_DEP)
    for linker in LINKERS:
        assert run(user.parent / f"program-{linker}") == "42"
        assert run(linked(user, linker)) == "42"


@pytest.mark.parametrize("linker", LINKERS)
def test_a_library_is_edited_again_and_again(linker: str, tmp_path: Path) -> None:
    user, _ = moved(grown_tree(Way(linker), tmp_path / "tree"))
    program = linked(user, "bfd")
    segments = load_segments(user)
    for length in (60, 150, 400):
        growth = apply(user, Edit(search=("$ORIGIN" + "/." * length + "/deps",)))
        assert 0 < growth < 1000
        assert load_segments(user) == segments
        assert run(program) == "42"
    assert apply(user, Edit(search=("$ORIGIN/./././deps",))) == 0
    assert run(program) == "42"


@pytest.mark.parametrize("linker", LINKERS)
def test_a_stripped_library_is_edited_again(linker: str, tmp_path: Path) -> None:
    user, _ = moved(grown_tree(Way(linker, path=""), tmp_path / "tree"))
    program = linked(user, "bfd")
    for number in range(1, 4):
        strip(user)
        segments = load_segments(user)
        apply(user, Edit(search=("$ORIGIN" + "/." * 60 * number + "/deps",)))
        assert load_segments(user) == segments
        assert run(program) == "42"
        assert run(linked(user, linker)) == "42"


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("first", ["patchelf", "ours"])
def test_patchelf_and_we_take_turns(linker: str, first: str, tmp_path: Path) -> None:
    user, _ = moved(grown_tree(Way(linker), tmp_path / "tree"))
    program = linked(user, "bfd")
    for number in range(1, 5):
        path = "$ORIGIN" + "/." * 50 * number + "/deps"
        if number % 2 == (first == "patchelf"):
            patchelf("--set-rpath", path, user)
        else:
            apply(user, Edit(search=(path,)))
        assert read(user).runpath == (path,)
        assert run(program) == "42"
    strip(user)
    assert run(program) == "42"


PROGRAMS = {
    f"{linker}-{kind}": (linker, option)
    for linker in LINKERS
    for kind, option in (("pie", "-pie"), ("no-pie", "-no-pie"))
}


@pytest.mark.parametrize(("linker", "option"), PROGRAMS.values(), ids=PROGRAMS)
def test_an_edited_program_runs(linker: str, option: str, tmp_path: Path) -> None:
    user, _ = moved(grown_tree(Way("bfd"), tmp_path / "tree"))
    program = linked(user, linker, option, "-fPIE" if option == "-pie" else "-fno-pie")
    far = user.parent / "far" / "libuser-that-has-a-far-longer-name.so"
    far.parent.mkdir()
    (user.parent / "deps").rename(far.parent / "deps")
    apply(user.rename(far), Edit(soname=far.name))
    growth = apply(
        program,
        Edit(needed=((user.name, far.name),), search=("$ORIGIN/nowhere/at/all", "$ORIGIN/far")),
    )
    assert growth > 0
    assert run(program) == "42"
    strip(program)
    assert run(program) == "42"
    apply(program, Edit(search=("$ORIGIN" + "/." * 90 + "/far",), search_kind="rpath"))
    assert run(program) == "42"


def test_a_library_loses_what_it_needs(tmp_path: Path) -> None:
    tree = grown_tree(Way("bfd"), tmp_path / "tree")
    program = make(PROGRAM, tree.folder / "program", tree.user, "-Wl,-rpath,$ORIGIN",
                   f"-Wl,-rpath-link,{tree.folder}")  # fmt: skip
    assert run(program) == "42"
    apply(tree.user, Edit(needed=(("libdep.so.1", ""),), search=()))
    assert "libdep.so.1" not in {need.library for need in read(tree.user).versions_needed}
    strip(tree.user)
    assert run(program, LD_PRELOAD=str(tree.dep)) == "42"
    for linker in LINKERS:
        again = make(PROGRAM, tree.folder / f"again-{linker}", "-Wl,--no-as-needed", tree.user,
                     tree.dep, f"-fuse-ld={linker}", "-Wl,-rpath,$ORIGIN")  # fmt: skip
        assert run(again, LD_PRELOAD=str(tree.dep)) == "42"


def test_a_library_that_needs_versions_of_nobody_any_more(tmp_path: Path) -> None:
    tree = grown_tree(Way("bfd"), tmp_path / "tree")
    lone = make(
        "int dep_value(void), dep_other(void);\nint user(void) { return dep_value() + dep_other(); }",
        tree.folder / "liblone.so", "-shared", "-fPIC", "-nostdlib", tree.dep,
    )  # fmt: skip
    apply(lone, Edit(needed=(("libdep.so.1", ""),)))
    assert read(lone).versions_needed == ()
    strip(lone)
    for linker in LINKERS:
        program = make(PROGRAM, tree.folder / f"program-{linker}", "-Wl,--no-as-needed", lone,
                       tree.dep, f"-fuse-ld={linker}", "-Wl,-rpath,$ORIGIN")  # fmt: skip
        assert run(program) == "42"


def test_the_kind_of_a_search_path_changes_in_place(tmp_path: Path) -> None:
    user, _ = moved(grown_tree(Way("bfd"), tmp_path / "tree"))
    program = linked(user, "bfd")
    for kind in ("rpath", "runpath"):
        assert apply(user, Edit(search_kind=kind)) == 0
        assert run(program) == "42"
        assert (read(user).rpath if kind == "rpath" else read(user).runpath) == ("$ORIGIN/deps",)
