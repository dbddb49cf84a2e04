from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.archive import record
from builder.archive.record import RecordError, Row

ABC = "sha256=ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0"
INFO = "x-1.dist-info"
ITSELF = f"{INFO}/RECORD"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / INFO).mkdir()
    (tmp_path / INFO / "RECORD.jws").write_text("old signature")
    (tmp_path / "torch/lib").mkdir(parents=True)
    (tmp_path / "torch/lib/libgomp.so.1").write_bytes(b"abc")
    (tmp_path / "torch/RECORDER.py").write_bytes(b"abc")
    (tmp_path / 'a,"b.txt').write_bytes(b"abc")
    return tmp_path


def test_written_record_has_every_file_and_itself_last(folder: Path) -> None:
    record.write(folder, INFO)

    assert (folder / ITSELF).read_text().splitlines() == [
        f'"a,""b.txt",{ABC},3',
        f"torch/RECORDER.py,{ABC},3",
        f"torch/lib/libgomp.so.1,{ABC},3",
        f"{ITSELF},,",
    ]


def test_a_signature_of_the_old_record_is_dropped(folder: Path) -> None:
    record.write(folder, INFO)

    assert not (folder / INFO / "RECORD.jws").exists()


def test_a_written_record_verifies(folder: Path) -> None:
    record.write(folder, INFO)

    assert record.verify(folder, INFO) == ()


def test_files_that_changed_came_or_went_are_told(folder: Path) -> None:
    record.write(folder, INFO)
    (folder / "torch/RECORDER.py").write_bytes(b"xyz")
    (folder / "new").write_bytes(b"")
    (folder / 'a,"b.txt').unlink()

    assert record.verify(folder, INFO) == (
        'a,"b.txt: listed in RECORD but not in the wheel',
        "torch/RECORDER.py: does not have the digest RECORD says",
        "new: in the wheel but not listed in RECORD",
    )


def test_a_missing_record_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    (problem,) = record.verify(tmp_path, INFO)

    assert problem.startswith(f"{ITSELF}: cannot be read")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(f"f,{ABC},3\n", f"{ITSELF}: does not list itself", id="not itself"),
        pytest.param(f"f,{ABC},4\n{ITSELF},,\n", "f: has 3 bytes, RECORD says 4", id="size"),
        pytest.param(f"f,,\n{ITSELF},,\n", "f: has no digest in RECORD", id="no digest"),
        pytest.param(
            f"f,md5=kAFQmDzST7DWlj99KOF_cg,3\n{ITSELF},,\n",
            "f: has a weak digest in RECORD: md5",
            id="weak",
        ),
        pytest.param(
            f"f,{ABC},3\nf,{ABC},3\n{ITSELF},,\n", "f: listed twice in RECORD", id="twice"
        ),
        pytest.param("f\n", f"{ITSELF}: RECORD line 1 has 1 fields, not 3", id="fields"),
        pytest.param('"f\n', f"{ITSELF}: RECORD line 1 is no CSV", id="quote"),
        pytest.param(f"f,{ABC},-3\n", f"{ITSELF}: RECORD line 1 has the size '-3'", id="negative"),
    ],
)
def test_each_lie_of_a_record_is_told(text: str, problem: str) -> None:
    problems = record.compare(text, {"f": Row("f", ABC, 3)}, ITSELF)

    assert len(problems) == 1
    assert problems[0].startswith(problem)


def test_digests_we_do_not_compute_are_trusted() -> None:
    text = f"f,sha512=whatever,3\n{ITSELF},,\n"

    assert record.compare(text, {"f": Row("f", ABC, 3)}, ITSELF) == ()


def test_parse_refuses_what_is_no_record() -> None:
    with pytest.raises(RecordError, match="line 2 has 4 fields"):
        record.parse("a,b,3\na,b,3,c\n")
    with pytest.raises(RecordError, match="more rows than there can be"):
        record.parse(",,\n" * 400_001)


ROWS = st.builds(
    Row,
    st.text(string.printable + "üß,\"'", min_size=1),
    st.just(ABC),
    st.none() | st.integers(0, 1 << 40),
)


@given(st.lists(ROWS))
def test_parse_and_render_are_inverse(rows: list[Row]) -> None:
    assert record.parse(record.render(rows)) == tuple(rows)
