from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from builder.archive.ar import MAGIC, read_ar, universal_parts
from builder.archive.file import File
from builder.archive.tar_source import ArchiveError, Part

LONG = "a-name-of-more-than-sixteen-letters.o"


def header(name: bytes, size: int) -> bytes:
    return b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (name, 0, 0, 0, 0o644, size)


def listed(folder: Path, *parts: bytes) -> list[str]:
    """The names of the members, all of whose bytes are there."""
    path = folder / "liba.a"
    path.write_bytes(MAGIC + b"".join(parts))
    file = File(os.open(path, os.O_RDONLY))
    try:
        found = []
        for member, content in read_ar(Part(file, 0, path.stat().st_size), path.name):
            assert len(content.read(member.size)) == member.size
            found.append(member.name)
        return found
    finally:
        file.close()


TABLE = f"{LONG}/\n".encode()
NAMES = header(b"//", len(TABLE)) + TABLE + b"\n" * (len(TABLE) % 2)
BSD = LONG.encode().ljust(40, b"\0")

SOUND = {
    "short": ([header(b"a.o/", 2), b"ab"], ["a.o"]),
    "GNU": ([NAMES, header(b"/0", 2), b"ab"], [LONG]),
    "BSD": ([header(b"#1/40", 42), BSD, b"ab"], [LONG]),
    "a table of symbols": ([header(b"/", 4), bytes(4), header(b"a.o/", 0)], ["a.o"]),
    "a place that is no number": ([header("/²".encode(), 0)], ["/²"]),
}


@pytest.mark.parametrize(("parts", "names"), SOUND.values(), ids=SOUND)
def test_objects_are_known_by_their_names(
    parts: list[bytes], names: list[str], tmp_path: Path
) -> None:
    assert listed(tmp_path, *parts) == names


DAMAGED = {
    "short, cut": ([header(b"a.o/", 9), b"ab"], "it ends within 'a.o'"),
    "GNU, cut": ([NAMES, header(b"/0", 9), b"ab"], f"it ends within '{LONG}'"),
    "BSD, cut": ([header(b"#1/40", 90), BSD, b"ab"], f"it ends within '{LONG}'"),
    "BSD, cut within the name": ([header(b"#1/40", 90), b"ab"], "within the name of member 1"),
    "table cut": ([header(b"//", 90), b"ab"], "it ends within the table of names"),
    "no table": ([header(b"/7", 2), b"ab"], "the table of names has none at 7 (member 1)"),
    "a length that is no number": ([header("#1/²".encode(), 0)], "a name '#1/²' (member 1)"),
    "a name beyond its member": ([header(b"#1/40", 9), BSD], "a name '#1/40' (member 1)"),
    "a size that is no number": ([header(b"a.o/", 0)[:48] + b"x         `\n"], "no header where"),
}


@pytest.mark.parametrize(("parts", "reason"), DAMAGED.values(), ids=DAMAGED)
def test_damage_is_one_error_that_names_the_object(
    parts: list[bytes], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ArchiveError) as caught:
        listed(tmp_path, *parts)
    (fault,) = caught.value.faults
    assert fault.startswith("damaged: ")
    assert reason in fault


def test_a_universal_file_that_points_out_of_itself_has_no_parts(tmp_path: Path) -> None:
    path = tmp_path / "liba.a"
    path.write_bytes(struct.pack(">III4xQQ8x", 0xCAFEBABF, 1, 7, (1 << 64) - 1, 8))
    file = File(os.open(path, os.O_RDONLY))
    try:
        assert universal_parts(file.read) == ()
    finally:
        file.close()
