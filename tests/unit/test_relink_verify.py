from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builder.archive import record
from builder.archive.record import Row
from builder.archive.zip import pack
from builder.binary import Binary, VersionNeed
from builder.errors import BuilderError
from builder.relink.host import Host
from builder.relink.scan import Members
from builder.relink.survey import Graft, survey, verdict
from builder.relink.verify import Proof, refuse_if_unsound

INFO = "w-1.dist-info"
TAG = "cp311-cp311-manylinux_2_34_x86_64"
GRAFT = Graft("liba.so", "/lib/liba.so", "w.libs/liba-1.so", "ab")


def binary(*needed: str, glibc: str = "2.34", runpath: tuple[str, ...] = ()) -> Binary:
    return Binary(
        format="elf", machine="x86_64", bits=64, byte_order="little", kind="shared",
        needed=needed, runpath=runpath,
        versions_needed=(VersionNeed("libc.so.6", f"GLIBC_{glibc}", ("f",)),),
    )  # fmt: skip


@pytest.fixture
def proof(tmp_path: Path) -> Proof:
    root = tmp_path / "content"
    (root / INFO).mkdir(parents=True)
    (root / INFO / "METADATA").write_text("Name: w\nVersion: 1\n")
    (root / INFO / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {TAG}\n")
    rows = record.write(root, INFO)
    members = Members("x86_64", {"w/x.so": binary("libc.so.6")})
    found = survey("w.whl", members, (), (), Host((), ()))
    packed = pack(root, tmp_path / f"w-1-{TAG}.whl", epoch=0)
    return Proof(packed, members, found, verdict(members, (), ()), (), rows, {})


def with_binary(proof: Proof, one: Binary) -> Proof:
    return replace(proof, members=Members("x86_64", {"w/x.so": one}))


def test_a_sound_wheel_passes(proof: Proof) -> None:
    refuse_if_unsound(proof)


def test_every_broken_promise_is_told(proof: Proof) -> None:
    cases = {
        "w/x.so: liba.so is not found where the wheel is installed": with_binary(
            proof, binary("liba.so")
        ),
        "w/x.so: f@GLIBC_2.35 of libc.so.6 does not fit manylinux_2_34_x86_64": with_binary(
            proof, binary(glibc="2.35")
        ),
        "w/x.so: rpath entry /build/lib leaves the wheel": with_binary(
            proof, binary(runpath=("/build/lib",))
        ),
        "w.libs/liba-1.so: was not grafted as planned": replace(proof, grafts=(GRAFT,)),
        "w.libs/libb.so: was grafted without being planned": replace(
            proof, grafts=(GRAFT,), rows=(Row(GRAFT.path), Row("w.libs/libb.so"))
        ),
    }

    for problem, broken in cases.items():
        with pytest.raises(BuilderError, match="is not sound") as caught:
            refuse_if_unsound(broken)
        assert problem in caught.value.faults


def test_a_library_that_was_there_before_needs_no_plan(proof: Proof) -> None:
    old = Row("w.libs/libold.so")

    refuse_if_unsound(
        replace(proof, grafts=(GRAFT,), rows=(Row(GRAFT.path), old), given={old.path: old})
    )
