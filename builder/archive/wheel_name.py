"""The file name of a wheel ("Binary distribution format"), and the error of what is no wheel.

`packaging` has the last word on what is a name. It takes longer to load than a small wheel to read,
so the plain ones, nearly all, are told without it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from builder.errors import UsageError

__all__ = ["WheelError", "WheelName", "is_same_project", "is_same_version"]


class WheelError(UsageError):
    """A file that is no wheel, is damaged, or is not safe to unpack; `faults` say every reason."""

    def __init__(self, wheel: str, faults: tuple[str, ...]) -> None:
        super().__init__(
            f"`{wheel}` is not a sound wheel",
            faults=faults,
            hint="build or download it again",
        )


@dataclass(frozen=True, slots=True)
class WheelName:
    """The file name of a wheel. `project` is spelled as in the file name; tag sets are sorted."""

    project: str
    version: str
    build: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> WheelName:
        """Read a file name. Raises `WheelError` when it is none of a wheel."""
        if not _plain().fullmatch(text):
            _refuse(text)
        words = text.removesuffix(".whl").split("-")
        build = words[2] if len(words) == 6 else ""  # noqa: PLR2004  # with a build tag
        pythons, abis, platforms = (tuple(sorted(set(word.split(".")))) for word in words[-3:])
        return cls(words[0], words[1], build, pythons, abis, platforms)

    def __str__(self) -> str:
        sets = (self.pythons, self.abis, self.platforms)
        words = (self.project, self.version, self.build, *map(".".join, sets))
        return "-".join(word for word in words if word) + ".whl"

    @property
    def tags(self) -> tuple[str, ...]:
        """Every single tag the compressed sets stand for, sorted."""
        return tuple(sorted(map("-".join, product(self.pythons, self.abis, self.platforms))))

    @property
    def is_pure(self) -> bool:
        """Whether the wheel claims to run on any platform."""
        return self.platforms == ("any",)

    def with_version(self, version: str) -> WheelName:
        """The same name with another version, escaped as file names want it."""
        from packaging.version import Version  # noqa: PLC0415  # slow to load

        return replace(self, version=str(Version(version)).replace("-", "_"))


def is_same_project(one: str, other: str) -> bool:
    """Whether two spellings are of one name (PEP 503)."""
    return one == other or _normalized(one) == _normalized(other)


def is_same_version(one: str, other: str) -> bool:
    """Whether two spellings are of one version; the second as in a file name."""
    if one == other:
        return True
    from packaging.version import Version  # noqa: PLC0415  # slow to load

    try:
        return Version(one) == Version(other.replace("_", "-"))
    except ValueError:  # also that of Python for a number of thousands of digits
        return False


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def _plain() -> re.Pattern[str]:
    """Names whose version is in canonical form (PEP 440, appendix B)."""
    number = "(?:0|[1-9][0-9]*)"
    version = (
        rf"(?:[1-9][0-9]*!)?{number}(?:\.{number})*(?:(?:a|b|rc){number})?"
        rf"(?:\.post{number})?(?:\.dev{number})?(?:\+[a-z0-9]+(?:\.[a-z0-9]+)*)?"
    )
    tag = "[A-Za-z0-9_]+(?:[.][A-Za-z0-9_]+)*"
    return re.compile(
        rf"(?!.*__.*-)[A-Za-z0-9._]+-{version}(?:-[0-9]+[a-z]*)?-{tag}-{tag}-{tag}\.whl"
    )


def _refuse(text: str) -> None:
    """Raise `WheelError`, unless `packaging` takes the name."""
    from packaging.utils import (  # noqa: PLC0415  # slow to load
        InvalidWheelFilename,
        parse_wheel_filename,
    )
    from packaging.version import InvalidVersion  # noqa: PLC0415  # as above

    try:
        parse_wheel_filename(text)
    except (InvalidWheelFilename, InvalidVersion) as error:
        raise WheelError(text, (str(error),)) from error
