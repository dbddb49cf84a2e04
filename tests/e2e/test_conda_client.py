"""Packages and channels of ours, used as a stranger does: solved, installed and run by an independent client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from builder_conda.specs import translate
from packaging.specifiers import SpecifierSet

from builder.channel.channel import add
from builder.channel.verify import verify
from builder.config.python import Python
from builder.converter import Conversion
from builder.verbs.convert import convert
from tests.e2e import conda_channel
from tests.e2e.conda_channel import Client, judged, make_channel

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("conda_client"),
    pytest.mark.skipif(bool(conda_channel.reason()), reason=conda_channel.reason()),
]
HOST = Python.parse(conda_channel.VERSION)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for everything below."""
    return tmp_path_factory.mktemp("conda")


@pytest.fixture(scope="module")
def client(work: Path) -> Client:
    """A channel with Python, a native wheel, an abi3 wheel, and two pure ones, one with a program."""
    channel = make_channel(work / "channel", work)
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
    names = ("markupsafe", "packaging", "pygments", "psutil")
    subprocess.run([*argv, "--dest", str(work / "wheels"), *names], check=True)
    wheels = sorted((work / "wheels").iterdir())
    made = convert(wheels, output_dir=work / "packages", wishes=Conversion(compression="fast"))
    add(channel, [row.made.path for row in made])
    return Client(channel, work / "cache")


@pytest.fixture(scope="module")
def prefix(work: Path, client: Client) -> Path:
    """An environment with all of them, far down."""
    deep = work / ("a-long-name-" * 20)[: 229 - len(str(work))]
    assert len(str(deep)) == 230
    files = client.install(deep, f"python {HOST.version}.*", "markupsafe", "packaging", "pygments")
    assert len(files) == 5
    return deep


RECIPE = """
schema = 1
[recipe]
name = "tried"
[source]
path = "."
[python]
[check]
imports = ["markupsafe", "packaging.version"]
commands = [["{python}", "-c", "import psutil"]]
"""


def checked(client: Client, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`builder check`, with a recipe that names imports and a command."""
    (folder / "recipe.toml").write_text(RECIPE)
    command = [sys.executable, "-m", "builder", "check", "--recipe", str(folder), "--json"]
    for word in words:
        command += ["--from-channel", str(client.channel), word]
    return subprocess.run(
        [*command, "--python", conda_channel.VERSION],
        capture_output=True, text=True, check=False,
        env={**os.environ, "BUILDER_CACHE": str(folder / "cache")},
    )  # fmt: skip


def test_what_a_conda_user_gets_is_checked(client: Client, tmp_path: Path) -> None:
    done = checked(client, tmp_path, "markupsafe", "packaging")

    report = json.loads(done.stdout)
    found = {one["id"]: one for one in report["results"]}
    assert report["subject"] == "markupsafe packaging"
    assert (done.returncode, found["env.import"]["status"]) == (1, "pass")
    assert "No module named 'psutil'" in found["env.commands"]["problems"][0]
    assert checked(client, tmp_path, "markupsafe", "packaging", "psutil").returncode == 0
    assert not list((tmp_path / "cache" / "checks").iterdir())


def test_what_no_conda_user_can_get_says_why(client: Client, tmp_path: Path) -> None:
    done = checked(client, tmp_path, "markupsafe==99")
    without = subprocess.run(
        [sys.executable, "-m", "builder", "check", "--from-channel", client.channel, "python_abi"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "BUILDER_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip

    assert done.returncode == 1
    assert "nothing fits" in done.stderr
    assert "markupsafe" in done.stderr
    assert without.returncode == 1
    assert "has no Python in it" in without.stderr
    assert not list((tmp_path / "cache" / "checks").iterdir())


def run(prefix: Path, *words: str) -> str:
    """What a program of the environment prints, without anything of ours around it."""
    environ = {"PATH": f"{prefix}/bin:/usr/bin:/bin", "HOME": str(prefix)}
    done = subprocess.run(words, cwd=prefix, env=environ, capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_native_package_is_imported_behind_a_long_prefix(prefix: Path) -> None:
    code = "import sys, markupsafe._speedups as m, markupsafe; print(m.__file__, sys.prefix, markupsafe.escape('<'))"
    file, root, escaped = run(prefix, f"{prefix}/bin/python", "-c", code).split()
    assert Path(file).is_relative_to(prefix)
    assert (root, escaped) == (str(prefix), "&lt;")


def test_a_pure_package_is_where_that_python_looks_and_its_program_runs(prefix: Path) -> None:
    assert run(prefix, f"{prefix}/bin/pygmentize", "-V").startswith("Pygments version")
    code = "import packaging, pygments; print(packaging.__file__)"
    site = prefix / "lib" / f"python{HOST.version}" / "site-packages"
    assert Path(run(prefix, f"{prefix}/bin/python", "-c", code).strip()).is_relative_to(site)


def test_what_a_user_installed_is_checked(prefix: Path) -> None:
    words = (
        "-m",
        "smoke",
        str(prefix),
        "--import",
        "markupsafe",
        "--import",
        "packaging",
        "--json",
    )
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    found = {one["id"]: one["status"] for one in json.loads(done.stdout)["results"]}
    assert done.returncode == 0, done.stdout
    assert found["env.import"] == found["env.loaded"] == "pass"


def test_metadata_tells_what_is_installed_and_by_whom(prefix: Path) -> None:
    code = (
        "import json, importlib.metadata as m; d = m.distribution('markupsafe');"
        "print(json.dumps([d.read_text('INSTALLER'), [str(f) for f in d.files if not f.locate().exists()]]))"
    )
    assert json.loads(run(prefix, f"{prefix}/bin/python", "-c", code)) == ["conda\n", []]


def test_the_solver_takes_what_the_package_asks_for(client: Client) -> None:
    files = client.solve("markupsafe")
    assert {name.split("-")[0] for name in files} == {"markupsafe", "python", "python_abi"}
    with pytest.raises(AssertionError, match=r"python 2\.7"):
        client.solve("markupsafe", "python 2.7.*")


def test_the_channel_is_what_its_index_says(client: Client) -> None:
    assert verify(client.channel)[1] == ()


def test_both_formats_give_the_same_environment(work: Path, client: Client) -> None:
    (wheel,) = (work / "wheels").glob("markupsafe-*")
    wishes = Conversion(file_format="tar.bz2", names={"markupsafe": "older"})
    (row,) = convert([wheel], output_dir=work / "packages", wishes=wishes)
    add(client.channel, [row.made.path])
    prefix = work / "older"
    client.install(prefix, "older")
    assert run(prefix, f"{prefix}/bin/python", "-c", "import markupsafe._speedups; print(1)") == "1\n"  # fmt: skip


def test_one_package_of_an_abi3_wheel_is_installed_where_its_python_looks(
    work: Path, client: Client
) -> None:
    prefix = work / "any-python"
    files = client.install(prefix, "psutil")
    assert any(name.startswith("psutil-") for name in files)
    code = "import psutil; print(psutil.__file__)"
    assert run(prefix, f"{prefix}/bin/python", "-c", code).startswith(str(prefix))


SPECIFIERS = (
    "<2", "<2.0", "<=2", ">1.4", ">=1.4.5", "~=1.4.5", "~=1.4", "==1.4", "==1.4.*", "!=1.4", "!=1.4.*",
    "<2.0rc1", ">=2.0rc1", "===1.4", ">=1,<2,!=1.5", "~=1.4.5a4", "~=1!2.2", ">1.7", "<1!2",
)  # fmt: skip
VERSIONS = (
    "0.9", "1.0", "1.3.9", "1.4", "1.4.0", "1.4.4", "1.4.5a3", "1.4.5a4", "1.4.5rc1", "1.4.5", "1.4.9", "1.5a1",
    "1.5.0a1", "1.5.dev1", "1.5", "1.7", "1.7.post1", "1.7.1", "1.9.9", "2.0.dev1", "2.0a1", "2.0rc1", "2.0rc2",
    "2", "2.0", "2.0.1", "3", "1!2.1", "1!2.2", "1!2.9", "1!3",
)  # fmt: skip
OTHERWISE = {
    ("<2.0rc1", "2.0.dev1"),  # conda has candidates before what is in development
    (">=2.0rc1", "2.0.dev1"),
    ("===1.4", "1.4.0"),  # it compares numbers, not letters
    (">1.7", "1.7.post1"),  # a post release is above
}


def test_a_specification_means_to_the_client_what_it_means_to_pip() -> None:
    sets = [SpecifierSet(text) for text in SPECIFIERS]
    told = judged([translate(one)[0] for one in sets], VERSIONS)
    meant = [[one.contains(version, prereleases=True) for version in VERSIONS] for one in sets]
    assert {
        (specifier, version)
        for specifier, ours, theirs in zip(SPECIFIERS, told, meant, strict=True)
        for version, one, other in zip(VERSIONS, ours, theirs, strict=True)
        if one != other
    } == OTHERWISE
