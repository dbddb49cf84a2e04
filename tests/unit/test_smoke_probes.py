"""The probes run inside the environment under test: on every interpreter there is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import smoke
from smoke.probing import probe_argv

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
    assert isinstance(answer["files"], list)
    assert any("libc" in Path(file).name for file in answer["files"])


@pytest.mark.parametrize("probe", sorted(path.name for path in PROBES.glob("*.py")))
def test_probes_import_nothing_but_the_standard_library(probe: str) -> None:
    text = (PROBES / probe).read_text()
    words = [line.split()[1] for line in text.splitlines() if line.startswith(("import ", "from "))]
    tops = {word.split(".")[0] for word in words}

    assert tops <= {*sys.stdlib_module_names, "__future__"}
