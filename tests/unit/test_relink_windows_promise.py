"""Any wheel whose DLLs are all found loads by itself after its edits, and needs no more."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace

from hypothesis import assume, given, reject
from hypothesis import strategies as st

from builder.binary import Binary, Edit
from builder.binary.expect import expected
from builder.errors import BuilderError
from builder.relink.closure import Rules
from builder.relink.system import Relinking
from builder.relink.windows import Windows

LEAVES = ("a.dll", "B.dll", "cudnn64_9.dll", "KERNEL32.dll", "python311.dll")
MODULES = ("p/x.pyd", "p/sub/y.pyd", "q/z.pyd", "top.pyd", "p-1.data/platlib/p/w.pyd", "p/run.exe")
CODE = b'"""A package."""\nimport os\n'
NAMESPACE = b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"

dlls = st.builds(
    lambda needed, delayed: Binary(
        format="pe", machine="amd64", bits=64, byte_order="little", kind="shared",
        needed=tuple(needed), delayed=tuple(set(delayed) & set(needed)),
    ),
    st.lists(st.sampled_from((*LEAVES, "b.DLL")), max_size=3, unique_by=str.lower),
    st.lists(st.sampled_from(LEAVES), max_size=1),
)  # fmt: skip
libraries = st.builds(
    str.__add__, st.sampled_from(["", "p/", "p/lib/", "p.libs/"]), st.sampled_from(LEAVES[:3])
)
members = st.dictionaries(st.one_of(st.sampled_from(MODULES), libraries), dlls, max_size=6)
machine = st.dictionaries(st.sampled_from([f"/dlls/{leaf}" for leaf in LEAVES[:3]]), dlls)
packages = st.dictionaries(
    st.sampled_from(["p/__init__.py", "p/sub/__init__.py", "q/__init__.py"]),
    st.sampled_from([CODE, NAMESPACE]),
)


@dataclass(frozen=True)
class Table:
    """A machine as a table of paths, looked at without regard to case."""

    files: dict[str, Binary]
    search: tuple[str, ...] = ("/dlls",)
    system: tuple[str, ...] = ()

    def look(self, path: str) -> tuple[str, Binary] | None:
        real = {name.lower(): name for name in self.files}.get(path.lower())
        return (real, self.files[real]) if real else None


@given(members, machine, packages, st.sampled_from(["libs", "beside"]))
def test_after_the_edits_everything_that_was_found_is_inside(
    members: dict[str, Binary], files: dict[str, Binary], codes: dict[str, bytes], placement: str
) -> None:
    members = {
        path: replace(one, kind="executable") if path.endswith(".exe") else one
        for path, one in members.items()
    }
    system, host = Windows.of("p", members, {*members, *codes}, codes.__getitem__), Table(files)
    closure = system.resolve(members, Rules(), host)
    assume(not closure.of("missing"))
    case = Relinking(
        "p", members, closure, Rules(), (),
        {path: posixpath.basename(path).encode().hex().ljust(64, "0") for path in closure.grafts},
        frozenset((*members, *codes)), codes.__getitem__,
        placement=placement,  # type: ignore[arg-type]  # one of two
    )  # fmt: skip
    try:
        relinked = system.relink(case)
    except BuilderError:
        reject()  # nobody can lead a program to a DLL in another folder

    after = {path: expected(one, relinked.edits.get(path, Edit())) for path, one in members.items()}
    after |= {one.path: expected(files[one.source], one.edit) for one in relinked.grafts}
    texts = codes | dict(relinked.files)
    later = Windows.of("p", after, {*after, *texts}, texts.__getitem__)
    seen = later.resolve(after, Rules(), Table({}), only_inside=True)

    assert seen.of("missing") == ()
    again = later.relink(
        replace(
            case, members=after, closure=later.resolve(after, Rules(), host),
            names=frozenset((*after, *texts)), texts=texts.__getitem__,
        )
    )  # fmt: skip
    assert (again.grafts, again.edits, again.files) == ((), {}, {})
