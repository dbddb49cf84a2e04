"""Rules about the project itself: what every file keeps, and what the files at the top promise each other."""

from __future__ import annotations

import ast
import fnmatch
import re
import tomllib
from pathlib import Path

import pytest

import builder

ROOT = Path(builder.__file__).parents[1]
IGNORED = (*(ROOT / ".gitignore").read_text(encoding="utf-8").split(), ".git/")


def files() -> tuple[Path, ...]:
    """Every file of the project, as git would list them: nothing generated, nothing installed."""

    def below(folder: Path) -> list[Path]:
        found = []
        for path in sorted(folder.iterdir()):
            if any(
                fnmatch.fnmatch(f"{path.name}/", pattern.rstrip("/") + "/") for pattern in IGNORED
            ):
                continue
            found += below(path) if path.is_dir() else [path]
        return found

    return tuple(path.relative_to(ROOT) for path in below(ROOT))


FILES = files()
SOURCES = tuple(
    path
    for path in FILES
    if path.suffix == ".py"
    and path.parts[0] in {"benchmarks", "builder", "docs", "plugins", "smoke"}
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Halves, so that this file keeps its own rule.
HOSTS = ("py" + "pi.org", "python" + "hosted", "deb." + "debian", "debian" + ".org", "npm" + "js")
PLACES = ("/wo" + "rk/(?:main|shared|[.])", "/ro" + "ot/", "/opt/py" + "pi", "[.]lib" + "rary/")
WORKPLACE = ("sub" + "agent", "issue " + "tracker")
FORBIDDEN = re.compile("|".join([*map(re.escape, HOSTS), *PLACES, *WORKPLACE]), re.IGNORECASE)


def test_the_files_are_found() -> None:
    assert {Path("dev"), Path("README.md"), Path("builder/cli/app.py"), Path(".ci/run")} <= {*FILES}
    assert not [path for path in FILES if {".venv", "dist", "__pycache__"} & {*path.parts}]


def test_no_file_names_a_registry_or_a_place_of_one_machine() -> None:
    faults = []
    for path in FILES:
        lines = (ROOT / path).read_bytes().decode("utf-8", errors="replace").splitlines()
        faults += [
            f"{path}:{number}: {match[0]}"
            for number, line in enumerate(lines, 1)
            for match in FORBIDDEN.finditer(line)
        ]
    assert faults == []


@pytest.mark.parametrize(
    ("line", "tells"),
    [
        (f"index = https://{HOSTS[0]}/simple", True),
        (f"cd /{'wo'}rk/main", True),
        ("HOME=/ro" + "ot/", True),
        ("<store>/work/0123", False),
        ("blocker.library", False),
    ],
)
def test_what_counts_as_a_place(line: str, tells: bool) -> None:
    assert bool(FORBIDDEN.search(line)) is tells


def test_every_module_says_what_it_hides_and_stays_readable() -> None:
    faults = []
    for path in SOURCES:
        text = (ROOT / path).read_text(encoding="utf-8")
        if not ast.get_docstring(ast.parse(text)):
            faults.append(f"{path}: has no docstring")
        if len(text.splitlines()) > 400:
            faults.append(f"{path}: is longer than 400 lines")
    assert faults == []


def test_every_room_has_its_floor() -> None:
    (layers,) = (
        contract["layers"]
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    named = {room.strip() for floor in layers for room in re.split("[|:]", floor)}
    rooms = {
        f"builder.{path.parts[1].removesuffix('.py')}"
        for path in SOURCES
        if path.parts[0] == "builder"
    }
    rooms -= {"builder.__init__", "builder.__main__"}
    plugins = {path.parts[1] for path in SOURCES if path.parts[0] == "plugins"}
    assert named == rooms | plugins | {"smoke"}
    assert plugins <= {*PROJECT["tool"]["importlinter"]["root_packages"]}


def test_folders_that_become_namespaces_have_no_init() -> None:
    places = {path.parent.as_posix() for path in FILES if path.name == "__init__.py"}
    assert places.isdisjoint({"docker", "docs", "plugins", "recipes", "tests", "tests/unit"})


def apt_packages(text: str) -> set[str]:
    """The words after `apt-get install` that are names of packages."""
    commands = re.findall(r"apt-get install ([^&;]*)", text.replace("\\\n", " "))
    return {word for words in commands for word in words.split() if not word.startswith("-")}


def dev_packages() -> tuple[set[str], set[str]]:
    """The lists of system packages in `dev`: for a build, and for the tests."""
    text = (ROOT / "dev").read_text(encoding="utf-8")
    lists = dict(
        re.findall(r'^(BUILD|TEST)_PACKAGES="(?:\$BUILD_PACKAGES )?(.*)"$', text, re.MULTILINE)
    )
    build, test = ({*lists[name].split()} for name in ("BUILD", "TEST"))
    return build, build | test


def test_the_container_has_what_dev_needs() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    build, test = dev_packages()
    named = apt_packages(text)
    assert build <= named <= test
    instructions = re.findall(r"^([A-Z]+) (.*)", text, re.MULTILINE)
    assert [line for line in instructions if line[0] in {"ARG", "FROM"}] == [
        ("ARG", "BASE=debian:12"),
        ("FROM", "${BASE}"),
    ]
    assert ("RUN", "./dev --version") in instructions
    assert ("ENTRYPOINT", '["/opt/builder/dev"]') in instructions


def test_the_container_gets_no_environment_of_the_host() -> None:
    left_out = (ROOT / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv", "dist"} <= {*left_out}


def test_ci_runs_what_the_readme_says() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert script[-2:] == ["./dev system", "exec ./dev test"]
    assert "\n./dev test\n```\n" in readme


def test_every_recipe_needs_only_system_packages_that_the_tests_install() -> None:
    needed = {
        package
        for path in (ROOT / "recipes").glob("*/recipe.toml")
        for table in tomllib.loads(path.read_text(encoding="utf-8")).values()
        if isinstance(table, dict)
        for package in table.get("system", ())
    }
    assert needed
    assert needed <= dev_packages()[1]
