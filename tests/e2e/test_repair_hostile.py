"""Hostile, broken and unlucky input: one clear error, nothing left behind, the input never touched."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builder.cli.app import run as cli
from builder.config.machine import Machine
from builder.errors import BuilderError
from builder.relink.contents import Sources
from builder.verbs.repair import Repaired, repair
from tests.data import make_elf
from tests.e2e import second_opinion as second
from tests.e2e.pains import MACHINE
from tests.e2e.pains_hostile import HOSTILE, NAME, Call, Member, made, module, state

pytestmark = pytest.mark.e2e

X86 = Machine((Path("/usr/bin"),), Path("/nonexistent"), 2, "linux", "x86_64")


@pytest.fixture
def refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Call a verb that has to fail; its complaint. Whatever it may have left behind is looked at."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("BUILDER_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    verbs = {"repair": ("repair", "-w", str(out)), "inspect": ("inspect",)}

    def call(verb: str, given: Path, *options: object) -> str:
        before = state(given.parent)
        code = cli([*verbs[verb], *map(str, options), str(given)])
        said = capsys.readouterr()
        assert code in {1, 2}
        assert "Traceback" not in said.err
        assert sum(line.lower().startswith("error: ") for line in said.err.splitlines()) == 1
        assert state(given.parent) == before
        assert list(temporary.iterdir()) == []
        assert not out.exists() or list(out.iterdir()) == []
        return said.err

    return call


@pytest.fixture
def repaired(tmp_path: Path) -> Callable[..., Repaired]:
    """Repair a wheel that is strange and not wrong; others find it sound."""

    def call(given: Path, *search: Path, **wishes: bool) -> Repaired:
        before = state(given.parent)
        (done,) = repair([given], machine=X86, wheel_dir=tmp_path / "out", search=search, **wishes)  # type: ignore[arg-type]  # a table of keyword arguments
        assert state(given.parent) == before
        assert second.record_problems(done.output) == []
        return done

    return call


@pytest.mark.parametrize("verb", ["repair", "inspect"])
@pytest.mark.parametrize(("make", "says"), HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_hostile_is_refused_with_its_reason(
    tmp_path: Path, refused: Callable[..., str], make: Callable[[Path], Path], says: str, verb: str
) -> None:
    said = refused(verb, make(tmp_path / "given"))

    assert says in said
    assert "hint: " in said


def test_a_record_that_lies_is_told_and_put_right(
    tmp_path: Path, repaired: Callable[..., Repaired]
) -> None:
    wrong = f"w/x.so,sha256={'A' * 43},7\nw/x.so,,\n../gone,,\n"

    done = repaired(made(tmp_path / "given", record=wrong), check_record=True)

    told = "\n".join(done.notes)
    assert "../gone: listed in RECORD but not in the wheel" in told
    assert "w/x.so" in told


def test_a_digest_that_lies_is_found_when_it_is_asked_for(
    tmp_path: Path, repaired: Callable[..., Repaired]
) -> None:
    true = Member("w/data", b"one")
    given = made(tmp_path / "given", true)
    with zipfile.ZipFile(given) as archive:
        text = archive.read("w-1.dist-info/RECORD").decode()
    start = text.index("sha256=", text.index("w/data"))
    lie = text[:start] + "sha256=" + "B" * 43 + text[start + 50 :]

    done = repaired(made(tmp_path / "given", true, record=lie), check_record=True)

    assert any(note.startswith("RECORD was wrong: w/data: ") for note in done.notes)


def test_seventy_thousand_members_are_no_trouble(tmp_path: Path) -> None:
    many = [Member(f"w/{number}", b"", method=zipfile.ZIP_STORED) for number in range(70_000)]

    (done,) = repair([made(tmp_path / "given", *many)], machine=X86, wheel_dir=tmp_path / "out")

    with zipfile.ZipFile(done.output) as archive:
        assert len(archive.namelist()) == 70_000 + 4
        assert archive.read("w-1.dist-info/RECORD").count(b"\n") == 70_000 + 4


def test_names_and_files_that_are_strange_are_kept(
    tmp_path: Path, repaired: Callable[..., Repaired]
) -> None:
    strange = (
        Member("w/données/mäß.txt"), Member("w/模块.so", module()), Member("w/🦀.so", b"no binary"),
        Member("w/script.so", b"INPUT(libgone.so)"), Member("w/empty.so", b""),
        Member("w/half.so", b"\x7fELF and no more"), Member("w/comma,'\".txt"),
    )  # fmt: skip

    done = repaired(made(tmp_path / "given", *strange))

    with zipfile.ZipFile(done.output) as archive:
        assert {one.name: archive.read(one.name) for one in strange} == {
            one.name: one.content for one in strange
        }
    assert [note.partition(":")[0] for note in done.notes] == ["w/half.so", "w/模块.so"]


def _grown(path: Path) -> None:
    path.write_bytes(module("libmore.so"))


def _shrunk(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _gone(path: Path) -> None:
    path.unlink()


def _foreign(path: Path) -> None:
    path.write_bytes(make_elf.assemble(make_elf.Elf(machine=183)))


@pytest.mark.parametrize(
    ("change", "says"),
    [(_grown, "changed while"), (_shrunk, "changed while"), (_foreign, "changed while"),
     (_gone, "No such file")],
)  # fmt: skip
@pytest.mark.parametrize("size", [0, 5 << 20], ids=["small", "big"])
def test_a_library_that_changes_while_it_is_read_is_one_error(
    tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None], size: int, says: str,
) -> None:  # fmt: skip
    library = tmp_path / "libraries" / "liba.so.1"
    library.parent.mkdir()
    library.write_bytes(module() + bytes(size))
    given = made(tmp_path / "given", Member("w/y.so", module("liba.so.1")))
    digest = Sources.digest

    def late(sources: Sources, path: str) -> str:
        if library.exists():
            change(library)  # between the look at the library and the copy of it
        return digest(sources, path)

    monkeypatch.setattr(Sources, "digest", late)
    said = refused("repair", given, "--add-path", library.parent)

    assert says in said
    assert f"`{library}`" in said


def test_a_wheel_that_changes_while_it_is_read_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "liba.so.1").write_bytes(module())
    kept = Member("w/data", bytes(range(256)) * 8, method=zipfile.ZIP_STORED)
    given = made(tmp_path / "given", Member("w/y.so", module("liba.so.1")), kept)
    place, digest = given.read_bytes().index(kept.content), Sources.digest

    def late(sources: Sources, path: str) -> str:
        with given.open("r+b") as file:  # between the look at the wheel and the copy of it
            file.seek(place)
            file.write(b"changed")
        return digest(sources, path)

    monkeypatch.setattr(Sources, "digest", late)
    with pytest.raises(BuilderError, match="changed while it was read"):
        repair([given], machine=X86, wheel_dir=tmp_path / "out", search=(tmp_path,))

    assert list((tmp_path / "out").iterdir()) == []


WRONG = {
    "another system in the name": ("win_amd64", (), "w/x.so: is elf for x86_64"),
    "a Mac in the name": ("macosx_11_0_arm64", (), "w/x.so: is elf for x86_64"),
    "another machine in the name": ("manylinux_2_28_aarch64", (), "w/x.so: is elf for x86_64"),
    "a telephone in the name": ("android_21_arm64_v8a", (), "no wheel for android_21_arm64_v8a"),
    "another system is asked for": ("linux_x86_64", ("--plat", "win_amd64"), "win_amd64"),
    "another machine is asked for": (
        "linux_x86_64", ("--plat", "manylinux_2_28_aarch64"), "manylinux_2_28_aarch64",
    ),
    "no platform is asked for": ("linux_x86_64", ("--plat", "plan9"), "plan9"),
    "too good a platform": ("linux_x86_64", ("--plat", "manylinux_2_17"), "getrandom@GLIBC_2.25"),
}  # fmt: skip


@pytest.mark.parametrize(("tag", "options", "says"), WRONG.values(), ids=WRONG.keys())
def test_the_wrong_platform_is_one_error(
    tmp_path: Path, refused: Callable[..., str], tag: str, options: tuple[str, ...], says: str
) -> None:
    name = NAME.replace("linux_x86_64", tag)
    newer = Member("w/y.so", module(glibc="2.25"))

    said = refused("repair", made(tmp_path / "given", newer, name=name, tag=tag), *options)

    assert says in said


NO_ROOM = {
    "no file may be that large": ("prlimit --fsize=300000", "out", "temporary"),
    "the disk of the output is full": ("tmpfs size=256k", "disk", "temporary"),
    "the disk for temporary files is full": ("tmpfs size=256k", "out", "disk"),
    "the output cannot be written": ("tmpfs ro", "disk", "temporary"),
}


def _starter(how: str, disk: Path) -> tuple[str, ...]:
    """The words that start a process with little room; skips where that is not allowed."""
    if how.startswith("prlimit"):
        words = tuple(how.split())
    else:
        options = how.partition(" ")[2]
        mount = f'mount -t tmpfs -o {options} none "{disk}" && exec "$0" "$@"'
        words = ("unshare", "--map-root-user", "--mount", "sh", "-c", mount)
    if shutil.which(words[0]) is None or subprocess.run([*words, "true"], check=False).returncode:
        pytest.skip(f"`{words[0]}` is not allowed here")
    return words


@pytest.mark.parametrize(("how", "out", "temporary"), NO_ROOM.values(), ids=NO_ROOM.keys())
def test_a_disk_without_room_is_one_error(
    tmp_path: Path, how: str, out: str, temporary: str
) -> None:
    places = {name: tmp_path / name for name in ("disk", "out", "temporary", "libraries")}
    for place in places.values():
        place.mkdir()
    noise = b"".join(number.to_bytes(4, "big") * 2 for number in range(0, 9 << 28, 4097))
    (places["libraries"] / "liba.so.1").write_bytes(module() + noise)
    given = made(tmp_path / "given", Member("w/y.so", module("liba.so.1")))
    before = state(given.parent)

    words = ("repair", "-w", places[out], "--add-path", places["libraries"], given)
    call = Call.of(words, places[temporary], *_starter(how, places["disk"]))

    assert call.code == 1
    assert len(call.errors) == 1
    assert any(text in call.err for text in ("No space left", "File too large", "Read-only"))
    assert state(given.parent) == before
    left = [path for name in ("out", "disk", "temporary") for path in places[name].rglob("*")]
    assert [path for path in left if "cache" not in path.parts] == []


@pytest.mark.parametrize("name", ["a file", "a file/below it", "x" * 300])
def test_a_folder_for_output_that_cannot_be_is_one_error(
    tmp_path: Path, refused: Callable[..., str], name: str
) -> None:
    (tmp_path / "a file").write_bytes(b"kept")
    given = made(tmp_path / "given")

    said = refused("repair", given, "-w", tmp_path / name)

    assert str(tmp_path / name) in said.replace("\n", "")
    assert (tmp_path / "a file").read_bytes() == b"kept"


def test_the_input_is_never_replaced_by_its_own_repair(
    tmp_path: Path, refused: Callable[..., str]
) -> None:
    name = NAME.replace("linux_x86_64", "manylinux_2_34_x86_64")
    wrong = made(tmp_path / "given", name=name, tag="manylinux_2_34_x86_64", record="../x,,\n")

    said = refused("repair", wrong, "-w", wrong.parent)

    assert "would take the place of" in said


def test_one_bad_wheel_among_good_ones_is_told_and_the_others_are_done(tmp_path: Path) -> None:
    good = made(tmp_path / "given")
    bad = HOSTILE["truncated"][0](tmp_path / "bad")

    with pytest.raises(BuilderError, match="not a sound wheel"):
        repair([bad, good], machine=MACHINE, wheel_dir=tmp_path / "out")

    assert len(list((tmp_path / "out").iterdir())) == 1
