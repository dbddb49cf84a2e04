"""The catalogue: every built-in check, in the order in which reports tell them."""

from __future__ import annotations

from smoke.catalogue import Check
from smoke.checks import consumer, contents, elf, environment, wheel

__all__ = ["CATALOGUE"]

CATALOGUE: tuple[Check, ...] = (
    *wheel.CHECKS,
    *elf.CHECKS,
    *contents.CHECKS,
    *environment.CHECKS,
    *consumer.CHECKS,
)
