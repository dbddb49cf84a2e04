from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from builder.binary import Binary, VersionNeed
from builder.cli.inspect import command
from builder.cli.report import report
from builder.relink.policy import Blocker
from builder.verbs.inspection import External, Found, Inspection, Platform, Subject, Unread

SO = Binary(
    "elf", "x86_64", 64, "little", "shared", soname="liba.so.1", needed=("libc.so.6",),
    runpath=("$ORIGIN", "$ORIGIN/lib"), cuda_architectures=("sm_90",),
    versions_needed=tuple(VersionNeed("libc.so.6", one, ()) for one in ("GLIBC_2.4", "GLIBC_2.28")),
)  # fmt: skip
ARM = Binary(
    "macho", "arm64", 64, "little", "shared", platform="macos", min_os="11.0", signature="adhoc"
)
INTEL = replace(ARM, machine="x86_64", min_os="10.9")
BOTH = replace(INTEL, slices=(INTEL, ARM))
OLD = "manylinux_2_17_x86_64"
NEW = "manylinux_2_28_x86_64"
FCNTL = Blocker(OLD, "a.so", "fcntl64@GLIBC_2.28", "libc.so.6")
FOO = Blocker(OLD, "a.so", "", "libfoo.so")
SUBJECT = Subject("a.whl", "wheel", (Found("a.so", SO),), (), (), Platform(NEW, (NEW,)))


def lines(*subjects: Subject, every: bool = False, width: int = 200) -> list[str]:
    told = report(Inspection(subjects, ()), width=width, every=every)
    return [click.unstyle(line) for line in told]


def row(label: str, text: str) -> str:
    return f"  {label:<16} {text}"


def platform(tag: str, *claimed: str, blockers: tuple[Blocker, ...] = ()) -> Subject:
    return replace(SUBJECT, platform=Platform(tag, claimed, blockers))


def external(name: str, resolution: str, *searched: str) -> Subject:
    return replace(SUBJECT, external=(External(name, ("a.so", "b.so"), resolution, searched),))


@pytest.mark.parametrize(
    ("subject", "wanted"),
    [
        pytest.param(SUBJECT, row("is a", "wheel with 1 binary for Linux x86_64"), id="wheel"),
        pytest.param(
            replace(SUBJECT, binaries=()), row("is a", "wheel without binaries"), id="pure"
        ),
        pytest.param(
            replace(SUBJECT, kind="static", binaries=SUBJECT.binaries * 2),
            row("is a", "static library of 2 objects for Linux x86_64"),
            id="static library",
        ),
        pytest.param(
            replace(SUBJECT, kind="binary", binaries=(Found("a", BOTH),)),
            row("is a", "single binary for macOS x86_64, macOS arm64"),
            id="universal",
        ),
        pytest.param(SUBJECT, row("deserves", f"{NEW}, as it claims"), id="honest"),
        pytest.param(
            platform(OLD, NEW, OLD),
            row("deserves", f"{OLD}, as it claims (and {NEW})"),
            id="two claims",
        ),
        pytest.param(
            platform(NEW, OLD), row("deserves", f"{NEW}, its name claims {OLD}"), id="a lie"
        ),
        pytest.param(
            replace(platform(NEW, "linux-64"), kind="conda"),
            row("deserves", f"{NEW}, it says it is for linux-64"),
            id="conda",
        ),
        pytest.param(
            platform("", OLD), row("deserves", f"no tag, its name claims {OLD}"), id="none"
        ),
        pytest.param(platform(NEW, blockers=(FCNTL,)), row("not", OLD), id="not lower"),
        pytest.param(
            platform(NEW, blockers=(FCNTL,)),
            row("", "a.so: fcntl64@GLIBC_2.28 of libc.so.6"),
            id="for one symbol",
        ),
        pytest.param(
            platform(NEW, blockers=(FCNTL, FOO)),
            row("", "a.so: fcntl64@GLIBC_2.28 of libc.so.6 and 1 more"),
            id="for several",
        ),
        pytest.param(
            platform(NEW, blockers=(FCNTL, replace(FCNTL, tag="manylinux_2_27_x86_64"))),
            row("not", f"{OLD}, manylinux_2_27_x86_64"),
            id="two tags, one reason",
        ),
        pytest.param(
            platform(OLD, blockers=(FCNTL,)), row("not lower", "as these ask for it:"), id="own tag"
        ),
        pytest.param(
            external("libx.so", "missing", "lib", "/opt"),
            row("missing", "libx.so, for a.so and 1 more; looked for in lib, /opt"),
            id="missing",
        ),
        pytest.param(external("libx.so", "grafted"), row("grafted", "libx.so"), id="grafted"),
        pytest.param(
            external("libc.so.6", f"whitelisted by {OLD}"),
            row("from the system", "libc.so.6"),
            id="promised",
        ),
        pytest.param(
            replace(SUBJECT, unread=(Unread("b.so", "cut"),)),
            row("cannot be read", "b.so: cut"),
            id="unread",
        ),
        pytest.param(replace(SUBJECT, notes=("so",)), row("note", "so"), id="note"),
        pytest.param(SUBJECT, "  a.so: GLIBC 2.28; sm_90; $ORIGIN:$ORIGIN/lib", id="binary"),
        pytest.param(
            replace(SUBJECT, binaries=(Found("a.so", replace(ARM, min_os="")),)),
            "  a.so: signed (adhoc)",
            id="a binary that says little",
        ),
        pytest.param(
            replace(SUBJECT, binaries=(Found("a.so", BOTH),)),
            "  a.so: macOS 10.9 on x86_64, macOS 11.0 on arm64; signed (adhoc)",
            id="a binary for two machines",
        ),
    ],
)
def test_one_line_says(subject: Subject, wanted: str) -> None:
    assert wanted in lines(subject)


def test_the_verdict_comes_first_and_subjects_are_apart() -> None:
    told = lines(SUBJECT, replace(SUBJECT, path="b.whl"))
    assert [line.split()[0] if line else "" for line in told] == [
        "a.whl", "is", "deserves", "a.so:", "", "b.whl", "is", "deserves", "a.so:",
    ]  # fmt: skip


def test_long_lists_are_shortened_unless_every_line_is_asked_for() -> None:
    many = replace(SUBJECT, binaries=tuple(Found(f"{n}.so", SO) for n in range(20)))
    assert lines(many)[-1] == row("", "and 8 more binaries (`-v` shows them)")
    assert [line for line in lines(many, every=True) if line.startswith("  19.so")] == [
        "  19.so: elf x86_64, shared"
    ]


def test_every_fact_has_a_line_of_its_own_when_asked_for() -> None:
    assert lines(replace(SUBJECT, binaries=(Found("a.so", BOTH),)), every=True)[3:] == [
        "  a.so: macho x86_64 arm64, shared",
        "    for x86_64",
        "      system     macOS 10.9",
        "      signature  adhoc",
        "    for arm64",
        "      system     macOS 11.0",
        "      signature  adhoc",
    ]


def test_only_what_matters_has_a_colour() -> None:
    told = report(Inspection((platform("", OLD),), ()), width=99, every=False)
    assert [line.count("\x1b[") for line in told] == [2, 0, 2, 0]


def test_lines_fit_the_terminal() -> None:
    told = lines(replace(SUBJECT, notes=("x" * 99,)), width=40)
    assert max(map(len, told)) == 40
    assert row("note", "x" * 20 + "…") in told


SOUND = str(Path(__file__).parent.parent / "data" / "elf" / "sound" / "plain.so")


@pytest.mark.parametrize(
    ("words", "out", "err", "code"),
    [
        ((SOUND,), SOUND, "", 0),
        (("-q", SOUND), "", "", 0),
        (("absent",), "", "error: `absent` is no file or folder\nhint: check the path\n", 2),
        (("-q", "absent", SOUND), "", "error: `absent` is no file or folder\nhint: check the path\n", 2),
        (("cut.zip",), "", ("error: `cut.zip` is not a sound zip: it has no end record, or bytes behind it\n"
         "hint: build or download it again\n"), 2),
        (("folder/cut.zip",), "", ("error: folder/cut.zip: `cut.zip` is not a sound zip: it has no end "
         "record, or bytes behind it\nhint: build or download it again\n"), 2),
    ],
)  # fmt: skip
def test_the_command_says_what_it_found_and_what_it_could_not_read(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    out: str,
    err: str,
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("cut.zip", "folder/cut.zip"):
        (tmp_path / name).write_bytes(b"PK\x03\x04")
    variables = {"BUILDER_CACHE": str(tmp_path / "cache")}
    ran = CliRunner().invoke(command, words, env=variables, standalone_mode=False)
    assert (ran.stdout.split("\n")[0], ran.stderr, ran.return_value) == (out, err, code)


def test_the_document_holds_failures_too(tmp_path: Path) -> None:
    variables = {"BUILDER_CACHE": str(tmp_path / "cache")}
    words = ("--json", SOUND, str(tmp_path / "absent"))
    ran = CliRunner().invoke(command, words, env=variables, standalone_mode=False)
    document = json.loads(ran.stdout)
    assert [row["path"] for row in document["subjects"]] == [SOUND]
    assert [row["path"] for row in document["failures"]] == [str(tmp_path / "absent")]
    assert (ran.stderr, ran.return_value) == ("", 2)
