from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import pytest

from builder.binary import Binary
from builder.relink.closure import Closure, Rules
from builder.relink.dyld import apple, expand_entry, leaf, resolve_macos


def thin(
    *needed: str,
    rpath: tuple[str, ...] = (),
    soname: str = "",
    machine: str = "arm64",
    optional: tuple[str, ...] = (),
) -> Binary:
    return Binary(
        format="macho", machine=machine, bits=64, byte_order="little", kind="shared",
        soname=soname, needed=needed, rpath=rpath, optional=optional,
    )  # fmt: skip


def fat(*slices: Binary) -> Binary:
    needed = dict.fromkeys(name for one in slices for name in one.needed)
    optional = dict.fromkeys(name for one in slices for name in one.optional)
    rpath = dict.fromkeys(entry for one in slices for entry in one.rpath)
    return replace(
        slices[0], machine="universal2", slices=slices, needed=tuple(needed),
        optional=tuple(optional), rpath=tuple(rpath),
    )  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A machine as a table of paths."""

    files: Mapping[str, Binary] = field(default_factory=dict)
    search: tuple[str, ...] = ("/libs",)
    system: tuple[str, ...] = ("/usr/local/lib",)

    def look(self, path: str) -> tuple[str, Binary] | None:
        found = self.files.get(path)
        return (path, found) if found else None


RULES = Rules(("libexcluded*", "/opt/not/*"), ("libtorch*.dylib",))


def outcome(closure: Closure, name: str) -> tuple[str, str]:
    (need,) = {(need.outcome, need.place) for need in closure.needs if need.name == name}
    return need


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/usr/lib/libSystem.B.dylib", ("system", "")),
        ("//usr/lib/../lib/libz.1.dylib", ("system", "")),
        ("/System/Library/Frameworks/Metal.framework/Versions/A/Metal", ("system", "")),
        ("/usr/local/lib/libz.1.dylib", ("graft", "/usr/local/lib/libz.1.dylib")),
        ("@rpath/libc++.1.dylib", ("system", "/usr/lib/libc++.1.dylib")),
        ("/opt/homebrew/lib/libobjc.A.dylib", ("system", "/usr/lib/libobjc.A.dylib")),
        ("@rpath/libexcluded.3.dylib", ("excluded", "")),
        ("/opt/not/here/liba.dylib", ("excluded", "")),
        ("@rpath/libtorch_cpu.dylib", ("sibling", "")),
        ("@rpath/libpython3.11.dylib", ("python", "")),
        ("/Library/Frameworks/Python.framework/Versions/3.11/Python", ("python", "")),
        ("@rpath/libnothing.dylib", ("missing", "")),
    ],
)
def test_rules_come_before_the_search(name: str, expected: tuple[str, str]) -> None:
    is_there = expected[0] != "missing"
    host = Table({f"/usr/local/lib/{posixpath.basename(name)}": thin()} if is_there else {})

    assert outcome(resolve_macos({"p/x.so": thin(name)}, RULES, host), name) == expected


@pytest.mark.parametrize(
    ("rpath", "expected"),
    [
        (("/usr/lib/swift",), "system"),
        (("@loader_path", "/usr/lib/swift"), "system"),
        (("@loader_path",), "missing"),
    ],
)
def test_swift_is_of_the_system_only_through_its_rpath(
    rpath: tuple[str, ...], expected: str
) -> None:
    members = {"p/x.so": thin("@rpath/libswiftCore.dylib", "@rpath/libown.dylib", rpath=rpath)}

    closure = resolve_macos(members, RULES, Table())

    assert outcome(closure, "@rpath/libswiftCore.dylib") == (expected, "")
    assert outcome(closure, "@rpath/libown.dylib") == ("missing", "")


@pytest.mark.parametrize(
    ("name", "rpath", "expected"),
    [
        pytest.param("@loader_path/lib/liba.dylib", (), "inside", id="loader_path"),
        pytest.param("@rpath/liba.dylib", ("@loader_path/lib",), "inside", id="rpath"),
        pytest.param("@rpath/liba.dylib", ("/x", "@loader_path/../p/lib"), "inside", id="second"),
        pytest.param("@rpath/lib/liba.dylib", ("@loader_path/",), "inside", id="deep"),
        pytest.param("@rpath/liba.dylib", ("@loader_path/nowhere",), "loose", id="wrong"),
        pytest.param("@rpath/liba.dylib", (), "loose", id="none"),
        pytest.param("/build/p/lib/liba.dylib", (), "loose", id="absolute"),
        pytest.param("liba.dylib", (), "loose", id="bare"),
        pytest.param("@executable_path/lib/liba.dylib", (), "loose", id="executable"),
    ],
)
def test_a_library_of_the_wheel_is_found_as_dyld_does_or_loose(
    name: str, rpath: tuple[str, ...], expected: str
) -> None:
    members = {"p/x.so": thin(name, rpath=rpath), "p/lib/liba.dylib": thin()}

    closure = resolve_macos(members, RULES, Table({"/libs/liba.dylib": thin()}))

    assert outcome(closure, name) == (expected, "p/lib/liba.dylib")


def test_a_program_knows_its_own_folder() -> None:
    program = replace(thin("@executable_path/../lib/liba.dylib"), kind="executable")

    closure = resolve_macos({"p/bin/x": program, "p/lib/liba.dylib": thin()}, RULES, Table())

    assert closure.needs[0].outcome == "inside"


def test_rpaths_are_handed_down_from_what_loads_a_library() -> None:
    members = {
        "p/x.so": thin("@rpath/liba.dylib", rpath=("@loader_path/lib",)),
        "p/lib/liba.dylib": thin("@rpath/libb.dylib"),
        "p/lib/libb.dylib": thin(),
    }

    closure = resolve_macos(members, RULES, Table(), only_inside=True)

    assert [need.outcome for need in closure.needs] == ["inside", "inside"]


def test_every_way_has_to_lead_there_and_is_mended_if_one_does() -> None:
    members = {
        "p/a.so": thin("@loader_path/lib/liba.dylib"),
        "p/b.so": thin("@loader_path/lib/liba.dylib", rpath=("@loader_path/lib",)),
        "p/lib/liba.dylib": thin("@rpath/libb.dylib"),
        "p/lib/libb.dylib": thin(),
    }

    planned = resolve_macos(members, RULES, Table({"/libs/libb.dylib": thin()}))
    seen = resolve_macos(members, RULES, Table(), only_inside=True)

    assert outcome(planned, "@rpath/libb.dylib") == ("loose", "p/lib/libb.dylib")
    assert planned.grafts == {}
    assert outcome(seen, "@rpath/libb.dylib") == ("missing", "")


def test_the_order_of_the_search_outside() -> None:
    folders = ("/libs", "/rp", "/opt/brew", "/usr/local/lib")
    files = {f"{folder}/liba.dylib": thin() for folder in folders}

    def first(name: str) -> str:
        closure = resolve_macos({"x.so": thin(name, rpath=("/rp",))}, RULES, Table(files))
        return outcome(closure, name)[1]

    assert first("@rpath/liba.dylib") == "/libs/liba.dylib"
    del files["/libs/liba.dylib"]
    assert first("@rpath/liba.dylib") == "/rp/liba.dylib"
    assert first("/opt/brew/liba.dylib") == "/opt/brew/liba.dylib"
    del files["/rp/liba.dylib"]
    assert first("@rpath/liba.dylib") == "/usr/local/lib/liba.dylib"


def test_a_framework_is_found_by_its_whole_name() -> None:
    name = "@rpath/Own.framework/Versions/A/Own"
    host = Table({"/libs/Own.framework/Versions/A/Own": thin()})

    closure = resolve_macos({"x.so": thin(name)}, RULES, host)

    assert outcome(closure, name) == ("graft", "/libs/Own.framework/Versions/A/Own")


def test_a_graft_brings_what_it_needs_from_beside_itself_and_from_the_wheel() -> None:
    host = Table(
        {
            "/libs/liba.dylib": thin("@loader_path/libb.dylib", "@rpath/libown.dylib"),
            "/libs/libb.dylib": thin("/usr/lib/libSystem.B.dylib"),
        }
    )
    members = {"p/x.so": thin("@rpath/liba.dylib"), "p/lib/libown.dylib": thin()}

    closure = resolve_macos(members, RULES, host)

    assert list(closure.grafts) == ["/libs/liba.dylib", "/libs/libb.dylib"]
    assert outcome(closure, "@rpath/libown.dylib") == ("loose", "p/lib/libown.dylib")


def test_what_is_missing_says_who_wants_it_and_where_it_was_looked_for() -> None:
    host = Table({"/libs/liba.dylib": thin("@rpath/libb.dylib", rpath=("@loader_path/sub",))})
    members = {"p/x.so": thin("@rpath/liba.dylib", rpath=("@loader_path/lib",))}

    (need,) = resolve_macos(members, RULES, host).of("missing")

    assert need.chain == ("p/x.so", "/libs/liba.dylib")
    assert need.searched == (
        "/libs/libb.dylib",
        "/libs/sub/libb.dylib",
        "/usr/local/lib/libb.dylib",
    )


def test_a_weak_library_may_be_absent() -> None:
    weak = thin("@rpath/liba.dylib", optional=("@rpath/liba.dylib",))

    assert resolve_macos({"x.so": weak}, RULES, Table()).needs[0].outcome == "optional"
    assert resolve_macos(
        {"x.so": weak}, RULES, Table({"/libs/liba.dylib": thin()})
    ).needs[0].outcome == "graft"  # fmt: skip


def test_nothing_of_this_machine_counts_where_the_wheel_is_installed() -> None:
    members = {"x.so": thin("/libs/liba.dylib", "@rpath/libc++.1.dylib")}
    host = Table({"/libs/liba.dylib": thin()})

    closure = resolve_macos(members, RULES, host, only_inside=True)

    assert {need.outcome for need in closure.needs} == {"missing"}


class TestUniversal:
    BOTH = fat(thin("@rpath/liba.dylib", machine="x86_64"), thin("@rpath/liba.dylib"))

    def test_a_library_without_one_of_the_machines_is_missing_and_that_is_said(self) -> None:
        host = Table({"/libs/liba.dylib": thin()})

        (need,) = resolve_macos({"x.so": self.BOTH}, RULES, host).of("missing")

        assert need.searched[0] == "/libs/liba.dylib (has no code for x86_64)"

    def test_the_next_library_with_all_machines_is_taken(self) -> None:
        whole = fat(thin(machine="x86_64"), thin())
        host = Table({"/libs/liba.dylib": thin(), "/usr/local/lib/liba.dylib": whole})

        closure = resolve_macos({"x.so": self.BOTH}, RULES, host)

        assert list(closure.grafts) == ["/usr/local/lib/liba.dylib"]

    def test_a_need_of_one_machine_only_asks_for_that_one(self) -> None:
        half = fat(thin(machine="x86_64"), thin("@rpath/liba.dylib"))

        closure = resolve_macos({"x.so": half}, RULES, Table({"/libs/liba.dylib": thin()}))

        assert outcome(closure, "@rpath/liba.dylib")[0] == "graft"

    def test_a_wheel_asks_for_no_more_machines_than_its_narrowest_member_has(self) -> None:
        members = {"x.so": self.BOTH, "y.so": thin()}

        closure = resolve_macos(members, RULES, Table({"/libs/liba.dylib": thin()}))

        assert outcome(closure, "@rpath/liba.dylib")[0] == "graft"

    def test_a_thin_wheel_takes_a_universal_library_without_its_other_needs(self) -> None:
        both = fat(thin("/x/libonly.dylib", machine="x86_64"), thin())
        host = Table({"/libs/liba.dylib": both})

        closure = resolve_macos({"x.so": thin("@rpath/liba.dylib")}, RULES, host)

        assert [need.outcome for need in closure.needs] == ["graft"]

    def test_a_graft_for_one_machine_is_looked_into_for_the_others_too(self) -> None:
        half = fat(thin("@rpath/liba.dylib", machine="x86_64"), thin())
        whole = fat(thin(machine="x86_64"), thin("@rpath/libdeep.dylib", "@rpath/libno.dylib"))
        host = Table({"/libs/liba.dylib": whole, "/libs/libdeep.dylib": thin()})

        closure = resolve_macos({"x.so": half}, RULES, host)

        assert list(closure.grafts) == ["/libs/liba.dylib", "/libs/libdeep.dylib"]
        assert [need.chain for need in closure.of("missing")] == [("x.so", "/libs/liba.dylib")]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("@loader_path", "p/sub"),
        ("@loader_path/", "p/sub"),
        ("@loader_path/../lib", "p/lib"),
        ("@loader_path/../../..", ".."),
        ("@executable_path/../lib", ""),
        ("/opt/lib/", "/opt/lib"),
        ("relative", ""),
        ("", ""),
    ],
)
def test_rpath_entries_are_folders(entry: str, expected: str) -> None:
    assert expand_entry(entry, "p/sub") == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("@rpath/liba.1.dylib", "liba.1.dylib"),
        ("liba.dylib", "liba.dylib"),
        ("/L/F/Own.framework/Versions/A/Own", "Own.framework/Versions/A/Own"),
        ("/L/Out.framework/Frameworks/In.framework/In", "In.framework/In"),
    ],
)
def test_the_leaf_of_an_install_name(name: str, expected: str) -> None:
    assert leaf(name) == expected


def test_the_data_is_sound() -> None:
    table = apple()

    assert all(table.has(path) for path in table.never.values())
    assert all(table.has(f"{folder}/x") for folder in table.rpaths)
    assert table.tags["universal2"] == ("x86_64", "arm64")
    assert not table.has("/usr/local/lib/liba.dylib")
