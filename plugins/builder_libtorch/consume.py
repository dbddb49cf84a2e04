"""Use a finished archive as a stranger does: unpack it anywhere, compile against it, run, load.

Nothing of the build is in the environment of these processes, and `LD_LIBRARY_PATH` is empty.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from builder.archive.content import Content
from builder.backend import Tools, Trial
from builder.config.consumer import NOTHING, Project, project_text, tools_for
from builder.config.recipe import Checks, Consumer
from builder.errors import BuilderError
from builder_libtorch.bundle import system_for
from builder_libtorch.desk import Desk, unpacked
from builder_libtorch.examine import offers_strings
from builder_libtorch.layout import is_static, misnamed
from builder_libtorch.prove import Proof, faults_of_tree

__all__ = ["tried"]

_COMPILERS: Final = {".c": ("cc", "gcc", "clang")}
_CPP_COMPILERS: Final = ("c++", "g++", "clang++")

_STATIC_NEEDS: Final = ("-pthread", "-ldl", "-lm")
"""What every host has, and an older libc has in files of their own."""
_LINUX: Final = "is tried on Linux; elsewhere only `archive.cmake` is"
_LINKED: Final = re.compile(r"lib(.+)\.so")

_LOADER: Final = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>

static int tell(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size, (void)data;
  if (info->dlpi_name[0]) printf("loaded %s\n", info->dlpi_name);
  return 0;
}

int main(int count, char **words) {
  if (count != 2) return 2;
  if (!dlopen(words[1], RTLD_NOW | RTLD_LOCAL)) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  return dl_iterate_phdr(tell, 0);
}
"""


def tried(
    path: Path, manifest: str, checks: Checks, recipe: Path | None, tools: Tools
) -> tuple[Trial, ...]:
    """Every trial of one archive; `manifest` is the name of the manifest in its top folder.

    `recipe` is the folder that the consumer's source is relative to, None without one. Raises `BuilderError` for an
    archive that cannot be unpacked; what does not work is a problem of its trial.
    """
    folder = tools.work / "neutral"
    folder.mkdir(parents=True)
    try:
        root = unpacked(path, folder)
        content = Content.parse((root / manifest).read_bytes(), f"{path.name}: {manifest}")
        desk = Desk(root, folder / "work", content, tools, checks.timeout)
        desk.scratch.mkdir()
        sound = _timed("archive.sound", lambda: _sound(path, desk, manifest))
        return (sound, *_all(desk, checks.consumer, recipe))
    except OSError as error:
        raise BuilderError(
            f"`{path.name}` cannot be tried out: {error.strerror or error}",
            hint="free space or choose another temporary folder",
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sound(path: Path, desk: Desk, manifest: str) -> Trial:
    """What the bytes alone say: on any machine, for archives of any system."""
    system, work = system_for(desk.target), desk.scratch / "sound"
    proof = Proof(desk.content, manifest, "", system, work)
    named = misnamed(path.name, desk.content.version, desk.target)
    return Trial("", (*named, *faults_of_tree(desk.root, proof)))


def _all(desk: Desk, consumer: Consumer | None, recipe: Path | None) -> Iterable[Trial]:
    machine, target = desk.tools.machine, desk.target
    names = ("archive.cmake", "archive.flags", "archive.abi", "archive.loads")
    if (machine.os, machine.arch) != (target.os, target.arch):
        reason = (
            f"this machine is {machine.os}_{machine.arch}, the archive is for {target.platform}"
        )
        return [Trial(name, reason=reason) for name in names]
    if consumer is None or recipe is None:
        reason = "the recipe names no consumer" if recipe else "no recipe was given: --recipe"
        trials = [Trial(name, reason=reason) for name in names[:3]]
    else:
        source = recipe / consumer.source
        cmake = _timed(names[0], lambda: _with_cmake(desk, consumer, source))
        if machine.os != "linux":
            return [cmake, *(Trial(name, reason=_LINUX) for name in names[1:])]
        flags = _timed(names[1], lambda: _with_flags(desk, consumer, source))
        if flags.problems or flags.reason:
            wrong = Trial(names[2], reason="the program does not build with the right ABI either")
        else:
            wrong = _timed(names[2], lambda: _with_wrong_abi(desk, consumer, source))
        trials = [cmake, flags, wrong]
    if machine.os != "linux":
        return [*trials, Trial(names[3], reason=_LINUX)]
    return [*trials, _timed(names[3], lambda: _loaded(desk))]


def _timed(name: str, work: Callable[[], Trial]) -> Trial:
    begin = time.monotonic()
    done = work()
    return Trial(name, done.problems, done.reason, round(time.monotonic() - begin, 3))


def _skipped(reason: str) -> Trial:
    return Trial("", reason=reason)


def _with_cmake(desk: Desk, consumer: Consumer, source: Path) -> Trial:
    """Configure, compile and run a project that does nothing but `find_package`."""
    if not all(desk.program(*names) for names in tools_for(desk.tools.machine.os)):
        return _skipped("there is no cmake, make or C++ compiler on this machine")
    if not consumer.package:
        return _skipped("the consumer names no CMake package")
    project = _project(desk, "project", project_text(consumer, source))
    flags = " ".join(_abi_flags(desk.target.abi))
    definitions = (f"-DCMAKE_CXX_FLAGS={flags}",) if flags else ()
    configured, compiled, run = project.steps(desk.root, *definitions)
    fault, _ = desk.run(*configured.argv)
    if fault:
        other, _ = desk.run(*_project(desk, "nothing", NOTHING).configured().argv)
        if other:
            return _skipped(f"CMake finds no compilers on this machine: {other}")
        return Trial("", (f"{consumer.source}: does not configure with CMake: {fault}",))
    fault, _ = desk.run(*compiled.argv)
    if fault:
        return Trial("", (f"{consumer.source}: does not build with CMake: {fault}",))
    return Trial("", _run_faults(desk, consumer, Path(run.argv[0]), run.path))


def _project(desk: Desk, name: str, text: str) -> Project:
    folder, build = desk.scratch / name, desk.scratch / f"{name}-build"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(text, encoding="utf-8")
    system = desk.tools.machine.os
    ninja = system != "windows" and not desk.program("make")
    return Project(desk.program("cmake"), folder, build, system, ninja)


def _with_flags(desk: Desk, consumer: Consumer, source: Path) -> Trial:
    """Compile and run the same program by one command without a build system."""
    compiler = _compiler(desk, source)
    if not compiler:
        return _skipped("there is no compiler on this machine")
    program = desk.scratch / "consumer"
    fault = _compiled(desk, consumer, source, program, _abi_flags(desk.target.abi))
    if fault:
        return Trial("", (f"{consumer.source}: does not compile with plain flags: {fault}",))
    return Trial("", _run_faults(desk, consumer, program))


def _with_wrong_abi(desk: Desk, consumer: Consumer, source: Path) -> Trial:
    """The program must not even link when its strings are laid out otherwise."""
    if source.suffix == ".c":
        return _skipped("a C program has no C++ ABI")
    other = "cxx11" if desk.target.abi == "precxx11" else "precxx11"
    if _compiled(desk, consumer, source, desk.scratch / "wrong", _abi_flags(other)):
        return Trial("")
    libraries = (item.path for item in desk.libraries("*.so", "*.so.*", "*.a"))
    offering = next((path for path in libraries if offers_strings(desk.root / path)), "")
    if not offering:
        return _skipped("no library offers a function that takes or gives a std::string")
    what = f"builds with the wrong C++ ABI too; call what {offering} has for std::string"
    return Trial("", (f"{consumer.source}: {what}",))


def _loaded(desk: Desk) -> Trial:
    """Every shared library, each in a process that has nothing else."""
    libraries = desk.libraries("*.so", "*.so.*")
    if not libraries:
        return _skipped("there is no shared library in it")
    compiler = desk.program(*_COMPILERS[".c"])
    if not compiler:
        return _skipped("there is no C compiler on this machine")
    source, loader = desk.scratch / "loader.c", desk.scratch / "loader"
    source.write_text(_LOADER, encoding="ascii")
    fault, _ = desk.run(compiler, str(source), "-o", str(loader), "-ldl")
    if fault:
        return _skipped(f"a C program cannot be compiled here: {fault}")
    problems: list[str] = []
    for item in libraries:
        fault, said = desk.run(str(loader), str(desk.root / item.path))
        if fault:
            problems.append(f"{item.path}: does not load by itself: {fault}")
        loaded = [line.removeprefix("loaded ") for line in said.splitlines()]
        problems += [f"{item.path}: brings in {path}" for path in desk.strange(loaded)]
    return Trial("", tuple(problems))


def _run_faults(
    desk: Desk, consumer: Consumer, program: Path, path: tuple[Path, ...] = ()
) -> tuple[str, ...]:
    fault, _ = desk.run(str(program), path=path)
    if fault:
        return (f"{consumer.source}: does not run: {fault}",)
    if desk.tools.machine.os != "linux":
        return ()  # no other loader tells what it has loaded
    _, said = desk.run(str(program), LD_TRACE_LOADED_OBJECTS="1")
    loaded = [
        line.partition("=>")[2].split()[0]
        for line in said.splitlines()
        if line.partition("=>")[2].strip()
    ]
    return tuple(f"{consumer.source}: brings in {path}" for path in desk.strange(loaded))


def _compiled(
    desk: Desk, consumer: Consumer, source: Path, program: Path, abi: tuple[str, ...]
) -> str:
    """Why the compiler did not make the program, or nothing."""
    fault, before, after = _flags(desk, consumer)
    if fault:
        return fault
    way = (f"-Wl,-rpath,{desk.root / 'lib'}",) if not is_static(desk.target) else ()
    argv = (_compiler(desk, source), *abi, *before, str(source), "-o", str(program), *after, *way)
    return desk.run(*argv)[0]


def _flags(desk: Desk, consumer: Consumer) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """What goes before and behind the source: what pkg-config says, else every folder and library."""
    static = is_static(desk.target)
    described = desk.root / "lib/pkgconfig" / f"{consumer.package}.pc"
    program = desk.program("pkg-config", "pkgconf")
    if not (program and described.is_file()):
        return "", *_guessed(desk, static=static)
    said: list[tuple[str, ...]] = []
    for what in ("--cflags", "--libs"):
        words = (program, *(("--static",) if static else ()), what, consumer.package)
        fault, text = desk.run(*words, PKG_CONFIG_LIBDIR=str(described.parent))
        if fault:
            return fault, (), ()
        said.append(tuple(text.split()))
    return "", said[0], said[1]


def _guessed(desk: Desk, *, static: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every folder called `include`, and every library in `lib`."""
    root = desk.root
    paths = [item.path for item in desk.content.items if "include/" in item.path]
    folders = {path.rpartition("include/")[0] for path in paths} | {""}
    before = tuple(f"-I{root / folder / 'include'}" for folder in sorted(folders))
    if static:
        files = [str(root / item.path) for item in desk.libraries("lib/*.a")]
        names = (match[1] for host in desk.content.host if (match := _LINKED.fullmatch(host)))
        needs = (*(f"-l{name}" for name in names), *_STATIC_NEEDS)
        return before, ("-Wl,--start-group", *files, "-Wl,--end-group", *needs)
    files = [str(root / item.path) for item in desk.libraries("lib/*.so", "lib/*.so.*")]
    return before, ("-Wl,--as-needed", *files)


def _compiler(desk: Desk, source: Path) -> str:
    return desk.program(*_COMPILERS.get(source.suffix, _CPP_COMPILERS))


def _abi_flags(abi: str) -> tuple[str, ...]:
    """What tells libstdc++ which layout its strings have; nothing leaves its default."""
    return {
        "precxx11": ("-D_GLIBCXX_USE_CXX11_ABI=0",),
        "cxx11": ("-D_GLIBCXX_USE_CXX11_ABI=1",),
    }.get(abi, ())
