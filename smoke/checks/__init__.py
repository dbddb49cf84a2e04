"""The catalogue: every built-in check, in the order in which reports tell them."""

from __future__ import annotations

from smoke.catalogue import Check
from smoke.checks import binary, consumer, contents, cuda, environment, linking, wheel

__all__ = ["CATALOGUE"]

CATALOGUE: tuple[Check, ...] = (
    *wheel.CHECKS,
    *linking.CHECKS,
    *binary.CHECKS,
    *contents.CHECKS,
    *cuda.CHECKS,
    *environment.CHECKS,
    *consumer.CHECKS,
)
