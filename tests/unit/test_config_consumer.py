from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builder.config.consumer import Project, project_text, tools_for
from builder.config.recipe import Consumer

PROJECT = Project("/usr/bin/cmake", Path("/work/project"), Path("/work/build"), "linux")
PREFIX = Path("/core")


@pytest.mark.parametrize(
    ("system", "tools", "program", "searched"),
    [
        ("linux", 3, "consumer", ()),
        ("macos", 3, "consumer", ()),
        ("windows", 1, "consumer.exe", (PREFIX / "bin", PREFIX / "lib")),
    ],
)
def test_each_system_has_its_tools_its_program_and_its_search(
    system: str, tools: int, program: str, searched: tuple[Path, ...]
) -> None:
    configured, compiled, run = replace(PROJECT, system=system).steps(PREFIX)

    assert len(tools_for(system)) == tools
    assert run.argv == (f"/work/build/run/{program}",)
    assert run.path == searched
    assert (configured.path, compiled.path) == ((), ())
    assert compiled.argv == ("/usr/bin/cmake", "--build", "/work/build", "--config", "Release")


def test_a_machine_without_make_is_told_to_use_ninja() -> None:
    plain = PROJECT.steps(PREFIX, "-DA=1")[0].argv
    ninja = replace(PROJECT, ninja=True).steps(PREFIX, "-DA=1")[0].argv

    assert ninja[:3] == ("/usr/bin/cmake", "-G", "Ninja")
    assert (plain[0], *plain[1:]) == (ninja[0], *ninja[3:])
    assert "-DCMAKE_PREFIX_PATH=/core" in plain
    assert plain[-1] == "-DA=1"


def test_the_program_lies_in_one_place_whatever_the_generator() -> None:
    text = project_text(Consumer("use.cpp", "Demo", ("Demo::a", "b")), Path("/r/use.cpp"))

    assert 'RUNTIME_OUTPUT_DIRECTORY "$<1:${CMAKE_BINARY_DIR}/run>"' in text
    assert "find_package(Demo REQUIRED CONFIG)" in text
    assert "target_link_libraries(consumer PRIVATE Demo::a b)" in text
