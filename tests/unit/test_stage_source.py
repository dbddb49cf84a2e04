from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import tarfile
from pathlib import Path

import pytest

from builder.config.machine import Machine
from builder.config.recipe import Archive, Folder, IndexSdist
from builder.errors import BuilderError, UsageError
from builder.process import Processes
from builder.stage.source import SourceTree, fetch, version_of
from builder.stage.store import TreeStore

FILES = {"a.c": b"int a;\n", "bin/run": b"#!/bin/sh\n", "d/e/f.h": b""}


def machine(tmp_path: Path) -> Machine:
    return Machine((Path("/usr/bin"), Path("/bin")), tmp_path, 1, "linux", "x86_64")


def project(folder: Path) -> Path:
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "bin/run").chmod(0o755)
    (folder / "link").symlink_to("./a.c")
    return folder


def archive(file: Path) -> Archive:
    """The same project as a tar with a top folder."""
    with tarfile.open(file, "w:gz") as opened:
        for name, data in FILES.items():
            info = tarfile.TarInfo(f"x-1.0/{name}")
            info.size, info.mode = len(data), 0o755 if name == "bin/run" else 0o644
            opened.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("x-1.0/link")
        info.type, info.linkname = tarfile.SYMTYPE, "./a.c"
        opened.addfile(info)
    return Archive(str(file), hashlib.sha256(file.read_bytes()).hexdigest())


def get(source: Folder | Archive | IndexSdist, tmp_path: Path, store: str = "store") -> SourceTree:
    return fetch(source, TreeStore(tmp_path / store), machine(tmp_path), Processes())


def test_a_folder_is_copied_to_a_path_that_follows_from_its_content(tmp_path: Path) -> None:
    tree = get(Folder(project(tmp_path / "p")), tmp_path)
    assert tree.root == tmp_path / "store" / "sources" / tree.digest[:16]
    assert {name: (tree.root / name).read_bytes() for name in FILES} == FILES
    assert (tree.root / "link").readlink() == Path("a.c")
    assert (tree.revision, tree.epoch) == ("", 315532800)


def test_the_copy_has_one_time_and_plain_modes(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    (folder / "a.c").chmod(0o600)
    root = get(Folder(folder), tmp_path).root
    everything = [path for path in (root, *root.rglob("*")) if not path.is_symlink()]
    assert {path.stat().st_mtime for path in everything} == {315532800 + 86400}
    modes = {stat.S_IMODE((root / name).stat().st_mode) for name in ("a.c", "bin/run", "d")}
    assert modes == {0o644, 0o755}


def test_place_and_time_do_not_change_a_source(tmp_path: Path) -> None:
    one, two = project(tmp_path / "one"), project(tmp_path / "deeper" / "two")
    os.utime(two / "a.c", (1, 1))
    first, second = get(Folder(one), tmp_path), get(Folder(two), tmp_path, "other")
    assert (first.digest, first.epoch) == (second.digest, second.epoch)


def test_a_changed_byte_is_another_source(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    first = get(Folder(folder), tmp_path)
    (folder / "a.c").write_bytes(b"int b;\n")
    second = get(Folder(folder), tmp_path)
    assert first.root != second.root
    assert (first.root / "a.c").read_bytes() == b"int a;\n"


def test_the_same_files_through_another_door_are_the_same_source(tmp_path: Path) -> None:
    folder = get(Folder(project(tmp_path / "p")), tmp_path)
    packed = get(archive(tmp_path / "x.tar.gz"), tmp_path)
    assert packed.root == folder.root


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    source = archive(tmp_path / "x.tar.gz")
    first = get(source, tmp_path)
    Path(source.location).unlink()
    assert get(source, tmp_path) == first
    assert first.revision == source.sha256


def test_an_archive_may_be_a_url(tmp_path: Path) -> None:
    source = archive(tmp_path / "x.tar.gz")
    url = Archive(Path(source.location).as_uri(), source.sha256)
    assert get(url, tmp_path).digest == get(source, tmp_path, "other").digest


def test_an_sdist_that_was_downloaded_needs_no_index(tmp_path: Path) -> None:
    source = archive(tmp_path / "x.tar.gz")
    downloads = tmp_path / "store" / "downloads"
    TreeStore(tmp_path / "store").scratch().rmdir()
    downloads.mkdir()
    shutil.move(source.location, downloads / source.sha256)
    tree = get(IndexSdist("x", "1.0", source.sha256), tmp_path)
    assert (tree.root / "a.c").is_file()
    assert tree.revision == "1.0"


@pytest.mark.parametrize("damage", ["change", "add", "remove"])
def test_a_damaged_copy_is_made_again(damage: str, tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    tree = get(Folder(folder), tmp_path)
    match damage:
        case "change":
            (tree.root / "a.c").write_text("int x;\n")
        case "add":
            (tree.root / "new.c").touch()
        case _:
            (tree.root / "a.c").unlink()
    assert get(Folder(folder), tmp_path) == tree
    assert sorted(p.name for p in tree.root.iterdir()) == ["a.c", "bin", "d", "link"]
    assert (tree.root / "a.c").read_bytes() == FILES["a.c"]


def test_bytecode_that_a_build_left_there_is_no_damage(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    tree = get(Folder(folder), tmp_path)
    (tree.root / "__pycache__").mkdir()
    (tree.root / "__pycache__" / "x.pyc").touch()
    inode = tree.root.stat().st_ino
    assert get(Folder(folder), tmp_path).root.stat().st_ino == inode
    assert not (tree.copy(tmp_path / "copy") / "__pycache__").exists()


def test_nothing_half_written_stays_behind(tmp_path: Path) -> None:
    source = archive(tmp_path / "x.tar.gz")
    wrong = Archive(source.location, "0" * 64)
    Path(source.location).write_bytes(b"no archive")
    broken = Archive(source.location, hashlib.sha256(b"no archive").hexdigest())
    for bad, message in ((wrong, "other bytes"), (broken, "not safe to unpack")):
        with pytest.raises(BuilderError, match=message):
            get(bad, tmp_path)
    assert list((tmp_path / "store" / "sources").iterdir()) == []


REFUSED = {
    "no folder": (Folder(Path("/nonexistent/x")), "no source folder"),
    "no archive": (Archive("/nonexistent/x.zip", "0" * 64), "no archive"),
    "no sha256": (Archive("/nonexistent/x.zip", ""), "64 hexadecimal"),
    "not a sha256": (IndexSdist("x", "1", "sha256:0"), "64 hexadecimal"),
    "plain http": (Archive("http://host/x.zip", "0" * 64), "is not a `file:` or `https:` URL"),
}


@pytest.mark.parametrize(("source", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_a_source_is_told(
    source: Folder | Archive | IndexSdist, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        get(source, tmp_path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = project(tmp_path / "p")
    (folder / "out").symlink_to("/etc/passwd")
    with pytest.raises(BuilderError, match="cannot be kept") as caught:
        get(Folder(folder), tmp_path)
    assert any("out" in fault for fault in caught.value.faults)


VERSIONS = {
    "PKG-INFO": ({"PKG-INFO": "Name: x\nVersion: 1.2.3\n\nVersion: 9\n"}, "1.2.3"),
    "pyproject": ({"pyproject.toml": '[project]\nname = "x"\nversion = "2.0"\n'}, "2.0"),
    "dynamic": ({"pyproject.toml": '[project]\ndynamic = ["version"]\n'}, ""),
    "version.txt": ({"version.txt": "2.14.0a0\n"}, "2.14.0"),
    "no version in it": ({"version.txt": "see elsewhere\n"}, ""),
    "first of all": ({"PKG-INFO": "Version: 1\n", "version.txt": "2"}, "1"),
    "dynamic, then text": ({"pyproject.toml": "[project]\n", "version.txt": "2.1"}, "2.1"),
    "nothing": ({}, ""),
}


@pytest.mark.parametrize(("files", "expected"), VERSIONS.values(), ids=VERSIONS.keys())
def test_the_version_a_source_states(files: dict[str, str], expected: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert version_of(tmp_path) == expected


def test_a_broken_project_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")
    with pytest.raises(UsageError, match="version"):
        version_of(tmp_path)
