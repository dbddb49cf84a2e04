from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from builder.binary import Binary
from builder.relink.closure import (
    Closure,
    MissingLibrariesError,
    Need,
    Rules,
    expand,
    installed,
    resolve,
)


def binary(
    *needed: str,
    rpath: tuple[str, ...] = (),
    runpath: tuple[str, ...] = (),
    soname: str = "",
    machine: str = "x86_64",
) -> Binary:
    return Binary(
        format="elf", machine=machine, bits=64, byte_order="little", kind="shared",
        soname=soname, needed=needed, rpath=rpath, runpath=runpath,
    )  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A machine as a table of paths."""

    files: Mapping[str, Binary] = field(default_factory=dict)
    search: tuple[str, ...] = ("/core/lib",)
    system: tuple[str, ...] = ("/usr/lib",)

    def look(self, path: str) -> tuple[str, Binary] | None:
        found = self.files.get(path)
        return (path, found) if found else None


RULES = Rules(("libcuda.so.*", "/opt/*"), ("libtorch*",), frozenset({"libc.so.6"}))


def outcome(closure: Closure, name: str) -> tuple[str, str]:
    (need,) = {(need.outcome, need.place) for need in closure.needs if need.name == name}
    return need


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("libc.so.6", "system"),
        ("ld-linux-x86-64.so.2", "system"),
        ("libcuda.so.1", "excluded"),
        ("libtorch_cpu.so", "sibling"),
        ("libpython3.11.so.1.0", "python"),
        ("libpython3.7m.so.1.0", "python"),
        ("libnothing.so", "missing"),
    ],
)
def test_rules_come_before_the_search(name: str, expected: str) -> None:
    host = Table({f"/usr/lib/{name}": binary()} if expected != "missing" else {})

    assert outcome(resolve({"p/x.so": binary(name)}, RULES, host), name) == (expected, "")


def test_the_order_of_the_search_is_that_of_the_loader() -> None:
    everywhere = {
        f"{folder}/liba.so": binary() for folder in ("/rp", "/core/lib", "/run", "/usr/lib")
    }

    def first(files: Mapping[str, Binary], **paths: tuple[str, ...]) -> str:
        closure = resolve({"p/x.so": binary("liba.so", **paths)}, RULES, Table(files))  # type: ignore[arg-type]  # a table of keyword arguments
        return outcome(closure, "liba.so")[1]

    assert first(everywhere, rpath=("/rp",)) == "/rp/liba.so"
    assert first(everywhere, rpath=("/rp",), runpath=("/run",)) == "/core/lib/liba.so"
    del everywhere["/core/lib/liba.so"]
    assert first(everywhere, runpath=("/run",)) == "/run/liba.so"
    assert first(everywhere) == "/usr/lib/liba.so"


def test_a_library_of_another_machine_is_passed_by() -> None:
    host = Table({"/core/lib/liba.so": binary(machine="aarch64"), "/usr/lib/liba.so": binary()})

    closure = resolve({"x.so": binary("liba.so")}, RULES, host)

    assert outcome(closure, "liba.so") == ("graft", "/usr/lib/liba.so")


def test_a_graft_brings_what_it_needs() -> None:
    host = Table(
        {"/core/lib/liba.so": binary("libb.so", "libc.so.6"), "/usr/lib/libb.so": binary()}
    )

    closure = resolve({"x.so": binary("liba.so")}, RULES, host)

    assert list(closure.grafts) == ["/core/lib/liba.so", "/usr/lib/libb.so"]
    assert closure.of("graft")[0] == Need(
        "/core/lib/liba.so", "libb.so", "graft", "/usr/lib/libb.so", ("x.so", "/core/lib/liba.so")
    )


def test_a_graft_that_is_excluded_by_its_path_stays_outside() -> None:
    host = Table({"/core/lib/liba.so": binary()})

    closure = resolve({"x.so": binary("liba.so")}, Rules(("/core/*",)), host)

    assert outcome(closure, "liba.so") == ("excluded", "")


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        pytest.param({"runpath": ("$ORIGIN/lib",)}, "inside", id="runpath"),
        pytest.param({"rpath": ("${ORIGIN}/../p/lib",)}, "inside", id="rpath"),
        pytest.param({"runpath": ("$ORIGIN/nowhere",)}, "loose", id="wrong"),
        pytest.param({}, "loose", id="none"),
    ],
)
def test_a_library_of_the_wheel_is_found_by_rpath_or_loose(
    paths: dict[str, tuple[str, ...]], expected: str
) -> None:
    members = {"p/x.so": binary("liba.so", **paths), "p/lib/liba.so": binary()}  # type: ignore[arg-type]  # a table of keyword arguments

    closure = resolve(members, RULES, Table({"/usr/lib/liba.so": binary()}))

    assert outcome(closure, "liba.so") == (expected, "p/lib/liba.so")


def test_what_is_loaded_already_is_not_looked_for() -> None:
    members = {
        "p/x.so": binary("libb.so", "liba.so", runpath=("$ORIGIN/lib",)),
        "p/lib/liba.so": binary("libb.so"),
        "p/lib/libb.so": binary(soname="libb.so"),
    }

    closure = resolve(members, RULES, Table(), only_inside=True)

    assert {need.outcome for need in closure.needs} == {"inside"}


def test_rpath_is_handed_down_and_runpath_is_not() -> None:
    def members(**paths: tuple[str, ...]) -> dict[str, Binary]:
        return {
            "x.so": binary("liba.so", **paths),  # type: ignore[arg-type]  # a table of keyword arguments
            "lib/liba.so": binary("libb.so"),
            "lib/libb.so": binary(),
        }

    handed = resolve(members(rpath=("$ORIGIN/lib",)), RULES, Table(), only_inside=True)
    kept = resolve(members(runpath=("$ORIGIN/lib",)), RULES, Table(), only_inside=True)

    assert outcome(handed, "libb.so") == ("inside", "lib/libb.so")
    assert outcome(kept, "libb.so") == ("missing", "")


def test_the_installed_view_sees_nothing_of_this_machine() -> None:
    host = Table({"/usr/lib/liba.so": binary()})

    closure = resolve({"x.so": binary("liba.so")}, RULES, host, only_inside=True)

    assert outcome(closure, "liba.so") == ("missing", "")


def test_libraries_that_need_each_other_are_all_reached() -> None:
    members = {
        "liba.so": binary("libb.so", runpath=("$ORIGIN",)),
        "libb.so": binary("liba.so", "libc.so.6", runpath=("$ORIGIN",)),
    }

    assert len(resolve(members, RULES, Table()).needs) == 3


def test_all_that_is_missing_is_told_at_once_with_its_chain_and_places() -> None:
    host = Table({"/core/lib/liba.so": binary("libdeep.so")})
    closure = resolve({"p/x.so": binary("liba.so", "libgone.so")}, RULES, host)

    error = MissingLibrariesError("w.whl", closure.of("missing"))

    assert error.message == "`w.whl` needs 2 libraries that cannot be found"
    assert error.faults == (
        "libdeep.so: required by /core/lib/liba.so <- p/x.so",
        "libgone.so: required by p/x.so",
        "searched: /core/lib, /usr/lib",
    )
    assert error.hint


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ("$ORIGIN", "p/sub"),
        ("${ORIGIN}/../lib/", "p/lib"),
        ("$ORIGIN/../../..", ".."),
        ("$ORIGIN/../../../x", "../x"),
        ("/opt/lib/", "/opt/lib"),
        ("", ""),
        ("relative", ""),
    ],
)
def test_rpath_entries_are_expanded(entry: str, place: str) -> None:
    assert expand(entry, "p/sub") == place


def test_platlib_is_installed_at_the_root() -> None:
    assert installed("x-1.data/platlib/p/x.so") == "p/x.so"
    assert installed("x-1.data/scripts/tool") == "x-1.data/scripts/tool"
