from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from builder_conda.recipes import conda_build
from builder_conda.recipes.conda_build import Call, argv

from builder.channel.solve import channel_url
from builder.cli.surroundings import this_machine
from builder.errors import BuilderError, UsageError

CALL = Call(Path("recipe"), Path("out"), Path("work"))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        pytest.param(CALL, "", id="nothing"),
        pytest.param(
            replace(CALL, channels=("file:///c", "conda-forge")), "--channel file:///c --channel conda-forge",
            id="channels",
        ),
        pytest.param(replace(CALL, variants=(Path("v.yaml"),)), "--variant-config-files v.yaml", id="variants"),
        pytest.param(
            replace(CALL, pythons=("3.9",)), "--variant-config-files work/pythons.yaml", id="pythons"
        ),
        pytest.param(replace(CALL, check=False), "--no-test", id="untested"),
    ],
)  # fmt: skip
def test_what_conda_build_is_called_with(call: Call, words: str) -> None:
    start = "conda-build recipe --output-folder out --no-anaconda-upload --override-channels"

    assert " ".join(argv(("conda-build",), call)) == f"{start} {words}".strip()


def test_an_old_recipe_is_told_to_be_strict(tmp_path: Path) -> None:
    (tmp_path / "meta.yaml").touch()

    words = argv(("python", "-m", "conda_build"), replace(CALL, folder=tmp_path))

    assert words[:4] == ("python", "-m", "conda_build", str(tmp_path))
    assert words[-4:] == ("--croot", "work/croot", "--error-overlinking", "--error-overdepending")


def test_conda_build_is_found_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "conda-build").touch()
    machine = replace(this_machine({}), path=(tmp_path,), python=tmp_path / "none" / "python")

    assert conda_build.find(machine)[-1] in {str(tmp_path / "conda-build"), "conda_build"}


@pytest.mark.skipif(find_spec("conda_build") is not None, reason="conda-build is installed here")
def test_without_conda_build_the_error_says_how_to_get_it(tmp_path: Path) -> None:
    machine = replace(this_machine({}), path=(), home=tmp_path, python=tmp_path / "python")

    with pytest.raises(BuilderError, match="there is no conda-build") as caught:
        conda_build.find(machine)
    assert "conda install conda-build" in caught.value.hint
    assert "--engine rattler" in caught.value.hint


def test_how_channels_are_spelled(tmp_path: Path) -> None:
    assert channel_url(str(tmp_path)) == tmp_path.as_uri()
    assert channel_url("conda-forge") == "conda-forge"
    assert channel_url("conda-forge/label/dev") == "conda-forge/label/dev"
    assert channel_url("https://example.org/c") == "https://example.org/c"
    with pytest.raises(UsageError, match=r"no channel in `\./nowhere`"):
        channel_url("./nowhere")
