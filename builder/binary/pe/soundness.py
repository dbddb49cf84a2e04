"""What is wrong with the bytes of a PE file: a stale checksum, a signature that is for others.

The signature as in Microsoft's "Windows Authenticode Portable Executable Signature Format". Who
signed is not judged, only whether the digest that was signed is that of the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Final

from builder.binary.model import Flaw
from builder.binary.pe.checksum import CHECKSUM_FIELD, WINDOW, checksum_problems, forget
from builder.binary.pe.image import Directory, Image, open_image

__all__ = ["flaws"]

_ENTRY: Final = 8
"""The header of an entry of the certificate table, to a multiple of which entries are padded."""
_PKCS: Final = 2
_LONGEST: Final = 16 << 20
_DIGESTS: Final = {
    bytes.fromhex("2b0e03021a"): "sha1",
    bytes.fromhex("608648016503040201"): "sha256",
    bytes.fromhex("608648016503040202"): "sha384",
    bytes.fromhex("608648016503040203"): "sha512",
}
"""By the identifier with which the signature names the digest."""


def flaws(view: memoryview) -> tuple[Flaw, ...]:
    """What is wrong with the bytes. Raises `BinaryError` when the headers cannot be read."""
    image = open_image(view)
    stale = (Flaw("checksum", problem, fatal=False) for problem in checksum_problems(view))
    return (*stale, *_signature(image))


def _signature(image: Image) -> Iterator[Flaw]:
    """The certificates are not loaded, so that their directory has a place and no address."""
    place, size = image.directory(Directory.CERTIFICATE)
    end = len(image.window.view)
    if not place or not size:
        return
    if place + size > end:
        text = f"the certificates, {size} bytes at {place:#x}, reach past the end at {end:#x}"
        yield Flaw("signature", text)
        return
    if size > _LONGEST:
        yield Flaw("signature", f"the certificates have {size} bytes, more than there can be")
        return
    signed = b""
    while size >= _ENTRY:
        length, _, kind = image.window.numbers("IHH", place, "certificate")
        if not _ENTRY <= length <= size:
            text = f"the certificate at {place:#x} says that it has {length} bytes of {size}"
            yield Flaw("signature", text)
            return
        if kind == _PKCS:
            signed += bytes(image.window.view[place + _ENTRY : place + length])
        step = min(length + -length % _ENTRY, size)
        place, size = place + step, size - step
    digests = _digests(image, {name for number, name in _DIGESTS.items() if number in signed})
    if digests and not any(digest in signed for digest in digests):
        yield Flaw("signature", "the signature is for other bytes than these", fatal=False)


def _digests(image: Image, names: set[str]) -> tuple[bytes, ...]:
    """The digests of all that a signature covers: not the checksum, and not the certificates."""
    view = image.window.view
    own, entry = image.optional + CHECKSUM_FIELD, image.directory_entry(Directory.CERTIFICATE)
    place, size = image.directory(Directory.CERTIFICATE)
    covered = ((0, own), (own + 4, entry), (entry + 8, place), (place + size, len(view)))
    digests = [hashlib.new(name, usedforsecurity=False) for name in sorted(names)]
    for start in range(0, len(view) if digests else 0, WINDOW):
        for begin, end in covered:
            piece = view[max(begin, start) : max(begin, min(end, start + WINDOW))]
            for digest in digests:
                digest.update(piece)
        forget(view, start)
    return tuple(digest.digest() for digest in digests)
