from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from builder.archive.content import MANIFEST, Content, Item
from builder.cli.app import run

LIBRARY = Item("lib/libx.so.1", "library", 100, "a" * 64, exports=12)
HEADER = Item("include/x.h", "header", 5, "b" * 64)
OLD = Content("libx", "1.0", "linux_x86_64", (HEADER, LIBRARY))
MORE = replace(OLD, items=(Item("include/a.h", "header"), HEADER, replace(LIBRARY, exports=13)))
LESS = replace(OLD, items=(replace(LIBRARY, exports=11),), host=("libm.so.6",))


@pytest.mark.parametrize(
    ("new", "code", "problems"),
    [
        (OLD, 0, []),
        (MORE, 0, []),
        (
            LESS, 1,
            [
                "include/x.h: is gone (header)",
                "lib/libx.so.1: exports 11 symbols, 1 fewer",
                "libm.so.6: is now expected on the host",
            ],
        ),
    ],
    ids=["same", "more", "less"],
)  # fmt: skip
def test_an_archive_may_bring_more_but_not_less_than_the_last_one(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    new: Content,
    code: int,
    problems: list[str],
) -> None:
    older, newer = tmp_path / "old.content.json", tmp_path / "new.content.json"
    older.write_bytes(bytes(OLD))
    newer.write_bytes(bytes(new))

    assert run(["check", str(newer), "--expect", str(older), "--json"]) == code

    report = json.loads(capsys.readouterr().out)
    (result,) = report["results"]
    assert (result["id"], result["problems"]) == ("archive.expected", problems)


def test_what_has_no_manifest_cannot_be_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text("[]")

    assert run(["check", str(tmp_path / "x.json"), "--expect", str(tmp_path / "x.json")]) == 2

    assert "is no content manifest" in capsys.readouterr().err


def archive(folder: Path, target: str) -> Path:
    """A sound archive of a header, as `build` names it."""
    header = Item("include/x.h", "header", 1, hashlib.sha256(b"x").hexdigest())
    path = folder / "libx-shared-with-deps-1.0.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("libx/include/x.h", b"x")
        opened.writestr(f"libx/{MANIFEST}", bytes(Content("libx", "1.0", target, (header,))))
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BUILDER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("platform", "words", "results"),
    [
        (
            "linux_x86_64", ["--select", "archive.*"],
            {
                "archive.readable": "", "archive.sound": "", "archive.cmake": "--recipe", "archive.flags": "--recipe",
                "archive.abi": "--recipe", "archive.loads": "no shared library",
            },
        ),
        ("linux_x86_64", ["--select", "archive.s*"], {"archive.sound": ""}),
        ("linux_s390x", ["--select", "archive.[sl]*"], {"archive.sound": "", "archive.loads": "this machine is"}),
    ],
    ids=["alone", "selected", "of another machine"],
)  # fmt: skip
def test_an_archive_can_be_checked_alone(
    tmp_path: Path,
    cache: Path,
    capsys: pytest.CaptureFixture[str],
    platform: str,
    words: list[str],
    results: dict[str, str],
) -> None:
    path = archive(tmp_path, f"libtorch-none-cpu-{platform}-shared_with_deps")
    if "s390x" in platform:
        path = path.rename(tmp_path / "libx-s390x-shared-with-deps-1.0.zip")

    code = run(["check", str(path), *words, "--json"])

    report = json.loads(capsys.readouterr().out)
    found = {result["id"]: result for result in report["results"]}
    assert code == 0
    assert found.keys() == results.keys()
    for name, reason in results.items():
        assert found[name]["status"] == ("skip" if reason else "pass")
        assert reason in (found[name]["reason"] or "")
    assert list((cache / "checks").iterdir()) == []


@pytest.mark.parametrize(
    ("target", "words", "code", "message"),
    [
        ("tarball-none-cpu-linux_x86_64", ["-v"], 0, "no plugin here knows how to try"),
        ("nonsense", [], 2, "not a target id"),
        ("libtorch-none-cpu-linux_x86_64-shared_with_deps", ["--select", "wheel.*"], 3, "archive.sound"),
        ("libtorch-none-cpu-linux_x86_64-shared_with_deps", ["--recipe", "nobody"], 2, "nobody"),
        ("libtorch-none-cpu-linux_x86_64-static_with_deps", [], 1, "is named like"),
    ],
    ids=["unknown type", "no target", "nothing selected", "no recipe", "another name"],
)  # fmt: skip
def test_an_archive_that_cannot_be_checked_says_why(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    target: str,
    words: list[str],
    code: int,
    message: str,
) -> None:
    assert run(["check", str(archive(tmp_path, target)), *words]) == code

    said = capsys.readouterr()
    assert message in said.out + said.err


def test_an_archive_without_a_manifest_is_looked_at_and_not_tried(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr("x/x.h", b"x")

    assert run(["check", str(path), "--json"]) == 0

    found = {row["id"] for row in json.loads(capsys.readouterr().out)["results"]}
    assert "archive.readable" in found
    assert "archive.sound" not in found
