"""What a user may ask a channel for, on which machine, and what the solver made of it: values. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from builder.archive.conda_package import SUBDIRS
from builder.errors import UsageError

__all__ = ["Answer", "Choice", "Question", "cause"]

_UNIX: Final = {"__unix": "0"}
_SYSTEMS: Final[Mapping[str, Mapping[str, str]]] = {
    "linux": _UNIX | {"__linux": "6.8", "__glibc": "2.39"},
    "osx": _UNIX | {"__osx": "14.0"},
    "win": {"__win": "10.0"},
    "noarch": {},
}
"""What clients find on a machine of today, where the question does not say it."""
_SHOWN: Final = 5
_TREE: Final = re.compile(r"^[\s│├└─]+")
_END: Final = re.compile(
    r"[Nn]o candidates were found|no viable options$|conflicts? with|is excluded|already installed|locked"
)
_START: Final = re.compile(r"^Cannot solve the request because of: ")


@dataclass(frozen=True, slots=True)
class Question:
    """`install SPEC…` on one machine.

    `cuda` is the version that its driver supports, or empty without a GPU. `virtual` says more about
    it (`__glibc`). `installed` are specs of the environment that is there before; what of it the
    question does not name is kept where it can be. A value may have a build behind the version.
    """

    specs: tuple[str, ...]
    subdir: str = "linux-64"
    cuda: str = ""
    installed: tuple[str, ...] = ()
    virtual: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.subdir not in SUBDIRS:
            raise UsageError(
                f"there is no platform `{self.subdir}`", hint=f"known: {', '.join(SUBDIRS)}"
            )

    def __str__(self) -> str:
        words = [f"`install {' '.join(self.specs)}` on {self.subdir}"]
        words.append(f"with CUDA {self.cuda}" if self.cuda else "without a GPU")
        if self.installed:
            words.append(f"where {', '.join(self.installed)} was there")
        return " ".join(
            (*words, *(f"{name} {value}" for name, value in sorted(self.virtual.items())))
        )

    @property
    def machine(self) -> Mapping[str, str]:
        """The virtual packages of the machine, with their versions."""
        found = {**_SYSTEMS[self.subdir.partition("-")[0]], **self.virtual}
        return found | ({"__cuda": self.cuda} if self.cuda else {})

    def to_json(self) -> Mapping[str, object]:
        """As the worker reads it."""
        return {
            "specs": list(self.specs),
            "subdir": self.subdir,
            "installed": list(self.installed),
            "virtual": [_virtual(*row) for row in sorted(self.machine.items())],
        }


@dataclass(frozen=True, slots=True)
class Choice:
    """A package that the solver took; `channel` is where it lies."""

    name: str
    version: str
    build: str
    build_number: int
    features: tuple[str, ...]
    depends: tuple[str, ...]
    channel: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} {self.build}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the solver took, sorted by name; or `why` it could take nothing, shortened to the cause."""

    question: Question
    chosen: tuple[Choice, ...] = ()
    why: tuple[str, ...] = ()

    def of(self, name: str) -> Choice | None:
        """The package of one name, if there is one."""
        return next((choice for choice in self.chosen if choice.name == name), None)


def _virtual(name: str, text: str) -> list[str]:
    version, _, build = text.partition(" ")
    return [name, version, build or "0"]


def cause(text: str) -> tuple[str, ...]:
    """The lines of a solver's explanation that say what is missing or in the way; each once."""
    lines = [_TREE.sub("", line).strip() for line in _START.sub("", text).splitlines()]
    lines = [line.removesuffix(".") for line in lines if line]
    found = [line for line in lines if _END.search(line)]
    leaves = [line for line in found if not line.endswith(":")]
    told = dict.fromkeys(leaves or found or lines)
    return tuple(told)[:_SHOWN]
