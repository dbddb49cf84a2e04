from __future__ import annotations

from pathlib import Path

import pytest

from builder.errors import UsageError
from builder.stage.python_stage import BuildSystem, read_build_system

LEGACY = BuildSystem(("setuptools>=40.8.0", "wheel"), "setuptools.build_meta:__legacy__")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", LEGACY, id="empty file"),
        pytest.param('[project]\nname = "x"\n', LEGACY, id="no table"),
        pytest.param("[build-system]\nrequires = []\n", BuildSystem(()), id="no backend"),
        pytest.param(
            '[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n',
            BuildSystem(("flit_core",), "flit_core.buildapi"), id="a backend",
        ),
        pytest.param(
            '[build-system]\nrequires = []\nbuild-backend = "own:api"\nbackend-path = ["tools", "."]\n',
            BuildSystem((), "own:api", ("tools", ".")), id="a backend in the tree",
        ),
    ],
)  # fmt: skip
def test_build_systems(tmp_path: Path, text: str, expected: BuildSystem) -> None:
    (tmp_path / "pyproject.toml").write_text(text)

    assert read_build_system(tmp_path) == expected


def test_a_setup_script_alone_is_built_as_ever(tmp_path: Path) -> None:
    (tmp_path / "setup.py").touch()

    assert read_build_system(tmp_path) == LEGACY


def test_a_folder_without_a_project_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"neither `pyproject.toml` nor `setup.py`") as caught:
        read_build_system(tmp_path)

    assert "python.subdirectory" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[build-system\n", id="no TOML"),
        pytest.param("[build-system]\nbuild-backend = 'x'\n", id="no requires"),
        pytest.param("[build-system]\nrequires = 3\n", id="requires is a number"),
        pytest.param("[build-system]\nrequires = 'setuptools'\n", id="requires is a text"),
        pytest.param("[build-system]\nrequires = [1]\n", id="a requirement is a number"),
        pytest.param(
            "[build-system]\nrequires = []\nbuild-backend = 3\n", id="backend is a number"
        ),
        pytest.param("[build-system]\nrequires = []\nbackend-path = '.'\n", id="path is a text"),
        pytest.param("build-system = 'x'\n", id="table is a text"),
        pytest.param("build-system = ['x']\n", id="table is a list"),
        pytest.param(b"\xff", id="not UTF-8"),
    ],
)
def test_a_table_that_is_not_as_specified_is_refused(tmp_path: Path, text: str | bytes) -> None:
    data = text.encode() if isinstance(text, str) else text
    (tmp_path / "pyproject.toml").write_bytes(data)

    with pytest.raises(UsageError, match=r"no valid \[build-system\] table"):
        read_build_system(tmp_path)
