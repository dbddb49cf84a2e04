"""The twenty pains of those who repair wheels, one test each: `docs/reference/pains.md` is the table."""

from __future__ import annotations

import inspect as inspect_module
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

import builder
from builder.binary import read
from builder.cli.repair import parse_sibling
from builder.config.recipe import Sibling
from builder.errors import BuilderError
from builder.relink.cache import FactCache
from builder.relink.closure import MissingLibrariesError
from builder.verbs.inspect import Inspection, inspect
from builder.verbs.repair import repair
from tests.data import make_elf, make_macho
from tests.e2e import pains
from tests.e2e import second_opinion as second
from tests.e2e.pains import MACHINE, MODULE, NEWER

pytestmark = pytest.mark.e2e

PAGE = Path(builder.__file__).parents[1] / "docs" / "reference" / "pains.md"
LARGE = 12 << 20
WIDE = (1 << 32) + 4096


@pytest.fixture
def roomy(tmp_path: Path) -> Iterator[Path]:
    """A folder for gigabytes: in memory, where that is quick and there is plenty."""
    memory = Path("/dev/shm")
    is_fit = memory.is_dir() and shutil.disk_usage(memory).free > 4 * WIDE
    folder = Path(tempfile.mkdtemp(dir=memory)) if is_fit else tmp_path
    yield folder
    shutil.rmtree(folder)


def test_01_a_repair_costs_what_changes_and_not_what_is_there(tmp_path: Path) -> None:
    blob, place = tmp_path / "blob", pains.private(tmp_path)
    blob.write_bytes(os.urandom(LARGE))
    source = f'int val(void); int large(void) {{ return val(); }}\n__asm__(".data\\n.incbin \\"{blob}\\"\\n");'
    large = pains.library(tmp_path / "liblarge.so", source, place / "libval.so.2").read_bytes()
    given = pains.wheel(tmp_path, {"pkg/liblarge.so": large, "pkg/model.bin": blob.read_bytes()})

    made = pains.repaired(given, place)

    assert made.work.processes == 0
    assert made.work.deflated < LARGE // 10
    assert made.work.copied > 2 * LARGE * 9 // 10
    assert made.work.inflated < 1.2 * LARGE


def test_02_a_tag_that_is_too_good_is_refused_with_file_symbol_and_library(tmp_path: Path) -> None:
    module = pains.extension(tmp_path, declare=NEWER, call="newer()")
    given = pains.wheel(tmp_path, {MODULE: module})

    with pytest.raises(BuilderError, match="cannot be manylinux_2_17") as caught:
        pains.repaired(given, platform="manylinux2014")
    (subject,) = inspect([given]).subjects

    assert f"{MODULE}: getrandom@GLIBC_2.25 of libc.so.6" in caught.value.faults
    told = {(row.binary, row.symbol, row.library) for row in subject.platform.blockers}
    assert (MODULE, "getrandom@GLIBC_2.25", "libc.so.6") in told


def test_03_a_library_of_another_wheel_is_reached_and_required_and_not_copied(
    tmp_path: Path,
) -> None:
    place = pains.private(tmp_path)
    both = {f"owner/lib/{name}": (place / name).read_bytes() for name in ("libval.so.2", "libdeep.so.1")}  # fmt: skip
    owner = pains.wheel(tmp_path, both, project="owner")
    sibling = Sibling("owner", ("libval.so.*", "libdeep.so.*"), "owner/lib", "owner>=1")
    given = pains.wheel(tmp_path, {MODULE: pains.using(tmp_path, place)})

    made = pains.repaired(given, siblings=(sibling,))

    owned = pains.repaired(owner)
    site = pains.installed(tmp_path, made.output, owned.output, gone=place)
    assert pains.answer(site) == "42"
    assert made.grafted == ()
    assert b"Requires-Dist: owner>=1" in pains.contents(made.output)["pkg-1.0.dist-info/METADATA"]
    assert "libtorch*.so*" in parse_sibling("torch").libraries


def test_04_a_plugin_that_is_opened_by_name_comes_along_with_what_it_needs(tmp_path: Path) -> None:
    place = pains.private(tmp_path)
    source = "int deep(void); int plugged(void) { return deep() + 3; }"
    pains.library(place / "libplug.so", source, place / "libdeep.so.1")
    opens = "#include <dlfcn.h>\nstatic long opened(void) { int (*f)(void) = 0; "
    opens += 'void *at = dlopen("libplug.so", RTLD_NOW); if (at) f = dlsym(at, "plugged"); '
    module = pains.extension(tmp_path, declare=f"{opens} return f ? f() : -1; }}", call="opened()")
    given = pains.wheel(tmp_path, {MODULE: module})

    made = pains.repaired(given, place, include=("libplug.so",))

    assert [row.name for row in made.grafted] == ["libdeep.so.1", "libplug.so"]
    assert pains.answer(pains.installed(tmp_path, made.output, gone=place)) == "43"
    (tmp_path / "libplug.dylib").write_bytes(pains.macho(name="@rpath/libplug.dylib"))
    mac = pains.wheel(tmp_path, {"pkg/_x.so": pains.macho()}, "macosx_11_0_arm64", project="mac")
    assert [r.name for r in pains.repaired(mac, tmp_path, include=("libplug.dylib",)).grafted] == [
        "libplug.dylib"
    ]


def test_05_all_that_is_missing_is_told_at_once_with_chain_and_places(tmp_path: Path) -> None:
    place = pains.private(tmp_path)
    lost = pains.library(tmp_path / "lost" / "liblost.so", "int lost(void) { return 1; }")
    module = pains.using(tmp_path, place, "-Wl,--no-as-needed", lost, "-Wl,-rpath,$ORIGIN/inner")
    given = pains.wheel(tmp_path, {MODULE: module})
    (place / "libdeep.so.1").unlink()

    with pytest.raises(MissingLibrariesError, match="2 libraries") as caught:
        pains.repaired(given, place)

    deep, gone, places = caught.value.faults
    assert deep == f"libdeep.so.1: required by {place}/libval.so.2.0 <- {MODULE}"
    assert gone == f"liblost.so: required by {MODULE}"
    assert all(folder in places for folder in (str(place), "pkg/inner", "/usr/lib"))


def test_06_an_edited_binary_can_still_be_stripped_linked_and_loaded(tmp_path: Path) -> None:
    place, script = tmp_path / "private", tmp_path / "versions"
    script.write_text("VAL_1.0 { global: val; };")
    flags = (f"-Wl,--version-script={script}",)
    pains.library(place / "libval.so.2", "int val(void) { return 42; }", *flags)
    given = pains.wheel(tmp_path, {MODULE: pains.using(tmp_path, place, "-g")})

    made = pains.repaired(given, place)

    site = pains.installed(tmp_path, made.output, gone=place)
    (graft,) = made.grafted
    for path in (MODULE, graft.path):
        subprocess.run(["strip", site / path], check=True)
        said = ["readelf", "--wide", "--all", str(site / path)]
        whole = subprocess.run(said, check=True, capture_output=True, text=True)
        assert (whole.stderr, "orphan" in whole.stdout) == ("", False)
        assert second.layout_problems(path, (site / path).read_bytes()) == []
    source = "int val(void); int again(void) { return val(); }"
    pains.compiled(tmp_path / "again.so", source, site / graft.path, "-Wl,--no-undefined")
    (need,) = [row for row in read(site / MODULE).versions_needed if row.version == "VAL_1.0"]
    assert need.library == Path(graft.path).name
    assert pains.answer(site) == "42"


def test_07_no_tool_of_the_machine_is_asked_so_none_can_be_too_old(tmp_path: Path) -> None:
    place, traps, trace = pains.private(tmp_path), tmp_path / "traps", tmp_path / "trace"
    given = pains.wheel(tmp_path, {MODULE: pains.using(tmp_path, place)})
    traps.mkdir()
    for name in ("patchelf", "strip", "objdump", "readelf", "ldd", "unzip", "zip", "sh"):
        (traps / name).write_text(f"#!/bin/sh\necho {name} >> {trace}\nexit 1\n")
        (traps / name).chmod(0o755)

    words = ("repair", "--json", "-w", tmp_path / "out", "--add-path", place, given)
    ran = subprocess.run(
        [sys.executable, "-m", "builder", *map(str, words)], check=True, capture_output=True,
        env={"PATH": str(traps), "HOME": str(tmp_path)},
    )  # fmt: skip

    (row,) = json.loads(ran.stdout)["repaired"]
    assert len(row["grafted"]) == 2
    assert row["work"]["processes"] == 0
    assert not trace.exists()


def test_08_a_repair_is_a_typed_function_that_returns_values(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    place = pains.private(tmp_path)
    given = pains.wheel(tmp_path, {MODULE: pains.using(tmp_path, place)})
    before = (Path.cwd(), dict(os.environ), sorted(sys.path))

    made = repair([given], machine=MACHINE, wheel_dir=tmp_path / "out", search=(place,))
    seen = inspect([made[0].output])

    assert all(row.annotation for row in inspect_module.signature(repair).parameters.values())
    assert isinstance(seen, Inspection)
    assert (Path.cwd(), dict(os.environ), sorted(sys.path)) == before
    assert capfd.readouterr() == ("", "")
    assert resources.files("builder").joinpath("py.typed").is_file()


@pytest.mark.heavy
def test_09_an_archive_beyond_4_gib_is_read_and_written(roomy: Path) -> None:
    row = f"pkg/model.npy,sha256={'A' * 43},{WIDE}\n"
    given = pains.wheel(roomy, {MODULE: pains.extension(roomy)}, rows=row)
    with zipfile.ZipFile(given, "a") as archive:
        pains.add_wide(archive, "pkg/model.npy", WIDE)

    (subject,) = inspect([given]).subjects
    (made,) = repair([given], machine=MACHINE, wheel_dir=roomy / "out")

    assert made.tag == subject.platform.tag
    assert made.work.deflated < 1 << 20
    with zipfile.ZipFile(made.output) as archive:
        assert archive.getinfo("pkg/model.npy").file_size == WIDE
        behind = [row for row in archive.infolist() if row.header_offset > 1 << 32]
        assert behind != []
        assert all(archive.read(row) for row in behind)


def test_10_a_library_behind_links_is_grafted_once_and_copies_are_told(tmp_path: Path) -> None:
    place = pains.private(tmp_path)
    (place / "libval.so").symlink_to("libval.so.2")
    other = pains.extension(tmp_path, place / "libval.so", declare="int val(void);", call="-val()")
    files = {MODULE: other, f"pkg/_y{pains.SUFFIX}": pains.using(tmp_path, place)}
    copy = pains.library(tmp_path / "libsame.so.1", "int same(void) { return 1; }").read_bytes()
    given = pains.wheel(tmp_path, {**files, "pkg/libsame.so": copy, "pkg/libsame.so.1": copy})

    made = pains.repaired(given, place, include=("libval.so", "libval.so.2"))

    assert [row.source for row in made.grafted] == [
        str(place / "libdeep.so.1"), str(place / "libval.so.2.0"),
    ]  # fmt: skip
    assert made.notes == (f"pkg/libsame.so.1: has the same {len(copy)} bytes as pkg/libsame.so",)


def test_11_a_library_that_policies_promise_is_grafted_when_that_is_asked_for(
    tmp_path: Path,
) -> None:
    place, script = tmp_path / "private", tmp_path / "versions"
    script.write_text("GLIBCXX_3.4.99 { global: val; };")
    name, flags = "libstdc++.so.6", (f"-Wl,--version-script={script}",)
    newer = pains.library(place / name, "int val(void) { return 42; }", *flags)
    module = pains.extension(tmp_path, newer, declare="int val(void);", call="val()")
    given = pains.wheel(tmp_path, {MODULE: module})

    with pytest.raises(BuilderError, match="deserves no platform tag") as caught:
        pains.repaired(given, place)
    made = pains.repaired(given, place, include=(str(newer),), platform="manylinux_2_17")

    assert f"{MODULE}: val@GLIBCXX_3.4.99 of {name}" in caught.value.faults
    assert [row.name for row in made.grafted] == [name]
    assert name not in read(pains.contents(made.output)[MODULE]).needed
    assert pains.answer(pains.installed(tmp_path, made.output, gone=place)) == "42"


def test_12_a_wheel_for_macos_is_repaired_and_signed_on_any_machine(tmp_path: Path) -> None:
    place = tmp_path / "private"
    place.mkdir()
    deep = pains.macho(name="@rpath/libdeep.dylib")
    (place / "libdeep.dylib").write_bytes(deep)
    library = pains.macho("@rpath/libdeep.dylib", name="/opt/lib/libval.dylib")
    (place / "libval.dylib").write_bytes(library)
    module = pains.macho("/opt/lib/libval.dylib")
    files = {"pkg/__init__.py": b"", "pkg/_x.so": module}
    given = pains.wheel(tmp_path, files, "macosx_11_0_arm64")

    made = pains.repaired(given, place)

    found = second.binaries(made.output)
    assert sorted(found) == ["pkg/.dylibs/libdeep.dylib", "pkg/.dylibs/libval.dylib", "pkg/_x.so"]
    assert [line for one in found.items() for line in second.layout_problems(*one)] == []
    assert second.unresolved(found) == []
    assert made.tag == "macosx_11_0_arm64"
    assert made.work.processes == 0


@pytest.mark.parametrize("glob", ["libval.so.2", "*/libval.so.2.0", "libval*"])
def test_13_what_is_excluded_by_any_of_its_names_stays_outside(tmp_path: Path, glob: str) -> None:
    place = pains.private(tmp_path)
    given = pains.wheel(tmp_path, {MODULE: pains.using(tmp_path, place)})
    (place / "libval.dylib").write_bytes(pains.macho(name="/usr/local/lib/libreal.dylib"))
    files = {"pkg/__init__.py": b"", "pkg/_x.so": pains.macho("/usr/local/lib/libval.dylib")}
    mac = pains.wheel(tmp_path, files, "macosx_11_0_arm64", project="mac")

    made, theirs = pains.repaired(given, place, exclude=(glob,)), pains.repaired(mac, place)

    assert made.grafted == ()
    assert "libval.so.2" in read(pains.contents(made.output)[MODULE]).needed
    assert [row.name for row in theirs.grafted] == ["libval.dylib"]  # no system has `/usr/local`


def test_14_two_libraries_of_one_name_stay_two_and_a_framework_is_grafted(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": b""}
    for name in ("a", "b"):
        library = pains.macho(name=f"/opt/{name}/libsame.dylib", defined=(f"_{name}",))
        (tmp_path / name).mkdir()
        (tmp_path / name / "libsame.dylib").write_bytes(library)
        files[f"pkg/{name}.so"] = pains.macho(
            "@rpath/libsame.dylib", "@rpath/Some.framework/Versions/A/Some", rpaths=(f"{tmp_path}/{name}",)
        )  # fmt: skip
    framework = tmp_path / "search" / "Some.framework" / "Versions" / "A" / "Some"
    framework.parent.mkdir(parents=True)
    framework.write_bytes(pains.macho(name="@rpath/Some.framework/Versions/A/Some"))
    given = pains.wheel(tmp_path, files, "macosx_11_0_arm64")

    made = pains.repaired(given, tmp_path / "search")

    found = second.binaries(made.output)
    names = {path: read(found[path]).needed[0] for path in ("pkg/a.so", "pkg/b.so")}
    assert names["pkg/a.so"] != names["pkg/b.so"]
    assert second.unresolved(found) == []
    assert [row.path for row in made.grafted if "Some" in row.source] == ["pkg/.dylibs/Some"]
    assert any("its library is grafted, its resources are not" in note for note in made.notes)


def test_15_code_for_other_machines_is_told_and_left_alone(tmp_path: Path) -> None:
    files = {
        MODULE: pains.extension(tmp_path),
        "pkg/device.so": make_elf.assemble(make_elf.Elf(machine=247, needed=("libdevice.so",))),
        "pkg/unknown.so": make_elf.assemble(make_elf.Elf(machine=0x9999, needed=("libz9.so",))),
        "pkg/phone.dylib": make_macho.sound()["ios.dylib"],
    }
    given = pains.wheel(tmp_path, files)

    made, (subject,) = pains.repaired(given), inspect([given]).subjects

    after = pains.contents(made.output)
    assert {path: after[path] for path in files} == files
    assert made.grafted == ()
    told = {path for path in files if any(path in note for note in made.notes)}
    assert told == {"pkg/device.so", "pkg/unknown.so"}
    seen = {path for path in files if any(path in note for note in subject.notes)}
    assert seen == files.keys() - {MODULE}
    assert subject.platform.tag == made.tag


def test_16_install_names_are_true_and_none_is_made_up(tmp_path: Path) -> None:
    place = tmp_path / "private"
    place.mkdir()
    (place / "libval.dylib").write_bytes(pains.macho(name="/opt/lib/libval.dylib"))
    files = {"pkg/__init__.py": b"", "pkg/_x.so": pains.macho("/opt/lib/libval.dylib")}
    given = pains.wheel(tmp_path, files, "macosx_11_0_arm64")

    made = pains.repaired(given, place)

    (graft,) = made.grafted
    after = {
        path: pains.names_in(content) for path, content in second.binaries(made.output).items()
    }
    assert after == {
        "pkg/_x.so": ["@loader_path/.dylibs/libval.dylib", "/usr/lib/libSystem.B.dylib"],
        graft.path: ["@rpath/libval.dylib", "/usr/lib/libSystem.B.dylib"],
    }


def test_17_a_dll_with_an_overlay_is_edited_and_one_of_the_wheel_keeps_its_name(
    tmp_path: Path,
) -> None:
    place = tmp_path / "private"
    place.mkdir()
    (place / "other.dll").write_bytes(pains.pe(soname="other.dll"))
    (place / "own.dll").write_bytes(pains.pe("unwanted.dll", soname="own.dll"))
    module = pains.pe(
        "other.dll", "own.dll", overlay=b"an archive behind all sections", padded=False
    )
    own, stub = pains.pe(soname="own.dll"), b"!<arch>\nan import library of own.dll"
    files = {"pkg/__init__.py": b"", "pkg/_x.pyd": module, "pkg/own.dll": own, "pkg/own.lib": stub}
    given = pains.wheel(tmp_path, files, "win_amd64")

    made = pains.repaired(given, place)

    (graft,) = made.grafted
    after = pains.contents(made.output)
    assert pains.imports(after["pkg/_x.pyd"])[:2] == [Path(graft.path).name, "own.dll"]
    assert after["pkg/_x.pyd"].startswith(b"an archive behind", module.index(b"an archive behind"))
    assert (after["pkg/own.dll"], after["pkg/own.lib"]) == (own, stub)


def test_18_a_second_look_reads_nothing(tmp_path: Path) -> None:
    given = pains.wheel(tmp_path, {MODULE: pains.extension(tmp_path)})
    memory = FactCache(tmp_path / "facts", settled=0)

    first, second_look = inspect([given], cache=memory), inspect([given], cache=memory)

    assert first.work.inflated > 0
    assert second_look.work.inflated == 0
    assert second_look.subjects == first.subjects


def test_19_a_foreign_engine_that_fails_leaves_its_whole_story(tmp_path: Path) -> None:
    given = pains.wheel(tmp_path, {MODULE: pains.extension(tmp_path)})
    engine = tmp_path / "python"
    engine.write_text("#!/bin/sh\necho the reason that counts\nexit 3\n")
    engine.chmod(0o755)

    with pytest.raises(BuilderError, match="auditwheel cannot repair") as caught:
        repair(
            [given], machine=replace(MACHINE, python=engine), wheel_dir=tmp_path / "out",
            engine="auditwheel",
        )  # fmt: skip

    assert "the reason that counts" in Path(caught.value.log).read_text()
    assert "the reason that counts" in str(caught.value)


def test_20_what_is_no_wheel_is_looked_into_and_every_system_gets_a_bill(tmp_path: Path) -> None:
    place = pains.private(tmp_path)
    (place / "libval.dylib").write_bytes(pains.macho(name="@rpath/libval.dylib"))
    (place / "other.dll").write_bytes(pains.pe(soname="other.dll"))
    given = {
        pains.PLATFORM: {MODULE: pains.using(tmp_path, place)},
        "macosx_11_0_arm64": {"pkg/_x.so": pains.macho("@rpath/libval.dylib")},
        "win_amd64": {"pkg/_x.pyd": pains.pe("other.dll")},
    }
    archive = tmp_path / "core.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        info = tarfile.TarInfo("core/lib/libgpu.so")
        content = (Path(make_elf.HERE) / "sound" / "cuda.so").read_bytes()
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))

    seen = inspect([archive, place / "libval.so.2", place]).subjects

    for platform, files in given.items():
        made = pains.repaired(pains.wheel(tmp_path, files, platform), place)
        grafted = [row.path for row in made.grafted]
        assert pains.bill(made.output) == pains.digests(made.output, grafted)
    assert [subject.kind for subject in seen] == ["archive", "binary", "folder"]
    assert seen[0].binaries[0].binary.cuda_architectures != ()


def test_every_row_of_the_page_names_a_test_and_every_test_has_a_row() -> None:
    rows = re.findall(r"^\| (\d+) \|.*\| `(test_\w+)` \|$", PAGE.read_text("utf-8"), re.MULTILINE)

    tests = [name for name in globals() if re.match(r"test_\d\d_", name)]
    assert [name for _, name in rows] == sorted(tests)
    assert [int(number) for number, _ in rows] == list(range(1, 21))
