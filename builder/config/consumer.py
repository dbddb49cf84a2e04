"""How a program that uses a core tree is made with CMake and run, on each system: values only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from builder.config.recipe import Consumer

__all__ = ["NOTHING", "Project", "Step", "project_text", "tools_for"]

NOTHING: Final = "cmake_minimum_required(VERSION 3.15)\nproject(nothing LANGUAGES C CXX)\n"
"""A project that needs compilers and nothing else."""

_FOLDER: Final = "run"
_COMPILERS: Final = ("c++", "g++", "clang++")
_LIBRARIES: Final = ("bin", "lib")


@dataclass(frozen=True, slots=True)
class Step:
    """One command. `path` are folders that are searched before all others while it runs."""

    name: str
    argv: tuple[str, ...]
    path: tuple[Path, ...] = ()


def tools_for(system: str) -> tuple[tuple[str, ...], ...]:
    """The programs to have on the search path, one of each group. `system` is `Machine.os`.

    On Windows CMake itself finds Visual Studio, which puts nothing there.
    """
    return (("cmake",),) if system == "windows" else (("cmake",), _COMPILERS, ("make", "ninja"))


def project_text(consumer: Consumer, source: Path) -> str:
    """The CMakeLists.txt of a project that uses nothing but the package.

    A generator expression keeps generators for several configurations from adding a folder.
    """
    return "\n".join(
        (
            "cmake_minimum_required(VERSION 3.15)",
            "project(consumer LANGUAGES C CXX)",
            f"find_package({consumer.package} REQUIRED CONFIG)",
            f'add_executable(consumer "{source.as_posix()}")',
            f"target_link_libraries(consumer PRIVATE {' '.join(consumer.targets)})",
            "set_target_properties(consumer PROPERTIES",
            f'  RUNTIME_OUTPUT_DIRECTORY "$<1:${{CMAKE_BINARY_DIR}}/{_FOLDER}>")',
            "",
        )
    )


@dataclass(frozen=True, slots=True)
class Project:
    """A CMake project: its folder, where it is built, by which program, on which `Machine.os`.

    `ninja` is for where there is no make.
    """

    cmake: str
    folder: Path
    build: Path
    system: str
    ninja: bool = False

    def configured(self, *definitions: str) -> Step:
        """What finds compilers and reads the project."""
        generator = ("-G", "Ninja") if self.ninja else ()
        places = ("-S", str(self.folder), "-B", str(self.build))
        return Step("configure", (self.cmake, *generator, *places, *definitions))

    def steps(self, prefix: Path, *definitions: str) -> tuple[Step, ...]:
        """What makes a program that uses the package in `prefix`, and runs it.

        Windows has no search path in a program: the folders of the package's libraries are searched
        while it runs, and only then.
        """
        windows = self.system == "windows"
        program = self.build / _FOLDER / ("consumer.exe" if windows else "consumer")
        return (
            self.configured(
                f"-DCMAKE_PREFIX_PATH={prefix.as_posix()}",
                "-DCMAKE_BUILD_TYPE=Release",
                "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF",
                *definitions,
            ),
            Step(
                "compile and link", (self.cmake, "--build", str(self.build), "--config", "Release")
            ),
            Step("run", (str(program),), tuple(prefix / name for name in _LIBRARIES if windows)),
        )
