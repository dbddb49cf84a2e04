"""The check of newer versions beside a package: what it tries, what it tells, what it leaves alone."""

from __future__ import annotations

import sys
import venv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from builder.config.recipe import Checks
from builder.process import Processes
from builder.verbs.check import upgraded
from smoke.checks import CATALOGUE
from smoke.probing import open_environment
from smoke.report import Result
from smoke.runner import run
from smoke.subject import Subject

BELOW = Path("lib", f"python{sys.version_info[0]}.{sys.version_info[1]}", "site-packages")
OLD, NEW = {"near": "1.0", "other": "3"}, {"near": "2.0", "other": "4"}
NAMED = Checks(imports=("tiny", "json"), upgrades=("near>=1",))
(CHECK,) = (one for one in CATALOGUE if one.id == "env.upgraded")


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("upgraded")
    for name in ("before", "after"):
        venv.create(folder / name, symlinks=True, with_pip=False)
    return folder / "before", folder / "after"


def filled(environment: Path, tiny: str, versions: Mapping[str, str]) -> Path:
    site = environment / BELOW
    for file in sorted(site.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (site / "tiny.py").write_text(tiny)
    for name, version in versions.items():
        (site / f"{name}.py").write_text(f"VERSION = '{version}'\n")
        (site / f"{name}-{version}.dist-info").mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (site / f"{name}-{version}.dist-info" / "METADATA").write_text(text)
    return environment / "bin" / "python"


def found(
    environments: tuple[Path, Path], tiny: str, newer: Mapping[str, str], checks: Checks = NAMED
) -> Result:
    """What is said of `tiny`, first beside the old packages, then beside the new ones."""
    scratch = environments[0].parent / "scratch"
    pythons = filled(environments[0], tiny, OLD), filled(environments[1], tiny, newer)
    first, second = (
        open_environment(one, (Path("/usr/bin"), Path("/bin")), scratch, Processes())
        for one in pythons
    )
    argv = tuple(
        tuple((str(python), "-c", text[-1]) for text in checks.commands) for python in pythons
    )
    subject = Subject(Path("tiny-1.0-py3-none-any.whl"), "wheel", None, first)
    subject = replace(subject, checks=replace(checks, commands=argv[0]))
    later = replace(subject, installed=second, checks=replace(checks, commands=argv[1]))
    subject = replace(subject, upgrade=lambda: later)
    return run(subject, [CHECK], [CHECK.needs]).results[0]


BREAKS = "import near\nassert near.VERSION == '1.0', near.VERSION\n"


@pytest.mark.parametrize(
    ("tiny", "newer", "status", "told"),
    [
        pytest.param("import near\n", NEW, "pass", "", id="content with both"),
        pytest.param(
            BREAKS,
            NEW,
            "fail",
            "tiny: AssertionError: 2.0; with near 2.0 (was 1.0), other 4 (was 3)",
            id="fails with the new one",
        ),
        pytest.param("import absent\n", NEW, "pass", "", id="fails with both: of `env.import`"),
        pytest.param(
            "import near\nassert near.VERSION == '2.0'\n", NEW, "pass", "", id="only works with it"
        ),
        pytest.param(BREAKS, OLD, "skip", "nothing newer can be installed", id="no newer one"),
        pytest.param(BREAKS, {"other": "4"}, "fail", "No module named 'near'", id="gone"),
    ],
)
def test_only_what_fails_beside_newer_versions_is_told(
    environments: tuple[Path, Path], tiny: str, newer: Mapping[str, str], status: str, told: str
) -> None:
    result = found(environments, tiny, newer)

    assert result.status == status
    assert told in "".join((*result.problems, result.reason))


def test_commands_are_tried_in_the_newer_environment(environments: tuple[Path, Path]) -> None:
    commands = (("import near; assert near.VERSION < '2'",), ("import near",), ("exit(3)",))
    checks = Checks(commands=commands, upgrades=("near",))

    result = found(environments, "", NEW, checks)

    (problem,) = result.problems
    assert problem.startswith(f"`{environments[0] / 'bin' / 'python'} -c import near; assert")
    assert "AssertionError" in problem


@pytest.mark.parametrize(
    ("checks", "reason"),
    [
        (Checks(imports=("json",)), "the recipe names no upgrades"),
        (
            Checks(upgrades=("near",)),
            "there is nothing to import, and the recipe names no commands",
        ),
        (NAMED, "a ready environment is not changed: only one that is made for a wheel is"),
    ],
    ids=["no upgrades", "no imports", "not ours"],
)
def test_what_cannot_be_tried_says_why(tmp_path: Path, checks: Checks, reason: str) -> None:
    installed = open_environment(Path(sys.executable), (), tmp_path / "scratch", Processes())
    subject = Subject(tmp_path, "environment", None, installed, checks=checks)

    result = run(subject, [CHECK], [CHECK.needs]).results[0]

    assert (result.status, result.reason) == ("skip", reason)


def test_newer_versions_that_cannot_be_installed_are_a_finding(tmp_path: Path) -> None:
    installed = open_environment(Path(sys.executable), (), tmp_path / "scratch", Processes())
    subject = Subject(tmp_path, "wheel", None, installed, checks=NAMED)
    broken = replace(installed, facts=None, fault="no set of packages satisfies it")
    subject = replace(subject, upgrade=lambda: replace(subject, installed=broken))

    result = run(subject, [CHECK], [CHECK.needs]).results[0]

    assert (result.status, result.problems) == (
        "fail",
        ("near>=1: no set of packages satisfies it",),
    )


def test_upgrades_take_the_place_of_requirements_of_the_same_project() -> None:
    requires = ("Near.Dear<2; python_version < '3.13'", "near-dear>=2", "pytest")
    checks = Checks(requires=requires, upgrades=("near_dear>=2.1rc1",))

    assert upgraded(checks).requires == ("pytest", "near_dear>=2.1rc1")
    assert upgraded(Checks(requires=requires)).requires == requires
