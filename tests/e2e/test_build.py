"""`builder build sample`: the real command, a real compiler, real interpreters."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from builder.archive.wheel import extract, read_wheel, verify_wheel
from builder.cli.surroundings import environment, recipe_roots, this_machine
from builder.config.python import Python
from builder.config.toolchain import Interpreter
from builder.process import Processes
from builder.stage import interpreters, toolchain

if TYPE_CHECKING:
    from tests.e2e.conftest import Builder

pytestmark = pytest.mark.e2e

HOST = Python(sys.version_info[0], sys.version_info[1], getattr(sys, "abiflags", ""))
SAMPLE = recipe_roots(Path(__file__).parents[2])[0] / "sample"
EVERY_STAGE = ("core", "python", "package")


@pytest.fixture(scope="module")
def pythons() -> tuple[Python, ...]:
    """Every CPython of this machine that `sample` is for."""
    found = interpreters.find("all", this_machine(environment()), Processes())
    works = [python for python, answer in found.items() if isinstance(answer, Interpreter)]
    fitting = tuple(sorted(python for python in works if python >= Python(3, 7, "m")))
    if len(fitting) < 2:
        pytest.skip(f"there is one CPython on this machine: {', '.join(map(str, fitting))}")
    return fitting


def test_every_python_gets_a_checked_wheel_and_the_core_is_compiled_once(
    fresh: Builder, pythons: tuple[Python, ...]
) -> None:
    words = (
        "sample",
        "--type",
        "manywheel",
        "--python",
        ",".join(map(str, pythons)),
        "--cuda",
        "cpu",
        "--json",
    )

    first = fresh.build(*words)
    again = fresh.build(*words)

    assert (first.code, again.code) == (0, 0), first.err + again.err
    made = first.document["artifacts"]
    assert [package["serves"] for package in made] == [
        [f"manywheel-{python}-cpu-linux_x86_64"] for python in pythons
    ]
    cores = {stage["key"]: stage for package in made for stage in package["stages"][:1]}
    (core,) = cores.values()
    runs = [package["stages"][1]["compiler_runs"] for package in made]
    assert core["compiler_runs"] == len(list((SAMPLE / "source").glob("*/*.cpp")))
    assert first.document["compiler_runs"] == core["compiler_runs"] + sum(runs)
    assert runs == [1] * len(pythons)
    for package in (*made, *again.document["artifacts"]):
        counts = package["report"]["summary"]
        assert (counts["fail"], counts["crash"]) == (0, 0)
        assert counts["pass"] > 10
        assert verify_wheel(Path(package["path"])) == ()
    assert again.hits == dict.fromkeys(EVERY_STAGE, [True] * len(pythons))
    assert again.document["compiler_runs"] == 0
    names = [package["path"] for package in made]
    assert [package["path"] for package in again.document["artifacts"]] == names
    assert f"the compiler ran {first.document['compiler_runs']} times" in first.err


def test_a_missing_interpreter_is_one_failure_and_not_the_end(warm: Builder) -> None:
    ran = warm.build("sample", "--type", "manywheel", "--python", f"3.5,{HOST}", "--json")

    assert ran.code == 1
    (failure,) = ran.document["failures"]
    assert failure["target"] == "manywheel-cp35m-cpu-linux_x86_64"
    assert failure["stage"] == "resolve"
    assert failure["error"].startswith("there is no CPython 3.5")
    assert "pyenv install 3.5" in failure["hint"]
    assert len(ran.document["artifacts"]) == len(warm.packages) == 1


def test_two_folders_two_stores_and_two_caches_give_the_same_bytes(
    tmp_path: Path, fresh: Builder
) -> None:
    made = []
    for name in ("one", "quite/another/and a deeper"):
        home = tmp_path / name
        shutil.copytree(SAMPLE, home / "sample")
        (home / "cache").mkdir()
        (fresh.cache / "uv").mkdir(parents=True, exist_ok=True)
        (home / "cache" / "uv").symlink_to(fresh.cache / "uv")  # downloads, nothing compiled
        here = replace(
            fresh, cache=home / "cache", store=home / "store", output=home / "dist", folder=home
        )
        ran = here.build(
            "./sample", "--type", "manywheel", "--python", str(HOST), "--json", "--no-check"
        )
        assert ran.code == 0, ran.err
        assert ran.hits == {stage: [False] for stage in EVERY_STAGE}
        (package,) = ran.document["artifacts"]
        made.append((Path(package["path"]), [stage["key"] for stage in package["stages"]]))

    (one, keys), (two, other_keys) = made
    assert keys == other_keys
    assert (one.name, one.read_bytes()) == (two.name, two.read_bytes())


@pytest.mark.parametrize("name", EVERY_STAGE)
def test_a_damaged_tree_is_reported_and_made_again(
    warm: Builder, tmp_path: Path, name: str
) -> None:
    words = ("sample", "--type", "manywheel", "--python", str(HOST), "--json", "--no-check")
    before = warm.build(*words)
    (package,) = before.document["artifacts"]
    key = next(stage["key"] for stage in package["stages"] if stage["name"] == name)
    mine = replace(warm, store=tmp_path / "store", output=tmp_path / "dist2")
    shutil.copytree(warm.store / "trees", mine.store / "trees", symlinks=True)
    file = next(f for f in (mine.store / "trees" / key).rglob("content/**/*") if f.is_file())
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])

    ran = mine.build(*words)

    assert ran.code == 0, ran.err
    assert f"tree {key[:16]} is damaged and will be made again: {file.name}" in ran.err.replace(
        f"{file.relative_to(mine.store / 'trees' / key / 'content').parent}/", ""
    )
    assert ran.hits == {stage: [stage != name] for stage in EVERY_STAGE}
    assert ran.document["artifacts"][0]["sha256"] == package["sha256"]


def test_two_commands_at_once_compile_once(fresh: Builder, tmp_path: Path) -> None:
    words = ("sample", "--type", "manywheel", "--python", str(HOST), "--json", "--no-check")
    calls = [replace(fresh, output=tmp_path / f"dist{n}").start(*words) for n in range(2)]

    ended = [call.communicate() for call in calls]

    assert [call.returncode for call in calls] == [0, 0], ended
    packages = [json.loads(out)["artifacts"][0] for out, _ in ended]
    for one, two in zip(packages[0]["stages"], packages[1]["stages"], strict=True):
        assert one["key"] == two["key"]
        assert {one["hit"], two["hit"]} == {True, False}, one["name"]
    assert packages[0]["sha256"] == packages[1]["sha256"]
    assert len(fresh.trees) == len(EVERY_STAGE)


def test_a_wheel_that_needs_more_than_allowed_is_refused_with_the_symbols(warm: Builder) -> None:
    ran = warm.build(
        "sample", "--type", "manywheel", "--python", str(HOST), "--plat", "manylinux_2_17", "--json"
    )

    assert ran.code == 1
    (failure,) = ran.document["failures"]
    assert failure["stage"] == "package"
    assert "cannot be manylinux_2_17_x86_64: it deserves manylinux_2_" in failure["error"]
    assert "libsample.so.1.4.0: _Zd" in failure["error"]
    assert "@CXXABI_1.3.9 of libstdc++.so.6" in failure["error"]
    assert "manylinux image" in failure["hint"]
    assert warm.packages == ()


@pytest.mark.parametrize(
    ("words", "version"),
    [
        pytest.param(("--channel", "nightly"), "1.4.0.dev{today}+cpu", id="nightly"),
        pytest.param(("--build-number", "3"), "1.4.0.post3+cpu", id="build number"),
        pytest.param(("--version", "7.1rc2"), "7.1rc2", id="exact"),
    ],
)
def test_versions_are_in_the_name_and_in_the_package(
    warm: Builder, words: tuple[str, ...], version: str
) -> None:
    days = [datetime.now(tz=UTC)]
    ran = warm.build(
        "sample", "--type", "manywheel", "--python", str(HOST), "--no-check", "--json", *words
    )
    days.append(datetime.now(tz=UTC))

    assert ran.code == 0, ran.err
    assert ran.hits["core"] == [True]
    wheel = read_wheel(warm.output / warm.packages[0])
    assert wheel.name.version in {version.format(today=f"{day:%Y%m%d}") for day in days}
    assert wheel.metadata.get("Version") == (wheel.name.version,)


def test_a_dry_run_says_the_keys_and_leaves_no_tree(fresh: Builder) -> None:
    runner = replace(fresh, variables={"CI": "true", "GITHUB_ACTIONS": "true"})

    planned = runner.build(
        "sample", "--type", "manywheel", "--python", str(HOST), "--dry-run", "--json"
    )
    shown = runner.build("sample", "--type", "manywheel", "--python", str(HOST), "--dry-run")

    assert (planned.code, shown.code) == (0, 0), planned.err
    stages = planned.document["stages"]
    assert [(stage["name"], stage["hit"]) for stage in stages] == [
        (name, False) for name in EVERY_STAGE
    ]
    assert [len(stage["key"]) for stage in stages] == [64, 64, 0]
    assert all(f"miss {s['name']:<7} {s['key'][:16]}" in shown.out for s in stages[:2])
    assert (fresh.trees, fresh.packages) == ((), ())


def test_a_runner_gets_a_summary_and_an_annotation(warm: Builder, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    variables = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    runner = replace(warm, variables=variables)

    # A version that nobody else builds: something has to be compiled and print what it does.
    good = runner.build(
        "sample",
        "--type",
        "manywheel",
        "--python",
        str(HOST),
        "--no-check",
        "--version",
        "1.4.0+ci",
    )
    bad = runner.build(
        "sample", "--type", "manywheel", "--python", str(HOST), "--plat", "manylinux_2_17"
    )

    assert (good.code, bad.code) == (0, 1)
    lines = summary.read_text().splitlines()
    assert lines[0] == "before"
    assert f"| {warm.packages[0]} | {HOST} |" in summary.read_text()
    assert any(line.startswith("- **manywheel-") and "deserves" in line for line in lines)
    assert any(line.startswith("::error::package manywheel-") for line in bad.err.splitlines())
    title = f"python {HOST} cpu"
    assert f"::group::{title}: what it printed\n| " in good.err
    assert good.err.count("::group::") == good.err.count("::endgroup::")


def test_cuda_without_a_gpu(warm: Builder, tmp_path: Path) -> None:
    found = toolchain.find_toolkits(this_machine(environment()), Processes())
    if "13.0" not in {toolkit.version for toolkit in found}:
        pytest.skip("there is no CUDA 13.0 toolkit on this machine")

    ran = warm.build(
        "sample", "--type", "manywheel", "--python", str(HOST), "--cuda", "13.0", "--cuda-arch", "80-real,90-virtual",
        "--json",
    )  # fmt: skip

    assert ran.code == 0, ran.err
    wheel = Path(ran.document["artifacts"][0]["path"])
    assert wheel.name.startswith(f"builder_sample-1.4.0+cu130-cp{HOST.major}{HOST.minor}-")
    inspected = subprocess.run(
        (sys.executable, "-m", "builder", "inspect", "--json", str(wheel)),
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    (subject,) = json.loads(inspected.stdout)["subjects"]
    kernels = [binary["cuda_archs"] for binary in subject["binaries"] if binary["cuda_archs"]]
    assert kernels == [["sm_80", "compute_90"]]
    extract(read_wheel(wheel), tmp_path / "site")
    code = "import sample; print(sample.cuda())"
    said = subprocess.run(
        (sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {code}"),
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    if not Path("/dev/nvidiactl").exists():
        assert said.stdout == "built for CUDA, no device\n"
