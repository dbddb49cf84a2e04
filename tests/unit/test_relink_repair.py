"""Wheels of ELF files that are put together here, repaired in process; nothing is run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.archive import record
from builder.archive.record import Row
from builder.archive.tally import Tally
from builder.archive.wheel import read_wheel, verify_wheel
from builder.archive.zip import pack
from builder.archive.zip_read import Zip
from builder.binary import read
from builder.config.machine import Machine
from builder.config.recipe import Sibling
from builder.errors import BuilderError, UsageError
from builder.relink import repair as room
from builder.relink.closure import MissingLibrariesError
from builder.relink.repair import Bench, Wanted, grafts_of, repair_wheel
from builder.relink.system import Grafted
from builder.relink.verify import Proof, refuse_if_unsound
from tests.data.make_elf import Elf, assemble

EPOCH = 1_700_000_000
DATA = bytes(range(256)) * 4000


def elf(*needed: str, glibc: str = "2.2.5", symbols: int = 1, **more: Any) -> bytes:
    names = tuple((f"f{number:02}", f"GLIBC_{glibc}", "libc.so.6") for number in range(symbols))
    return assemble(Elf(needed=(*needed, "libc.so.6"), undefined=names, **more))


class Work:
    """A folder with libraries and wheels."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.libraries = root / "libraries"
        self.libraries.mkdir()
        machine = Machine((Path("/usr/bin"),), root, 2, "linux", "x86_64")
        self.bench = Bench(machine, root / "work")

    def library(self, name: str, *needed: str, **more: Any) -> Path:
        path = self.libraries / name
        path.write_bytes(elf(*needed, soname=name, **more))
        return path

    def wheel(self, files: Mapping[str, bytes], platform: str = "linux_x86_64") -> Path:
        content = self.root / "content"
        info = content / "w-1.dist-info"
        info.mkdir(parents=True)
        for path, data in files.items():
            (content / path).parent.mkdir(parents=True, exist_ok=True)
            (content / path).write_bytes(data)
        tag = f"cp311-cp311-{platform}"
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: w\nVersion: 1\n")
        (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n")
        record.write(content, info.name)
        return pack(content, self.root / f"w-1-{tag}.whl", epoch=EPOCH)

    def repair(self, wheel: Path, out: str = "out", **wishes: object) -> room.RepairedWheel:
        wanted = Wanted(wheel, search=(self.libraries,))
        return repair_wheel(replace(wanted, **wishes), self.root / out, self.bench)  # type: ignore[arg-type]  # a table of keyword arguments


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


@pytest.mark.parametrize(
    ("glibc", "tags"),
    [
        ("2.2.5", ("manylinux1_x86_64", "manylinux_2_5_x86_64")),
        ("2.17", ("manylinux2014_x86_64", "manylinux_2_17_x86_64")),
        ("2.28", ("manylinux_2_28_x86_64",)),
    ],
)
def test_the_lowest_honest_tag_is_given(work: Work, glibc: str, tags: tuple[str, ...]) -> None:
    made = work.repair(work.wheel({"p/x.so": elf(glibc=glibc)}))

    wheel = read_wheel(made.path)
    assert wheel.name.platforms == tags
    assert wheel.info.get("Tag") == tuple(f"cp311-cp311-{tag}" for tag in tags)
    assert made.tag == tags[-1]
    assert verify_wheel(made.path) == ()


@pytest.mark.parametrize(
    "word", ["manylinux_2_28", "manylinux_2_28_x86_64", "manylinux_2_34", "auto"]
)
def test_a_wheel_within_its_baseline_passes(work: Work, word: str) -> None:
    made = work.repair(work.wheel({"p/x.so": elf(glibc="2.28")}), baseline=word)

    assert made.tag == "manylinux_2_28_x86_64"


@pytest.mark.parametrize("word", ["manylinux_2_17", "manylinux2014", "manylinux2014_x86_64"])
def test_a_wheel_beyond_its_baseline_is_refused_with_the_symbols_to_blame(
    work: Work, word: str
) -> None:
    wheel = work.wheel({"p/x.so": elf(glibc="2.28", symbols=20)})

    with pytest.raises(BuilderError) as caught:
        work.repair(wheel, baseline=word)

    error = caught.value
    assert error.message == (
        f"`{wheel.name}` cannot be manylinux_2_17_x86_64: it deserves manylinux_2_28_x86_64"
    )
    assert error.faults[0] == "p/x.so: f00@GLIBC_2.28 of libc.so.6"
    assert error.faults[15:] == ("and 5 more",)
    assert "manylinux image" in error.hint
    assert not (work.root / "out").exists()


def test_a_wheel_beyond_every_policy_is_refused_even_without_a_baseline(work: Work) -> None:
    with pytest.raises(BuilderError, match="deserves no platform tag at all"):
        work.repair(work.wheel({"p/x.so": elf(glibc="2.99")}))


def test_an_unknown_baseline_is_a_mistake_of_the_user(work: Work) -> None:
    with pytest.raises(UsageError, match="`manylinux_9` is no platform tag") as caught:
        work.repair(work.wheel({"p/x.so": elf()}), baseline="manylinux_9")
    assert "manylinux_2_28_x86_64" in caught.value.hint


@pytest.mark.parametrize(
    ("claimed", "tag"),
    [
        pytest.param("manylinux_2_28_x86_64", "manylinux_2_28_x86_64", id="true"),
        pytest.param("manylinux_2_34_x86_64", "manylinux_2_34_x86_64", id="promises less"),
        pytest.param("manylinux_2_17_x86_64", "manylinux_2_28_x86_64", id="promises too much"),
        pytest.param("linux_x86_64", "manylinux_2_28_x86_64", id="says nothing"),
    ],
)
def test_a_claim_is_kept_where_it_is_honest(work: Work, claimed: str, tag: str) -> None:
    made = work.repair(work.wheel({"p/x.so": elf(glibc="2.28")}, claimed))

    assert read_wheel(made.path).name.platforms == (tag,)


def test_a_verdict_tells_what_keeps_the_wheel_from_the_next_older_tag(work: Work) -> None:
    made = work.repair(work.wheel({"p/x.so": elf(glibc="2.28")}))

    assert [blocker.to_json() for blocker in made.blockers] == [
        {"tag": "manylinux_2_27_x86_64", "binary": "p/x.so", "symbol": "f00@GLIBC_2.28",
         "library": "libc.so.6"},
    ]  # fmt: skip


def test_a_graft_is_copied_renamed_and_reached(work: Work) -> None:
    library = work.library("liba.so.1")
    wheel = work.wheel({"p/x.so": elf("liba.so.1")})

    made = work.repair(wheel)

    (graft,) = made.grafts
    assert graft.to_json()["from"] == str(library)
    assert grafts_of(Wanted(wheel, search=(work.libraries,)), work.bench) == {
        str(library): graft.sha256
    }
    assert graft.path == f"w.libs/liba-{graft.sha256[:8]}.so.1"
    with Zip(made.path) as archive:
        members = {entry.name: archive.read(entry) for entry in archive.entries}
    module, copy = read(members["p/x.so"]), read(members[graft.path])
    assert module.needed == (graft.path.rpartition("/")[2], "libc.so.6")
    assert (*module.rpath, *module.runpath) == ("$ORIGIN/../w.libs",)
    assert copy.soname == graft.path.rpartition("/")[2]
    assert any(name.startswith("w-1.dist-info/sboms/") for name in members)
    assert made.edited == ("p/x.so", "w-1.dist-info/WHEEL")


def test_a_repaired_wheel_needs_nothing(work: Work) -> None:
    work.library("liba.so.1")
    first = work.repair(work.wheel({"p/x.so": elf("liba.so.1")}))
    given = first.path.read_bytes()

    second = work.repair(first.path, "again", search=())

    assert second.path.read_bytes() == given == first.path.read_bytes()
    assert (second.grafts, second.edited) == ((), ())


def test_only_siblings_in_use_are_required(work: Work) -> None:
    torch = Sibling("torch", ("libtorch*",), "torch/lib", "torch==2.13.0")
    other = Sibling("other", ("libother*",), "other")

    made = work.repair(
        work.wheel({"p/x.so": elf("libtorch.so", "libcuda.so.1")}),
        siblings=(torch, other), exclude=("libcuda*",),
    )  # fmt: skip

    assert read_wheel(made.path).metadata.get("Requires-Dist") == ("torch==2.13.0",)
    assert made.grafts == ()


def test_everything_missing_is_told_at_once(work: Work) -> None:
    work.library("liba.so.1", "libgone.so")
    wheel = work.wheel({"p/x.so": elf("liba.so.1", "liblost.so")})

    with pytest.raises(MissingLibrariesError) as caught:
        work.repair(wheel)

    told = "\n".join(caught.value.faults)
    assert f"libgone.so: required by {work.libraries}/liba.so.1 <- p/x.so" in told
    assert "liblost.so: required by p/x.so" in told
    assert list(work.root.glob("out/*")) == []


def test_files_that_were_not_judged_are_noted(work: Work) -> None:
    other = elf(machine=183)
    made = work.repair(
        work.wheel({"p/x.so": elf(), "p/gpu.so": other, "p/bad.so": b"\x7fELF and no more"})
    )

    assert "p/gpu.so: is for another machine and was not looked at" in made.notes
    assert any(note.startswith("p/bad.so: is no sound binary") for note in made.notes)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_nothing_is_included_where_no_binary_could_open_it(work: Work) -> None:
    given = work.wheel({"pkg/data.bin": DATA})
    wanted = Wanted(given, include=(str(work.library("libplug.so")),))

    with pytest.raises(UsageError, match=r"has no binary that could open `.*libplug\.so`"):
        repair_wheel(wanted, work.root / "out", work.bench)


def test_the_given_wheel_is_never_replaced(work: Work) -> None:
    work.library("liba.so.1")
    wheel = work.wheel({"p/x.so": elf("liba.so.1")}, "manylinux_2_34_x86_64")
    before = wheel.read_bytes()

    with pytest.raises(UsageError, match="would take the place of"):
        repair_wheel(Wanted(wheel, search=(work.libraries,)), wheel.parent, work.bench)
    assert wheel.read_bytes() == before


def changed(proof: Proof, **binary: object) -> Proof:
    """The promise is another than what was written."""
    todo = proof.todo
    binaries = {**todo.binaries, "p/x.so": replace(todo.binaries["p/x.so"], **binary)}  # type: ignore[arg-type]  # a table of keyword arguments
    return replace(proof, todo=replace(todo, binaries=binaries))


def kept(proof: Proof, **binary: object) -> Proof:
    """As if the module had not been written anew, and were another than it is."""
    rows = {path: row for path, row in proof.rows.items() if path != "p/x.so"}
    with_entry = {entry.name: entry for entry in proof.archive.entries if entry.name == "p/x.so"}
    return replace(changed(proof, **binary), rows=rows, given={**proof.given, **with_entry})


def without_graft(proof: Proof) -> Proof:
    other = Grafted("libo.so", "/lib/libo.so", "w.libs/libo-1.so", "ab")
    return replace(
        proof, todo=replace(proof.todo, relinked=replace(proof.todo.relinked, grafts=(other,)))
    )


def other_row(proof: Proof) -> Proof:
    return replace(proof, rows={**proof.rows, "p/x.so": Row("p/x.so", "sha256=x", 1)})


BROKEN: tuple[tuple[str, Callable[[Proof], Proof], str], ...] = (
    ("another edit", lambda proof: changed(proof, soname="x"), "p/x.so: does not say what was planned"),
    ("nothing leads there", lambda proof: kept(proof, runpath=(), rpath=()),
     "is not found where the wheel is installed"),
    ("leaves the wheel", lambda proof: kept(proof, runpath=("/build", "$ORIGIN/../w.libs"), rpath=()),
     "p/x.so: rpath entry /build leaves the wheel"),
    ("another graft", without_graft, "w.libs/libo-1.so: was not grafted as planned"),
    ("another digest", other_row, "p/x.so: does not have the digest of what was written"),
    ("lost", lambda proof: replace(proof, rows={**proof.rows, "p/y.so": Row("p/y.so")}),
     "p/y.so: is not in the archive"),
    ("unplanned", lambda proof: replace(proof, rows={}, given={}),
     "p/x.so: was written without being planned"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("breaks", "problem"), [pytest.param(row[1], row[2], id=row[0]) for row in BROKEN]
)
def test_a_broken_promise_is_told_and_leaves_nothing(
    work: Work, monkeypatch: pytest.MonkeyPatch, breaks: Callable[[Proof], Proof], problem: str
) -> None:
    work.library("liba.so.1")
    wheel = work.wheel({"p/x.so": elf("liba.so.1")})
    # What was written is sound; the plan it is measured by is another one.
    monkeypatch.setattr(room, "refuse_if_unsound", lambda proof: refuse_if_unsound(breaks(proof)))

    with pytest.raises(BuilderError, match="is not sound") as caught:
        work.repair(wheel)

    assert any(problem in fault for fault in caught.value.faults), caught.value.faults
    assert list(work.root.glob("out/*")) == []


def sizes(path: Path) -> dict[str, int]:
    with Zip(path) as archive:
        return {entry.name: entry.size for entry in archive.entries}


TEXTS = ("METADATA", "WHEEL", "RECORD")


def test_a_wheel_that_needs_nothing_costs_one_look(work: Work) -> None:
    wheel = work.wheel({"p/x.so": elf(), "p/data.py": DATA}, "manylinux_2_5_x86_64")
    of = sizes(wheel)

    made = work.repair(wheel)

    metadata, info, rows = (of[f"w-1.dist-info/{name}"] for name in TEXTS)
    # To be judged, to be told from binaries, and what may have to be written anew.
    texts = 2 * (metadata + info + rows) + metadata + info
    assert made.work == Tally(inflated=of["p/x.so"] + texts)
    assert made.path.samefile(wheel)


def test_what_does_not_change_is_only_copied(work: Work) -> None:
    library = work.library("liba.so.1")
    wheel = work.wheel({"p/x.so": elf("liba.so.1"), "p/data.py": DATA})

    made = work.repair(wheel)

    before, after = sizes(wheel), sizes(made.path)
    kept = ("p/data.py", "w-1.dist-info/METADATA")
    new = sum(size for name, size in after.items() if name not in kept)
    metadata, info, rows = (before[f"w-1.dist-info/{name}"] for name in TEXTS)
    looked = 2 * before["p/x.so"] + 2 * (metadata + info + rows) + metadata + info
    proven = sum(after[path] for path in ("p/x.so", made.grafts[0].path))
    proven += sum(after[f"w-1.dist-info/{name}"] for name in TEXTS)
    with Zip(wheel) as archive:
        ends = dict(zip(archive.entries, archive.ends(archive.entries), strict=True))
        copied = sum(end - entry.offset for entry, end in ends.items() if entry.name in kept)
    assert made.work == Tally(
        inflated=looked + new + proven,
        deflated=new,
        copied=copied,
        hashed=library.stat().st_size + new,
    )
