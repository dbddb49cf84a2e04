"""No test asserts a time: examples may take as long as the machine is busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("untimed", parent=settings.default, deadline=None)
settings.load_profile("untimed")
