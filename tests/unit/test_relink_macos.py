from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from builder.binary import Binary, Edit
from builder.config.recipe import Sibling
from builder.errors import BuilderError, UsageError
from builder.relink.closure import Rules
from builder.relink.macos import MacOS
from builder.relink.system import Relinked, Relinking


def thin(
    *needed: str, rpath: tuple[str, ...] = (), soname: str = "", machine: str = "arm64"
) -> Binary:
    return Binary(
        format="macho", machine=machine, bits=64, byte_order="little", kind="shared",
        soname=soname, needed=needed, rpath=rpath, platform="macos",
    )  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A machine as a table of paths."""

    files: Mapping[str, Binary] = field(default_factory=dict)
    search: tuple[str, ...] = ("/libs", "/other")
    system: tuple[str, ...] = ()

    def look(self, path: str) -> tuple[str, Binary] | None:
        found = self.files.get(path)
        return (path, found) if found else None


TORCH = Sibling("torch", ("libtorch*.dylib",), "torch/lib", "torch")


def relink(
    members: Mapping[str, Binary],
    files: Mapping[str, Binary] | None = None,
    *,
    names: Iterable[str] = ("p/__init__.py",),
    digests: Mapping[str, str] | None = None,
    include: tuple[str, ...] = (),
    **options: Any,
) -> Relinked:
    rules = Rules((), TORCH.libraries, include=include)
    closure = MacOS().resolve(members, rules, Table(files or {}))
    own = {path: f"{number:08x}" + "0" * 56 for number, path in enumerate(closure.grafts)}
    case = Relinking(
        project="p", members=members, closure=closure, rules=rules, siblings=(TORCH,),
        digests={**own, **(digests or {})}, names=frozenset((*names, *members)),
        texts=lambda path: path.encode(), library_suffix="", placement="libs",
        included=frozenset(include),
    )  # fmt: skip
    return MacOS().relink(replace(case, **options))


def placed(relinked: Relinked) -> dict[str, str]:
    return {graft.source: graft.path for graft in relinked.grafts}


def test_a_graft_goes_where_delocate_puts_it_and_all_names_lead_there() -> None:
    found = relink(
        {
            "p/x.so": thin("@rpath/liba.dylib", "/usr/lib/libSystem.B.dylib", rpath=("/build",)),
            "p/sub/y.so": thin("/opt/lib/liba.dylib"),
            "p/z.so": thin("/usr/lib/libSystem.B.dylib", rpath=("@loader_path",)),
        },
        {
            "/libs/liba.dylib": thin(
                "@loader_path/libb.dylib", soname="/opt/lib/liba.dylib", rpath=("@loader_path/up",)
            ),
            "/libs/libb.dylib": thin(soname="@rpath/libb.dylib"),
        },
    )

    assert placed(found) == {
        "/libs/liba.dylib": "p/.dylibs/liba.dylib",
        "/libs/libb.dylib": "p/.dylibs/libb.dylib",
    }
    assert found.edits == {
        "p/sub/y.so": Edit(needed=(("/opt/lib/liba.dylib", "@loader_path/../.dylibs/liba.dylib"),)),
        "p/x.so": Edit(
            needed=(("@rpath/liba.dylib", "@loader_path/.dylibs/liba.dylib"),), search=()
        ),
    }
    first, second = found.grafts
    assert first.edit == Edit(soname="@rpath/liba.dylib", search=())
    assert second.edit == Edit()
    assert (first.name, first.sha256) == ("liba.dylib", "0" * 64)
    assert found.files == {}


@pytest.mark.parametrize(
    ("names", "options", "folder"),
    [
        (("a/__init__.py", "p/__init__.py"), {}, "p/.dylibs"),
        (("b/__init__.py", "a/__init__.py"), {}, "a/.dylibs"),
        (("p-1.data/platlib/q/__init__.py",), {}, "q/.dylibs"),
        (("p/sub/__init__.py",), {}, "p.dylibs"),
        (("p/__init__.py",), {"library_suffix": "_libs"}, "p/_libs"),
        ((), {"library_suffix": "_libs"}, "p_libs"),
    ],
)
def test_the_folder_of_the_grafts(
    names: tuple[str, ...], options: dict[str, Any], folder: str
) -> None:
    members = {"p/x.so": thin("@rpath/liba.dylib")}

    found = relink(members, {"/libs/liba.dylib": thin()}, names=names, **options)

    assert placed(found) == {"/libs/liba.dylib": f"{folder}/liba.dylib"}


class TestNames:
    FILES: Mapping[str, Binary] = {
        "/libs/liba.1.dylib": thin("/x/a/libc.dylib"),
        "/other/libb.dylib": thin("/y/libc.dylib"),
        "/x/a/libc.dylib": thin(),
        "/y/libc.dylib": thin(),
    }
    MEMBERS: Mapping[str, Binary] = {"p/x.so": thin("@rpath/liba.1.dylib", "@rpath/libb.dylib")}

    def test_two_libraries_of_one_name_get_a_digest(self) -> None:
        found = relink(self.MEMBERS, self.FILES)

        paths = placed(found)
        assert paths["/x/a/libc.dylib"] == "p/.dylibs/libc.dylib"
        assert paths["/y/libc.dylib"] == "p/.dylibs/libc-00000003.dylib"
        by_source = {graft.source: graft.edit for graft in found.grafts}
        assert by_source["/other/libb.dylib"].needed == (
            ("/y/libc.dylib", "@loader_path/libc-00000003.dylib"),
        )

    def test_equal_libraries_are_grafted_once(self) -> None:
        same = dict.fromkeys(("/x/a/libc.dylib", "/y/libc.dylib"), "c" * 64)

        found = relink(self.MEMBERS, self.FILES, digests=same)

        assert sorted(graft.path for graft in found.grafts) == [
            "p/.dylibs/liba.1.dylib", "p/.dylibs/libb.dylib", "p/.dylibs/libc.dylib"
        ]  # fmt: skip

    def test_a_name_that_is_taken_by_a_file_of_the_wheel_in_any_case_gets_a_digest(self) -> None:
        found = relink(
            {"p/x.so": thin("@rpath/liba.dylib")},
            {"/libs/liba.dylib": thin()},
            names=("p/__init__.py", "p/.dylibs/LIBA.dylib"),
        )

        assert placed(found) == {"/libs/liba.dylib": "p/.dylibs/liba-00000000.dylib"}

    def test_a_framework_gives_its_library_and_says_what_is_left_behind(self) -> None:
        path = "/libs/Own.framework/Versions/A/Own"

        found = relink({"p/x.so": thin("@rpath/Own.framework/Versions/A/Own")}, {path: thin()})

        assert placed(found) == {path: "p/.dylibs/Own"}
        assert "resources are not" in found.notes[0]


def test_a_library_that_nobody_names_is_grafted_with_all_it_needs() -> None:
    files = {
        "/libs/plug.dylib": thin("@rpath/libdeep.dylib", "/usr/lib/libz.1.dylib"),
        "/libs/libdeep.dylib": thin(soname="/build/libdeep.dylib"),
    }

    relinked = relink({"p/x.so": thin()}, files, include=("/libs/plug.dylib",))

    assert placed(relinked) == {
        "/libs/plug.dylib": "p/.dylibs/plug.dylib",
        "/libs/libdeep.dylib": "p/.dylibs/libdeep.dylib",
    }
    edits = {graft.source: graft.edit.needed for graft in relinked.grafts}
    assert edits["/libs/plug.dylib"] == (("@rpath/libdeep.dylib", "@loader_path/libdeep.dylib"),)
    assert relinked.edits == {}


def test_what_is_included_takes_the_place_of_what_the_system_has() -> None:
    files = {"/libs/libz.1.dylib": thin(soname="/usr/lib/libz.1.dylib")}
    members = {"p/x.so": thin("/usr/lib/libz.1.dylib")}

    relinked = relink(members, files, include=("/libs/libz.1.dylib",))

    assert placed(relinked) == {"/libs/libz.1.dylib": "p/.dylibs/libz.1.dylib"}
    new = (("/usr/lib/libz.1.dylib", "@loader_path/.dylibs/libz.1.dylib"),)
    assert relinked.edits["p/x.so"].needed == new


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/libs/none.dylib", "`/libs/none.dylib` cannot be included: it is no library"),
        ("/libs/intel.dylib", "`/libs/intel.dylib` is for x86_64, unlike the wheel"),
    ],
)
def test_what_cannot_be_included_is_said(path: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        relink({"p/x.so": thin()}, {"/libs/intel.dylib": thin(machine="x86_64")}, include=(path,))


def test_a_library_that_lies_elsewhere_in_the_wheel_is_pointed_at() -> None:
    found = relink({"p/x.so": thin("/build/liba.dylib"), "p/lib/liba.dylib": thin()})

    assert found.edits == {
        "p/x.so": Edit(needed=(("/build/liba.dylib", "@loader_path/lib/liba.dylib"),))
    }


def test_a_library_of_the_system_is_taken_from_there() -> None:
    found = relink({"p/x.so": thin("@rpath/libc++.1.dylib", rpath=("/conda/lib",))})

    assert found.edits["p/x.so"] == Edit(
        needed=(("@rpath/libc++.1.dylib", "/usr/lib/libc++.1.dylib"),), search=()
    )
    assert found.notes == ("p/x.so: takes libc++.1.dylib from /usr/lib/libc++.1.dylib",)


@pytest.mark.parametrize(
    "name", ["@rpath/libtorch_cpu.dylib", "/build/torch/lib/libtorch_cpu.dylib"]
)
def test_a_sibling_is_reached_by_rpath(name: str) -> None:
    found = relink({"p/sub/x.so": thin(name, rpath=("@loader_path/lib",))})

    (edit,) = found.edits.values()
    assert edit.search == ("@loader_path/lib", "@loader_path/../../torch/lib")
    assert dict(edit.needed).get(name, name) == "@rpath/libtorch_cpu.dylib"
    assert found.grafts == ()


@pytest.mark.parametrize(
    ("rpath", "kept"),
    [
        pytest.param(("@loader_path", "/usr/lib/swift"), None, id="all good"),
        pytest.param(("@loader_path/..",), None, id="to the top"),
        pytest.param(("/build", "@loader_path"), ("@loader_path",), id="absolute"),
        pytest.param(("@loader_path/../../lib",), (), id="outside"),
        pytest.param(("@executable_path/../lib",), (), id="of the program"),
        pytest.param(("@loader_path", "@loader_path"), ("@loader_path",), id="twice"),
        pytest.param(("",), (), id="empty"),
    ],
)
def test_rpath_entries_that_leave_the_wheel_or_come_twice_are_dropped(
    rpath: tuple[str, ...], kept: tuple[str, ...] | None
) -> None:
    edits = relink({"p/x.so": thin(rpath=rpath)}).edits

    assert edits == ({} if kept is None else {"p/x.so": Edit(search=kept)})


def test_a_developers_signature_that_is_lost_is_said() -> None:
    signed = replace(thin("@rpath/liba.dylib"), signature="identity")

    notes = relink({"p/x.so": signed}, {"/libs/liba.dylib": thin()}).notes

    assert notes == ("p/x.so: the signature of its developer gives way to an ad hoc one",)


def test_objects_and_binaries_for_phones_are_left_alone() -> None:
    members = {
        "p/a.o": replace(thin("@rpath/liba.dylib"), kind="object"),
        "p/b.dylib": replace(thin("@rpath/liba.dylib", rpath=("/x",)), platform="ios"),
    }

    found = relink(members, {"/libs/liba.dylib": thin()})

    assert (found.grafts, found.edits) == ((), {})


class TestBeside:
    def test_a_graft_lies_where_it_is_looked_for_and_nothing_is_edited(self) -> None:
        huge = thin("@rpath/libomp.dylib", rpath=("@loader_path",))
        members = {"p/lib/libhuge.dylib": huge, "p/x.so": thin("@loader_path/lib/libhuge.dylib")}
        omp = thin(soname="@rpath/libomp.dylib")

        found = relink(members, {"/libs/libomp.dylib": omp}, placement="beside")

        assert placed(found) == {"/libs/libomp.dylib": "p/lib/libomp.dylib"}
        assert found.edits == {}

    def test_those_who_look_elsewhere_are_pointed_at_it(self) -> None:
        members = {
            "p/lib/a.so": thin("@rpath/libomp.dylib", rpath=("@loader_path",)),
            "p/lib/b.so": thin("@rpath/libomp.dylib", rpath=("@loader_path",)),
            "p/c.so": thin("/opt/libomp.dylib"),
        }

        found = relink(members, {"/libs/libomp.dylib": thin()}, placement="beside")

        assert found.edits == {
            "p/c.so": Edit(needed=(("/opt/libomp.dylib", "@loader_path/lib/libomp.dylib"),))
        }

    def test_a_graft_that_nobody_looks_for_inside_goes_to_the_others(self) -> None:
        members = {"p/x.so": thin("/opt/liba.dylib")}

        found = relink(members, {"/libs/liba.dylib": thin()}, placement="beside")

        assert placed(found) == {"/libs/liba.dylib": "p/.dylibs/liba.dylib"}


def test_a_library_that_is_there_already_is_pointed_at_and_not_grafted_again() -> None:
    names = ("p/__init__.py", "p/.dylibs/liba.dylib", "p/.dylibs/liba-00000000.dylib")

    found = relink({"p/x.so": thin("@rpath/liba.dylib")}, {"/libs/liba.dylib": thin()}, names=names)

    assert found.grafts == ()
    assert found.edits["p/x.so"].needed[0][1] == "@loader_path/.dylibs/liba-00000000.dylib"


def test_programs_that_are_installed_elsewhere_are_refused() -> None:
    with pytest.raises(BuilderError) as caught:
        relink({"p-1.data/scripts/x": thin("@rpath/liba.dylib")}, {"/libs/liba.dylib": thin()})

    assert caught.value.faults == ("p-1.data/scripts/x: needs @rpath/liba.dylib",)
