"""The probes run inside the environment under test: on every interpreter there is."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import smoke
from builder.process import Processes
from smoke.probing import ask, open_environment, probe_argv

PROBES = Path(smoke.__file__).parent / "probes"
VERSIONS = ((2, 7), *((3, minor) for minor in range(5, 15)))


def _interpreters() -> dict[tuple[int, int], Path]:
    """Every CPython on the PATH or below a pyenv on it, and the one that runs the tests."""
    shims = [Path(shim).parent for shim in (shutil.which("pyenv"),) if shim]
    roots = {folder.parent / "versions" for folder in shims} | {Path("/opt/python")}
    found: dict[tuple[int, int], Path] = {}
    for version in VERSIONS:
        text = f"{version[0]}.{version[1]}"
        candidates = [path for root in roots for path in sorted(root.glob(f"{text}*/bin/python"))]
        candidates += [Path(path) for path in (shutil.which(f"python{text}"),) if path]
        for candidate in candidates:
            answer = subprocess.run(
                [candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
                capture_output=True,
                text=True,
                check=False,
            )
            if answer.stdout.strip() == text:
                found.setdefault(version, candidate)
    found[sys.version_info[:2]] = Path(sys.executable)
    return found


@pytest.fixture(scope="module")
def interpreters() -> dict[tuple[int, int], Path]:
    return _interpreters()


@pytest.fixture(params=VERSIONS, ids=lambda version: f"{version[0]}.{version[1]}")
def interpreter(
    request: pytest.FixtureRequest, interpreters: dict[tuple[int, int], Path]
) -> tuple[tuple[int, int], Path]:
    version: tuple[int, int] = request.param
    if version not in interpreters:
        pytest.skip(f"no CPython {version[0]}.{version[1]} on this machine")
    return version, interpreters[version]


def _ask(
    interpreter: tuple[tuple[int, int], Path], probe: str, *words: str, folder: Path
) -> tuple[dict[str, object], int]:
    argv = (*probe_argv(interpreter[1], interpreter[0], probe), *words)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=folder, env={})
    lines = [line for line in done.stdout.splitlines() if line.startswith("@probe ")]
    assert len(lines) == 1, done.stderr
    answer: dict[str, object] = json.loads(lines[0].removeprefix("@probe "))
    return answer, done.returncode


def test_environment_probe_says_what_the_interpreter_is(
    interpreter: tuple[tuple[int, int], Path], tmp_path: Path
) -> None:
    answer, code = _ask(interpreter, "environment_probe.py", folder=tmp_path)

    assert code == 0
    assert str(answer["version"]).startswith(f"[{interpreter[0][0]}, {interpreter[0][1]},")
    assert isinstance(answer["markers"], dict)
    assert answer["markers"]["python_version"] == "{}.{}".format(*interpreter[0])
    assert answer["markers"]["sys_platform"] in {"linux", "darwin", "win32"}
    assert Path(str(answer["site"])).name == "site-packages"


def test_import_probe_tells_file_and_time(
    interpreter: tuple[tuple[int, int], Path], tmp_path: Path
) -> None:
    answer, code = _ask(interpreter, "import_probe.py", "json", folder=tmp_path)

    assert code == 0
    assert answer["module"] == "json"
    assert "json" in str(answer["file"])
    assert "error" not in answer


def test_import_probe_tells_the_error(
    interpreter: tuple[tuple[int, int], Path], tmp_path: Path
) -> None:
    answer, code = _ask(interpreter, "import_probe.py", "no_such_module_\u00e4", folder=tmp_path)

    assert code == 0
    assert "Error" in str(answer["error"])


CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
TAKE = "taken = bytearray(300 * 1000 * 1000)"
SHOW = """
import os
leaked = [name for name in os.environ if name.startswith(("LD_", "DYLD_", "PYTHON"))]
raise ImportError("%s in %s" % (leaked, os.getcwd()))
"""


@pytest.mark.parametrize(
    ("source", "timeout", "answer"),
    [
        pytest.param("value = 1", 60.0, "", id="sound"),
        pytest.param(CRASH, 60.0, "was killed by SIGSEGV", id="crash"),
        pytest.param("while True: pass", 0.7, "did not finish within 0.7 s", id="hang"),
        pytest.param(TAKE, 60.0, "MemoryError: ", id="memory"),
        pytest.param(SHOW, 60.0, "ImportError: [] in {scratch}", id="clean"),
    ],
)
def test_a_tried_import_on_every_python(
    interpreter: tuple[tuple[int, int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    timeout: float,
    answer: str,
) -> None:
    """The module comes in as a `.pth` would bring it: nothing is installed for the probe."""
    for name in ("LD_LIBRARY_PATH", "PYTHONPATH", "DYLD_LIBRARY_PATH", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, str(tmp_path / "wrong"))
    python = _with_module(interpreter[1], tmp_path, source)
    installed = open_environment(python, (), tmp_path / "scratch", Processes())
    assert installed.facts is not None
    assert installed.facts.version == interpreter[0]

    told = ask(installed, "import_probe.py", ("tried",), timeout, 200_000_000)

    said = told.said or {}
    assert not told.ending or not said
    fault = str(said.get("error", told.ending))
    expected = answer.format(scratch=tmp_path / "scratch")
    assert fault.startswith(expected)
    assert bool(fault) is bool(answer)


def _with_module(python: Path, folder: Path, source: str) -> Path:
    """An interpreter that finds one module more, without a change to what is installed."""
    (folder / "modules").mkdir()
    (folder / "modules" / "tried.py").write_text(source)
    start = folder / "python"
    code = (
        "import runpy, sys; sys.path.append(sys.argv.pop(1)); sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    start.write_text(
        "#!/bin/sh\n"
        'flags=""; while [ "${1#-}" != "$1" ]; do flags="$flags $1"; shift; done\n'
        f'exec {python} $flags -c "{code}" {folder / "modules"} "$@"\n'
    )
    start.chmod(0o755)
    return start


@pytest.mark.parametrize("probe", ["import_probe.py", "maps_probe.py"])
def test_a_module_of_the_working_or_probe_folder_does_not_shadow(
    interpreter: tuple[tuple[int, int], Path], tmp_path: Path, probe: str
) -> None:
    (tmp_path / "stranger.py").write_text("")

    first, _ = _ask(interpreter, probe, "stranger", folder=tmp_path)
    second, _ = _ask(interpreter, probe, "environment_probe", folder=tmp_path)

    assert first.get("error") or first["imported"] == []
    assert second.get("error") or second["imported"] == []


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells its mappings")
def test_maps_probe_lists_what_is_mapped(
    interpreter: tuple[tuple[int, int], Path], tmp_path: Path
) -> None:
    answer, code = _ask(interpreter, "maps_probe.py", "json", "no_such_module", folder=tmp_path)

    assert code == 0
    assert answer["imported"] == ["json"]
    assert isinstance(answer["faults"], dict)
    assert "No module named" in answer["faults"].pop("no_such_module")
    assert answer["faults"] == {}
    assert isinstance(answer["files"], list)
    assert any("libc" in Path(file).name for file in answer["files"])


class _Dyld:
    """What dyld(3) says of a process on macOS; an image went away while they were counted."""

    def __init__(self, *names: bytes | None) -> None:
        self._dyld_image_count = lambda: len(names)

        def name(number: int) -> bytes | None:
            return names[number]

        self._dyld_get_image_name = name


def test_maps_probe_lists_what_dyld_has_loaded() -> None:
    images = runpy.run_path(str(PROBES / "maps_probe.py"))["images"]
    dyld = _Dyld(b"/usr/lib/libSystem.B.dylib", None, "/e/\u00e4/libomp.dylib".encode())

    assert images(dyld, bytes) == ["/e/\u00e4/libomp.dylib", "/usr/lib/libSystem.B.dylib"]
    assert getattr(dyld._dyld_get_image_name, "restype", None) is bytes


@pytest.mark.parametrize("probe", sorted(path.name for path in PROBES.glob("*.py")))
def test_probes_import_nothing_but_the_standard_library(probe: str) -> None:
    text = (PROBES / probe).read_text()
    words = [line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))]
    tops = {word.split(".")[0] for word in words}

    assert tops <= {*sys.stdlib_module_names, "__future__"}
