"""What a plan of a recipe of another tool loads: a dry run is mostly the start of interpreters."""

from __future__ import annotations

import subprocess
import sys


def test_a_plan_loads_nothing_that_writes_packages() -> None:
    code = """
import sys
from builder_conda.recipes.foreign import CondaRecipes
print([name for name in ("builder.binary", "builder.archive.conda_write", "builder_conda.recipes.engine",
       "rattler_build") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
