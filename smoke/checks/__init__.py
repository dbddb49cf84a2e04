"""The catalogue: every built-in check, in the order in which reports tell them."""

from __future__ import annotations

from smoke.catalogue import Check
from smoke.checks import (
    abi,
    binary,
    consumer,
    contents,
    cuda,
    environment,
    grafts,
    leaks,
    linking,
    metadata,
    names,
    neighbours,
    release,
    together,
    upgraded,
    wheel,
)

__all__ = ["CATALOGUE"]

CATALOGUE: tuple[Check, ...] = (
    *wheel.CHECKS,
    *metadata.CHECKS,
    *grafts.CHECKS,
    *linking.CHECKS,
    *names.CHECKS,
    *binary.CHECKS,
    *contents.CHECKS,
    *leaks.CHECKS,
    *abi.CHECKS,
    *cuda.CHECKS,
    *release.CHECKS,
    *together.CHECKS,
    *environment.CHECKS,
    *neighbours.CHECKS,
    *upgraded.CHECKS,
    *consumer.CHECKS,
)
