"""What the suite says of wheels for Windows, held against the loader of wine.

The extension modules are loaded as CPython loads them, against a `python311.dll` that is made from
the names that they import. Error 126 is a DLL that was not found; 998 comes from an initialiser that
called what is no Python, after every DLL was found. Wine brings a C and a C++ runtime of its own,
so that a wheel brings those is not proven here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pefile
import pytest
from builder_conda.launchers import launcher

from benchmarks import wheels
from builder.config.consumer import Project, project_text
from builder.config.recipe import Consumer
from smoke.catalogue import choose
from smoke.checks import CATALOGUE
from smoke.runner import Request, check_artifact, subject_of

pytestmark = [pytest.mark.e2e, pytest.mark.heavy]

SHAPELY = "shapely-2.2.0-cp311-cp311-win_amd64.whl"
NUMPY = "numpy-2.4.6-cp311-cp311-win_amd64.whl"
COMPILER = "x86_64-w64-mingw32-gcc"
WINE = ("wine64", "/usr/lib/wine/wine64")
NOT_FOUND, NO_ACCESS = 126, 998
LOADER = """
#include <windows.h>
#include <stdio.h>
int wmain(int count, wchar_t **words) {
    for (int at = 1; at < count; at++) {
        if (!wcscmp(words[at], L"-d")) {
            if (!AddDllDirectory(words[++at])) return 87;
        } else {
            void *library = LoadLibraryExW(words[at], NULL, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS |
                                           LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR);
            printf("@loaded %lu %ls\\n", library ? 0 : GetLastError(), words[at]);
        }
    }
    return 0;
}
"""
EXTENSION = """
#include <windows.h>
__declspec(dllimport) void *PyModule_Create2(void *, int);
__declspec(dllexport) void *PyInit__tiny(void) { return PyModule_Create2(0, 1013); }
BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, LPVOID reserved) {
    return reason != DLL_PROCESS_ATTACH || PyModule_Create2(0, 1013);
}
"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the loader said: an error (0 for none) by file, and who lacked which DLL."""

    errors: Mapping[str, int]
    lacks: frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Wine:
    """A prefix of wine with the loader in it."""

    program: str
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "WINEPREFIX": str(self.folder / "prefix"),
            "WINEDEBUG": "-all,err+module",
            # No desktop, no debugger after a crash, no browser and no .NET.
            "WINEDLLOVERRIDES": "explorer.exe,winedbg.exe,winemenubuilder.exe,mscoree,mshtml=",
        }

    def run(self, *words: str, search: tuple[Path, ...] = ()) -> str:
        """What a program said. Into a file, for a pipe ends only with wine's own services."""
        environment = {**self.environment, "WINEPATH": ";".join(f"Z:{one}" for one in search)}
        log = self.folder / "log"
        with log.open("wb") as stream:
            subprocess.run(
                [self.program, *words], cwd=self.folder / "programs", env=environment,
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, check=True, timeout=120,
            )  # fmt: skip
        return log.read_text()

    def load(self, site: Path, *folders: Path) -> Loaded:
        """Load every extension module below `site`, with folders that were handed to the loader."""
        words = [word for one in folders for word in ("-d", f"Z:{one}")]
        modules = sorted(site.rglob("*.pyd"))
        said = self.run("loader.exe", *words, *(f"Z:{file}" for file in modules))
        rows = re.findall(r"^@loaded (\d+) (.*?)\r?$", said, re.MULTILINE)
        errors = {_below(site, path): int(number) for number, path in rows}
        assert len(errors) == len(modules) > 0
        told = re.findall(r'Library (\S+) \(which is needed by L"(.*?)"\) not found', said)
        return Loaded(
            errors, frozenset((_below(site, path.replace(r"\\", "/")), dll) for dll, path in told)
        )


def _below(site: Path, path: str) -> str:
    return Path(path.removeprefix("Z:")).relative_to(site).as_posix()


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wine]:
    program = next(filter(None, map(shutil.which, WINE)), "")
    if not program or not shutil.which(COMPILER):
        pytest.skip(
            "no wine or no C compiler for Windows: "
            "apt-get install --no-install-recommends wine64 g++-mingw-w64-x86-64-posix"
        )
    folder = tmp_path_factory.mktemp("wine")
    made = Wine(program, folder)
    server = shutil.which("wineserver64", path="/usr/lib/wine") or "wineserver"
    # In a folder of its own: the loader searches the folder of the program, too.
    (folder / "programs").mkdir()
    (folder / "prefix").mkdir()
    _compile(LOADER, folder / "programs" / "loader.exe", "-municode")
    # It stays, and with it the services of the system, whose start takes seconds.
    subprocess.run([server, "-p"], env=made.environment, check=True, timeout=60)
    made.run("wineboot", "-i")
    yield made
    subprocess.run([server, "-k"], env=made.environment, check=False, timeout=60)
    shutil.rmtree(folder)


def _compile(source: str, target: Path, *words: str | Path) -> None:
    text = target.with_suffix(".c")
    text.write_text(source)
    subprocess.run([COMPILER, "-o", target, text, *words], check=True)


def _unpacked(wheel: Path, site: Path) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def _without(wheel: Path, member: str, folder: Path) -> Path:
    """The wheel without one of its members."""
    target = folder / wheel.name
    with zipfile.ZipFile(wheel) as given, zipfile.ZipFile(target, "w") as made:
        for info in given.infolist():
            if info.filename != member:
                made.writestr(info, given.read(info))
    return target


def _stub(site: Path, folder: Path) -> Path:
    """A folder with a `python311.dll` that offers what is imported from it, and does nothing."""
    names: set[str] = set()
    for file in (*site.rglob("*.pyd"), *site.rglob("*.dll")):
        image = pefile.PE(str(file), fast_load=True)
        image.parse_data_directories([pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_IMPORT"]])
        for row in getattr(image, "DIRECTORY_ENTRY_IMPORT", ()):
            if row.dll.decode().lower() == "python311.dll":
                names |= {one.name.decode() for one in row.imports}
    assert names
    folder.mkdir()
    lines = (f"__declspec(dllexport) void *{name}[64];\n" for name in sorted(names))
    _compile("".join(lines), folder / "python311.dll", "-shared", "-nostdlib", "-Wl,-e,0")
    return folder


def _missing(wheel: Path) -> frozenset[tuple[str, str]]:
    """Who lacks which DLL, as `link.needed` says."""
    chosen = choose(CATALOGUE, ("link.needed",))
    (result,) = check_artifact(subject_of(Request(wheel)), chosen).results
    assert result.status == ("fail" if result.problems else "pass")
    found = re.findall(r"(\S+): needs `(\S+)`, found nowhere", "\n".join(result.problems))
    assert len(found) == len(result.problems)
    return frozenset(found)


@pytest.mark.parametrize("name", [SHAPELY, NUMPY])
def test_a_wheel_that_is_complete_loads(wine: Wine, tmp_path: Path, name: str) -> None:
    wheel = wheels.fetch(name)
    site = _unpacked(wheel, tmp_path / "site")
    grafts = site / f"{name.partition('-')[0]}.libs"

    seen = wine.load(site, grafts, _stub(site, tmp_path / "stub"))

    assert set(seen.errors.values()) == {0}
    assert _missing(wheel) == seen.lacks == frozenset()


@pytest.mark.parametrize("graft", ["geos-", "geos_c-", "msvcp140-"])
def test_a_wheel_that_lacks_a_graft_is_refused_by_both_for_the_same_dll(
    wine: Wine, tmp_path: Path, graft: str
) -> None:
    whole = wheels.fetch(SHAPELY)
    with zipfile.ZipFile(whole) as archive:
        (member,) = [one for one in archive.namelist() if one.startswith(f"shapely.libs/{graft}")]
    wheel = _without(whole, member, tmp_path)
    site = _unpacked(wheel, tmp_path / "site")

    seen = wine.load(site, site / "shapely.libs", _stub(site, tmp_path / "stub"))

    # Wine also names the files that are there and lack something themselves.
    lacks = {(file, dll) for file, dll in seen.lacks if not (site / "shapely.libs" / dll).exists()}
    assert seen.errors["shapely/lib.cp311-win_amd64.pyd"] == NOT_FOUND
    assert seen.errors["shapely/_geos.cp311-win_amd64.pyd"] == 0
    assert {dll for _, dll in lacks} == {Path(member).name}
    assert _missing(wheel) == lacks


def test_grafts_that_nobody_hands_to_the_loader_are_missed_by_both(
    wine: Wine, tmp_path: Path
) -> None:
    whole, start = wheels.fetch(SHAPELY), "shapely/__init__.py"
    wheel = _without(whole, start, tmp_path)
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr(start, "")
    site = _unpacked(wheel, tmp_path / "site")

    seen = wine.load(site, _stub(site, tmp_path / "stub"))

    assert seen.errors["shapely/lib.cp311-win_amd64.pyd"] == NOT_FOUND
    assert {dll.partition("-")[0] for _, dll in seen.lacks} >= {"geos_c"}
    assert seen.lacks <= _missing(wheel)


def test_an_initialiser_that_fails_is_no_missing_dll(wine: Wine, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "tiny").mkdir(parents=True)
    (tmp_path / "stub").mkdir()
    stub = tmp_path / "stub" / "python311.dll"
    _compile("__declspec(dllexport) void *PyModule_Create2[64];", stub, "-shared", "-nostdlib")
    _compile(EXTENSION, site / "tiny/_tiny.cp311-win_amd64.pyd", "-shared", stub)
    wheel = tmp_path / "tiny-1.0-cp311-cp311-win_amd64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(site / "tiny/_tiny.cp311-win_amd64.pyd", "tiny/_tiny.cp311-win_amd64.pyd")

    there = wine.load(site, stub.parent)
    away = wine.load(site)

    assert there == Loaded({"tiny/_tiny.cp311-win_amd64.pyd": NO_ACCESS}, frozenset())
    assert set(away.errors.values()) == {NOT_FOUND}
    assert _missing(wheel) == frozenset()


RECIPE = Path(__file__).parents[2] / "recipes" / "sample"
TOOLCHAIN = """
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++)
"""


@pytest.mark.skipif(not shutil.which("x86_64-w64-mingw32-g++"), reason="no C++ for Windows here")
def test_a_consumer_of_a_core_tree_runs_beside_its_dlls_and_not_without(
    wine: Wine, tmp_path: Path
) -> None:
    """A generator for several configurations, as Visual Studio's is."""
    toolchain, core, build = tmp_path / "windows.cmake", tmp_path / "core", tmp_path / "build"
    toolchain.write_text(TOOLCHAIN)
    settings = (f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", "-DCMAKE_FIND_ROOT_PATH_MODE_PACKAGE=BOTH")
    words = ("-G", "Ninja", "-S", RECIPE / "source", "-B", build, f"-DCMAKE_INSTALL_PREFIX={core}")
    subprocess.run(["cmake", *words, *settings], check=True, capture_output=True)
    subprocess.run(
        ["cmake", "--build", build, "--target", "install"], check=True, capture_output=True
    )
    consumer = Consumer("check/consumer.cpp", "sample", ("sample::sample",))
    project = Project("cmake", tmp_path / "project", tmp_path / "made", "windows")
    project.folder.mkdir()
    text = project_text(consumer, RECIPE / consumer.source)
    (project.folder / "CMakeLists.txt").write_text(text)

    configured, compiled, run = project.steps(core, *settings, "-G", "Ninja Multi-Config")
    for step in (configured, compiled):
        subprocess.run(step.argv, check=True, capture_output=True)

    runtimes = tuple(_folder_of(name) for name in ("libstdc++-6.dll", "libwinpthread-1.dll"))
    assert "libsample 1.4.0: dot 1000" in wine.run(*run.argv, search=(*run.path, *runtimes))
    with pytest.raises(subprocess.CalledProcessError):
        wine.run(*run.argv, search=runtimes)


def _folder_of(library: str) -> Path:
    """Where the compiler has a library of its own."""
    words = ["x86_64-w64-mingw32-g++", f"-print-file-name={library}"]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return Path(done.stdout.strip()).resolve().parent


ECHO = """
#include <stdio.h>
int wmain(int count, wchar_t **words) {
    for (int at = 1; at < count; at++) printf("@word %ls\\n", words[at]);
    return 7;
}
"""


def test_a_program_of_a_conda_package_starts_the_python_of_its_environment(wine: Wine) -> None:
    prefix = wine.folder / "an environment"
    (prefix / "Scripts").mkdir(parents=True)
    (prefix / "Scripts" / "demo.exe").write_bytes(launcher("win-64", "pass", gui=False))
    _compile(ECHO, prefix / "python.exe", "-municode")
    words = (str(prefix / "Scripts" / "demo.exe"), "one", "two words")

    log = wine.folder / "said"  # as above: a pipe would not end
    with log.open("wb") as stream:
        done = subprocess.run(
            [wine.program, *words], cwd=wine.folder, env=wine.environment,
            stdin=subprocess.DEVNULL, stdout=stream, check=False, timeout=120,
        )  # fmt: skip

    assert done.returncode == 7
    said = re.findall(r"^@word (.*?)\r?$", log.read_text(), re.MULTILINE)
    assert said[0].endswith(r"\an environment\Scripts\demo.exe")
    assert said[1:] == ["one", "two words"]
