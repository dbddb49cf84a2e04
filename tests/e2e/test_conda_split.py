"""A finished wheel as two packages: its C++ part for everybody, and the rest of it with links to that."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from builder.archive.conda import INDEX, open_package, read_info
from tests.e2e import conda_channel, pains
from tests.e2e.conda_channel import LEAN, add_openmp, make_channel
from tests.e2e.conftest import HOST, Builder, Ran

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.xdist_group("conda_used"),
    pytest.mark.skipif(bool(conda_channel.reason()), reason=conda_channel.reason()),
]
PLATFORM = "manylinux_2_28_x86_64"
RECIPE = """
[recipe]
name = "pkg"
[matrix]
types = ["conda"]
[archive]
wheel = "pkg"
keep = ["lib/*", "include/*"]
[conda]
name = "package"
library = "libpkg"
library-depends = ["_openmp_mutex"]
[check]
imports = ["pkg", "pkg._x"]
commands = [["{python}", "-c", "import pkg._x, sys; sys.exit(pkg._x.answer() != 42)"]]
"""
OPENMP = "#include <omp.h>\nint val(void) { int n = 0; \n#pragma omp parallel\n#pragma omp single\n n = 42; return n; }"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """One that brings a library, a header for it, and the OpenMP that somebody put in."""
    said = ["gcc", "-print-file-name=libgomp.so.1"]
    openmp = Path(subprocess.run(said, capture_output=True, text=True, check=True).stdout.strip())
    flags = ("-fopenmp", "-Wl,-rpath,$ORIGIN")
    library = pains.library(tmp_path / "private" / "libval.so.2", OPENMP, *flags)
    extension = pains.extension(
        tmp_path, library, "-Wl,-rpath,$ORIGIN/lib", declare="int val(void);", call="val()"
    )
    files = {
        "pkg/__init__.py": b"",
        f"pkg/_x{pains.SUFFIX}": extension,
        "pkg/lib/libval.so.2": library.read_bytes(),
        "pkg/lib/libgomp.so.1": openmp.resolve().read_bytes(),
        "pkg/include/val.h": b"int val(void);\n",
    }
    return pains.wheel(tmp_path, files, PLATFORM)


def built(builder: Builder, wheel: Path, *words: str, recipe: str = RECIPE) -> Ran:
    (builder.folder / "recipe").mkdir()
    (builder.folder / "recipe" / "builder.toml").write_text(recipe)
    return builder.build(
        "recipe", "--type", "conda", "--cuda", "cpu", "--source", str(wheel), "--json", *words
    )


def members(package: Path) -> dict[str, str]:
    """What a package holds, and where its links lead."""
    with open_package(package) as found:
        listed = {member.name: member.target for member, _ in found}
    return {name: target for name, target in listed.items() if not name.startswith("info/")}


def test_one_part_is_for_everybody_and_the_rest_leads_to_it(
    fresh: Builder, wheel: Path, tmp_path: Path
) -> None:
    channel = make_channel(tmp_path / "channel", tmp_path, without=LEAN - {"email", "urllib"})
    add_openmp(channel, tmp_path)

    ran = built(fresh, wheel, "--python", HOST, "--channel", str(channel))

    assert ran.code == 0, ran.err
    made = {one["target"].partition("-")[0]: one for one in ran.document["artifacts"]}
    python, library = (Path(made[kind]["path"]) for kind in ("conda", "conda_lib"))
    assert set(members(library)) == {"include/val.h", "lib/libval.so.2"}
    site = f"lib/python{HOST}/site-packages/pkg"
    found = members(python)
    assert {name: found[f"{site}/{name}"] for name in ("lib/libval.so.2", "lib/libgomp.so.1", "include/val.h")} == {
        "lib/libval.so.2": "../../../../libval.so.2",
        "lib/libgomp.so.1": "../../../../libgomp.so.1",
        "include/val.h": "../../../../../include/val.h",
    }  # fmt: skip
    assert found[f"{site}/_x{pains.SUFFIX}"] == ""
    index = {
        path: json.loads(read_info(path, {INDEX: 1 << 20})[INDEX]) for path in (python, library)
    }
    exact = f"libpkg 1.0 {index[library]['build']}"
    assert exact in index[python]["depends"]
    assert "_openmp_mutex" in index[library]["depends"]
    statuses = {row["id"]: row["status"] for row in made["conda"]["report"]["results"]}
    asked = ("env.install", "env.import", "env.loaded", "env.commands")
    assert {name: statuses[name] for name in asked} == dict.fromkeys(asked, "pass")


def test_a_recipe_without_a_library_package_keeps_the_wheel_whole(
    fresh: Builder, wheel: Path
) -> None:
    recipe = RECIPE.replace('library = "libpkg"\n', "").replace("library-depends", "depends")

    ran = built(fresh, wheel, "--python", HOST, recipe=recipe)

    assert ran.code == 0, ran.err
    (made,) = ran.document["artifacts"]
    site = f"lib/python{HOST}/site-packages/pkg"
    assert members(Path(made["path"]))[f"{site}/lib/libval.so.2"] == ""


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        pytest.param(("", ""), ("--python", "3.7"), "is not for Python 3.7", id="another Python"),
        pytest.param(('wheel = "pkg"', 'wheel = "gkp"'), ("--python", HOST), "no file below `gkp`", id="nothing"),
    ],
)  # fmt: skip
def test_what_cannot_be_split(
    fresh: Builder, wheel: Path, change: tuple[str, str], words: tuple[str, ...], said: str
) -> None:
    ran = built(fresh, wheel, *words, recipe=RECIPE.replace(*change))

    assert ran.code == 1
    assert any(said in failure["error"] for failure in ran.document["failures"])


def test_a_member_that_is_not_what_record_says_is_packaged_nowhere(
    fresh: Builder, wheel: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    wheel.unlink()
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in files.items():
            archive.writestr(
                name, data.replace(b"int val", b"int lav") if name.endswith(".h") else data
            )

    ran = built(fresh, wheel, "--python", HOST)

    assert ran.code == 1
    assert any(
        "digest that RECORD says" in failure["error"] for failure in ran.document["failures"]
    )


def system(builder: Builder, name: str, arch: str, wheel: Path, requires: str) -> Ran:
    """A wheel of another system, packaged here."""
    recipe = RECIPE.replace('library-depends = ["_openmp_mutex"]', f"library-depends = {requires}")
    return built(builder, wheel, "--os", name, "--arch", arch, "--python", "3.11", recipe=recipe)


@pytest.fixture
def macos(tmp_path: Path) -> Path:
    own = pains.macho("@rpath/libomp.dylib", name="@rpath/libval.dylib", rpaths=("@loader_path",))
    files = {
        "pkg/__init__.py": b"",
        "pkg/_x.cpython-311-darwin.so": pains.macho("@rpath/libval.dylib", rpaths=("@loader_path/lib",)),
        "pkg/lib/libval.dylib": own,
        "pkg/lib/libomp.dylib": pains.macho(name="@rpath/libomp.dylib"),
        "pkg/include/val.h": b"int val(void);\n",
    }  # fmt: skip
    return pains.wheel(tmp_path, files, "macosx_12_0_arm64")


@pytest.fixture
def windows(tmp_path: Path) -> Path:
    files = {
        "pkg/__init__.py": b"",
        "pkg/_x.cp311-win_amd64.pyd": pains.pe("python311.dll"),
        "pkg/lib/val.dll": pains.pe("libiomp5md.dll", soname="val.dll"),
        "pkg/lib/libiomp5md.dll": pains.pe(soname="libiomp5md.dll"),
        "pkg/lib/val.lib": b"!<arch>\n",
        "pkg/include/val.h": b"int val(void);\n",
    }
    return pains.wheel(tmp_path, files, "win_amd64")


@pytest.mark.skipif(pains.TAG != "cp311-cp311", reason="the wheels are for CPython 3.11")
@pytest.mark.parametrize(
    ("name", "arch", "openmp", "inside", "floor"),
    [
        ("macos", "arm64", "llvm-openmp", {"include/val.h", "lib/libval.dylib"}, ["__osx >=12.0"]),
        ("windows", "x86_64", "intel-openmp",
         {"Library/include/val.h", "Library/bin/val.dll", "Library/lib/val.lib"}, []),
    ],
    ids=["macos", "windows"],
)  # fmt: skip
def test_wheels_of_other_systems_become_a_library_package_and_a_whole_one(
    fresh: Builder, request: pytest.FixtureRequest,
    name: str, arch: str, openmp: str, inside: set[str], floor: list[str],
) -> None:  # fmt: skip
    given = request.getfixturevalue(name)

    ran = system(fresh, name, arch, given, f'["{openmp}"]')

    assert ran.code == 0, ran.err
    made = {one["target"].partition("-")[0]: one for one in ran.document["artifacts"]}
    python, library = (Path(made[kind]["path"]) for kind in ("conda", "conda_lib"))
    assert set(members(library)) == inside
    index = {
        path: json.loads(read_info(path, {INDEX: 1 << 20})[INDEX]) for path in (python, library)
    }
    assert index[library]["depends"] == [*floor, openmp]
    assert [spec for spec in index[python]["depends"] if not spec.startswith("python")] == floor
    assert set(members(python).values()) == {""}
    assert index[python]["subdir"] == index[library]["subdir"] == python.parent.name
    (install,) = (row for row in made["conda"]["report"]["results"] if row["id"] == "env.install")
    assert "do not run on this machine" in install["reason"]


@pytest.mark.skipif(pains.TAG != "cp311-cp311", reason="the wheels are for CPython 3.11")
@pytest.mark.parametrize(("name", "arch"), [("macos", "arm64"), ("windows", "x86_64")])
def test_what_nobody_brings_is_an_error_for_other_systems_too(
    fresh: Builder, request: pytest.FixtureRequest, name: str, arch: str
) -> None:
    given = request.getfixturevalue(name)
    with zipfile.ZipFile(given) as archive:
        files = {
            one: archive.read(one)
            for one in archive.namelist()
            if "omp" not in one.rpartition("/")[2]
        }
    files = {one: data for one, data in files.items() if ".dist-info/" not in one}
    lacking = pains.wheel(given.parent / "again", files, given.stem.rpartition("-")[2])

    ran = system(fresh, name, arch, lacking, "[]")

    assert ran.code == 1
    errors = [failure["error"] for failure in ran.document["failures"]]
    assert len(errors) == 2
    assert all(
        "needs libraries that neither it nor what it requires has" in text for text in errors
    )
    assert all("omp" in text for text in errors)


def test_a_member_that_record_does_not_list_is_packaged_nowhere(
    fresh: Builder, wheel: Path
) -> None:
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("pkg/include/more.h", "int more(void);\n")

    ran = built(fresh, wheel, "--python", HOST)

    errors = [failure["error"] for failure in ran.document["failures"]]
    assert ran.code == 1
    assert len(errors) == 2
    assert all("does not hold what its RECORD says" in text for text in errors)
    assert all("pkg/include/more.h" in text for text in errors)
