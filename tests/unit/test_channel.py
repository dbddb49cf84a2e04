"""A channel in a folder: what it lists, what it reads for that, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner

from builder.archive.conda_package import CondaFile, CondaPackage
from builder.archive.conda_write import Format, write_conda
from builder.channel.channel import add, create, index
from builder.channel.package import PackageError, read_listed
from builder.channel.verify import verify
from builder.cli.channel import command
from builder.errors import BuilderError, UsageError
from builder.stage.lock import exclusive


def package(folder: Path, name: str = "w", *, build: str = "0", content: bytes = b"x",
            file_format: Format = "conda", noarch: str = "") -> Path:  # fmt: skip
    said = CondaPackage(
        name, "1.0", build, "noarch" if noarch else "linux-64", noarch=noarch,
        depends=("python >=3.9",), license="MIT", run_exports={"weak": (f"{name} >=1.0,<2.0a0",)},
    )  # fmt: skip
    files = [CondaFile(f"lib/{name}", content)]
    return write_conda(folder, said, files, epoch=7, file_format=file_format, profile="fast")


def repodata(channel: Path, subdir: str = "linux-64") -> dict[str, dict[str, dict[str, object]]]:
    found: dict[str, dict[str, dict[str, object]]] = json.loads(
        (channel / subdir / "repodata.json").read_bytes()
    )
    return found


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    create(tmp_path / "channel", ["linux-64"])
    return tmp_path / "channel"


def damage(path: Path) -> None:
    """Make a file unreadable as a package, in a way that its size and time do not show."""
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_an_empty_channel_has_an_index_for_every_subdir(channel: Path) -> None:
    assert {path.name for path in channel.iterdir() if path.is_dir()} == {"noarch", "linux-64"}
    assert repodata(channel, "noarch") == {
        "info": {"subdir": "noarch"}, "packages": {}, "packages.conda": {}, "removed": [],
        "repodata_version": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("file_format", "section"), [("conda", "packages.conda"), ("tar.bz2", "packages")]
)
def test_a_package_is_listed_with_what_it_says_and_its_digests(
    tmp_path: Path, channel: Path, file_format: Format, section: str
) -> None:
    path = package(tmp_path, file_format=file_format)
    (added,) = add(channel, [path])
    content = path.read_bytes()
    assert added.path == channel / "linux-64" / path.name
    assert added.path.read_bytes() == content
    assert repodata(channel)[section] == {
        path.name: {
            "arch": "x86_64", "build": "0", "build_number": 0, "depends": ["python >=3.9"],
            "license": "MIT", "name": "w", "platform": "linux", "subdir": "linux-64",
            "timestamp": 7000, "version": "1.0", "size": len(content),
            "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    }  # fmt: skip
    exports = json.loads((channel / "linux-64" / "run_exports.json").read_bytes())
    assert exports[section] == {path.name: {"run_exports": {"weak": ["w >=1.0,<2.0a0"]}}}
    for name in ("repodata.json", "run_exports.json"):
        packed = (channel / "linux-64" / f"{name}.zst").read_bytes()
        plain = (channel / "linux-64" / name).read_bytes()
        assert zstandard.ZstdDecompressor().decompress(packed) == plain
    assert verify(channel) == (1, ())


def test_adding_one_package_reads_no_other(tmp_path: Path, channel: Path) -> None:
    before = add(channel, [package(tmp_path, f"p{number}") for number in range(6)])
    for row in before:
        damage(row.path)
    add(channel, [package(tmp_path, "new")])
    assert len(repodata(channel)["packages.conda"]) == 7
    (_, linux) = sorted(index(channel), key=lambda row: row.packages)
    assert (linux.packages, linux.read) == (7, ())
    assert len(verify(channel)[1]) == 6


def test_an_index_reads_what_is_new_or_changed_and_drops_what_is_gone(
    tmp_path: Path, channel: Path
) -> None:
    add(channel, [package(tmp_path, name) for name in ("gone", "same", "touched")])
    shelf = channel / "linux-64"
    (shelf / "gone-1.0-0.conda").unlink()
    os.utime(shelf / "touched-1.0-0.conda", ns=(1, 1))
    package(shelf, "fresh")
    linux, _ = index(channel)
    assert linux.read == ("fresh-1.0-0.conda", "touched-1.0-0.conda")
    assert linux.dropped == ("gone-1.0-0.conda",)
    assert verify(channel) == (3, ())
    assert index(channel, again=True)[0].read == (
        "fresh-1.0-0.conda", "same-1.0-0.conda", "touched-1.0-0.conda",
    )  # fmt: skip


def test_the_way_to_a_channel_does_not_show_in_its_index(tmp_path: Path, channel: Path) -> None:
    paths = [package(tmp_path, "b"), package(tmp_path, "a", file_format="tar.bz2"),
             package(tmp_path, "c", noarch="python")]  # fmt: skip
    add(channel, paths)
    other = tmp_path / "other"
    create(other)
    for path in reversed(paths):
        add(other, [path])
    index(other, again=True)
    for subdir in ("linux-64", "noarch"):
        for name in ("repodata.json", "run_exports.json", "repodata.json.zst"):
            assert (channel / subdir / name).read_bytes() == (other / subdir / name).read_bytes()


def test_the_same_package_again_changes_nothing(tmp_path: Path, channel: Path) -> None:
    path = package(tmp_path)
    assert not add(channel, [path, path])[0].was_there
    before = {file: file.stat().st_mtime_ns for file in channel.rglob("*")}
    assert add(channel, [path])[0].was_there
    assert {file: file.stat().st_mtime_ns for file in channel.rglob("*")} == before


@pytest.mark.parametrize("listed", [True, False])
def test_other_bytes_under_the_same_name_are_refused(
    tmp_path: Path, channel: Path, listed: bool
) -> None:
    if listed:
        add(channel, [package(tmp_path)])
    else:
        package(channel / "linux-64")
    before = (channel / "linux-64" / "w-1.0-0.conda").read_bytes()
    others = [package(tmp_path / "x", content=b"y"), package(tmp_path / "x", "fine")]
    with pytest.raises(UsageError, match="build number"):
        add(channel, others)
    assert (channel / "linux-64" / "w-1.0-0.conda").read_bytes() == before
    assert not (channel / "linux-64" / "fine-1.0-0.conda").exists()


def test_two_of_one_name_in_one_call_are_refused(tmp_path: Path, channel: Path) -> None:
    both = [package(tmp_path / "1"), package(tmp_path / "2", content=b"y")]
    with pytest.raises(UsageError, match="other bytes"):
        add(channel, both)


def test_calls_at_once_lose_no_package(tmp_path: Path, channel: Path) -> None:
    paths = [package(tmp_path, f"p{number}") for number in range(4)]
    threads = [threading.Thread(target=add, args=(channel, [path])) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(repodata(channel)["packages.conda"]) == 4
    assert verify(channel) == (4, ())


def test_a_call_waits_for_another_one(tmp_path: Path, channel: Path) -> None:
    waited = []

    def give_up() -> None:
        waited.append(1)
        raise BuilderError("stopped")

    path = package(tmp_path)
    with (
        exclusive(channel / ".builder-channel.lock"),
        pytest.raises(BuilderError, match="stopped"),
    ):
        add(channel, [path], waiting=give_up)
    assert waited == [1]
    assert repodata(channel)["packages.conda"] == {}


def test_a_folder_that_is_no_channel_gets_no_package(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no channel"):
        add(tmp_path / "typo", [package(tmp_path)])
    assert not (tmp_path / "typo").exists()


def test_a_damaged_index_is_said_and_made_anew(tmp_path: Path, channel: Path) -> None:
    add(channel, [package(tmp_path)])
    whole = (channel / "linux-64" / "repodata.json").read_bytes()
    for broken in (whole[:-20], b"[]", b'{"packages": 7}', b'{"packages": {"x": 1}}', b"\xff"):
        (channel / "linux-64" / "repodata.json").write_bytes(broken)
        with pytest.raises(UsageError, match="channel index"):
            add(channel, [package(tmp_path, "b")])
        assert verify(channel)[1] != ()
    index(channel)
    assert (channel / "linux-64" / "repodata.json").read_bytes() == whole


def hostile(tmp_path: Path, document: str) -> Path:
    """A package whose `index.json` says what our writer never would, in the older format."""
    import io
    import tarfile

    path = tmp_path / "w-1.0-0.tar.bz2"
    with tarfile.open(path, "w:bz2") as archive:
        info = tarfile.TarInfo("info/index.json")
        info.size = len(document.encode())
        archive.addfile(info, io.BytesIO(document.encode()))
    return path


GOOD = {"name": "w", "version": "1.0", "build": "0", "subdir": "linux-64"}


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        pytest.param("{", "not readable", id="no json"),
        pytest.param("[]", "no JSON object", id="a list"),
        pytest.param("[" * 100_000, "too deeply", id="nested"),
        pytest.param('{"name": NaN}', "NaN", id="no number"),
        pytest.param('{"name": "\\ud800"}', "not readable", id="half a character"),
        pytest.param(json.dumps({**GOOD, "build_number": int("9" * 400)}), "build_number", id="huge"),
        pytest.param(json.dumps({"name": "w"}), "has no build", id="incomplete"),
        pytest.param(json.dumps({**GOOD, "name": "../w"}), "unsafe", id="path"),
        pytest.param(json.dumps({**GOOD, "name": "other"}), "not its file name", id="name"),
        pytest.param(json.dumps({**GOOD, "subdir": "../.."}), "no client looks", id="subdir"),
        pytest.param(json.dumps({**GOOD, "depends": "x"}), "depends", id="depends"),
        pytest.param(json.dumps({**GOOD, "license": {}}), "license", id="license"),
        pytest.param(json.dumps({**GOOD, "x": "y" * (1 << 20)}), "bytes", id="large"),
    ],
)  # fmt: skip
def test_a_package_that_lies_is_refused(
    tmp_path: Path, channel: Path, document: str, fault: str
) -> None:
    path = hostile(tmp_path, document)
    with pytest.raises(UsageError, match=fault):
        add(channel, [path])
    assert repodata(channel)["packages"] == {}


def test_unknown_keys_of_an_index_are_not_passed_on(tmp_path: Path) -> None:
    row = read_listed(hostile(tmp_path, json.dumps({**GOOD, "url": "http://x", "sha256": "0"})))
    assert "url" not in row.entry
    assert len(row.sha256) == 64


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "w-1.0-0.conda")
    with pytest.raises(PackageError, match="no such file"):
        read_listed(tmp_path / "w-1.0-0.conda")


def test_all_bad_packages_are_named_at_once(tmp_path: Path, channel: Path) -> None:
    for name in ("a-1-0.conda", "b-1-0.tar.bz2", "c.zip"):
        (tmp_path / name).write_bytes(b"no package")
    with pytest.raises(UsageError, match="3 files") as caught:
        add(channel, [*sorted(tmp_path.glob("*-*")), tmp_path / "c.zip"])
    assert len(caught.value.faults) >= 3


def test_a_package_in_the_wrong_subdir_is_refused_and_the_index_stays(
    tmp_path: Path, channel: Path
) -> None:
    add(channel, [package(tmp_path)])
    before = repodata(channel)
    package(channel / "noarch", "astray")
    package(channel / "linux-64", "fine")
    with pytest.raises(UsageError, match="lies in noarch"):
        index(channel)
    assert repodata(channel) == before


def test_verify_names_everything_that_is_wrong(tmp_path: Path, channel: Path) -> None:
    add(channel, [package(tmp_path, name) for name in ("gone", "other", "sound", "cut")])
    shelf = channel / "linux-64"
    (shelf / "gone-1.0-0.conda").unlink()
    package(shelf, "other", content=b"other bytes")
    package(shelf, "extra")
    cut = (shelf / "cut-1.0-0.conda").read_bytes()
    (shelf / "cut-1.0-0.conda").write_bytes(cut[:-100])
    document = json.loads((shelf / "repodata.json").read_bytes())
    document["packages.conda"]["../evil.conda"] = {"name": "evil"}
    document["packages.conda"]["sound-1.0-0.conda"]["depends"] = []
    (shelf / "repodata.json").write_text(json.dumps(document), encoding="utf-8")
    (shelf / "run_exports.json.zst").write_bytes(b"no zstandard")

    count, problems = verify(channel)

    assert count == 3
    text = "\n".join(problems)
    for said in (
        "linux-64/extra-1.0-0.conda: is not listed",
        "linux-64/gone-1.0-0.conda: is listed, and there is no such file",
        "linux-64/repodata.json: '../evil.conda' is unsafe",
        "linux-64/repodata.json.zst: is not what repodata.json says",
        "linux-64/run_exports.json.zst: is not what",
        "linux-64/other-1.0-0.conda: sha256 is",
        "linux-64/other-1.0-0.conda: size is",
        "linux-64/sound-1.0-0.conda: depends is ['python >=3.9'], and listed as []",
        "linux-64/cut-1.0-0.conda: ",
    ):
        assert said in text
    assert not any("sound-1.0-0.conda: sha256" in line for line in problems)


def test_the_command_line_does_all_four(tmp_path: Path) -> None:
    folder, path = tmp_path / "channel", package(tmp_path)

    def run(*words: str) -> tuple[int, object]:
        done = CliRunner().invoke(command, [*words, "--json"], standalone_mode=False)
        code = done.return_value if done.exception is None else -1
        return int(code or 0), json.loads(done.stdout)

    code, made = run("create", str(folder), "--subdir", "linux-64")
    assert (code, made) == (
        0, {"schema": 1, "channel": str(folder), "subdirs": ["linux-64", "noarch"]},
    )  # fmt: skip
    code, added = run("add", str(folder), str(path))
    assert isinstance(added, dict)
    (row,) = added["added"]
    assert (code, row["subdir"], row["was_there"]) == (0, "linux-64", False)
    code, indexed = run("index", str(folder))
    assert (code, indexed) == (0, {"schema": 1, "channel": str(folder), "subdirs": [
        {"subdir": "linux-64", "packages": 1, "read": [], "dropped": []},
        {"subdir": "noarch", "packages": 0, "read": [], "dropped": []},
    ]})  # fmt: skip
    assert run("verify", str(folder)) == (
        0, {"schema": 1, "channel": str(folder), "packages": 1, "problems": []},
    )  # fmt: skip
    (folder / "linux-64" / path.name).unlink()
    assert run("verify", str(folder))[0] == 1
