"""The catalogue: every built-in check, in the order in which reports tell them."""

from __future__ import annotations

from smoke.catalogue import Check
from smoke.checks import consumer, contents, environment, linking, wheel

__all__ = ["CATALOGUE"]

CATALOGUE: tuple[Check, ...] = (
    *wheel.CHECKS,
    *linking.CHECKS,
    *contents.CHECKS,
    *environment.CHECKS,
    *consumer.CHECKS,
)
