"""Real files of each format, broken in one way: one check complains of it, and no other."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from builder.binary import Edit, plan
from smoke.checks import binary, cuda
from smoke.runner import Request, check_artifact, subject_of
from smoke.subject import Expectations

DATA = Path(__file__).parent.parent / "data"
LIBRARY, DYLIB, DLL = "lib/libx.so", "lib/libx.dylib", "bin/x.dll"
HARDENED = (DATA / "elf/compiled/hardened.so").read_bytes()
CUDA = (DATA / "elf/sound/cuda.so").read_bytes()
UNIVERSAL = (DATA / "macho/sound/universal2.dylib").read_bytes()
ARM64 = (DATA / "macho/sound/arm64.dylib").read_bytes()
X86_64 = (DATA / "macho/sound/x86_64.dylib").read_bytes()
PLAIN = (DATA / "pe/sound/amd64.dll").read_bytes()
UNSIGNED = (DATA / "macho/sound/arm64-unsigned.dylib").read_bytes()
SIGNED = (DATA / "pe/sound/signed.dll").read_bytes()


def _patched(content: bytes, place: int, fields: str, *values: int) -> bytes:
    raw = struct.pack("<" + fields, *values)
    return content[:place] + raw + content[place + len(raw) :]


def _header(content: bytes, type_: int, number: int = 0) -> int:
    """Where a program header is in an ELF file."""
    places = range(64, 64 + 56 * struct.unpack_from("<H", content, 56)[0], 56)
    found = [place for place in places if struct.unpack_from("<I", content, place)[0] == type_]
    return found[number]


def _dynamic(content: bytes, tag: int) -> int:
    """Where the value of an entry of the dynamic section is in an ELF file."""
    (place,) = struct.unpack_from("<Q", content, _header(content, 2) + 8)
    while struct.unpack_from("<Q", content, place)[0] != tag:
        place += 16
    return int(place) + 8


def _for_aarch64(alignment: int) -> bytes:
    """A file of one load, which fits pages of any size."""
    plain = (DATA / "elf/sound/aarch64-bti.so").read_bytes()
    return _patched(plain, _header(plain, 1) + 48, "Q", alignment)


def _device_code(number: int, other: int) -> bytes:
    """All CUDA code for one architecture is now for another; in the sample, 24 bytes each."""
    content = CUDA
    for place in range(0, len(CUDA) - 32, 8):
        _, _, header, size, found = struct.unpack_from("<HHIQ12xI", CUDA, place)
        if (header, size, found) == (64, 24, number):
            content = _patched(content, place + 28, "I", other)
    return content


def _directory(content: bytes, number: int) -> int:
    """Where a data directory is in a PE file of 64 bits."""
    (header,) = struct.unpack_from("<I", content, 0x3C)
    return int(header) + 24 + 112 + 8 * number


STACK = _header(HARDENED, 0x6474E551)
CERTIFICATES = _directory(SIGNED, 4) + 4
CHECKSUM = _directory(SIGNED, 0) - 112 + 64
SECOND = UNIVERSAL.rindex(b"\xcf\xfa\xed\xfe") + 0x900
ONE_SLICE = UNIVERSAL.replace(b"libz.1.dylib", b"libq.1.dylib", 1)
SAMPLES: dict[str, tuple[str, str, bytes, bytes]] = {
    "cut-off ELF": ("binary.readable", LIBRARY, HARDENED, HARDENED[:32]),
    "cut-off Mach-O": ("binary.readable", DYLIB, ARM64, ARM64[:20]),
    "cut-off PE": ("binary.readable", DLL, PLAIN, PLAIN[:70]),
    "load in no page": (
        "binary.layout", LIBRARY, HARDENED,
        _patched(HARDENED, _header(HARDENED, 1, 1) + 48, "Q", 0x10000),
    ),
    "relocations nowhere": (
        "binary.layout", LIBRARY, HARDENED, _patched(HARDENED, _dynamic(HARDENED, 7), "Q", 1 << 40)
    ),
    "small pages": ("binary.pages", LIBRARY, _for_aarch64(0x10000), _for_aarch64(0x4000)),
    "no RELRO": (
        "binary.relro", LIBRARY, HARDENED,
        _patched(HARDENED, _header(HARDENED, 0x6474E552), "I", 0),
    ),
    "stack of ELF": ("binary.execstack", LIBRARY, HARDENED, _patched(HARDENED, STACK + 4, "I", 7)),
    "stack of Mach-O": (
        "binary.execstack", DYLIB, X86_64,
        _patched(X86_64, 24, "I", struct.unpack_from("<I", X86_64, 24)[0] | 0x20000),
    ),
    "relocated code": (
        "binary.textrel", LIBRARY, HARDENED,
        _patched(HARDENED, _dynamic(HARDENED, 30), "Q", 8 | 4),
    ),
    "changed Mach-O": ("binary.signature", DYLIB, ARM64, ARM64[:0x900] + b"!" + ARM64[0x901:]),
    "changed slice": (
        "binary.signature", DYLIB, UNIVERSAL,
        UNIVERSAL[:SECOND] + b"!" + UNIVERSAL[SECOND + 1 :],
    ),
    "unsigned Mach-O": ("binary.signature", DYLIB, ARM64, UNSIGNED),
    "certificates of PE": (
        "binary.signature", DLL, SIGNED,
        _patched(_patched(SIGNED, CERTIFICATES, "I", 1 << 20), CHECKSUM, "I", 0),
    ),
    "stale checksum": ("binary.checksum", DLL, PLAIN, PLAIN[:0x50] + b"!" + PLAIN[0x51:]),
    "slices apart": ("binary.slices", DYLIB, UNIVERSAL, ONE_SLICE),
    "device code": ("cuda.architectures", LIBRARY, CUDA, _device_code(80, 75)),
    "no new PTX": ("cuda.ptx", LIBRARY, CUDA, _device_code(120, 50)),
    "stubs for ELF": (
        "cuda.driver", LIBRARY, HARDENED,
        plan(HARDENED, Edit(search=("$ORIGIN/stubs",))).apply(HARDENED),
    ),
    "stubs for Mach-O": (
        "cuda.driver", DYLIB, ARM64,
        plan(ARM64, Edit(search=("@loader_path/stubs",))).apply(ARM64),
    ),
}  # fmt: skip
"""What complains, the name of the file, and what it is before and after."""
ASKED = {"device code": ("80-real", "90a-real", "103f-real", "120-virtual")}


def _complaints(
    folder: Path, name: str, content: bytes, architectures: tuple[str, ...] = ()
) -> set[str]:
    path = folder / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    request = Request(path, expectations=Expectations(architectures=architectures))
    report = check_artifact(subject_of(request))
    return {result.id for result in report.results if result.status in {"fail", "warn"}}


@pytest.mark.parametrize("sample", SAMPLES)
def test_one_damage_is_one_complaint(sample: str, tmp_path: Path) -> None:
    id_, name, before, after = SAMPLES[sample]
    asked = ASKED.get(sample, ())

    sound = _complaints(tmp_path, name, before, asked)
    broken = _complaints(tmp_path, name, after, asked)

    assert id_ not in sound
    assert broken - sound == {id_}


def test_the_driver_itself_is_not_brought(tmp_path: Path) -> None:
    sound = _complaints(tmp_path, DLL, PLAIN)

    assert _complaints(tmp_path, "bin/nvcuda.dll", PLAIN) - sound == {"cuda.driver"}


def test_every_check_of_one_binary_has_a_real_sample() -> None:
    wanted = {check.id for check in (*binary.CHECKS, *cuda.CHECKS)}

    assert {sample[0] for sample in SAMPLES.values()} == wanted
