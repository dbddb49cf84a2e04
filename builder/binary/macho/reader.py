"""Mach-O files: what a linker sees in them, for each machine they have code for."""

from __future__ import annotations

from typing import Final

from builder.binary.macho.blobs import signature_of
from builder.binary.macho.header import install_name, libraries, search_path
from builder.binary.macho.image import Image, Slice, open_image
from builder.binary.macho.symbols import defined_names, undefined_names
from builder.binary.model import Binary, BinaryError, Kind, Signature
from builder.binary.universal import united

__all__ = ["defined", "read"]

_INTERPRETER, _UUID, _BUILD_VERSION = 0xE, 0x1B, 0x32
_STACK_EXECUTION: Final = 0x20000
_KINDS: Final[dict[int, Kind]] = {1: "object", 2: "executable", 6: "shared", 8: "shared"}
_PLATFORMS: Final = {
    1: "macos",
    2: "ios",
    3: "tvos",
    4: "watchos",
    5: "bridgeos",
    6: "maccatalyst",
    7: "iossimulator",
    8: "tvossimulator",
    9: "watchossimulator",
    10: "driverkit",
    11: "visionos",
    12: "visionossimulator",
}
_OLD_VERSIONS: Final = {0x24: "macos", 0x25: "ios", 0x2F: "tvos", 0x30: "watchos"}


def read(view: memoryview) -> Binary:
    """What a linker sees in a Mach-O file. Raises `BinaryError`."""
    image = open_image(view)
    slices = tuple(_read(image, part) for part in image.slices)
    return united(slices) if image.row else slices[0]


def defined(view: memoryview) -> tuple[str, ...]:
    """The names that a Mach-O file offers to others, on any machine. Raises `BinaryError`."""
    image = open_image(view)
    names: dict[str, None] = {}
    for part in image.slices:
        with image.naming(part):
            names |= dict.fromkeys(defined_names(part))
    return tuple(names)


def _read(image: Image, part: Slice) -> Binary:
    with image.naming(part):
        needed = libraries(part)
        at_once = {library.name for library in needed if not library.is_delayed}
        insisted = {library.name for library in needed if not library.is_optional}
        names = tuple(dict.fromkeys(library.name for library in needed))
        platform, min_os, sdk = _system(part)
        return Binary(
            format="macho",
            machine=part.machine,
            bits=part.bits,
            byte_order="little" if part.window.order == "<" else "big",
            kind=_KINDS.get(part.type, "other"),
            soname=install_name(part),
            needed=names,
            optional=tuple(name for name in names if name not in insisted),
            delayed=tuple(name for name in names if name not in at_once),
            rpath=search_path(part),
            interpreter=_interpreter(part),
            undefined=undefined_names(part),
            executable_stack=bool(part.flags & _STACK_EXECUTION),
            platform=platform,
            min_os=min_os,
            sdk=sdk,
            build_id=_uuid(part),
            signature=_signature(part),
        )


def _interpreter(part: Slice) -> str:
    for command in part.of(_INTERPRETER):
        return part.text(command, 12).decode("utf-8", "backslashreplace")
    return ""


def _uuid(part: Slice) -> str:
    for command in part.of(_UUID):
        if command.size != 24:  # noqa: PLR2004  # there is one size
            raise BinaryError(f"load command of the UUID: {command.size} bytes")
        return part.raw(command)[8:].hex()
    return ""


def _system(part: Slice) -> tuple[str, str, str]:
    """The platform, its least version and that of the SDK.

    A library for two platforms ("zippered") is one for macOS that Catalyst may load as well.
    """
    found = [part.fields(command, "III") for command in part.of(_BUILD_VERSION)]
    for number, least, sdk in sorted(found)[:1]:
        return _PLATFORMS.get(number, f"platform{number}"), _version(least), _version(sdk)
    for command in part.of(*_OLD_VERSIONS):
        least, sdk = part.fields(command, "II")
        return _OLD_VERSIONS[command.kind], _version(least), _version(sdk)
    return "", "", ""


def _version(packed: int) -> str:
    """`11.0`, `10.13.4`; nothing for zero."""
    patch = packed & 0xFF
    text = f"{packed >> 16}.{packed >> 8 & 0xFF}" + (f".{patch}" if patch else "")
    return text if packed else ""


def _signature(part: Slice) -> Signature:
    signed = signature_of(part)
    if signed is None:
        return ""
    return "identity" if signed.has_identity else "adhoc"
