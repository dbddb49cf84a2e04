from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from builder.binary import Binary, Edit
from builder.config.recipe import Sibling
from builder.errors import BuilderError, UsageError
from builder.relink.closure import Rules
from builder.relink.dll_folders import Registered
from builder.relink.system import Relinked, Relinking
from builder.relink.windows import Windows
from builder.relink.windows_tag import judge_windows


def dll(*needed: str, machine: str = "amd64") -> Binary:
    return Binary(
        format="pe", machine=machine, bits=64, byte_order="little", kind="shared", needed=needed
    )


@dataclass(frozen=True)
class Table:
    """A machine as a table of paths in lower case, with real names."""

    files: Mapping[str, Binary] = field(default_factory=dict)
    search: tuple[str, ...] = ("/dlls",)
    system: tuple[str, ...] = ()

    def look(self, path: str) -> tuple[str, Binary] | None:
        real = {name.lower(): name for name in self.files}.get(path)
        return (real, self.files[real]) if real else None


TORCH = Sibling("torch", ("Torch*.dll", "c10.dll"), "torch/lib", "torch")


def relink(
    members: Mapping[str, Binary],
    files: Mapping[str, Binary] | None = None,
    *,
    registered: tuple[str, ...] = (),
    texts: Mapping[str, str] | None = None,
    include: tuple[str, ...] = (),
    **options: Any,
) -> Relinked:
    rules = Rules((), TORCH.libraries, include=include)
    system = Windows(Registered(registered))
    closure = system.resolve(members, rules, Table(files or {}))
    codes = {"p/__init__.py": "import os\n"} if texts is None else dict(texts)
    case = Relinking(
        project="p", members=members, closure=closure, rules=rules, siblings=(TORCH,),
        digests={path: path[-5] * 64 for path in closure.grafts},
        names=frozenset((*codes, *members)), texts=lambda path: codes[path].encode(),
        library_suffix="", placement="libs", included=frozenset(include),
    )  # fmt: skip
    return system.relink(replace(case, **options))


def placed(relinked: Relinked) -> list[str]:
    return [graft.path for graft in relinked.grafts]


def merged(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def test_a_graft_gets_a_digest_over_all_it_takes_along() -> None:
    found = relink(
        {"p/x.pyd": dll("Geos_c.dll", "KERNEL32.dll"), "p/y.pyd": dll("KERNEL32.dll")},
        {"/dlls/geos_C.dll": dll("geosA.dll"), "/dlls/geosA.dll": dll("msvcp140.dll"),
         "/dlls/msvcp140.dll": dll("VCRUNTIME140.dll")},
    )  # fmt: skip

    runtime = "0" * 32
    inner = merged(runtime, "A" * 64)
    outer = merged(inner, "C" * 64)
    assert placed(found) == [
        f"p.libs/geosA-{inner}.dll",
        f"p.libs/geos_C-{outer}.dll",
        f"p.libs/msvcp140-{runtime}.dll",
    ]
    assert found.edits == {
        "p/x.pyd": Edit(needed=(("Geos_c.dll", f"geos_C-{outer}.dll"),)),
    }
    assert [graft.edit for graft in found.grafts] == [
        Edit(needed=(("msvcp140.dll", f"msvcp140-{runtime}.dll"),)),
        Edit(needed=(("geosA.dll", f"geosA-{inner}.dll"),)),
        Edit(),
    ]
    assert list(found.files) == ["p/__init__.py"]
    assert b"'p.libs'," in found.files["p/__init__.py"]


def test_libraries_in_a_circle_share_a_digest() -> None:
    files = {
        "/dlls/a.dll": dll("b.dll"),
        "/dlls/b.dll": dll("a.dll", "c.dll"),
        "/dlls/c.dll": dll(),
    }

    found = relink({"p/x.pyd": dll("a.dll")}, files)

    shared = merged("c" * 32, "a" * 64, "b" * 64)
    assert placed(found) == [
        f"p.libs/a-{shared}.dll", f"p.libs/b-{shared}.dll", f"p.libs/c-{'c' * 32}.dll"
    ]  # fmt: skip


def test_a_long_chain_needs_no_recursion() -> None:
    files = {f"/dlls/n{n}x{n % 10}.dll": dll(f"n{n + 1}x{(n + 1) % 10}.dll") for n in range(3000)}
    files["/dlls/n3000x0.dll"] = dll()

    assert len(relink({"p/x.pyd": dll("n0x0.dll")}, files).grafts) == 3001


@pytest.mark.parametrize("name", ["cudnn64_9.dll", "libiomp5md.dll"])
def test_some_names_are_kept(name: str) -> None:
    found = relink({"p/x.pyd": dll(name)}, {f"/dlls/{name}": dll()})

    assert placed(found) == [f"p.libs/{name}"]
    assert found.edits == {}
    assert list(found.files) == ["p/__init__.py"]


def test_a_dll_that_nobody_names_keeps_its_name_and_brings_all_it_needs() -> None:
    files = {"/dlls/plug.dll": dll("deep.dll", "KERNEL32.dll"), "/dlls/deep.dll": dll()}

    relinked = relink({"p/x.pyd": dll()}, files, include=("/dlls/plug.dll",))

    assert placed(relinked) == ["p.libs/deep-" + "p" * 32 + ".dll", "p.libs/plug.dll"]
    assert {graft.name: graft.edit.needed for graft in relinked.grafts} == {
        "deep.dll": (), "plug.dll": (("deep.dll", "deep-" + "p" * 32 + ".dll"),),
    }  # fmt: skip
    assert b"p.libs" in relinked.files["p/__init__.py"]


def test_what_is_included_takes_the_place_of_what_windows_has() -> None:
    files = {"/dlls/d3d12.dll": dll()}

    relinked = relink({"p/x.pyd": dll("D3D12.dll")}, files, include=("/dlls/d3d12.dll",))

    assert placed(relinked) == ["p.libs/d3d12.dll"]
    assert relinked.edits == {}


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/dlls/none.dll", "`/dlls/none.dll` cannot be included: it is no library"),
        ("/dlls/small.dll", "`/dlls/small.dll` is for win32, unlike the wheel"),
    ],
)
def test_what_cannot_be_included_is_said(path: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        relink({"p/x.pyd": dll()}, {"/dlls/small.dll": dll(machine="win32")}, include=(path,))


def test_the_suffix_of_the_folder_can_be_chosen() -> None:
    found = relink({"p/x.pyd": dll("a.dll")}, {"/dlls/a.dll": dll()}, library_suffix="_dlls")

    assert placed(found) == [f"p_dlls/a-{'a' * 32}.dll"]
    assert b"'p_dlls'," in found.files["p/__init__.py"]


class TestWhoRegisters:
    FILES: Mapping[str, Binary] = {"/dlls/a.dll": dll()}
    GRAFT = f"a-{'a' * 32}.dll"

    @pytest.mark.parametrize(
        ("module", "texts", "expected"),
        [
            ("p/sub/x.pyd", ("p/__init__.py", "p/sub/__init__.py"), ["p/__init__.py"]),
            ("p/sub/x.pyd", ("p/sub/__init__.py", "q/__init__.py"), ["p/sub/__init__.py"]),
            ("p-1.data/platlib/p/x.pyd", ("p/__init__.py",), ["p/__init__.py"]),
            ("p/x.pyd", ("p-1.data/purelib/p/__init__.py",), ["p-1.data/purelib/p/__init__.py"]),
            ("p/x.pyd", ("p-1.data/data/p/__init__.py",), []),
        ],
    )
    def test_the_first_package_on_the_way_does(
        self, module: str, texts: tuple[str, ...], expected: list[str]
    ) -> None:
        found = relink({module: dll("a.dll")}, self.FILES, texts=dict.fromkeys(texts, "x = 1\n"))

        assert list(found.files) == expected

    def test_packages_that_need_nothing_are_left_alone(self) -> None:
        members = {"p/x.pyd": dll("mid.dll"), "p/mid.dll": dll("a.dll"), "q/y.pyd": dll()}
        texts = dict.fromkeys(("p/__init__.py", "q/__init__.py"), "x = 1\n")

        assert list(relink(members, self.FILES, texts=texts).files) == ["p/__init__.py"]

    @pytest.mark.parametrize(
        ("module", "texts", "folder"),
        [
            pytest.param("x.pyd", {}, "", id="module at the top"),
            pytest.param("p/x.pyd", {}, "p/", id="namespace"),
            pytest.param(
                "p/x.pyd",
                {"p/__init__.py": "__path__ = __import__('pkgutil').extend_path(__path__, 'p')\n"},
                "p/",
                id="namespace of old",
            ),
        ],
    )
    def test_grafts_lie_beside_what_no_package_speaks_for(
        self, module: str, texts: dict[str, str], folder: str
    ) -> None:
        found = relink({module: dll("a.dll")}, self.FILES, texts=texts)

        assert placed(found) == [f"{folder}{self.GRAFT}"]
        assert found.files == {}
        assert "lie beside them" in found.notes[0]

    def test_only_those_who_need_a_graft_have_it_beside_them(self) -> None:
        members = {"x.pyd": dll("a.dll"), "n/y.pyd": dll("b.dll")}

        found = relink(members, {**self.FILES, "/dlls/b.dll": dll()}, texts={})

        assert placed(found) == [self.GRAFT, f"n/b-{'b' * 32}.dll"]

    def test_a_program_that_cannot_find_a_dll_of_the_wheel_is_refused(self) -> None:
        program = replace(dll("a.dll"), kind="executable")

        with pytest.raises(BuilderError, match="DLLs of the wheel that they cannot find") as caught:
            relink({"p/bin/x.exe": program, "p/lib/a.dll": dll()})

        assert caught.value.faults == (
            "p/bin/x.exe: no package can register a folder for it",
            "the DLLs: p/lib/a.dll",
        )

    def test_a_program_may_be_started_with_a_folder_that_a_module_registers(self) -> None:
        program = replace(dll("a.dll"), kind="executable")
        members = {"p/bin/x.exe": program, "p/x.pyd": dll("a.dll"), "p/lib/a.dll": dll()}

        assert b"'p/lib'," in relink(members).files["p/__init__.py"]

    def test_a_program_has_its_own_copies(self) -> None:
        program = replace(dll("a.dll"), kind="executable")
        members = {"p/x.pyd": dll("a.dll"), "p/bin/x.exe": program}

        found = relink(members, self.FILES)

        assert placed(found) == [f"p.libs/{self.GRAFT}", f"p/bin/{self.GRAFT}"]
        assert list(found.edits) == ["p/bin/x.exe", "p/x.pyd"]

    def test_a_dll_of_the_wheel_that_nothing_leads_to_has_its_folder_registered(self) -> None:
        found = relink({"p/sub/x.pyd": dll("a.dll"), "p/lib/a.dll": dll()})

        assert found.grafts == ()
        assert b"'p/lib'," in found.files["p/__init__.py"]

    def test_the_folder_of_a_sibling_is_registered(self) -> None:
        found = relink({"p/x.pyd": dll("torch_cpu.dll")})

        assert found.grafts == ()
        assert b"'torch/lib'," in found.files["p/__init__.py"]

    def test_a_wheel_that_needs_nothing_is_left_alone(self) -> None:
        found = relink({"p/x.pyd": dll("KERNEL32.dll", "a.dll"), "p/a.dll": dll()})

        assert found == Relinked((), {}, {}, ())


class TestBeside:
    def test_a_registered_folder_takes_the_grafts_under_their_names(self) -> None:
        members = {"p/x.pyd": dll("huge.dll"), "p/lib/huge.dll": dll("uv.dll")}

        found = relink(members, {"/dlls/uv.dll": dll()}, registered=("p/lib",), placement="beside")

        assert (placed(found), found.edits, found.files) == (["p/lib/uv.dll"], {}, {})

    def test_the_one_folder_of_all_modules_does_too(self) -> None:
        found = relink(
            {"p/x.pyd": dll("uv.dll"), "p/y.pyd": dll("uv.dll")},
            {"/dlls/uv.dll": dll()},
            placement="beside",
        )

        assert (placed(found), found.edits, found.files) == (["p/uv.dll"], {}, {})

    def test_modules_in_many_folders_need_a_folder_for_grafts(self) -> None:
        found = relink(
            {"p/x.pyd": dll("uv.dll"), "p/sub/y.pyd": dll("uv.dll")},
            {"/dlls/uv.dll": dll()},
            placement="beside",
        )

        assert placed(found) == [f"p.libs/uv-{'v' * 32}.dll"]
        assert found.notes == ("no folder suits all that need grafts: they have one of their own",)


@pytest.mark.parametrize(
    ("machines", "claimed", "expected", "blamed"),
    [
        pytest.param({"x.pyd": "amd64"}, ["win_amd64"], ["win_amd64"], [], id="true"),
        pytest.param({"x.pyd": "win32"}, ["win32"], ["win32"], [], id="32 bits"),
        pytest.param({"x.pyd": "arm64"}, ["win_arm64"], ["win_arm64"], [], id="arm"),
        pytest.param({"x.pyd": "arm64"}, ["win_amd64"], ["win_arm64"], ["x.pyd"], id="untrue"),
        pytest.param({"x.pyd": "amd64"}, [], ["win_amd64"], [], id="no claim"),
        pytest.param({"x.pyd": "amd64"}, ["linux_x86_64"], ["win_amd64"], ["x.pyd"], id="other"),
        pytest.param(
            {"x.pyd": "amd64", "y.pyd": "arm64"}, ["win_amd64"], [], ["y.pyd"], id="mixed modules"
        ),
        pytest.param(
            {"x.pyd": "amd64", "t32.exe": "win32"}, ["win_amd64"], ["win_amd64"], [], id="launcher"
        ),
        pytest.param({"a.dll": "amd64", "b.dll": "arm64", "c.dll": "amd64"}, [], ["win_amd64"], [],
                     id="most DLLs"),
    ],
)  # fmt: skip
def test_the_tag_of_a_wheel(
    machines: dict[str, str], claimed: list[str], expected: list[str], blamed: list[str]
) -> None:
    binaries = {path: dll(machine=machine) for path, machine in machines.items()}

    verdict = judge_windows(binaries, claimed)

    assert list(verdict.platforms) == expected
    assert [blocker.binary for blocker in verdict.blockers] == blamed


def test_binaries_of_other_machines_are_noted() -> None:
    binaries = {"x.pyd": dll(), "t32.exe": dll(machine="win32")}

    assert judge_windows(binaries, ["win_amd64"]).notes == (
        "t32.exe: is for win32, unlike the wheel",
    )


def test_a_dll_that_is_there_already_is_named_and_not_grafted_again() -> None:
    there = f"p.libs/a-{'a' * 32}.dll"
    members = {"p/x.pyd": dll("a.dll"), there: dll()}

    found = relink(members, {"/dlls/a.dll": dll()}, registered=("p.libs",))

    assert found.grafts == ()
    assert found.edits == {"p/x.pyd": Edit(needed=(("a.dll", f"a-{'a' * 32}.dll"),))}
