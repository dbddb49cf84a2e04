"""How much work was done: counters that are free of noise, so that a test can demand exact values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from threading import Lock

__all__ = ["Tally"]


@dataclass(slots=True)
class Tally:
    """Raw bytes inflated and deflated, packed bytes copied, bytes hashed, processes started.

    Every thread may add at any time. Two tallies are equal when all their numbers are.
    """

    inflated: int = 0
    deflated: int = 0
    copied: int = 0
    hashed: int = 0
    processes: int = 0
    _lock: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def add(
        self,
        *,
        inflated: int = 0,
        deflated: int = 0,
        copied: int = 0,
        hashed: int = 0,
        processes: int = 0,
    ) -> None:
        """Count work that was done."""
        with self._lock:
            self.inflated += inflated
            self.deflated += deflated
            self.copied += copied
            self.hashed += hashed
            self.processes += processes

    def to_json(self) -> Mapping[str, int]:
        """The counters by name."""
        with self._lock:
            return {item.name: getattr(self, item.name) for item in fields(self) if item.compare}
