from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from builder.archive.content import Content, Item
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
