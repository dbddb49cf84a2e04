"""Turn one native source tree into every binary its users need, and prove each one sound.

The public functions are the verbs of the command line. They take and return values, never print and never exit;
what goes wrong is a `BuilderError`. Everything is imported on first use, so `import builder` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.cli.surroundings import this_machine as this_machine
    from builder.config.machine import Machine as Machine
    from builder.converter import Conversion as Conversion
    from builder.errors import BuilderError as BuilderError
    from builder.requests import BuildOutcome as BuildOutcome
    from builder.requests import BuildRequest as BuildRequest
    from builder.verbs.build import build as build
    from builder.verbs.build import plan as plan
    from builder.verbs.channel import add_packages as add_packages
    from builder.verbs.channel import create_channel as create_channel
    from builder.verbs.channel import index_channel as index_channel
    from builder.verbs.channel import verify_channel as verify_channel
    from builder.verbs.check import check as check
    from builder.verbs.convert import convert as convert
    from builder.verbs.doctor import doctor as doctor
    from builder.verbs.inspect import inspect as inspect
    from builder.verbs.matrix import matrix as matrix
    from builder.verbs.repair import repair as repair

_HOMES = {
    "BuildOutcome": "builder.requests",
    "BuildRequest": "builder.requests",
    "BuilderError": "builder.errors",
    "Conversion": "builder.converter",
    "Machine": "builder.config.machine",
    "add_packages": "builder.verbs.channel",
    "build": "builder.verbs.build",
    "check": "builder.verbs.check",
    "convert": "builder.verbs.convert",
    "create_channel": "builder.verbs.channel",
    "doctor": "builder.verbs.doctor",
    "index_channel": "builder.verbs.channel",
    "inspect": "builder.verbs.inspect",
    "matrix": "builder.verbs.matrix",
    "plan": "builder.verbs.build",
    "repair": "builder.verbs.repair",
    "this_machine": "builder.cli.surroundings",
    "verify_channel": "builder.verbs.channel",
}

__all__ = [  # names are resolved by `__getattr__` below
    "BuildOutcome",
    "BuildRequest",
    "BuilderError",
    "Conversion",
    "Machine",
    "add_packages",
    "build",
    "check",
    "convert",
    "create_channel",
    "doctor",
    "index_channel",
    "inspect",
    "matrix",
    "plan",
    "repair",
    "this_machine",
    "verify_channel",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module `builder` has no attribute `{name}`")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
