"""ELF files (System V gABI with the GNU extensions): read and edited."""

from __future__ import annotations

from builder.binary.elf.padding import padded
from builder.binary.elf.reader import defined, read
from builder.binary.model import Edit, Flaw
from builder.patch import Patch

__all__ = ["defined", "flaws", "padded", "plan", "read"]


def flaws(view: memoryview) -> tuple[Flaw, ...]:
    """What is wrong with the bytes. Raises `BinaryError` when the headers cannot be read."""
    from builder.binary.elf import soundness  # noqa: PLC0415  # many only read: start-up counts

    return soundness.flaws(view)


def plan(view: memoryview, edit: Edit) -> Patch:
    """The bytes that change. Raises `BinaryError`, with a hint when there is no room for an edit."""
    from builder.binary.elf import edit as editor  # noqa: PLC0415  # many only read: start-up counts

    return editor.plan(view, edit)
