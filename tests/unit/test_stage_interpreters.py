from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from builder.config.machine import Machine
from builder.config.python import Python
from builder.config.toolchain import Interpreter
from builder.errors import BuilderError, UsageError
from builder.events import Event
from builder.process import Processes
from builder.stage import interpreters
from builder.stage.interpreters import find, survey

REAL = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
HERE = Python(sys.version_info.major, sys.version_info.minor, sys.abiflags)
FACTS: dict[str, object] = {
    "implementation": "CPython",
    "version": "3.11.7",
    "major": 3,
    "minor": 11,
    "abiflags": "",
    "suffix": ".cpython-311-x86_64-linux-gnu.so",
    "build": "00",
    "headers": "/nowhere/Python.h",
}


def machine(tmp_path: Path, *path: Path, roots: tuple[Path, ...] = ()) -> Machine:
    return Machine(
        path=(*path, Path("/usr/bin"), Path("/bin")) if not roots else path,
        home=tmp_path,
        cores=1,
        os="linux",
        arch="x86_64",
        python_roots=roots,
        cache=tmp_path / "cache",
    )


def fake(folder: Path, name: str, **changes: object) -> Path:
    """An interpreter that gives a fixed answer."""
    answer = json.dumps({**FACTS, **changes})
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"#!/bin/sh\necho noise\necho 'builder-probe {answer}'\n")
    file.chmod(0o755)
    return file


def only(answers: object) -> Interpreter:
    assert isinstance(answers, dict)
    (answer,) = answers.values()
    assert isinstance(answer, Interpreter)
    return answer


def test_a_real_interpreter_says_what_it_is(tmp_path: Path) -> None:
    found = only(find([REAL], machine(tmp_path), Processes()))
    assert found.python == HERE
    assert found.version == ".".join(map(str, sys.version_info[:3]))
    assert found.executable == REAL.resolve()
    assert len(found.identity) == 64


def test_an_interpreter_of_an_environment_stands_for_the_one_behind_it(tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"home = {REAL.parent}\n")
    inside = tmp_path / "venv" / "bin" / "python"
    inside.symlink_to(REAL)
    assert only(find([inside], machine(tmp_path), Processes())).executable == REAL.resolve()


def test_the_search_path_and_roots_are_searched(tmp_path: Path) -> None:
    on_path = tmp_path / "bin"
    below = tmp_path / "versions" / "x" / "bin"
    for folder, name in ((on_path, "python3"), (below, "python")):
        folder.mkdir(parents=True)
        (folder / name).symlink_to(REAL)
    for place in (
        machine(tmp_path / "1", on_path, roots=(tmp_path / "none",)),
        machine(tmp_path / "2", roots=(tmp_path / "versions",)),
    ):
        found = find([HERE], place, Processes())[HERE]
        assert isinstance(found, Interpreter)
        assert find("all", place, Processes()) == {HERE: found}


def test_the_answer_is_remembered_until_the_file_changes(tmp_path: Path) -> None:
    events: list[Event] = []
    processes = Processes(events.append)
    file = fake(tmp_path, "python3.11")
    place = machine(tmp_path)
    first = only(find([file], place, processes))
    file_with_same_stamp = file.stat()
    file.write_text(file.read_text().replace("3.11.7", "3.11.8"))
    os.utime(file, ns=(file_with_same_stamp.st_mtime_ns, file_with_same_stamp.st_mtime_ns))
    assert only(find([file], place, processes)) == first
    os.utime(file, ns=(1, 1))
    assert only(find([file], place, processes)).version == "3.11.8"


def test_headers_are_looked_for_every_time(tmp_path: Path) -> None:
    header = tmp_path / "Python.h"
    place = machine(tmp_path, roots=(tmp_path / "versions",))
    (tmp_path / "versions/a/bin").mkdir(parents=True)
    (tmp_path / "versions/a/bin/python3").symlink_to(REAL)
    survey(place, Processes())
    memory = tmp_path / "cache" / "interpreters.json"
    document = json.loads(memory.read_text())
    document["facts"][str(REAL.resolve())]["facts"]["headers"] = str(header)
    memory.write_text(json.dumps(document))
    before = [found.headers for found in survey(place, Processes())]
    header.touch()
    assert (before, [found.headers for found in survey(place, Processes())]) == ([False], [True])


def test_scripts_shims_and_other_programs_are_passed_over(tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    fake(shims, "python3.11")
    (shims / "python3-config").symlink_to(REAL)
    (shims / "pythonw").symlink_to(REAL)
    assert find("all", machine(tmp_path, shims, roots=(tmp_path / "no",)), Processes()) == {}


def test_a_missing_interpreter_names_every_place_and_what_to_do(tmp_path: Path) -> None:
    place = machine(tmp_path, tmp_path / "bin", roots=(tmp_path / "versions",))
    wanted = Python.parse("3.13t")
    error = find([wanted], place, Processes())[wanted]
    assert isinstance(error, BuilderError)
    assert error.faults == (
        f"searched {tmp_path}/bin/python*",
        f"searched {tmp_path}/versions/*/bin/python*",
    )
    assert "pyenv install 3.13t" in error.hint
    assert "--python" in error.hint


REFUSED = {
    "another implementation": ({"implementation": "PyPy"}, "PyPy 3.11.7"),
    "a debug build": ({"abiflags": "d"}, "ABI flags `d`"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_given_interpreter_must_be_of_use(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        find([fake(tmp_path, "python", **changes)], machine(tmp_path), Processes())


@pytest.mark.parametrize(
    ("name", "message"), [("no", "there is no interpreter"), ("sh", "does not answer")]
)
def test_a_given_path_must_be_an_interpreter(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "sh").write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    (tmp_path / "sh").chmod(0o755)
    with pytest.raises(UsageError, match=message):
        find([tmp_path / name], machine(tmp_path), Processes())


IDENTITY = {
    "another patch": {"version": "3.11.8"},
    "another suffix": {"suffix": ".so"},
    "another build": {"build": "11"},
    "another ABI": {"minor": 13, "version": "3.13.0", "abiflags": "t"},
}


@pytest.mark.parametrize("changes", IDENTITY.values(), ids=IDENTITY.keys())
def test_identity_follows_what_it_is(changes: dict[str, object], tmp_path: Path) -> None:
    place = machine(tmp_path)
    plain = only(find([fake(tmp_path / "a", "python")], place, Processes()))
    moved = only(find([fake(tmp_path / "b", "python", headers="/x")], place, Processes()))
    other = only(find([fake(tmp_path / "c", "python", **changes)], place, Processes()))
    assert plain.identity == moved.identity != other.identity


def test_a_given_interpreter_wins_over_a_found_one(tmp_path: Path) -> None:
    major, minor = HERE.major, HERE.minor
    given = fake(tmp_path / "a", "python", major=major, minor=minor, version=f"{major}.{minor}.99")
    answers = find([HERE, given], machine(tmp_path, REAL.parent), Processes())
    assert [str(answer) for answer in answers] == [str(HERE)]
    assert only(answers).executable == given


def test_of_several_the_one_with_headers_then_the_newest_then_the_first_wins(
    tmp_path: Path,
) -> None:
    header = tmp_path / "Python.h"
    header.touch()
    releases = {
        "newest": ("3.11.99", ""),
        "old": ("3.11.2", str(header)),
        "best": ("3.11.10", str(header)),
        "equal": ("3.11.10", str(header)),
    }
    judged = [
        interpreters._judge(tmp_path / name, {**FACTS, "version": version, "headers": headers})
        for name, (version, headers) in releases.items()
    ]
    (best,) = interpreters._preferred([found for found in judged if found])
    assert best.interpreter.executable.name == "best"
