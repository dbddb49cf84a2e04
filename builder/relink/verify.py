"""Prove a repaired wheel on its exact bytes, before it gets its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from builder.archive import record
from builder.archive.record import Row
from builder.archive.wheel import Wheel
from builder.archive.zip_read import Entry, Zip
from builder.binary import Binary, BinaryError, looks_like, read
from builder.errors import BuilderError
from builder.relink.contents import SMALL
from builder.relink.plan import Plan
from builder.relink.sibling import leaving_for_anywhere
from builder.relink.system import System
from builder.relink.systems import own_binaries

__all__ = ["Proof", "refuse_if_unsound"]


@dataclass(frozen=True, slots=True)
class Proof:
    """What a written wheel is measured by.

    `archive` and `wheel` are the written one, `system` as it is with it. `rows` are those of
    what was written anew, `given` the members of the wheel as it came, by name.
    """

    archive: Zip
    wheel: Wheel
    system: System
    todo: Plan
    rows: Mapping[str, Row]
    given: Mapping[str, Entry]


def refuse_if_unsound(proof: Proof) -> None:
    """Raise `BuilderError` with everything that is wrong with a written wheel.

    What was kept has its old bytes and what was written is what was planned, RECORD, tags and file
    name agree, every need is met in the installed layout, the tag is honest, no rpath leaves the
    wheel, and exactly what was planned was grafted.
    """
    problems = [*_wrong_bytes(proof), *_wrong_record(proof)]
    binaries = dict(proof.todo.binaries)
    entries = {entry.name: entry for entry in proof.archive.entries}
    for path in proof.rows:
        binary = _read_again(proof, path, entries.get(path), problems.append)
        if binary is not None:
            binaries[path] = binary
    problems += [
        *_unmet(proof, binaries),
        *_dishonest(proof, binaries),
        *_leaving(proof, binaries),
        *_unplanned(proof),
    ]
    if problems:
        raise BuilderError(
            f"the repaired `{proof.wheel.path.name}` is not sound",
            faults=problems,
            hint="this is a fault of the repair engine or of us; please report it",
        )


def _wrong_bytes(proof: Proof) -> Iterator[str]:
    """Members that are not there, or do not have the bytes they had."""
    old = {new: path for path, new in proof.todo.paths.items()}
    for entry in proof.archive.entries:
        if entry.name in proof.rows or entry.kind != "file":
            continue
        before = proof.given.get(old.get(entry.name, entry.name))
        if before is None:
            yield f"{entry.name}: was written without being planned"
        elif (entry.crc, entry.size, entry.packed) != (before.crc, before.size, before.packed):
            yield f"{entry.name}: does not have the bytes it had"


def _wrong_record(proof: Proof) -> Iterator[str]:
    wheel = proof.wheel
    itself = f"{wheel.dist_info}/RECORD"
    old = {new: path for path, new in proof.todo.paths.items()}
    found: dict[str, Row] = {}
    for entry in proof.archive.entries:
        if entry.kind == "file" and entry.name != itself:
            row = proof.rows.get(entry.name) or proof.todo.rows.get(old.get(entry.name, entry.name))
            found[entry.name] = Row(entry.name, row.digest if row else "", entry.size)
    yield from record.compare(wheel.record, found, itself)
    if tuple(sorted(wheel.info.get("Tag"))) != wheel.name.tags:
        yield f"{wheel.dist_info}/WHEEL: its tags are not those of the file name"


def _read_again(
    proof: Proof, path: str, entry: Entry | None, tell: Callable[[str], None]
) -> Binary | None:
    """The binary at a path from the bytes of the archive, once more compared with the plan."""
    row, planned = proof.rows[path], proof.todo.binaries.get(path)
    if entry is None:
        tell(f"{path}: is not in the archive")
        return None
    if planned is None:
        return None
    if entry.size > SMALL:
        # Its bytes were compared, when they were written, with those that were read as planned.
        if looks_like(proof.archive.head(entry, 8)) is None:
            tell(f"{path}: is no binary any more")
        return None
    from hashlib import sha256  # noqa: PLC0415  # slow to load

    content = proof.archive.read(entry)
    if record.encode_digest(sha256(content).digest()) != row.digest:
        tell(f"{path}: does not have the digest of what was written")
    try:
        binary = read(content)
    except BinaryError as error:
        tell(f"{path}: {error.message}")
        return None
    if binary != planned:
        tell(f"{path}: does not say what was planned")
    return binary


def _unmet(proof: Proof, binaries: Mapping[str, Binary]) -> Iterator[str]:
    host = proof.system.libraries(())
    closure = proof.system.resolve(binaries, proof.todo.rules, host, only_inside=True)
    for need in closure.of("missing"):
        yield f"{need.requirer}: {need.name} is not found where the wheel is installed"


def _dishonest(proof: Proof, binaries: Mapping[str, Binary]) -> Iterator[str]:
    claimed = proof.wheel.name.platforms
    if not own_binaries(proof.system.name, binaries, claimed):
        return  # nothing that a tag could be wrong about
    judged = proof.system.judge(binaries, claimed, proof.todo.outside)
    if set(judged.platforms) != set(claimed):
        yield from (f"{blocker} does not fit {blocker.tag}" for blocker in judged.blockers)
        yield f"the tags {', '.join(claimed)} are not honest"


def _leaving(proof: Proof, binaries: Mapping[str, Binary]) -> Iterator[str]:
    if proof.system.name == "linux":
        own = own_binaries("linux", binaries, proof.wheel.name.platforms)
        for path, binary in own.items():
            for entry in leaving_for_anywhere(path, binary):
                yield f"{path}: rpath entry {entry} leaves the wheel"


def _unplanned(proof: Proof) -> Iterator[str]:
    planned = {graft.path for graft in proof.todo.relinked.grafts}
    folders = {path.rpartition("/")[0] for path in planned}
    names = {entry.name for entry in proof.archive.entries}
    given = {proof.todo.paths.get(name, name) for name in proof.given}
    for path in sorted(planned - names):
        yield f"{path}: was not grafted as planned"
    for path in sorted(names - planned - given - proof.todo.files.keys()):
        if path.rpartition("/")[0] in folders:
            yield f"{path}: was grafted without being planned"
