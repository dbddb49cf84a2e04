from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from builder_libtorch.relocate import relocated

PREFIX = "/build/x/content"
CMAKE = f"""\
set(DIR "{PREFIX}/include")
set(OTHER "{PREFIX}-2/lib;{PREFIX}")
"""
PKG = f"""\
prefix={PREFIX}
libdir={PREFIX}/lib
Name: x
Libs: -L${{libdir}} -lx
"""
SCRIPT = f"""\
#!/bin/sh
prefix={PREFIX}
echo "$prefix/lib" "{PREFIX}/include"
"""


@pytest.mark.parametrize(
    ("path", "text", "wanted"),
    [
        (
            "lib/cmake/x/xConfig.cmake",
            CMAKE,
            (
                'get_filename_component(_BUILDER_PREFIX "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)\n'
                'set(DIR "${_BUILDER_PREFIX}/include")\n'
                f'set(OTHER "{PREFIX}-2/lib;${{_BUILDER_PREFIX}}")\n'
            ),
        ),
        (
            "lib/pkgconfig/x.pc",
            PKG,
            "prefix=${pcfiledir}/../..\nlibdir=${prefix}/lib\nName: x\nLibs: -L${libdir} -lx\n",
        ),
        (
            "share/pkgconfig/x.pc",
            f"libdir={PREFIX}/lib\n",
            "prefix=${pcfiledir}/../..\nlibdir=${prefix}/lib\n",
        ),
        (
            "bin/x-config",
            SCRIPT,
            (
                '#!/bin/sh\nprefix=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)\n'
                'echo "$prefix/lib" "${prefix}/include"\n'
            ),
        ),
        ("lib/cmake/x/none.cmake", "set(A 1)\n", "set(A 1)\n"),
        ("include/x.h", f'#define X "{PREFIX}"\n', f'#define X "{PREFIX}"\n'),
    ],
    ids=["cmake", "pkg-config", "pkg-config without prefix", "script", "nothing", "header"],
)
def test_a_text_finds_its_prefix_from_its_own_place(path: str, text: str, wanted: str) -> None:
    assert relocated(path, text.encode(), PREFIX).decode() == wanted


def test_a_binary_is_never_rewritten() -> None:
    content = b"\x7fELF\0" + PREFIX.encode()
    assert relocated("lib/x.cmake", content, PREFIX) == content


def test_a_script_runs_where_it_was_moved_to(tmp_path: Path) -> None:
    if shutil.which("sh") is None:
        pytest.skip("no POSIX shell on this machine")
    script = tmp_path / "a b" / "bin" / "x-config"
    script.parent.mkdir(parents=True)
    script.write_bytes(relocated("bin/x-config", SCRIPT.encode(), PREFIX))
    script.chmod(0o755)
    said = subprocess.run([str(script)], capture_output=True, text=True, check=True)
    assert said.stdout == f"{tmp_path}/a b/lib {tmp_path}/a b/include\n"
