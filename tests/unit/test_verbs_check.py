from __future__ import annotations

from pathlib import Path

import pytest

from builder.archive.wheel import WheelName
from builder.config.machine import Machine
from builder.config.python import Python
from builder.config.toolchain import Interpreter
from builder.errors import BuilderError, NothingSelected, UsageError
from builder.verbs.check import check, newest_for

VERSIONS = {
    "2.7mu": "2.7.18",
    "3.7m": "3.7.16",
    "3.9": "3.9.18",
    "3.13": "3.13.0",
    "3.13t": "3.13.0",
}
FOUND: dict[Python, Interpreter | BuilderError] = {
    Python.parse(text): Interpreter(Python.parse(text), Path(text), version, text)
    for text, version in VERSIONS.items()
}


@pytest.mark.parametrize(
    ("tags", "required", "expected"),
    [
        pytest.param("cp39-cp39-linux_x86_64", (), "3.9", id="its own"),
        pytest.param("cp37-cp37m-linux_x86_64", (), "3.7m", id="with an abi flag"),
        pytest.param("cp27-cp27mu-linux_x86_64", (), "2.7mu", id="python 2"),
        pytest.param("cp313-cp313t-linux_x86_64", (), "3.13t", id="free-threaded"),
        pytest.param("cp38-abi3-linux_x86_64", (), "3.13", id="abi3: the newest"),
        pytest.param("cp38-abi3-linux_x86_64", ("<3.13",), "3.9", id="abi3 with a limit"),
        pytest.param("cp3-abi3-linux_x86_64", (">=3",), None, id="abi3 of no version"),
        pytest.param("py3-none-linux_x86_64", ("!=3.13.*",), "3.9", id="any Python 3"),
        pytest.param("py2.py3-none-any", ("<3",), "2.7mu", id="universal, limited to 2"),
        pytest.param("py37-none-any", (), "3.7m", id="one Python, no abi"),
        pytest.param("cp310-cp310-linux_x86_64", (), None, id="none fits"),
        pytest.param(
            "cp39-cp39-linux_x86_64", ("nonsense",), "3.9", id="a broken limit is no limit"
        ),
    ],
)
def test_the_newest_fitting_interpreter_is_taken(
    tags: str, required: tuple[str, ...], expected: str | None
) -> None:
    found = newest_for(WheelName.parse(f"a-1-{tags}.whl"), required, FOUND)

    assert (found.identity if found else None) == expected


def test_an_interpreter_that_does_not_work_is_passed_over() -> None:
    broken = {Python.parse("3.9"): BuilderError("does not start")}

    assert newest_for(WheelName.parse("a-1-py3-none-any.whl"), (), broken) is None


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine((), tmp_path, 1, "linux", "x86_64", cache=tmp_path / "cache")


def test_nothing_to_check_is_a_mistake(machine: Machine) -> None:
    with pytest.raises(UsageError, match="nothing to check"):
        check((), machine)


def test_an_unknown_check_is_nothing_selected(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(NothingSelected):
        check((tmp_path,), machine, select=("nope",))


def test_a_folder_without_interpreter_is_no_environment(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no environment"):
        check((), machine, python=tmp_path)


def test_a_folder_is_checked_without_an_environment(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.txt").write_text("hello")

    (report,) = check((tmp_path / "tree",), machine)

    assert report.ok
    assert {result.id: result.status for result in report.results}["archive.readable"] == "pass"
    assert not any(result.id.startswith("env.") for result in report.results)
