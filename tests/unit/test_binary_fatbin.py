from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.binary import BinaryError
from builder.binary.fatbin import architectures
from builder.binary.window import Window

PLAIN, FAMILY, SPECIFIC = 0x11, 0x200011, 0x100011


def entry(kind: int, number: int, flags: int = PLAIN, *, header: int = 64, size: int = 40) -> bytes:
    """One piece of device code, the code itself made up."""
    fields = struct.pack("<HHIQIIHHIQQ", kind, 0x101, header, size, 0, 0, 0, 8, number, 0, flags)
    return fields + bytes(header - len(fields)) + b"\x7f" * size


def container(*entries: bytes, magic: int = 0xBA55ED50, header: int = 16) -> bytes:
    content = b"".join(entries)
    return struct.pack("<IHHQ", magic, 1, header, len(content)) + content


def read(*sections: bytes) -> tuple[str, ...]:
    return architectures(Window(memoryview(section), "<") for section in sections)


@pytest.mark.parametrize(
    ("sections", "names"),
    [
        pytest.param((), (), id="no section"),
        pytest.param((b"",), (), id="empty section"),
        pytest.param((bytes(64),), (), id="only zeros"),
        pytest.param((container(),), (), id="empty container"),
        pytest.param((container(entry(2, 75)),), ("sm_75",), id="machine code"),
        pytest.param((container(entry(1, 120)),), ("compute_120",), id="PTX"),
        pytest.param((container(entry(8, 90)),), ("lto_90",), id="link-time code"),
        pytest.param((container(entry(5, 90)),), ("kind5_90",), id="a kind of the future"),
        pytest.param((container(entry(2, 90, SPECIFIC)),), ("sm_90a",), id="architecture-specific"),
        pytest.param((container(entry(2, 103, FAMILY)),), ("sm_103f",), id="family-specific"),
        pytest.param((container(entry(1, 100, SPECIFIC)),), ("compute_100a",), id="specific PTX"),
        pytest.param((container(entry(2, 86, header=112)),), ("sm_86",), id="longer header"),
        pytest.param(
            (container(entry(2, 90), entry(2, 100), entry(2, 80), entry(1, 90), entry(2, 80)),),
            ("sm_80", "compute_90", "sm_90", "sm_100"),
            id="each once, by number",
        ),
        pytest.param(
            (container(entry(2, 80)) + bytes(24) + container(entry(2, 90)) + bytes(8),),
            ("sm_80", "sm_90"),
            id="zeros between containers",
        ),
        pytest.param(
            (container(entry(2, 80, size=37)) + bytes(3) + container(entry(2, 90)),),
            ("sm_80", "sm_90"),
            id="containers begin at multiples of eight",
        ),
        pytest.param(
            (container(entry(2, 90)), container(entry(2, 80))),
            ("sm_80", "sm_90"),
            id="two sections",
        ),
    ],
)
def test_architectures(sections: tuple[bytes, ...], names: tuple[str, ...]) -> None:
    assert read(*sections) == names


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        pytest.param(container(magic=7), "no container begins at 0x0", id="magic"),
        pytest.param(container() + b"garbage!" * 2, "no container begins at 0x10", id="garbage"),
        pytest.param(container(header=8), "no container begins at 0x0", id="header too small"),
        pytest.param(
            container(entry(2, 80))[:12],
            "CUDA container: 16 bytes at 0x0 reach past the end at 0xc",
            id="cut in the header",
        ),
        pytest.param(
            container(entry(2, 80))[:-1],
            "CUDA container: 104 bytes at 0x10 reach past the end at 0x77",
            id="cut in the code",
        ),
        pytest.param(
            container(entry(2, 80), b"\1" * 20),
            "CUDA container entry: 48 bytes at 0x78 reach past the end",
            id="half an entry",
        ),
        pytest.param(
            container(entry(2, 80)).replace(struct.pack("<IQ", 64, 40), struct.pack("<IQ", 64, 41)),
            "entry at 0x10 reaches out of its container",
            id="code too long",
        ),
        pytest.param(
            container(entry(2, 80)).replace(struct.pack("<IQ", 64, 40), struct.pack("<IQ", 0, 0)),
            "entry at 0x10 reaches out of its container",
            id="entry of no size",
        ),
    ],
)
def test_damage_is_one_named_error(section: bytes, reason: str) -> None:
    with pytest.raises(BinaryError) as caught:
        read(section)
    assert reason in caught.value.message


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.builds(container, st.builds(entry, st.integers(0, 9), st.integers(0, 200))),
        ),
        max_size=5,
    ).map(b"".join)
)
def test_any_bytes_raise_nothing_else(section: bytes) -> None:
    with suppress(BinaryError):
        assert all(name.rpartition("_")[2] for name in read(section))
