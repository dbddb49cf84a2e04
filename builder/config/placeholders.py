"""Placeholders in the words of a recipe: `{prefix}`; a literal brace is written `{{` or `}}`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from builder.errors import UsageError

__all__ = ["CHECK", "CORE", "PYTHON", "expand", "unknown"]

CORE = ("accelerator", "build", "cuda_architectures", "jobs", "prefix", "source", "version")
PYTHON = (*CORE, "core", "dist", "python", "recipe")
CHECK = ("python", "recipe")

_TOKEN = re.compile(r"\{\{|\}\}|\{[^{}]*\}|\{")


def expand(text: str, values: Mapping[str, str]) -> str:
    """`text` with each `{name}` replaced by its value, and `{{` and `}}` by one brace.

    Raises `UsageError` for a name without a value and for a `{` that nothing closes.
    """
    wrong = unknown(text, tuple(values))
    if wrong:
        known = " ".join(f"{{{name}}}" for name in sorted(values)) or "none"
        raise UsageError(
            f"unknown placeholder `{wrong[0]}` in `{text}`",
            hint=f"known here: {known}; a literal brace is written `{{{{`",
        )

    def one(match: re.Match[str]) -> str:
        token = match[0]
        return token[0] if token in ("{{", "}}") else values[token[1:-1]]

    return _TOKEN.sub(one, text)


def unknown(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The placeholders of `text`, braces included, that are not `known`; a lone `{` counts."""
    tokens = (match[0] for match in _TOKEN.finditer(text))
    return tuple(
        token for token in tokens if token not in ("{{", "}}") and token[1:-1] not in known
    )
