from __future__ import annotations

from pathlib import Path

import pytest

from builder.config.accelerator import Accelerator
from builder.config.machine import Machine
from builder.errors import BuilderError, UsageError
from builder.process import Processes
from builder.stage.cuda import (
    architectures,
    choose_toolkit,
    default_architectures,
    parse,
    toolkits,
)
from builder.stage.remembered import Remembered

NVCC = """#!/bin/sh
case $1 in
  --version) echo "nvcc: NVIDIA (R) Cuda compiler driver"
             echo "Cuda compilation tools, release @version@, V@version@.@patch@" ;;
  --list-gpu-arch) @known@ ;;
esac
"""


def toolkit(root: Path, version: str, patch: int = 88, known: str = "75 80 90 120") -> Path:
    """A folder that answers as a toolkit does; no `known`: as an old one, that cannot say."""
    echo = "; ".join(f"echo compute_{number}" for number in known.split()) or "exit 1"
    text = NVCC.replace("@version@", version).replace("@patch@", str(patch))
    (root / "bin").mkdir(parents=True)
    (root / "bin" / "nvcc").write_text(text.replace("@known@", echo))
    (root / "bin" / "nvcc").chmod(0o755)
    (root / "bin" / "ptxas").write_text("ptxas")
    return root


def machine(tmp_path: Path, *roots: Path, path: tuple[Path, ...] = ()) -> Machine:
    folders = (*path, Path("/usr/bin"), Path("/bin"))
    return Machine(folders, tmp_path, 1, "linux", "x86_64", cuda_roots=roots)


def memory(tmp_path: Path) -> Remembered:
    return Remembered(tmp_path / "cache", "toolchains", "1")


SPELLINGS = {
    "number": (["80"], ["80-real"]),
    "dotted": (["8.0;12.0"], ["80-real", "120-real"]),
    "PTX": (["9.0 12.0+PTX"], ["90-real", "120-real", "120-virtual"]),
    "CMake": (["75-real", "120-virtual"], ["75-real", "120-virtual"]),
    "nvcc": (["sm_90a,compute_90"], ["90a-real", "90-virtual"]),
    "twice": (["80", "8.0"], ["80-real"]),
    "nothing": ([";"], []),
}


@pytest.mark.parametrize(("words", "expected"), SPELLINGS.values(), ids=SPELLINGS.keys())
def test_architectures_are_read_in_every_spelling(words: list[str], expected: list[str]) -> None:
    assert list(parse(words)) == expected


def test_all_that_is_no_architecture_is_told_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        parse(["native", "80", "8.0.0", "ampere"])
    assert len(caught.value.faults) == 3


DEFAULTS = {
    "8.0": ("8.0", "x86_64", "35-real;50-real;50-virtual;60-real;61-real"),
    "between two tables": ("11.3", "x86_64", "37-real;50-real;60-real;70-real;75-real;80-real;86-real"),
    "aarch64": ("12.6", "aarch64", "90-real"),
    "12.8": ("12.8", "x86_64", "70-real;75-real;80-real;86-real;90-real;100-real;120-real"),
    "13.0": ("13.0", "x86_64", "75-real;80-real;86-real;90-real;100-real;120-real;120-virtual"),
    "13.0 on aarch64": (
        "13.0",
        "aarch64",
        "80-real;90-real;100-real;110-real;120-real;120-virtual",
    ),
    "after the last table": (
        "13.9",
        "x86_64",
        "75-real;80-real;86-real;90-real;100-real;120-real;120-virtual",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("version", "arch", "expected"), DEFAULTS.values(), ids=DEFAULTS.keys())
def test_default_architectures(version: str, arch: str, expected: str) -> None:
    assert ";".join(default_architectures(version, arch)) == expected


@pytest.mark.parametrize("version", ["7.5", "14.0"])
def test_a_toolkit_of_an_unknown_major_version_has_no_default(version: str) -> None:
    with pytest.raises(UsageError, match=version):
        default_architectures(version, "x86_64")


def test_toolkits_are_found_below_roots_and_on_the_path(tmp_path: Path) -> None:
    several = tmp_path / "several"
    old = toolkit(several / "cuda-11.8", "11.8")
    new = toolkit(several / "cuda-13.0", "13.0")
    (several / "cuda").symlink_to("cuda-13.0")
    itself = toolkit(tmp_path / "own", "12.8")
    on_path = toolkit(tmp_path / "opt", "12.1")
    (on_path / "include").mkdir()
    (on_path / "include" / "cuda.h").touch()
    place = machine(tmp_path, several, itself, tmp_path / "no", path=(on_path / "bin",))
    found = toolkits(place, Processes(), memory(tmp_path))
    assert [(kit.root, kit.version, kit.release) for kit in found] == [
        (new, "13.0", "13.0.88"),
        (itself, "12.8", "12.8.88"),
        (on_path, "12.1", "12.1.88"),
        (old, "11.8", "11.8.88"),
    ]


def test_a_wrapper_on_the_path_and_a_broken_nvcc_are_no_toolkits(tmp_path: Path) -> None:
    toolkit(tmp_path / "usr", "12.1")
    broken = tmp_path / "broken"
    (broken / "bin").mkdir(parents=True)
    (broken / "bin" / "nvcc").write_text("#!/bin/sh\nexit 1\n")
    (broken / "bin" / "nvcc").chmod(0o755)
    place = machine(tmp_path, broken, path=(tmp_path / "usr" / "bin",))
    assert toolkits(place, Processes(), memory(tmp_path)) == ()


def test_a_missing_toolkit_names_the_ones_there_are(tmp_path: Path) -> None:
    root = toolkit(tmp_path / "cuda", "12.8")
    with pytest.raises(BuilderError, match=r"no CUDA 13\.0 toolkit") as caught:
        choose_toolkit(
            Accelerator("cuda", (13, 0)), machine(tmp_path, root), Processes(), memory(tmp_path)
        )
    assert f"found CUDA 12.8.88 in {root}" in caught.value.faults
    assert "cuda-toolkit-13-0" in caught.value.hint


def test_identity_follows_release_and_tools_but_not_the_place(tmp_path: Path) -> None:
    roots = [toolkit(tmp_path / name, "13.0", patch=88) for name in ("a", "b", "c")]
    (roots[2] / "bin" / "ptxas").write_text("another ptxas")
    roots.append(toolkit(tmp_path / "d", "13.0", patch=99))
    identities = [
        choose_toolkit(
            Accelerator("cuda", (13, 0)), machine(tmp_path, root), Processes(), memory(tmp_path)
        ).identity
        for root in roots
    ]
    assert identities[0] == identities[1]
    assert len(set(identities)) == 3


@pytest.mark.parametrize(
    ("known", "asked", "expected"),
    [
        ("75 80 90 120", ["8.0", "90a"], "80-real;90a-real"),
        (
            "75 80 86 90 100 120",
            [],
            "75-real;80-real;86-real;90-real;100-real;120-real;120-virtual",
        ),
        ("", ["3.5"], "35-real"),
    ],
    ids=["asked", "default", "nvcc cannot say"],
)
def test_what_is_compiled_for(known: str, asked: list[str], expected: str, tmp_path: Path) -> None:
    place = machine(tmp_path, toolkit(tmp_path / "cuda", "13.0", known=known))
    (kit,) = toolkits(place, Processes(), memory(tmp_path))
    found = architectures(asked, kit, place, Processes(), memory(tmp_path))
    assert ";".join(found) == expected


def test_an_architecture_that_nvcc_does_not_know_is_refused(tmp_path: Path) -> None:
    place = machine(tmp_path, toolkit(tmp_path / "cuda", "13.0"))
    (kit,) = toolkits(place, Processes(), memory(tmp_path))
    with pytest.raises(UsageError, match=r"cannot compile for 35-real, 61-real") as caught:
        architectures(["3.5", "8.0", "61"], kit, place, Processes(), memory(tmp_path))
    assert caught.value.faults == ("it knows 75, 80, 90, 120",)
