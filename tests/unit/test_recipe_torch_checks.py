"""The checks of the recipe of torch, asked of small packages that answer as torch does."""

from __future__ import annotations

import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

from builder.plugins import Plugins
from builder.process import Processes
from smoke.probing import open_environment
from smoke.report import Result
from smoke.runner import run
from smoke.subject import Subject

CHECKS = Path(__file__).parents[2] / "recipes" / "pytorch" / "check" / "checks.py"
TORCH = """
from types import SimpleNamespace
__version__ = "2.11.0"
version = SimpleNamespace(cuda="13.0")
_C = SimpleNamespace(_cudnn=SimpleNamespace(getCompileVersion=lambda: (9, 19, 0)), _nccl_version=1)
cudnn = SimpleNamespace(is_available=lambda: True, version=lambda: 91900)
backends = SimpleNamespace(cudnn=cudnn)
cuda = SimpleNamespace(nccl=SimpleNamespace(version=lambda: (2, 28, 9)))
"""
CPU = "version.cuda = None\n"
WITHOUT = "cudnn.is_available = lambda: False\n"
SILENT = "del _C._cudnn\n"
OTHER = "cudnn.version = lambda: 92001\n"
OLD = "cudnn.version = lambda: 8907\n_C._cudnn.getCompileVersion = lambda: (8, 9, 7)\n"
NO_NCCL = "del _C._nccl_version\n"
WHEELS = {"nvidia_cudnn_cu13": "9.19.0.56", "nvidia-nccl-cu13": "2.28.9", "nvidia-cublas": "13.1"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch") / "environment"
    venv.create(folder, symlinks=True, with_pip=False)
    return folder


def asked(
    environment: Path, folder: Path, torch: str, wheels: Mapping[str, str], id_: str
) -> Result:
    """What one check says of an environment with this torch and these wheels in it."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = environment / "lib" / version / "site-packages"
    for file in sorted(site.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (site / "torch.py").write_text(TORCH + torch)
    for name, number in wheels.items():
        info = site / f"{name.replace('-', '_')}-{number}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    plugins = Plugins([])
    plugins.add_file(CHECKS, "recipe torch")
    (check,) = (one for one in plugins.checks() if one.id == f"torch.{id_}")
    python = environment / "bin" / "python"
    installed = open_environment(python, (Path("/usr/bin"),), folder / "scratch", Processes())
    subject = Subject(environment, "environment", None, installed)
    return run(subject, [check], [check.needs]).results[0]


@pytest.mark.parametrize(
    ("torch", "status", "said"),
    [
        pytest.param("", "pass", "", id="the same"),
        pytest.param(OLD, "pass", "", id="the same, numbered as before 9"),
        pytest.param(OTHER, "fail", "cuDNN 9.20.1 is loaded, compiled for 9.19.0", id="another"),
        pytest.param(CPU, "skip", "built without CUDA", id="no CUDA"),
        pytest.param(WITHOUT, "skip", "built without cuDNN", id="no cuDNN"),
        pytest.param(SILENT, "skip", "does not tell which cuDNN", id="not told"),
    ],
)
def test_the_loaded_cudnn_is_held_against_the_one_of_the_compiler(
    environment: Path, tmp_path: Path, torch: str, status: str, said: str
) -> None:
    result = asked(environment, tmp_path, torch, {}, "cudnn-version")

    assert result.status == status
    assert said in "".join((*result.problems, result.reason))


@pytest.mark.parametrize(
    ("torch", "wheels", "status", "said"),
    [
        pytest.param("", WHEELS, "pass", "", id="the same"),
        pytest.param(
            "",
            {**WHEELS, "nvidia_cudnn_cu13": "9.20.0.1"},
            "fail",
            "nvidia-cudnn-cu13 9.20.0.1 is installed, 9.19.0 is loaded",
            id="another cuDNN",
        ),
        pytest.param(
            "",
            {**WHEELS, "nvidia-nccl-cu12": "2.27.5"},
            "fail",
            "nvidia-nccl-cu12 2.27.5 is installed, 2.28.9 is loaded",
            id="a second NCCL",
        ),
        pytest.param(NO_NCCL, {**WHEELS, "nvidia-nccl-cu13": "1"}, "pass", "", id="without NCCL"),
        pytest.param("", {"nvidia-cublas": "13.1"}, "skip", "no wheel of cuDNN", id="no wheels"),
        pytest.param(CPU, WHEELS, "skip", "built without CUDA", id="no CUDA"),
    ],
)
def test_loaded_libraries_are_held_against_the_wheels_that_are_installed(
    environment: Path,
    tmp_path: Path,
    torch: str,
    wheels: Mapping[str, str],
    status: str,
    said: str,
) -> None:
    result = asked(environment, tmp_path, torch, wheels, "cuda-wheels")

    assert result.status == status
    assert said in "".join((*result.problems, result.reason))


def test_a_crash_of_one_answer_is_one_finding(environment: Path, tmp_path: Path) -> None:
    crash = "import os\ncudnn.version = lambda: os._exit(9)\n"

    loaded = asked(environment, tmp_path, crash, WHEELS, "cudnn-version")
    other = asked(environment, tmp_path, crash, WHEELS, "cuda-version")

    assert (loaded.status, loaded.problems) == ("fail", ("torch: ended with exit code 9",))
    assert (other.status, "does not say which CUDA" in other.reason) == ("skip", True)
