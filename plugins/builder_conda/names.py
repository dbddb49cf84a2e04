"""What a project of the Python index is called in conda channels: data, and the caller's own words first."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from packaging.utils import canonicalize_name

__all__ = ["conda_name"]


def conda_name(project: str, names: Mapping[str, str]) -> str:
    """The name that conda knows a project by; one that nobody listed keeps its normalized name."""
    normalized = canonicalize_name(project)
    return names.get(normalized) or _table().get(normalized, normalized)


@cache
def _table() -> Mapping[str, str]:
    text = Path(__file__).with_name("names.toml").read_text("utf-8")
    table: dict[str, str] = tomllib.loads(text)["names"]
    return table
