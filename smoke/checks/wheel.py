"""Checks on the wheel as a file: can it be unpacked, do its name, metadata and RECORD agree."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builder.archive.record import Row, compare
from builder.archive.wheel_name import WheelError, WheelName, is_same_project, is_same_version
from builder.binary import Binary
from builder.relink.dyld import apple
from smoke.catalogue import Check, Outcome, Skip
from smoke.claims import dist_info_text, header, name_of
from smoke.subject import ARTIFACTS, Content, Subject, content_of

__all__ = ["CHECKS"]

_EXTENSION = re.compile(
    r"\.(?:cpython-(?P<python>\d+)(?P<flags>[a-z]*)-[^.]+\.so|(?P<abi3>abi3)(?:t)?\.so"
    r"|cp(?P<win>\d+)(?P<kind>[a-z]*)-[^.]+\.pyd)$"
)
_WINDOWS = {"win_amd64": "amd64", "win32": "win32", "win_arm64": "arm64", "win_arm32": "armv7"}


def _readable(subject: Subject) -> Outcome:
    content = content_of(subject)
    names = sorted(member.name for member in content.members)
    lower: dict[str, str] = {}
    clashes = []
    for name in names:
        other = lower.setdefault(name.lower(), name)
        if other != name:
            clashes.append(f"{name}: differs from `{other}` only in case")
    return Outcome(content.faults, tuple(clashes))


def _record(subject: Subject) -> Outcome:
    content = content_of(subject)
    path = next((name for name in content.texts if name.endswith(".dist-info/RECORD")), "")
    if not path:
        return Outcome((f"{subject.path.name}: has no RECORD",))
    found = {
        member.name: Row(member.name, member.digest, member.size)
        for member in content.members
        if member.name != path
    }
    return Outcome(compare(content.texts[path], found, path))


def _name(subject: Subject) -> Outcome:
    try:
        name = WheelName.parse(subject.path.name)
    except WheelError as error:
        return Outcome(error.faults)
    return Outcome(tuple(_name_problems(name, content_of(subject))))


def _name_problems(name: WheelName, content: Content) -> Iterator[str]:
    tops = {member.name.split("/", 1)[0] for member in content.members}
    folders = sorted(top for top in tops if top.endswith(".dist-info"))
    if len(folders) != 1:
        yield f"{name}: holds {len(folders)} .dist-info folders {folders}, not 1"
        return
    for file in ("METADATA", "WHEEL"):
        if dist_info_text(content, file) is None:
            yield f"{folders[0]}: has no {file}"
    for field, expected, same in (
        ("Name", name.project, is_same_project),
        ("Version", name.version, is_same_version),
    ):
        said = header(content, "METADATA", field)
        if len(said) != 1:
            yield f"{folders[0]}/METADATA: has {len(said)} `{field}` fields, not 1"
        elif not same(said[0], expected):
            yield f"{folders[0]}/METADATA: {field} is `{said[0]}`, the file name says `{expected}`"
    project, _, version = folders[0].removesuffix(".dist-info").rpartition("-")
    if not (is_same_project(project, name.project) and is_same_version(version, name.version)):
        yield f"{folders[0]}: is not named after `{name.project}-{name.version}`"
    said_tags = _expanded(header(content, "WHEEL", "Tag"))
    if said_tags != set(name.tags):
        yield (
            f"{folders[0]}/WHEEL: has the tags {sorted(said_tags)}, "
            f"the file name says {sorted(name.tags)}"
        )


def _tags(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    name = name_of(subject.path.name)
    if name is None:
        return Skip("the file name says no tags")
    problems: list[str] = []
    warnings: list[str] = []
    binaries = content.binaries
    if binaries and name.platforms == ("any",):
        problems.append(f"{binaries[0][0].name}: a binary in a wheel for `any` platform")
    pure = header(content, "WHEEL", "Root-Is-Purelib")
    if binaries and pure == ("true",):
        warnings.append(f"{binaries[0][0].name}: a binary, and WHEEL says Root-Is-Purelib: true")
    none_fits = all(_foreign(name, binary) for _, binary in binaries)
    for member, binary in binaries:
        foreign = _foreign(name, binary)
        if foreign:  # device code and plugins for other machines are legal, modules are not
            loud = none_fits or _EXTENSION.search(member.name) is not None
            (problems if loud else warnings).append(f"{member.name}: {foreign}")
        mismatch = _wrong_python(name, member.name)
        if mismatch:
            loud = not (set(name.abis) & {"abi3", "abi3t", "none"})
            (problems if loud else warnings).append(f"{member.name}: {mismatch}")
    return Outcome(tuple(problems), tuple(warnings))


def _foreign(name: WheelName, binary: Binary) -> str:
    """Why a binary does not belong in the wheel, or nothing."""
    if name.is_pure or any(_serves(platform, binary) for platform in name.platforms):
        return ""
    return f"is for {' and '.join(binary.machines)}, the wheel claims {', '.join(name.platforms)}"


def _serves(platform: str, binary: Binary) -> bool:
    """Whether all machines that a platform tag speaks of can load a binary."""
    match binary.format:
        case "elf":
            return "linux" in platform and platform.endswith(f"_{binary.machine}")
        case "macho":
            architecture = platform.split("_", 3)[-1]
            wanted = apple().tags.get(architecture, (architecture,))
            return platform.startswith("macosx_") and set(wanted) <= set(binary.machines)
        case "pe":
            return _WINDOWS.get(platform) == binary.machine


def _wrong_python(name: WheelName, member: str) -> str:
    """Why the interpreters of the wheel's tags would not import this extension, or nothing."""
    match = _EXTENSION.search(member)
    if match is None or match["abi3"]:
        return ""
    tag = f"cp{match['python'] or match['win']}{match['flags'] or match['kind'] or ''}"
    accepted = {*name.abis, *(python for python in name.pythons if python.startswith("cp"))}
    if tag in accepted and "abi3" not in name.abis:
        return ""
    return f"imports on {tag} only, the wheel claims {'.'.join(name.pythons)}-{'.'.join(name.abis)}"


def _expanded(tags: tuple[str, ...]) -> set[str]:
    """Compressed tag sets (PEP 425) written out."""
    return {
        f"{python}-{abi}-{platform}"
        for tag in tags
        if tag.count("-") == 2  # noqa: PLR2004  # python, abi, platform
        for pythons, abis, platforms in [tag.split("-")]
        for python in pythons.split(".")
        for abi in abis.split(".")
        for platform in platforms.split(".")
    }


CHECKS = (
    Check(
        "archive.readable",
        "The archive can be unpacked safely: no escaping, clashing or broken entries.",
        ARTIFACTS,
        "artifact",
        "make the archive again from its tree; do not install it anywhere before",
        _readable,
    ),
    Check(
        "wheel.record",
        "RECORD names every file of the wheel and nothing else, with the right hash and size.",
        ("wheel",),
        "artifact",
        "whatever changed the wheel last has to rewrite RECORD (`builder repair` does)",
        _record,
    ),
    Check(
        "wheel.name",
        "File name, METADATA and WHEEL agree on name, version and tags.",
        ("wheel",),
        "artifact",
        "rename the wheel with a tool that rewrites its metadata, never with `mv`",
        _name,
    ),
    Check(
        "wheel.tags",
        "The tags fit the binaries: architecture, Python and ABI.",
        ("wheel",),
        "artifact",
        "build for the platform that the tag names, or claim the platform it was built for",
        _tags,
    ),
)
