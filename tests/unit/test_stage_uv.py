from __future__ import annotations

import sys
from pathlib import Path

import pytest

from builder.config.machine import Machine, PackageIndex
from builder.process import ProcessError, Processes
from builder.stage.uv import explain, index_digest, run_uv, secrets, url_secrets

SECRETS = {
    "password": ("https://me:s3cret@host/simple", ["s3cret"]),
    "token as user": ("https://t0ken@host/simple", ["t0ken"]),
    "encoded": ("https://me:a%2Fb@host/simple", ["a%2Fb", "a/b"]),
    "none": ("https://host/simple", []),
    "ssh user": ("ssh://git@host/repo", []),
    "folder": ("/opt/wheels", []),
    "file": ("file:///opt/wheels", []),
}


@pytest.mark.parametrize(("url", "expected"), SECRETS.values(), ids=SECRETS.keys())
def test_secrets_of_a_url(url: str, expected: list[str]) -> None:
    assert list(url_secrets(url)) == expected


def test_secrets_of_an_index_are_those_of_all_its_urls() -> None:
    index = PackageIndex("https://a:1@h/", ("https://b:2@h/", "https://b:2@h/"), ("https://3@h/",))
    assert secrets(index) == ("1", "2", "3")


def test_the_digest_of_an_index_follows_every_setting() -> None:
    indexes = [
        PackageIndex(),
        PackageIndex("a"),
        PackageIndex("", ("a",)),
        PackageIndex("", (), ("a",)),
        PackageIndex("", ("a", "b")),
        PackageIndex("", ("b", "a")),
    ]
    assert len({index_digest(index) for index in indexes}) == len(indexes)


def machine(tmp_path: Path, index: PackageIndex) -> Machine:
    # The first folder has a `uv` of its own, which must not be taken.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uv").write_text("#!/bin/sh\necho wrong\n")
    (tmp_path / "bin" / "uv").chmod(0o755)
    path = (tmp_path / "bin", Path("/usr/bin"), Path("/bin"))
    return Machine(path, tmp_path, 1, "linux", "x86_64", index=index, cache=tmp_path / "cache")


def test_uv_comes_from_its_package_and_reads_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text("this is no TOML\n")
    answer = run_uv(
        ("--version",),
        machine(tmp_path, PackageIndex()),
        Processes(),
        directory=tmp_path,
        title="uv",
    )
    assert answer.stdout.startswith("uv ")


def test_a_password_is_not_in_the_command_and_not_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    index = PackageIndex("https://me:s3cret@127.0.0.1:9/simple")
    with pytest.raises(ProcessError) as caught:
        run_uv(
            ("pip", "install", "--offline", "--python", sys.executable, "no-such-thing-anywhere"),
            machine(tmp_path, index),
            Processes(),
            directory=tmp_path,
            title="uv",
        )
    told = explain(caught.value, "it cannot be had", "look again")
    assert told.faults
    assert told.hint == "look again"
    assert "s3cret" not in f"{caught.value}{told}"
    assert "s3cret" not in str(caught.value.command)
