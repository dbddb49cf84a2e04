from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from builder.binary import BinaryError, Edit, plan, read
from builder.binary.macho import signature_problems
from tests.data import make_macho

SOUND = Path(__file__).parent.parent / "data" / "macho" / "sound"
SIGNED = (
    "arm64.dylib",
    "arm64-linker.dylib",
    "arm64-identity.dylib",
    "arm64-identity-full.dylib",
    "arm64-sha1.dylib",
    "arm64-large-pages.dylib",
    "arm64-unsigned.dylib",
    "x86_64-both.dylib",
    "program",
    "bundle.so",
)
EDIT = Edit(search=("@loader_path/elsewhere",))


def _commands(image: bytes) -> Iterator[tuple[int, int]]:
    """Number and place of each load command."""
    place = 32
    for _ in range(struct.unpack_from("<I", image, 16)[0]):
        kind, size = struct.unpack_from("<II", image, place)
        yield kind, place
        place += size


def _signature(image: bytes) -> bytes:
    """The bytes of the signature, which has to be the last thing in the image."""
    (place,) = (place for kind, place in _commands(image) if kind == 0x1D)
    offset, size = struct.unpack_from("<II", image, place + 8)
    assert offset + size == len(image)
    return image[offset:]


def _blobs(image: bytes) -> Mapping[int, bytes]:
    """The parts of the signature by slot."""
    signature = _signature(image)
    magic, size, count = struct.unpack_from(">III", signature)
    assert magic == 0xFADE0CC0
    assert not any(signature[size:])
    found = {}
    for slot, offset in struct.iter_unpack(">II", signature[12 : 12 + 8 * count]):
        found[slot] = signature[
            offset : offset + struct.unpack_from(">I", signature, offset + 4)[0]
        ]
    return found


def _check(image: bytes) -> None:
    """Another reading of the format than that of the code: every digest of every directory."""
    code = image[: len(image) - len(_signature(image))]
    blobs = _blobs(image)
    directories = [blob for blob in blobs.values() if blob[:4] == b"\xfa\xde\x0c\x02"]
    assert directories
    for directory in directories:
        _, _, version, _, start, _, special, count, limit = struct.unpack_from(">9I", directory)
        width, kind, _, power = directory[36:40]
        assert (version, limit) == (0x20400, len(code))
        digest = {1: hashlib.sha1, 2: hashlib.sha256}[kind]
        pages = [code[at : at + (1 << power)] for at in range(0, limit, 1 << power)]
        assert len(pages) == count
        assert directory[start:] == b"".join(digest(page).digest() for page in pages)
        if special:
            assert directory[start - 2 * width : start - width] == digest(blobs[2]).digest()


def _linkedit(image: bytes) -> tuple[int, ...]:
    """Size in memory, place and size of the last segment."""
    for kind, place in _commands(image):
        if kind == 0x19 and image[place + 8 : place + 18] == b"__LINKEDIT":
            return struct.unpack_from("<QQQ", image, place + 32)
    raise AssertionError


@pytest.mark.parametrize("edit", [EDIT, Edit(sign=True)], ids=["edit", "sign"])
@pytest.mark.parametrize("name", SIGNED)
def test_what_comes_out_is_signed(name: str, edit: Edit) -> None:
    content = (SOUND / name).read_bytes()
    new = plan(content, edit).apply(content)
    _check(new)
    assert signature_problems(memoryview(new)) == ()
    memory, offset, size = _linkedit(new)
    assert offset + size == len(new)
    assert memory >= size


@pytest.mark.parametrize("name", ["arm64.dylib", "arm64-linker.dylib", "x86_64-both.dylib"])
def test_an_ad_hoc_signature_only_gets_new_digests(name: str) -> None:
    content = (SOUND / name).read_bytes()
    old, new = _blobs(content), _blobs(plan(content, EDIT).apply(content))
    assert old.keys() == new.keys()
    for slot, blob in old.items():
        # Everything in front of the digests stays: flags, identifier, special digests.
        end = struct.unpack_from(">I", blob, 16)[0] if slot in {0, 0x1000} else len(blob)
        assert blob[:end] == new[slot][:end]


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("arm64-identity.dylib", b"libplain"),
        ("arm64-sha1.dylib", b"libplain"),
        ("arm64-unsigned.dylib", b"libplain.dylib"),
    ],
)
def test_a_new_signature(name: str, identifier: bytes) -> None:
    content = (SOUND / name).read_bytes()
    blobs = _blobs(plan(content, EDIT).apply(content))
    assert list(blobs) == [0, 2, 0x10000]
    assert blobs[2] == struct.pack(">III", 0xFADE0C01, 12, 0)
    assert blobs[0x10000] == struct.pack(">II", 0xFADE0B01, 8)
    directory = blobs[0]
    (flags,) = struct.unpack_from(">I", directory, 12)
    assert flags == 2
    assert directory[36:40] == bytes([32, 2, 0, 12])
    assert struct.unpack_from(">QQQ", directory, 64) == (0, 0x1000, 0)
    assert directory[88:].startswith(identifier + b"\0")


@pytest.mark.parametrize(
    ("slots", "reason"),
    [((0, 0), "has two parts for 0x0"), (tuple(range(7)), "has more than 6 code directories")],
    ids=["one slot twice", "seven directories"],
)
def test_nothing_is_digested_more_often_than_an_apple_system_would(
    slots: tuple[int, ...], reason: str
) -> None:
    content = (SOUND / "arm64-identity.dylib").read_bytes()
    old = _signature(content)
    directory = _blobs(content)[0]
    place = 12 + 8 * len(slots)
    table = b"".join(struct.pack(">II", slot, place) for slot in slots)
    head = struct.pack(">III", 0xFADE0CC0, place + len(directory), len(slots))
    new = (head + table + directory).ljust(len(old), b"\0")
    with pytest.raises(BinaryError, match=reason):
        read(content.removesuffix(old) + new)


def test_a_program_is_marked_as_one() -> None:
    content = make_macho.assemble(
        replace(make_macho.PLAIN, type=2, id="", interpreter="/usr/lib/dyld", signature="")
    )
    directory = _blobs(plan(content, EDIT).apply(content))[0]
    assert struct.unpack_from(">QQQ", directory, 64) == (0, 0x1000, 1)
    assert directory[88:].startswith(b"adhoc\0")


def test_a_new_signature_takes_the_place_of_an_old_one() -> None:
    content = (SOUND / "arm64-identity.dylib").read_bytes()
    patch = plan(content, EDIT)
    assert patch.size == len(content)
    assert _linkedit(patch.apply(content)) == _linkedit(content)


def test_a_new_signature_grows_where_the_old_one_was_too_small() -> None:
    content = (SOUND / "arm64-sha1.dylib").read_bytes()
    patch = plan(content, EDIT)
    assert patch.size > len(content)
    assert (patch.size - _linkedit(content)[1]) % 16 == 0


def _flipped(name: str, place: int) -> bytes:
    """A sample with one bit that is not as it was signed."""
    content = bytearray((SOUND / name).read_bytes())
    content[place] ^= 1
    return bytes(content)


def test_digests_of_pages_that_stay_are_taken_over() -> None:
    content = _flipped("arm64-identity.dylib", 0x1010)
    taken, anew = (plan(content, edit).apply(content) for edit in (EDIT, Edit(sign=True)))
    assert signature_problems(memoryview(taken)) == (
        "1 of 2 pages are not what was signed, the first of them at 0x1000",
    )
    assert signature_problems(memoryview(anew)) == ()


def test_signing_again_mends_an_ad_hoc_signature_in_place() -> None:
    content = _flipped("arm64.dylib", 0x1010)
    patch = plan(content, Edit(sign=True))
    assert [len(piece) for _, piece in patch.pieces] == [32]
    assert signature_problems(memoryview(patch.apply(content))) == ()
    assert plan(patch.apply(content), Edit(sign=True)).pieces == ()


def test_the_beginning_is_signed_again_even_where_it_was_wrong() -> None:
    content = _flipped("arm64.dylib", 0x800)
    assert signature_problems(memoryview(plan(content, EDIT).apply(content))) == ()


def _damaged(place: int, fields: str, *values: int, name: str = "arm64.dylib") -> bytes:
    """A sample with other numbers at a place of its signature."""
    content = bytearray((SOUND / name).read_bytes())
    start = content.index(b"\xfa\xde\x0c\xc0")
    struct.pack_into(fields, content, start + place, *values)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (SOUND / "arm64.dylib", ()),
        (SOUND / "x86_64.dylib", ()),
        (SOUND / "object.o", ()),
        (SOUND / "symbols.dSYM", ()),
        (SOUND / "archive.a", ()),
        (SOUND / "arm64-unsigned.dylib", ("has no signature, and no system loads it without one",)),
        (
            SOUND / "universal2-unsigned-first.dylib",
            ("arm64: has no signature, and no system loads it without one",),
        ),
        (
            (SOUND / "arm64.dylib").read_bytes().replace(b"@rpath/libz", b"@rpath/liby"),
            ("1 of 2 pages are not what was signed, the first of them at 0x0",),
        ),
        (
            (SOUND / "universal2.dylib").read_bytes().replace(b"_printf", b"_pritnf"),
            ("arm64: 1 of 2 pages are not what was signed, the first of them at 0x1000",),
        ),
        (
            (SOUND / "x86_64-both.dylib").read_bytes().replace(b"_printf", b"_pritnf"),
            ("1 of 2 pages are not what was signed, the first of them at 0x1000",) * 2,
        ),
        # The code directory begins at 36: its limit, and the count in the requirements behind it.
        (
            _damaged(36 + 32, ">I", 0x1070),
            (
                "the signature covers 4208 bytes, 4224 are in front of it",
                "1 of 2 pages are not what was signed, the first of them at 0x1000",
            ),
        ),
        (
            _damaged(36 + 32, ">I", 0x1FFF),
            ("the signature covers 8191 bytes, 4224 are in front of it",),
        ),
        (_damaged(36 + 225 + 8, ">I", 1), ("part 2 of the signature is not what was signed",)),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_signature(content: Path | bytes, problems: tuple[str, ...]) -> None:
    view = memoryview(content.read_bytes() if isinstance(content, Path) else content)
    assert signature_problems(view) == problems


@pytest.mark.parametrize(
    ("content", "signature"),
    [
        # Not ad hoc by its own flags, and with a limit that leaves bytes out.
        (_damaged(36 + 12, ">I", 0), "adhoc"),
        (_damaged(36 + 32, ">I", 0x1070), "adhoc"),
        (_damaged(36 + 32, ">I", 0x1070, name="arm64-identity.dylib"), "identity"),
    ],
    ids=["flags", "limit", "identity"],
)
def test_an_odd_signature_is_made_again(content: bytes, signature: str) -> None:
    assert read(content).signature == signature
    new = plan(content, EDIT).apply(content)
    _check(new)
    assert struct.unpack_from(">I", _blobs(new)[0], 12) == (2,)


def test_parts_that_share_bytes_are_not_patched() -> None:
    # The table says that the requirements are the code directory, too.
    content = _damaged(20, ">II", 2, 36)
    _check(plan(content, EDIT).apply(content))


def test_other_data_in_a_signature_is_refused() -> None:
    content = bytearray((SOUND / "arm64.dylib").read_bytes())
    (place,) = (place for kind, place in _commands(bytes(content)) if kind == 2)
    struct.pack_into("<I", content, place + 16, len(content) - 60)
    with pytest.raises(BinaryError, match="other data reaches into it"):
        plan(bytes(content), EDIT)


@pytest.mark.parametrize(
    ("offset", "size", "message"),
    [
        (0x1000, 1 << 40, "ends at"),
        (0x1000, 0x10, "does not end the image"),
    ],
)
def test_a_segment_that_ends_elsewhere_gets_no_signature(
    offset: int, size: int, message: str
) -> None:
    content = bytearray((SOUND / "arm64-unsigned.dylib").read_bytes())
    (place,) = (
        place
        for kind, place in _commands(bytes(content))
        if content[place + 8 : place + 18] == b"__LINKEDIT"
    )
    struct.pack_into("<QQ", content, place + 40, offset, size)
    with pytest.raises(BinaryError, match=message):
        plan(bytes(content), EDIT)


def test_a_mapped_file_is_checked_like_bytes(tmp_path: Path) -> None:
    content = bytearray((SOUND / "universal2.dylib").read_bytes())
    content[-600] ^= 1
    path = tmp_path / "x.dylib"
    path.write_bytes(content)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert signature_problems(memoryview(mapped)) == signature_problems(memoryview(content)) != ()


def test_what_was_written_into_a_private_mapping_is_not_lost() -> None:
    path = SOUND / "arm64.dylib"
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    mapped[0x1010] ^= 1
    assert signature_problems(memoryview(mapped).toreadonly()) != ()
    assert mapped[:] != path.read_bytes()
