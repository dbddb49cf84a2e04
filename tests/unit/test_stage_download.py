from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from builder.archive.file import file_digest
from builder.config.machine import Machine
from builder.errors import BuilderError, UsageError
from builder.stage.download import _login, download, download_to, known_download, without_login
from builder.stage.store import TreeStore

DATA = b"hello" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


def machine(tmp_path: Path) -> Machine:
    return Machine((), tmp_path, 1, "linux", "x86_64")


def test_a_file_is_downloaded_once(tmp_path: Path) -> None:
    origin, store = tmp_path / "a b.tar", TreeStore(tmp_path / "store")
    origin.write_bytes(DATA)
    assert known_download(SHA256, store) is None
    kept = download(origin.as_uri(), SHA256, store, machine(tmp_path))
    assert file_digest(kept) == SHA256
    origin.unlink()
    assert download(origin.as_uri(), SHA256, store, machine(tmp_path)) == kept


def test_other_bytes_are_refused_and_not_kept(tmp_path: Path) -> None:
    origin, store = tmp_path / "a", TreeStore(tmp_path / "store")
    origin.write_bytes(DATA + b"!")
    with pytest.raises(BuilderError, match="other bytes") as caught:
        download(origin.as_uri(), SHA256, store, machine(tmp_path))
    assert caught.value.faults[0].endswith(SHA256)
    assert list((store.root / "downloads").iterdir()) == []


def test_a_damaged_download_is_fetched_again(tmp_path: Path) -> None:
    origin, store = tmp_path / "a", TreeStore(tmp_path / "store")
    origin.write_bytes(DATA)
    kept = download(origin.as_uri(), SHA256, store, machine(tmp_path))
    kept.write_bytes(b"damaged")
    assert file_digest(download(origin.as_uri(), SHA256, store, machine(tmp_path))) == SHA256


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="cannot be downloaded"):
        download((tmp_path / "no").as_uri(), SHA256, TreeStore(tmp_path / "s"), machine(tmp_path))


@pytest.mark.parametrize("url", ["http://me:s3cret@host/x", "ftp://host/x", "/etc/passwd", "x"])
def test_only_files_and_https_are_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a `file:` or `https:` URL") as caught:
        download(url, SHA256, TreeStore(tmp_path / "s"), machine(tmp_path))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("end", ["", f"#sha256={SHA256}", f"#sha256={SHA256.upper()}"])
def test_a_file_behind_a_url_keeps_its_name(tmp_path: Path, end: str) -> None:
    origin, folder = tmp_path / "a b.zip", tmp_path / "here"
    origin.write_bytes(DATA)
    folder.mkdir()

    found = download_to(folder, origin.as_uri() + end, machine(tmp_path))

    assert found == folder / "a b.zip"
    assert found.read_bytes() == DATA


def test_a_file_behind_a_url_that_has_other_bytes_is_not_kept(tmp_path: Path) -> None:
    origin, folder = tmp_path / "a.zip", tmp_path / "here"
    origin.write_bytes(DATA + b"!")
    folder.mkdir()

    with pytest.raises(BuilderError, match="other bytes"):
        download_to(folder, f"{origin.as_uri()}#sha256={SHA256}", machine(tmp_path))

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["https://me:s3cret@host/", "file:///a/..", "https://host/a%2Fb", "https://host/a#md5=0"]
)
def test_a_url_that_names_no_file_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not end with the name of a file") as caught:
        download_to(tmp_path, url, machine(tmp_path))
    assert "s3cret" not in str(caught.value)


def test_a_login_is_sent_as_a_header_and_not_shown() -> None:
    url = "https://me:a%2Fb@host:8080/x?y=z"
    assert without_login(url) == "https://host:8080/x?y=z"
    assert _login(url) == {"Authorization": "Basic bWU6YS9i"}
    assert _login("https://host/x") == {}
