"""The command line: one thin file per verb. Each parses, calls the library once, and prints."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line and exit with its code."""
    from builder.cli.app import run  # noqa: PLC0415  # keeps `import builder.cli` free of click

    raise SystemExit(run())
