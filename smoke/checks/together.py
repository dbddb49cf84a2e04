"""Checks over all packages of one call: what each may be alone, and not beside the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from packaging.utils import canonicalize_name

from builder.archive.metadata import Headers
from builder.archive.wheel_name import WheelName
from smoke.catalogue import Check, Outcome, Skip
from smoke.claims import dist_info_text, name_of
from smoke.subject import Subject, content_of

__all__ = ["CHECKS"]

_READ_BY_RESOLVERS = ("Requires-Dist", "Requires-Python", "Provides-Extra")
_MOST = 5
_SYSTEMS = ("linux", "macosx", "win", "ios", "android")


def _files(subject: Subject) -> Outcome | Skip:
    subjects = (subject, *subject.beside)
    pairs = [
        (one, other)
        for at, one in enumerate(subjects)
        for other in subjects[at + 1 :]
        if _project(one) != _project(other) and _meet(one, other)
    ]
    if not pairs:
        return Skip("no two of them are for one environment")
    problems: list[str] = []
    warnings: list[str] = []
    for one, other in pairs:
        files = {m.installed: m.digest for m in content_of(one).members}
        both = [(m, files[m.installed]) for m in content_of(other).members if m.installed in files]
        problems += _told(
            one, other, [m.name for m, digest in both if m.digest != digest], "other bytes"
        )
        warnings += _told(
            one, other, [m.name for m, digest in both if m.digest == digest], "the same bytes"
        )
    return Outcome(tuple(problems), tuple(warnings))


def _told(one: Subject, other: Subject, names: list[str], how: str) -> Iterator[str]:
    for name in names[:_MOST]:
        yield f"{name}: `{one.path.name}` and `{other.path.name}` both write it, with {how}"
    if names[_MOST:]:
        yield f"and {len(names) - _MOST} more files of `{one.path.name}` and `{other.path.name}`"


def _project(subject: Subject) -> str:
    name = name_of(subject.path.name)
    return canonicalize_name(name.project if name else subject.path.stem)


def _meet(one: Subject, other: Subject) -> bool:
    """Whether two wheels can be in one environment, as far as their tags say."""
    first, second = name_of(one.path.name), name_of(other.path.name)
    if first is None or second is None:
        return False
    return _overlap(_places(first.platforms), _places(second.platforms), "any") and _overlap(
        _pythons(first.pythons, first.abis), _pythons(second.pythons, second.abis), "many"
    )


def _overlap(one: set[str], other: set[str], wild: str) -> bool:
    return wild in one or wild in other or bool(one & other)


def _places(platforms: tuple[str, ...]) -> set[str]:
    """System, C library and machine of platform tags, without versions."""
    found = set()
    for tag in platforms:
        system = next((name for name in _SYSTEMS if name in tag), tag)
        libc = "musl" if "musl" in tag else ""
        machine = next(
            (m for m in ("x86_64", "aarch64", "arm64", "amd64", "universal2") if tag.endswith(m)),
            tag,
        )
        machines = ("x86_64", "arm64") if machine == "universal2" else (machine,)
        found |= {"any"} if tag == "any" else {f"{libc}{system}-{one}" for one in machines}
    return found


def _pythons(pythons: tuple[str, ...], abis: tuple[str, ...]) -> set[str]:
    return {"many"} if set(abis) & {"none", "abi3"} else set(pythons)


def _metadata(subject: Subject) -> Outcome | Skip:
    releases: dict[tuple[str, str], list[Subject]] = defaultdict(list)
    for one in (subject, *subject.beside):
        name = name_of(one.path.name)
        if name is not None:
            releases[_project(one), name.version].append(one)
    groups = [group for group in releases.values() if len(group) > 1]
    if not groups:
        return Skip("no two of them are of one version")
    return Outcome(tuple(text for group in groups for text in _differing(group)))


def _differing(group: list[Subject]) -> Iterator[str]:
    """What resolvers read from the first wheel alone and is otherwise in another one."""
    first = group[0]
    said = _headers(first)
    for one in group[1:]:
        for field, values in _headers(one).items():
            more, less = sorted(values - said[field]), sorted(said[field] - values)
            if more or less:
                parts = [f"only there {', '.join(f'`{t}`' for t in less)}"] if less else []
                parts += [f"only here {', '.join(f'`{t}`' for t in more)}"] if more else []
                yield f"{one.path.name}: {field} differs from `{first.path.name}`: {'; '.join(parts)}"


def _headers(subject: Subject) -> dict[str, frozenset[str]]:
    text = dist_info_text(content_of(subject), "METADATA") or ""
    headers = Headers.parse(text.encode("utf-8", "surrogateescape"))
    return {field: frozenset(headers.get(field)) for field in _READ_BY_RESOLVERS}


def _complete(subject: Subject) -> Outcome | Skip:
    """Of each version, the Pythons that one platform has and another has not."""
    wheels: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one in (subject, *subject.beside):
        name = name_of(one.path.name)
        if name is not None and not name.is_pure:
            for place in _places(name.platforms):
                wheels[_project(one), name.version][place] |= _served(name)
    several = {release: found for release, found in wheels.items() if len(found) > 1}
    if not several:
        return Skip("no version here is for several platforms")
    return Outcome(
        warnings=tuple(
            f"{project} {version}: has no wheel for {', '.join(lacking)} on {place}, others do"
            for (project, version), found in sorted(several.items())
            for place, served in sorted(found.items())
            if "many" not in served and (lacking := sorted(_all(found) - served))
        )
    )


def _served(name: WheelName) -> set[str]:
    """The Pythons of a wheel; free-threaded ones are Pythons of their own."""
    many = _pythons(name.pythons, name.abis)
    return many if "many" in many else {abi for abi in name.abis if abi.startswith("cp")} or many


def _all(found: Mapping[str, set[str]]) -> set[str]:
    return set().union(*found.values()) - {"many"}


CHECKS = (
    Check(
        "set.files",
        "No two wheels that can be in one environment write the same file.",
        ("wheel",),
        "set",
        "move the file into a package of its own, or give each project a folder of its own",
        _files,
    ),
    Check(
        "set.complete",
        "Wheels of one version are for the same Pythons on every platform.",
        ("wheel",),
        "set",
        "build what is missing, or leave the Python out for all, before the release is announced",
        _complete,
        "warning",
    ),
    Check(
        "set.metadata",
        "All wheels of one version require the same: resolvers read the metadata of one of them.",
        ("wheel",),
        "set",
        "say the difference with environment markers (`; sys_platform == 'linux'`), in all wheels",
        _metadata,
    ),
)
