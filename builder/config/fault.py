"""One thing that is wrong with a configuration file, and where."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from builder.config.toml_lines import KeyPath

__all__ = ["Fault", "did_you_mean", "dotted", "listed"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Fault:
    """`path` are the keys and indexes that lead to the value, () for the whole document."""

    path: KeyPath
    message: str


def dotted(path: KeyPath) -> str:
    """A path as people write it: `override[0].core.environment."a b"`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            quoted = '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
            text += "." * bool(text) + (part if _BARE.fullmatch(part) else quoted)
    return text


def listed(words: Iterable[str], *, last: str = "and") -> str:
    """Words in backticks, `a`, `b` and `c`."""
    quoted = [f"`{word}`" for word in words]
    return f" {last} ".join(filter(None, (", ".join(quoted[:-1]), *quoted[-1:])))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The best guess as the end of a sentence, or else what is known."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean `{close[0]}`?" if close else f"known here: {listed(names)}"
