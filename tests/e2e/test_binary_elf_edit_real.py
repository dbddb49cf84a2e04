"""Edits of real libraries and programs, of musl's, and of those for other machines."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.binary import BinaryError, Edit, looks_like, plan, read
from tests.e2e.elf_tools import (
    Way,
    apply,
    grown_tree,
    linked,
    load_segments,
    moved,
    run,
    strip,
)

pytestmark = pytest.mark.e2e

FAR = "/nowhere" + "/at/all" * 20
LOAD_ALL = """
import ctypes, sys
for path in sys.argv[1:]:
    try:
        ctypes.CDLL(path, mode=2)
    except OSError as error:
        print(path, error, sep="\\t")
"""


def is_elf(path: Path) -> bool:
    """Whether a file is there, and begins as an ELF file."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return looks_like(file.read(8)) == "elf"


def real_libraries() -> list[Path]:
    """The libraries of the packages that are installed beside us, and of Python itself."""
    folders = (sysconfig.get_path("platlib"), sysconfig.get_config_var("DESTSHARED"))
    found = [path for folder in folders for path in sorted(Path(folder).rglob("*.so*"))]
    return [path for path in found if is_elf(path)]


def fails(paths: list[Path]) -> dict[str, str]:
    """Which libraries cannot be loaded, and why not."""
    lines = run(sys.executable, "-c", LOAD_ALL, *paths).splitlines()
    return dict(line.split("\t", 1) for line in lines)


def test_real_libraries_load_after_an_edit_and_strip(tmp_path: Path) -> None:
    copies = [
        Path(shutil.copy2(path, tmp_path / f"{number}-{path.name}"))
        for number, path in enumerate(real_libraries())
    ]
    assert len(copies) > 40
    before = fails(copies)
    assert len(before) < len(copies) / 4
    for path in copies:
        binary = read(path)
        apply(path, Edit(search=(FAR, *(binary.runpath or binary.rpath))))
    assert fails(copies) == before
    for path in copies:
        strip(path)
    assert fails(copies) == before
    for path in copies:
        binary = read(path)
        apply(path, Edit(search=(FAR, FAR, *(binary.runpath or binary.rpath)), search_kind="rpath"))
    assert fails(copies) == before


def test_every_name_in_real_libraries_can_change(tmp_path: Path) -> None:
    for number, path in enumerate(real_libraries()):
        copy = Path(shutil.copy2(path, tmp_path / f"{number}-{path.name}"))
        binary = read(copy)
        new = tuple((name, f"0123456789abcdef-{name}") for name in binary.needed)
        apply(copy, Edit(soname="libother-0123456789abcdef.so", needed=new, search=()))
        strip(copy)
        back = tuple((name, old) for old, name in new)
        assert apply(copy, Edit(soname=binary.soname or None, needed=back)) == 0
        assert read(copy).versions_needed == binary.versions_needed


PROGRAMS = (Path(sys.executable).resolve(), Path("/bin/ls"), Path("/usr/bin/ld.bfd"),
            Path("/usr/bin/ld.gold"), Path("/usr/bin/git"))  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_real_programs_run_after_an_edit_and_strip(program: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy2(program.resolve(), tmp_path / program.name))
    said = run(program, "--version")
    binary = read(copy)
    library = Path(sys.base_prefix) / "lib"
    for number in (1, 2, 3):
        apply(copy, Edit(search=(*[FAR] * number, str(library), *(binary.runpath or binary.rpath))))
        assert run(copy, "--version", PYTHONHOME=sys.base_prefix) == said
        strip(copy)
        assert run(copy, "--version", PYTHONHOME=sys.base_prefix) == said


STATIC = {"static": ("-static",), "static-pie": ("-static-pie",), "object": ("-c",)}


@pytest.mark.parametrize("options", STATIC.values(), ids=STATIC)
def test_what_no_loader_reads_is_left_alone(options: tuple[str, ...], tmp_path: Path) -> None:
    source, target = tmp_path / "program.c", tmp_path / "program"
    source.write_text("int main(void) { return 0; }")
    run("gcc", *options, "-o", target, source)
    assert plan(target, Edit(soname="libx.so", search=())).pieces == ()
    with pytest.raises(BinaryError, match=r"does not need `libc\.so\.6`"):
        plan(target, Edit(needed=(("libc.so.6", "libd.so.6"),)))


@pytest.mark.parametrize("linker", ["bfd", "gold", "lld"])
def test_musl_loads_an_edited_library_and_program(linker: str, tmp_path: Path) -> None:
    musl = "musl-gcc"
    user, growth = moved(grown_tree(Way(linker), tmp_path / "tree", (musl, musl)))
    assert growth > 0
    program = linked(user, linker, compiler=musl)
    assert "ld-musl" in read(program).interpreter
    assert run(program) == "42"
    strip(user)
    apply(program, Edit(search=(FAR, "$ORIGIN")))
    assert run(program) == "42"
    strip(program)
    assert run(program) == "42"


@dataclass(frozen=True)
class Machine:
    """A machine that is not this one: its compiler, and what runs its programs here."""

    prefix: str
    emulator: str
    linker: str = "bfd"

    @property
    def lacks(self) -> str:
        """The first tool for it that is not here."""
        tools = (f"{self.prefix}-gcc", f"{self.prefix}-strip", self.emulator)
        return next((tool for tool in tools if shutil.which(tool) is None), "")

    def run(self, program: Path) -> str:
        """What a program prints."""
        return run(self.emulator, "-L", f"/usr/{self.prefix}", program)


MACHINES = {
    "aarch64": Machine("aarch64-linux-gnu", "qemu-aarch64"),
    "aarch64-lld": Machine("aarch64-linux-gnu", "qemu-aarch64", "lld"),
    "i686": Machine("i686-linux-gnu", "qemu-i386"),
    "i686-lld": Machine("i686-linux-gnu", "qemu-i386", "lld"),
    "s390x": Machine("s390x-linux-gnu", "qemu-s390x"),
}


@pytest.mark.heavy
@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
def test_other_machines_load_an_edited_library_and_program(
    machine: Machine, tmp_path: Path
) -> None:
    if machine.lacks:
        pytest.skip(f"`{machine.lacks}` is not installed")
    compiler, tool = f"{machine.prefix}-gcc", f"{machine.prefix}-strip"
    linkers = tmp_path / "linkers"
    linkers.mkdir()
    (linkers / "ld.lld").symlink_to(shutil.which("ld.lld") or "ld.lld")
    way = Way(machine.linker, (f"-B{linkers}",))
    user, growth = moved(grown_tree(way, tmp_path / "tree", (compiler, compiler)))
    assert growth > 0
    program = linked(user, machine.linker, f"-B{linkers}", compiler=compiler)
    assert machine.run(program) == "42"
    strip(user, tool)
    segments = load_segments(user)
    apply(user, Edit(search=("$ORIGIN" + "/." * 90 + "/deps",)))
    assert load_segments(user) == segments
    assert machine.run(program) == "42"
    apply(program, Edit(search=(FAR, "$ORIGIN")))
    assert machine.run(program) == "42"
    strip(program, tool)
    assert machine.run(program) == "42"
    fixed = linked(user, machine.linker, f"-B{linkers}", "-no-pie", compiler=compiler)
    apply(fixed, Edit(search=(FAR, FAR, "$ORIGIN")))
    assert machine.run(fixed) == "42"
