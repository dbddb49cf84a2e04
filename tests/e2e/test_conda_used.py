"""Packages from trees in environments of their own: solved from channels, created far down, and checked there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from builder.archive.conda import INDEX, read_info
from builder.cli.surroundings import environment, recipe_roots, this_machine
from builder.process import Processes
from builder.stage import toolchain
from tests.e2e.conda_channel import LEAN, interpreters, make_channel, reason
from tests.e2e.conftest import HOST, Builder, Ran

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("conda_used"),
    pytest.mark.skipif(bool(reason()), reason=reason()),
]
SAMPLE = recipe_roots(Path(__file__).parents[2])[0] / "sample"


PYTHONS = [name for name in interpreters() if name in {"3.7", *(f"3.{n}" for n in range(9, 14))}]


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("channel")
    return make_channel(work / "channel", work, PYTHONS, LEAN - {"email", "urllib"})


def built(
    builder: Builder, channel: Path, recipe: str = "sample", pythons: Sequence[str] = (HOST,)
) -> Ran:
    return builder.build(
        recipe, "--type", "conda", "--cuda", "cpu", "--python", ",".join(pythons), "--channel", str(channel), "--json",
    )  # fmt: skip


def statuses(ran: Ran) -> list[dict[str, str]]:
    """What each check said of each package for Python."""
    made = [one for one in ran.document["artifacts"] if one["target"].startswith("conda-")]
    return [{row["id"]: row["status"] for row in one["report"]["results"]} for one in made]


def test_the_suite_runs_where_a_user_would_have_it_with_every_python(
    warm: Builder, channel: Path
) -> None:
    ran = built(warm, channel, pythons=PYTHONS)

    assert ran.code == 0, ran.err
    found = statuses(ran)
    asked = ("env.install", "env.import", "env.loaded", "env.commands")
    assert [{name: one[name] for name in asked} for one in found] == [
        dict.fromkeys(asked, "pass") for _ in PYTHONS
    ]
    assert [one["consumer.cpp"] for one in found].count("pass") == 1
    assert "conda.upgrade: not asked, the channels hold no earlier release" in ran.err


USER = """
package: {name: user, version: "1.0"}
source: {path: consumer.cpp}
build:
  script:
    - mkdir -p $PREFIX/bin
    - g++ -std=c++17 -o $PREFIX/bin/user consumer.cpp -I$PREFIX/include -L$PREFIX/lib -Wl,-rpath,$PREFIX/lib -lsample
requirements: {host: [libsample]}
tests: [{script: user}]
"""


def test_who_links_to_the_library_requires_it_from_then_on(
    warm: Builder, fresh: Builder, channel: Path
) -> None:
    assert built(warm, channel).code == 0
    recipe = fresh.folder / "user"
    recipe.mkdir()
    (recipe / "recipe.yaml").write_text(USER)
    shutil.copy(SAMPLE / "check" / "consumer.cpp", recipe)

    ran = fresh.build("./user", "--type", "conda", "--channel", str(warm.output), "--json")

    assert ran.code == 0, ran.err
    (made,) = ran.document["artifacts"]
    index = json.loads(read_info(Path(made["path"]), {INDEX: 1 << 20})[INDEX])
    assert (index["depends"], made["tests"]) == (["libsample >=1.4.0,<2.0a0"], 1)


def test_machines_with_and_without_cuda_get_their_builds(warm: Builder, channel: Path) -> None:
    found = toolchain.find_toolkits(this_machine(environment()), Processes())
    if "13.0" not in {toolkit.version for toolkit in found}:
        pytest.skip("there is no CUDA 13.0 toolkit on this machine")

    ran = warm.build(
        "sample", "--type", "conda", "--python", HOST, "--cuda", "cpu,13.0", "--cuda-arch", "80-real,90-virtual",
        "--channel", str(channel), "--json",
    )  # fmt: skip

    assert ran.code == 0, ran.err
    assert "conda.solver: not asked" not in ran.err
    assert [(one["env.install"], one["env.commands"]) for one in statuses(ran)] == [
        ("pass", "pass"), ("pass", "pass"),
    ]  # fmt: skip
    for cuda, build in (("none", "*_cpu_*"), ("13.0", "*_cuda130_*"), ("12.8", "*_cpu_*")):
        words = ("channel", "solve", str(warm.output), "sample", "--channel", str(channel))
        asked = subprocess.run(
            [sys.executable, "-m", "builder", *words, "--cuda", cuda, "--expect", f"sample={build}"],
            env=warm.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert asked.returncode == 0, asked.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param(
            'library = "libsample"', 'library = "libsample"\ndepends = ["nobody-has-this"]',
            ("env.install: nothing can be installed for `install sample 1.4.0 ", "nobody-has-this"),
            id="requires what no channel has",
        ),
        pytest.param(
            'imports = ["sample"]', 'imports = ["sample", "sample.absent"]',
            ("env.import: sample.absent: ModuleNotFoundError",), id="does not import there",
        ),
    ],
)  # fmt: skip
def test_a_package_that_is_no_use_is_kept_back_and_the_rest_is_delivered(
    warm: Builder, channel: Path, old: str, new: str, said: tuple[str, ...]
) -> None:
    recipe = warm.folder / "recipe"
    shutil.copytree(SAMPLE, recipe)
    text = (recipe / "recipe.toml").read_text()
    assert old in text
    (recipe / "recipe.toml").write_text(text.replace(old, new))

    ran = built(warm, channel, str(recipe))

    assert ran.code == 1
    (failure,) = ran.document["failures"]
    assert (failure["target"].startswith("conda-"), failure["stage"]) == (True, "use")
    assert all(words in failure["error"] for words in said)
    names = {one["target"].partition("-")[0] for one in ran.document["artifacts"]}
    assert names == {"conda_lib", "conda_choice"}


def test_without_a_channel_the_bytes_are_checked_and_the_rest_says_why_not(warm: Builder) -> None:
    ran = warm.build("sample", "--type", "conda", "--cuda", "cpu", "--python", HOST, "--json")

    assert ran.code == 0, ran.err
    assert [one["env.install"] for one in statuses(ran)] == ["skip"]
    assert "--channel" in ran.out
