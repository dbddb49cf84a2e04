from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from builder.binary import Binary
from builder.relink.closure import Closure, Rules
from builder.relink.dll import microsoft, resolve_windows
from builder.relink.dll_folders import DllHost, registered_folders


def dll(*needed: str, machine: str = "amd64", delayed: tuple[str, ...] = ()) -> Binary:
    return Binary(
        format="pe", machine=machine, bits=32 if machine == "win32" else 64, byte_order="little",
        kind="shared", needed=(*needed, *delayed), delayed=delayed,
    )  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A machine as a table of paths in lower case."""

    files: Mapping[str, Binary] = field(default_factory=dict)
    search: tuple[str, ...] = ("/dlls",)
    system: tuple[str, ...] = ("/late",)

    def look(self, path: str) -> tuple[str, Binary] | None:
        found = self.files.get(path)
        return (path, found) if found else None


RULES = Rules(("Excluded*.dll", "/dlls/not.dll"), ("torch*.dll", "c10.dll"))


def outcome(closure: Closure, name: str) -> tuple[str, str]:
    (need,) = {(need.outcome, need.place) for need in closure.needs if need.name == name}
    return need


@pytest.mark.parametrize(
    ("name", "machine", "expected"),
    [
        ("KERNEL32.dll", "amd64", "system"),
        ("WinSpool.DRV", "amd64", "system"),
        ("api-ms-win-crt-runtime-l1-1-0.dll", "amd64", "system"),
        ("ext-ms-win-ntuser-dialogbox-l1-1-0.dll", "amd64", "system"),
        ("ucrtbase.dll", "amd64", "system"),
        ("msvcrt.dll", "win32", "system"),
        ("d3d12.dll", "arm64", "system"),
        ("VCRUNTIME140.dll", "amd64", "python"),
        ("VCRUNTIME140_1.dll", "amd64", "python"),
        ("VCRUNTIME140_1.dll", "win32", "graft"),
        ("python311.dll", "amd64", "python"),
        ("python3.dll", "win32", "python"),
        ("python313t.dll", "arm64", "python"),
        ("MSVCP140.dll", "amd64", "graft"),
        ("msvcp140_atomic_wait.dll", "amd64", "graft"),
        ("VCOMP140.DLL", "amd64", "graft"),
        ("concrt140.dll", "amd64", "graft"),
        ("geos.dll", "amd64", "graft"),
        ("excluded-1.dll", "amd64", "excluded"),
        ("not.dll", "amd64", "excluded"),
        ("TORCH_cpu.dll", "amd64", "sibling"),
    ],
)
def test_what_is_never_grafted_and_what_is(name: str, machine: str, expected: str) -> None:
    host = Table({f"/dlls/{name.lower()}": dll(machine=machine)})

    closure = resolve_windows({"p/x.pyd": dll(name, machine=machine)}, RULES, host)

    assert outcome(closure, name)[0] == expected


@pytest.mark.parametrize(
    ("place", "folders", "expected"),
    [
        pytest.param("p/sub/a.dll", (), "inside", id="beside the module"),
        pytest.param("p/sub/A.DLL", (), "inside", id="in another case"),
        pytest.param("p.libs/a.dll", ("p.libs",), "inside", id="registered"),
        pytest.param("p-1.data/platlib/p/sub/a.dll", (), "inside", id="installed there"),
        pytest.param("a.dll", ("",), "inside", id="registered top"),
        pytest.param("p.libs/a.dll", (), "loose", id="not registered"),
        pytest.param("p/a.dll", (), "loose", id="above the module"),
    ],
)
def test_a_dll_of_the_wheel_is_found_where_windows_looks_or_loose(
    place: str, folders: tuple[str, ...], expected: str
) -> None:
    members = {"p/sub/x.pyd": dll("a.dll"), place: dll()}

    closure = resolve_windows(members, RULES, Table({"/dlls/a.dll": dll()}), folders)

    assert outcome(closure, "a.dll") == (expected, place)


def test_windows_looks_beside_the_first_module_and_not_beside_each() -> None:
    members = {
        "p/x.pyd": dll("a.dll"),
        "p/lib/a.dll": dll("b.dll"),
        "p/lib/b.dll": dll(),
        "q/c.dll": dll(),
        "p/lib/y.pyd": dll("c.dll"),
    }

    closure = resolve_windows(members, RULES, Table(), ("q",))

    assert outcome(closure, "a.dll")[0] == "loose"
    assert outcome(closure, "b.dll")[0] == "loose"
    assert outcome(closure, "c.dll") == ("inside", "q/c.dll")


def test_a_dll_that_is_loaded_is_not_looked_for_again() -> None:
    members = {
        "p/x.pyd": dll("lib.dll", "user.dll"),
        "p/lib.dll": dll(),
        "q/user.dll": dll("LIB.dll"),
    }

    closure = resolve_windows(members, RULES, Table(), ("q",), only_inside=True)

    assert outcome(closure, "LIB.dll") == ("inside", "p/lib.dll")


def test_a_dll_of_another_machine_is_passed_by() -> None:
    host = Table({"/dlls/a.dll": dll(machine="arm64"), "/late/a.dll": dll()})
    members = {"p/x.pyd": dll("a.dll"), "p/a.dll": dll(machine="win32")}

    closure = resolve_windows(members, RULES, host)

    assert outcome(closure, "a.dll") == ("graft", "/late/a.dll")


def test_a_graft_brings_what_it_needs_from_its_own_folder_too() -> None:
    host = Table(
        {"/late/a.dll": dll("B.dll", "user32.dll"), "/late/b.dll": dll("C.dll")}, search=()
    )

    closure = resolve_windows({"p/x.pyd": dll("a.dll")}, RULES, host)

    assert list(closure.grafts) == ["/late/a.dll", "/late/b.dll"]
    (missing,) = closure.of("missing")
    assert missing.chain == ("p/x.pyd", "/late/a.dll", "/late/b.dll")
    assert missing.searched == ("p", "/late")


def test_a_delayed_dll_is_taken_when_it_is_there_and_may_be_absent() -> None:
    members = {"p/x.pyd": dll(delayed=("a.dll",))}

    assert resolve_windows(members, RULES, Table()).needs[0].outcome == "optional"
    there = resolve_windows(members, RULES, Table({"/dlls/a.dll": dll()}))
    assert there.needs[0].outcome == "graft"


def test_nothing_of_this_machine_counts_where_the_wheel_is_installed() -> None:
    host = Table({"/dlls/a.dll": dll()})

    closure = resolve_windows({"p/x.pyd": dll("a.dll")}, RULES, host, only_inside=True)

    assert closure.needs[0].outcome == "missing"
    assert closure.needs[0].searched == ("p",)


def test_the_data_is_sound() -> None:
    table = microsoft()

    assert all(name == name.lower() for name in table.names)
    assert not [name for name in table.names if name.startswith(("msvcp1", "vcruntime", "python"))]
    assert "msvcp140.dll" not in table.names
    assert len(table.names) > 1300


class TestRegistered:
    MEMBERS = ("p/x.pyd", "p/lib/a.dll", "q/sub/y.pyd", "q.libs/b.dll")

    @pytest.mark.parametrize(
        ("path", "code", "expected"),
        [
            pytest.param(
                "p/__init__.py",
                "os.add_dll_directory(os.path.join(os.path.dirname(__file__), 'lib'))",
                ("p/lib",),
                id="joined",
            ),
            pytest.param(
                "p/__init__.py",
                'os.add_dll_directory(str(Path(__file__).parent / "lib"))',
                ("p/lib",),
                id="Path",
            ),
            pytest.param(
                "p/_loader.py",
                "def go():\n os.add_dll_directory(join(here, os.pardir, 'q.libs'))",
                ("q.libs",),
                id="another module, another folder",
            ),
            pytest.param(
                "p/__init__.py", "os.add_dll_directory(here + '/../q.libs')", ("q.libs",), id="text"
            ),
            pytest.param("p/__init__.py", "ctypes.CDLL('lib')", (), id="no call"),
            pytest.param(
                "p/__init__.py", "os.add_dll_directory(os.environ['HOME'])", (), id="elsewhere"
            ),
            pytest.param(
                "q/sub/__init__.py", "add_dll_directory('q.libs')", ("q.libs",), id="to a module"
            ),
            pytest.param("p/deep/mod.py", "os.add_dll_directory('lib')", (), id="not on the way"),
        ],
    )
    def test_a_folder_that_a_module_seems_to_register(
        self, path: str, code: str, expected: tuple[str, ...]
    ) -> None:
        found = registered_folders(
            "p", self.MEMBERS, (*self.MEMBERS, path), lambda _: code.encode()
        )

        assert found.folders == expected
        assert [note.split(":")[0] for note in found.notes] == list(expected)

    def test_the_own_folder_of_a_module_takes_its_file(self) -> None:
        members = ("p/x.pyd", "p/a.dll")

        def folders(code: str) -> tuple[str, ...]:
            found = registered_folders(
                "p", members, (*members, "p/__init__.py"), lambda _: code.encode()
            )
            return found.folders

        assert folders("os.add_dll_directory(os.path.dirname(__file__))") == ("p",)
        assert folders("os.add_dll_directory(os.environ['GEOS_LIBDIR'])") == ()

    def test_known_projects_need_no_guess(self) -> None:
        found = registered_folders(
            "torch", ("torch/lib/c10.dll",), ("torch/lib/c10.dll",), self._never
        )

        assert (found.folders, found.notes) == (("torch/lib",), ())

    def test_nothing_is_read_of_a_wheel_without_dlls(self) -> None:
        assert registered_folders("p", ("p/x.pyd",), ("p/__init__.py",), self._never).folders == ()

    @staticmethod
    def _never(path: str) -> bytes:
        raise AssertionError(path)


def test_dlls_of_this_machine_are_found_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "Geos.DLL").write_bytes(b"MZ")
    host = DllHost([tmp_path])

    assert host.look(f"{tmp_path}/geos.dll") is None, "the file is no DLL"
    assert host.look(f"{tmp_path}/other.dll") is None
    assert host.look("/nowhere/at/all.dll") is None
    assert host.search == (str(tmp_path),)


def test_programs_may_be_started_with_the_folders_of_the_wheel() -> None:
    program = replace(dll("a.dll"), kind="executable")

    closure = resolve_windows(
        {"p/bin/x.exe": program, "p/lib/a.dll": dll()}, RULES, Table(), ("p/lib",)
    )

    assert closure.needs[0].outcome == "inside"
