from __future__ import annotations

import io
from pathlib import Path

import pytest

from builder.cli.display import display_for
from builder.events import Event

STORY = (
    Event("started", "core cpu"),
    Event("line", "core cpu", "[1/8] c++ dot.cpp"),
    Event("finished", "core cpu", "core", 2.5),
    Event("started", "python cp311"),
    Event("finished", "python cp311", "", 0.1, hit=True),
    Event("warning", "store", "a tree was damaged"),
    Event("failed", "check", "no module named x", 1.0),
)


def told(environ: dict[str, str], verbosity: int, log: Path | None = None) -> list[str]:
    stream = io.StringIO()
    display = display_for(stream, environ, verbosity=verbosity, log=log)
    for event in STORY:
        display.hear(event)
    display.close()
    return [line.partition("] ")[2] or line for line in stream.getvalue().splitlines()]


FAILED = "check: failed after 1.0 s: no module named x"


@pytest.mark.parametrize(
    ("verbosity", "lines"),
    [
        pytest.param(-1, ["warning: store: a tree was damaged", FAILED], id="quiet"),
        pytest.param(
            0,
            [
                "core cpu: started",
                "core cpu: done in 2.5 s",
                "python cp311: started",
                "python cp311: in the store",
                "warning: store: a tree was damaged",
                FAILED,
            ],
            id="plain",
        ),
    ],
)
def test_plain_lines(verbosity: int, lines: list[str]) -> None:
    assert told({"CI": "true"}, verbosity) == lines


def test_verbose_adds_what_processes_print() -> None:
    assert "core cpu: [1/8] c++ dot.cpp" in "\n".join(told({}, 1))


def test_github_gets_annotations() -> None:
    lines = told({"GITHUB_ACTIONS": "true"}, 0)

    assert f"::error::{FAILED}" in lines
    assert "::warning::store: a tree was damaged" in lines


def test_github_folds_what_a_job_printed_when_it_ends() -> None:
    stream = io.StringIO()
    display = display_for(stream, {"GITHUB_ACTIONS": "true"}, verbosity=0, log=None)
    for event in (*STORY[:2], Event("line", "core cpu", "::set-env name=x::y"), *STORY[2:]):
        display.hear(event)
    display.close()

    _, done, folded = stream.getvalue().partition("core cpu: done in 2.5 s\n")
    assert done
    assert folded.startswith(
        "::group::core cpu: what it printed\n"
        "| [1/8] c++ dot.cpp\n"
        "| ::set-env name=x::y\n"
        "::endgroup::\n"
    )
    assert folded.count("::group::") == 1


def test_a_log_file_gets_every_line_whatever_is_shown(tmp_path: Path) -> None:
    told({}, -1, tmp_path / "build.log")

    text = (tmp_path / "build.log").read_text(encoding="utf-8")

    assert "core cpu: started" in text
    assert "[1/8] c++ dot.cpp" in text
