"""Every input that fuzzing ever found worth keeping, run again through its target."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

FUZZ = Path(__file__).parent.parent / "fuzz"


KEPT = sorted(path for path in (FUZZ / "corpus").rglob("*") if path.is_file())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_kept_input_is_read_or_refused_by_name(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_seeds_or_samples() -> None:
    with_seeds = {path.parent.name for path in KEPT}
    assert set(TARGETS) - with_seeds <= {"binary", "signature", "edit"}
