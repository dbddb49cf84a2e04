from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from dataclasses import replace

import deflate as libdeflate
import pytest

from builder.archive.deflate import (
    DeflateError,
    Engines,
    codecs,
    deflate,
    inflate,
    inflate_bytes,
    installed,
)
from builder.archive.deflate.engines import all_streams, library_sound
from builder.archive.deflate.native import Library, libraries
from builder.archive.tally import Tally

OWN = all_streams()[-1]


def test_a_deflater_that_corrupts_is_found_out() -> None:
    best = Engines(OWN, compress=installed().compress)
    assert best.compress is not None
    broken = replace(best.compress, run=lambda _, level: libdeflate.deflate_compress(b"x", level))
    for chosen in (replace(best, compress=broken), replace(installed(), compress=broken)):
        with pytest.raises(DeflateError, match="does not unpack to the same bytes"):
            list(deflate([b"abc"], level=6, tally=Tally(), engines=chosen))


def a_library() -> Library:
    library = installed().boundaries
    assert library is not None
    return library


def lie(library: Library, stream: int, flush: int) -> int:
    """Inflate, and name the bit beside the boundary."""
    status = library.inflate(stream, flush)
    library.stream.from_address(stream).data_type ^= 1
    return status


BROKEN: dict[str, Callable[[Library], Callable[[int, int], int]]] = {
    "never stops at a block": lambda sound: lambda stream, _: sound.inflate(stream, 0),
    "names other bits": lambda sound: lambda stream, flush: lie(sound, stream, flush),
    "always fails": lambda _: lambda *_: -3,
    "ends at once": lambda _: lambda *_: 1,
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_library_that_fails_its_probe_is_not_used(
    broken: Callable[[Library], Callable[[int, int], int]],
) -> None:
    sound = a_library()

    assert library_sound(sound)
    assert not library_sound(replace(sound, inflate=broken(sound)))


def test_a_library_of_another_layout_is_not_used() -> None:
    assert not library_sound(replace(a_library(), start=lambda *_: -6))


@pytest.mark.parametrize(
    ("missing", "changed"),
    [
        (("zlib_ng", "zlib_ng.zlib_ng"), {"blocks", "inflate"}),
        (("deflate", "deflate._deflate"), {"deflate", "inflate whole"}),
        (
            ("deflate", "deflate._deflate", "zlib_ng", "zlib_ng.zlib_ng"),
            {"blocks", "deflate", "inflate", "inflate whole"},
        ),
    ],
    ids=["no zlib-ng", "no libdeflate", "neither"],
)
def test_what_is_not_installed_is_done_by_another(
    missing: tuple[str, ...], changed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    best = codecs()
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)

    found = installed.__wrapped__()

    assert {key for key, name in codecs(found).items() if name != best[key]} == changed
    assert all(library.name == "zlib" for library in libraries()) == ("zlib_ng" in missing)
    content = bytes(range(256)) * 9000
    packed = b"".join(deflate([content], level=6, tally=Tally(), engines=found))
    made = bytearray()
    inflate([packed], made.extend, size=len(content), tally=Tally(), engines=found)
    assert made == content
    assert inflate_bytes(packed, len(content), Tally(), engines=found) == content


def test_codecs_are_named() -> None:
    plain = codecs(Engines(OWN))

    assert plain["deflate"] == f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
    assert plain["blocks"] == "unknown"
    assert codecs(Engines(OWN, compress=installed().compress))["deflate"].endswith(
        f"in blocks {plain['deflate']}"
    )
    assert codecs() == codecs(installed())
    assert codecs()["deflate"].startswith("libdeflate of deflate ")
    assert codecs()["inflate whole"] == codecs()["deflate"]
    assert codecs()["blocks"].startswith("zlib-ng ")
