"""Any wheel whose libraries are all found loads by itself after its edits, and needs no more."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import assume, given
from hypothesis import strategies as st

from builder.binary import Binary, Edit
from builder.binary.expect import expected
from builder.binary.universal import united
from builder.relink.closure import Rules
from builder.relink.macos import MacOS
from builder.relink.system import Relinking

LEAVES = ("liba.dylib", "libb.dylib", "libc.1.dylib", "libc++.1.dylib")
PREFIXES = ("@rpath/", "@loader_path/", "@loader_path/lib/", "/build/", "/libs/", "", "/usr/lib/")
RPATHS = ("@loader_path", "@loader_path/lib", "@loader_path/../../x", "/libs", "/build", "lib")

names = st.builds(str.__add__, st.sampled_from(PREFIXES), st.sampled_from(LEAVES))
slices = st.builds(
    lambda needed, rpath, soname, machine: Binary(
        format="macho", machine=machine, bits=64, byte_order="little", kind="shared",
        needed=tuple(needed), rpath=tuple(rpath), soname=soname,
    ),
    st.lists(names, max_size=4, unique=True), st.lists(st.sampled_from(RPATHS), max_size=3),
    names, st.sampled_from(["arm64", "x86_64"]),
)  # fmt: skip
both = st.builds(
    lambda one, other: united((replace(one, machine="x86_64"), replace(other, machine="arm64"))),
    slices, slices,
)  # fmt: skip
binaries = st.one_of(slices, both)
for_arm64 = st.one_of(slices.map(lambda one: replace(one, machine="arm64")), both)
places = st.builds(
    str.__add__,
    st.sampled_from(["p/", "p/lib/", "", "p-1.data/platlib/q/"]),
    st.sampled_from(LEAVES),
)
members = st.dictionaries(
    st.one_of(places, st.sampled_from(["p/x.so", "p/sub/y.so", "q/z.so"])), for_arm64, max_size=6
)
machine = st.dictionaries(
    st.builds(str.__add__, st.sampled_from(["/libs/", "/build/"]), st.sampled_from(LEAVES)),
    binaries,
)


@dataclass(frozen=True)
class Table:
    """A machine as a table of paths."""

    files: dict[str, Binary]
    search: tuple[str, ...] = ("/libs",)
    system: tuple[str, ...] = ()

    def look(self, path: str) -> tuple[str, Binary] | None:
        return (path, self.files[path]) if path in self.files else None


@given(members, machine, st.sampled_from(["libs", "beside"]))
def test_after_the_edits_everything_that_was_found_is_inside(
    members: dict[str, Binary], files: dict[str, Binary], placement: str
) -> None:
    system, host = MacOS(), Table(files)
    closure = system.resolve(members, Rules(), host)
    assume(not closure.of("missing"))
    case = Relinking(
        "p", members, closure, Rules(), (), {path: path.encode().hex() for path in closure.grafts},
        frozenset((*members, "p/__init__.py")), lambda _: b"",
        placement=placement,  # type: ignore[arg-type]  # one of two
    )  # fmt: skip
    relinked = system.relink(case)

    after = {path: expected(one, relinked.edits.get(path, Edit())) for path, one in members.items()}
    after |= {one.path: expected(files[one.source], one.edit) for one in relinked.grafts}
    seen = system.resolve(after, Rules(), Table({}), only_inside=True)

    assert seen.of("missing") == ()
    again = system.resolve(after, Rules(), host)
    later = system.relink(replace(case, members=after, closure=again, names=frozenset(after)))
    assert (later.edits, later.grafts) == ({}, ())
