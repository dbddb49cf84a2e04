"""Mach-O files of Apple's systems, for one machine or several: read, edited, signed."""

from __future__ import annotations

from builder.binary.macho.codesign import flaws, signature_problems
from builder.binary.macho.edit import plan
from builder.binary.macho.reader import defined, read

__all__ = ["defined", "flaws", "plan", "read", "signature_problems"]
