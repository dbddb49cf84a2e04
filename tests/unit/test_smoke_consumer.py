"""The C++ consumer with programs of this test in the place of CMake: what is started, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.config.recipe import Checks, Consumer
from builder.process import Processes
from smoke.checks import CATALOGUE
from smoke.report import Result
from smoke.runner import run
from smoke.subject import Core, Subject

(CHECK,) = (one for one in CATALOGUE if one.id == "consumer.cpp")
# `--build` comes first in the step that compiles, `-S` in the one that configures.
CMAKE = """#!/bin/sh
echo "$PATH" >> {log}
case "$1" in
--build) /bin/mkdir -p "$2/run"; /bin/cp {program} "$2/run/consumer"; /bin/cp {program} "$2/run/consumer.exe" ;;
*) {configure} ;;
esac
"""
PROGRAM = '#!/bin/sh\necho "$PATH" >> {log}\n{then}\n'
NO_COMPILER = 'echo "CMake Error: No CMAKE_CXX_COMPILER could be found."; exit 1'
NO_PACKAGE = """if /bin/grep -q find_package "$2/CMakeLists.txt"; then
echo "CMake Error: Could not find a package configuration file"; exit 1; fi"""


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    for name in ("programs", "core", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "use.cpp").write_text("")
    return tmp_path


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def consumed(
    bench: Path, os: str, *, configure: str = ":", then: str = "exit 0", tools: str = ""
) -> Result:
    log = bench / "log"
    made = program(bench / "program", PROGRAM.format(log=log, then=then))
    text = CMAKE.format(log=log, program=made, configure=configure)
    program(bench / "programs" / "cmake", text)
    for name in tools.split():
        program(bench / "programs" / name, "#!/bin/sh\n")
    path = (bench / "programs", Path("/nowhere"))
    core = Core(os, bench / "core", bench, path, bench / "scratch", Processes())
    checks = Checks(consumer=Consumer("use.cpp", "Demo", ("demo",)))
    subject = Subject(bench / "core", "folder", core=core, checks=checks)
    return run(subject, [CHECK], [CHECK.needs]).results[0]


def test_the_program_is_run_from_one_folder(bench: Path) -> None:
    good = consumed(bench, "linux", tools="c++ make")
    bad = consumed(bench, "linux", tools="c++ make", then="exit 3")

    searched = set((bench / "log").read_text().split())
    assert (good.status, bad.status) == ("pass", "fail")
    assert bad.problems == ("use.cpp: does not run: ended with exit code 3",)
    assert searched == {f"{bench / 'programs'}:/nowhere"}


def test_on_windows_the_package_s_folders_are_searched_while_it_runs(bench: Path) -> None:
    result = consumed(bench, "windows")

    configured, compiled, ran = (bench / "log").read_text().split()
    own = f"{bench / 'programs'};/nowhere"
    assert (result.status, result.reason) == ("pass", "")
    assert (configured, compiled) == (own, own)
    assert ran == f"{bench / 'core' / 'bin'};{bench / 'core' / 'lib'};{own}"


@pytest.mark.parametrize(
    ("os", "configure", "tools", "reason"),
    [
        ("macos", ":", "", "there is no c++ or g++ or clang++ on this machine"),
        ("windows", NO_COMPILER, "", "CMake finds no compilers on this machine: "),
        ("macos", NO_COMPILER, "c++ ninja", "CMake finds no compilers on this machine: "),
    ],
    ids=["no compiler", "no Visual Studio", "no developer tools behind the compiler"],
)
def test_a_machine_without_compilers_is_no_finding(
    bench: Path, os: str, configure: str, tools: str, reason: str
) -> None:
    result = consumed(bench, os, configure=configure, tools=tools)

    assert result.status == "skip"
    assert result.reason.startswith(reason)


def test_a_package_that_is_not_found_is_a_finding_where_there_are_compilers(bench: Path) -> None:
    result = consumed(bench, "windows", configure=NO_PACKAGE)

    assert result.status == "fail"
    assert result.problems[0].startswith("use.cpp: does not configure: ")
    assert "Could not find a package configuration file" in result.problems[0]
