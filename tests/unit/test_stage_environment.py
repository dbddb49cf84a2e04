from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder.config.machine import Machine, PackageIndex
from builder.config.python import Python
from builder.config.toolchain import Interpreter
from builder.errors import BuilderError, UsageError
from builder.process import Processes
from builder.stage.environment import ensure, fresh, known_lock, lock
from builder.stage.store import TreeStore

PYTHON = Interpreter(
    Python(sys.version_info.major, sys.version_info.minor, sys.abiflags),
    Path(sys.base_prefix, "bin", "python3"),
    "3.11.7",
    "0" * 64,
)


def machine(tmp_path: Path) -> Machine:
    """A machine whose only index is a folder of wheels."""
    (tmp_path / "links").mkdir(exist_ok=True)
    (tmp_path / "index").mkdir(exist_ok=True)
    index = PackageIndex((tmp_path / "index").as_uri(), find_links=(str(tmp_path / "links"),))
    path = (Path("/usr/bin"), Path("/bin"))
    return Machine(path, tmp_path, 1, "linux", "x86_64", index=index, cache=tmp_path / "cache")


def wheel(folder: Path, name: str, version: str, *, requires: str = "", text: str = "") -> Path:
    """A pure wheel with one module that has one text in it."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    members = {
        f"{name}.py": f"TEXT = {text!r}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        + (f"Requires-Dist: {requires}\n" if requires else ""),
    }
    record = "".join(
        f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in members.items()
    )
    members[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    file = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as opened:
        for path, data in members.items():
            opened.writestr(zipfile.ZipInfo(path, (2000, 1, 1, 0, 0, 0)), data)
    return file


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def say(python: Path, code: str) -> str:
    answer = subprocess.run(
        [str(python), "-I", "-c", code], check=True, capture_output=True, text=True
    )
    return answer.stdout.strip()


def test_a_lock_is_exact_sorted_and_of_the_best_version(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    links = tmp_path / "links"
    wheel(links, "zed", "1.0")
    wheel(links, "zed", "2.0")
    wheel(links, "alpha", "1.5", requires="zed<2")
    pins = lock(["zed", "alpha"], PYTHON, store, place, Processes())
    assert pins == ("alpha==1.5", "zed==1.0")


def test_the_first_answer_stays(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    wheel(tmp_path / "links", "zed", "1.0")
    assert known_lock(["zed"], PYTHON, store, place) is None
    assert not store.root.exists()
    first = lock(["zed"], PYTHON, store, place, Processes())
    wheel(tmp_path / "links", "zed", "2.0")
    assert lock(["zed"], PYTHON, store, place, Processes()) == first == ("zed==1.0",)
    assert known_lock(["zed"], PYTHON, store, place) == first


def test_nothing_wanted_needs_nothing(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    assert lock([], PYTHON, store, place, Processes()) == ()
    assert not store.root.exists()


def test_another_question_has_another_answer(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    wheel(tmp_path / "links", "zed", "1.0")
    lock(["zed"], PYTHON, store, place, Processes())
    other_index = replace(place, index=replace(place.index, find_links=()))
    assert known_lock(["zed"], replace(PYTHON, identity="1" * 64), store, place) is None
    assert known_lock(["zed"], PYTHON, store, other_index) is None
    assert known_lock(["zed>=1"], PYTHON, store, place) is None
    assert known_lock(["zed", "zed"], PYTHON, store, place) == ("zed==1.0",)


def test_requirements_that_cannot_be_met_are_explained(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    wheel(tmp_path / "links", "zed", "1.0")
    with pytest.raises(BuilderError, match=r"no set of packages satisfies zed>=2") as caught:
        lock(["zed>=2"], PYTHON, store, place, Processes())
    assert any("zed" in fault for fault in caught.value.faults)
    assert list((store.root / "requirements").iterdir()) == []


def test_an_environment_is_made_once_at_a_stable_path(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    wheel(tmp_path / "links", "zed", "1.0", text="hello")
    made = ensure(["zed==1.0"], PYTHON, store, place, Processes())
    assert say(made.python, "import zed; print(zed.TEXT)") == "hello"
    assert made.root.parent == store.environments
    assert made.path == made.root / "bin"
    (tmp_path / "links").rename(tmp_path / "gone")
    assert ensure(["zed==1.0"], PYTHON, store, place, Processes()) == made


def test_an_environment_has_no_pip_and_only_what_is_locked(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    wheel(tmp_path / "links", "alpha", "1.0", requires="zed")
    made = ensure(["alpha==1.0"], PYTHON, store, place, Processes())
    packages = "import importlib.metadata as m; print([d.name for d in m.distributions()])"
    assert say(made.python, packages) == "['alpha']"


def test_a_half_made_environment_is_made_again(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    wheel(tmp_path / "links", "zed", "1.0", text="hello")
    made = ensure(["zed==1.0"], PYTHON, store, place, Processes())
    (made.root / "builder-complete.json").unlink()
    next(made.root.rglob("zed.py")).unlink()
    again = ensure(["zed==1.0"], PYTHON, store, place, Processes())
    assert again == made
    assert say(again.python, "import zed; print(zed.TEXT)") == "hello"


def test_another_lock_or_interpreter_is_another_environment(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    other = replace(PYTHON, identity="1" * 64)
    roots = {ensure([], python, store, place, Processes()).root for python in (PYTHON, other)}
    assert len(roots) == 2


def test_a_failed_environment_leaves_nothing(tmp_path: Path) -> None:
    place, store = machine(tmp_path), TreeStore(tmp_path / "store")
    with pytest.raises(BuilderError, match=r"zed==9 cannot be installed"):
        ensure(["zed==9"], PYTHON, store, place, Processes())
    assert list(store.environments.iterdir()) == []


def test_a_fresh_environment_has_the_wheel_and_what_it_requires(tmp_path: Path) -> None:
    place = machine(tmp_path)
    wheel(tmp_path / "links", "zed", "1.0", text="dependency")
    subject = wheel(tmp_path / "dist", "alpha", "1.0", requires="zed", text="subject")
    made = fresh(tmp_path / "env", PYTHON, [], place, Processes(), wheel=subject)
    code = "import alpha, zed; print(alpha.TEXT, zed.TEXT)"
    assert say(made.python, code) == "subject dependency"


def test_a_fresh_environment_has_the_very_bytes_of_the_wheel(tmp_path: Path) -> None:
    place = machine(tmp_path)
    for text in ("first", "other"):
        subject = wheel(tmp_path / "dist", "alpha", "1.0", text=text)
        wheel(tmp_path / "links", "alpha", "1.0", text="wrong")
        made = fresh(tmp_path / text, PYTHON, [], place, Processes(), wheel=subject)
        assert say(made.python, "import alpha; print(alpha.TEXT)") == text


def test_a_fresh_environment_that_cannot_be_had_leaves_nothing(tmp_path: Path) -> None:
    place = machine(tmp_path)
    subject = wheel(tmp_path / "dist", "alpha", "1.0", requires="zed>=3")
    with pytest.raises(BuilderError, match="cannot be installed") as caught:
        fresh(tmp_path / "env", PYTHON, [], place, Processes(), wheel=subject)
    assert any("zed" in fault for fault in caught.value.faults)
    assert not (tmp_path / "env").exists()


def test_a_fresh_environment_is_not_made_over_something(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        fresh(tmp_path / "env", PYTHON, [], machine(tmp_path), Processes())


@pytest.mark.parametrize("name", ["alpha-1.0.zip", "alpha.whl", "missing-1.0-py3-none-any.whl"])
def test_only_a_wheel_is_installed_as_one(name: str, tmp_path: Path) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match="is not a wheel"):
        fresh(tmp_path / "env", PYTHON, [], machine(tmp_path), Processes(), wheel=tmp_path / name)
