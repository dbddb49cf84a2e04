"""What README and docs say without being run: links, options, recipes. `tests/e2e/test_docs.py` runs the rest."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import builder
from builder.cli import app
from builder.config.recipe_file import load

ROOT = Path(builder.__file__).parents[1]
PAGES = tuple(
    sorted(
        page.relative_to(ROOT)
        for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("recipes/*/*.md"))
    )
)
GUIDE = ("README.md", *(page.as_posix() for page in PAGES if page.match("docs/guide/*.md")))
VERBS = ("build", "channel", "check", "convert", "doctor", "inspect", "matrix", "repair")


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The names that the headings of a page get where it is shown."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_between_pages_resolves(page: Path) -> None:
    faults = []
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        place = ROOT / page.parent / path if path else ROOT / page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            faults.append(target)
    assert faults == []


def _calls_a_verb(line: str) -> bool:
    program, verb, *_ = [*line.split(), ""]
    return program in {"builder", "./dev"} and verb in VERBS


def commands() -> list[tuple[str, str]]:
    """Each line of the guide that calls a verb, with its page."""
    lines = (
        (page, line)
        for page in GUIDE
        for block in blocks(page, "console")
        for line in block.splitlines()
    )
    return [(page, line) for page, line in lines if _calls_a_verb(line)]


@pytest.fixture(scope="module")
def options() -> dict[str, set[str]]:
    """The options in the help text of each verb."""
    found = {}
    for verb in VERBS:
        command = importlib.import_module(f"builder.cli.{verb}").command
        assert isinstance(command, click.Command)
        inner = [[name] for name in command.commands] if isinstance(command, click.Group) else []
        text = "".join(
            CliRunner().invoke(command, [*words, "--help"]).stdout for words in ([], *inner)
        )
        found[verb] = {*re.findall(r"(?<!\S)--?[a-z][\w-]*", text.replace("/--", " --"))}
    return found


@pytest.mark.parametrize(("page", "line"), commands(), ids=str)
def test_help_names_every_option_of_a_command(
    page: str, line: str, options: dict[str, set[str]]
) -> None:
    words = shlex.split(line)
    used = {word.partition("=")[0] for word in words[2:] if word.startswith("-")}
    assert used <= options[words[1]], page


@pytest.mark.parametrize("page", GUIDE)
def test_help_names_every_option_of_the_text(page: str, options: dict[str, set[str]]) -> None:
    text = re.sub(
        r"^```.*?^```$",
        "",
        (ROOT / page).read_text(encoding="utf-8"),
        flags=re.MULTILINE | re.DOTALL,
    )
    used = {
        option
        for code in re.findall(r"`([^`]+)`", text)
        for option in re.findall(r"(?<!\S)--[a-z][\w-]*", code)
    }
    assert used <= {"--version"}.union(*options.values())


def test_help_and_readme_name_every_verb() -> None:
    text = CliRunner().invoke(app._builder, ["--help"]).stdout
    named = re.findall(r"^  (\w+) {2,}", text.partition("Commands:")[2], re.MULTILINE)
    assert tuple(named) == VERBS
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [verb for verb in VERBS if f"\nbuilder {verb}" not in readme] == []


def test_the_recipe_of_the_guide_has_no_fault(tmp_path: Path) -> None:
    (text,) = blocks("docs/guide/getting-started.md", "toml")
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    (tmp_path / "check.py").touch()
    recipe = load(tmp_path / "recipe.toml")
    assert recipe.name == "mylib"
    assert recipe.core is not None


def test_the_plugin_of_the_guide_is_the_one_in_docs() -> None:
    (entry,) = blocks("docs/guide/plugins.md", "toml")
    project = (ROOT / "docs" / "example-plugin" / "pyproject.toml").read_text(encoding="utf-8")
    assert entry in project
