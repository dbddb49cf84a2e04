from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from builder.config.recipe_file import load

ROOT = Path(__file__).parents[2]
PAGE = "docs/reference/recipe.md"


@pytest.fixture(scope="module")
def generated() -> str:
    return str(runpy.run_path(str(ROOT / "docs" / "generate.py"))["PAGES"][PAGE]())


def test_page_is_fresh(generated: str) -> None:
    assert (ROOT / PAGE).read_text("utf-8") == generated, "run `python docs/generate.py`"


def test_example_of_the_page_is_a_recipe(generated: str, tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", generated, re.DOTALL)
    path = tmp_path / "recipe.toml"
    path.write_text(examples[0], "utf-8")
    assert len(examples) == 1
    assert load(path).name == "sample"


@pytest.mark.parametrize(
    "row",
    [
        "## `[[bundle.sibling]]`",
        "## `[check.consumer]`",
        "| `targets` | list of strings | The CMake targets to link. Example: ",
        "| `timeout` | number | Seconds that one command may take. Default: `300`. |",
        "| `memory` | integer | Bytes of memory ",
        "| `neighbours` | list of strings | Modules of other packages ",
        "| `upgrades` | list of strings | Requirements that take the place ",
        "| `environment` | table of strings or integers | ",
        "| `select` | string | A glob over target ids. ",
    ],
)
def test_page_has_a_row_for_every_kind_of_value(generated: str, row: str) -> None:
    assert row in generated
