"""The pieces that a real compiler makes of a build prefix, and the function that it makes them for."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from builder_conda.prefix import leaks

pytestmark = pytest.mark.e2e
PREFIX = "/opt/" + 24 * "placehold_"
SOURCE = """
#include <string>
static std::string base = PREFIX;
extern "C" const char *get() { return base.c_str(); }
std::string where() { return PREFIX "/x"; }
"""
# What gcc makes of such a text at -O2, whatever it does with the one above in its next version.
PIECES = """
__asm__(".section .rodata.cst16,\\"aM\\",@progbits,16\\n"
        "piece: .ascii \\"refix/of/some/le\\"\\n.text\\n");
extern const char piece[] __attribute__((visibility("hidden")));
const char *user(void) { return piece; }
"""


def compiled(folder: Path, compiler: str, source: str, *options: str) -> memoryview:
    (folder / "where.src").write_text(source, encoding="utf-8")
    language = "c++" if compiler == "g++" else "c"
    argv = [compiler, "-fPIC", "-shared", f'-DPREFIX="{PREFIX}"', *options]
    subprocess.run([*argv, "-x", language, "where.src", "-o", "where.so"], cwd=folder, check=True)
    return memoryview((folder / "where.so").read_bytes())


def test_what_a_compiler_cut_is_found_with_the_functions_that_use_it(tmp_path: Path) -> None:
    found = leaks(compiled(tmp_path, "g++", SOURCE, "-O2", "-g"), PREFIX)
    functions = " ".join(leak.function for leak in found)
    assert "where" in functions
    assert "GLOBAL" in functions


def test_a_constant_is_traced_to_the_code_that_names_it(tmp_path: Path) -> None:
    content = compiled(tmp_path, "gcc", PIECES, "-O1")
    (leak,) = leaks(content, "/home/me/build/prefix/of/some/length")
    assert bytes(content[leak.offset : leak.offset + leak.size]) == b"refix/of/some/le"
    assert leak.function == "user"


def test_what_a_compiler_left_whole_is_no_leak(tmp_path: Path) -> None:
    assert leaks(compiled(tmp_path, "g++", SOURCE, "-O1", "-g"), PREFIX) == ()
