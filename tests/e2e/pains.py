"""Small real wheels for all three systems, and what becomes of them: for the tests of pains and of hostile input."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from builder.archive import record
from builder.archive.wheel import verify_wheel
from builder.archive.zip import pack
from builder.config.machine import Machine
from builder.verbs.repair import Repaired, repair
from tests.data import make_macho, make_pe
from tests.e2e import second_opinion as second

EPOCH = 1_700_000_000
TAG = f"cp3{sys.version_info[1]}-cp3{sys.version_info[1]}"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")
MACHINE = Machine(
    (Path("/usr/bin"), Path("/bin")), Path("/nonexistent"), 2, "linux", os.uname().machine,
    python=Path(sys.executable),
)  # fmt: skip
PLATFORM = f"linux_{MACHINE.arch}"
MODULE = f"pkg/_x{SUFFIX}"
"""Where the extension module of a wheel lies."""

_MODULE = """
#include <Python.h>
{declare}
static PyObject *answer(PyObject *self, PyObject *none) {{ return PyLong_FromLong({call}); }}
static PyMethodDef methods[] = {{{{"answer", answer, METH_NOARGS, ""}}, {{0}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "_x", "", -1, methods}};
PyMODINIT_FUNC PyInit__x(void) {{ return PyModule_Create(&module); }}
"""
NEWER = "#include <sys/random.h>\nstatic long newer(void) { char c; return getrandom(&c, 1, 0); }"
"""C text that needs a symbol of glibc 2.25."""


def compiled(output: Path, source: str, *flags: object) -> Path:
    """A shared library of one C text."""
    output.parent.mkdir(parents=True, exist_ok=True)
    argv = ["gcc", "-shared", "-fPIC", "-O1", "-x", "c", "-", "-x", "none", "-o", output, *flags]
    subprocess.run([str(word) for word in argv], input=source.encode(), check=True)
    return output


def library(output: Path, source: str, *flags: object, soname: str = "") -> Path:
    """A library that is known by its file name, or by another one."""
    return compiled(output, source, f"-Wl,-soname,{soname or output.name}", *flags)


def private(folder: Path) -> Path:
    """A folder with `libval`, which is also reached by a link, and `libdeep`, which it needs."""
    place = folder / "private"
    deep = library(place / "libdeep.so.1", "int deep(void) { return 40; }")
    source = "int deep(void); int val(void) { return deep() + 2; }"
    library(place / "libval.so.2.0", source, deep, soname="libval.so.2")
    (place / "libval.so.2").symlink_to("libval.so.2.0")
    return place


def extension(folder: Path, *flags: object, declare: str = "", call: str = "7") -> bytes:
    """The bytes of an extension module whose `answer` is a C expression."""
    include = f"-I{sysconfig.get_path('include')}"
    output = folder / "build" / f"_x{SUFFIX}"
    text = _MODULE.format(declare=declare, call=call)
    return compiled(output, text, include, *flags).read_bytes()


def using(folder: Path, place: Path, *flags: object) -> bytes:
    """The bytes of an extension module that needs `libval`."""
    declare = "int val(void);"
    return extension(folder, place / "libval.so.2", *flags, declare=declare, call="val()")


def wheel(
    folder: Path,
    files: Mapping[str, bytes],
    platform: str = PLATFORM,
    project: str = "pkg",
    rows: str = "",
) -> Path:
    """A raw wheel of version 1.0 with these files. `rows` are more lines of RECORD."""
    content = folder / f"content-{project}"
    shutil.rmtree(content, ignore_errors=True)
    info = content / f"{project}-1.0.dist-info"
    info.mkdir(parents=True)
    for path, data in files.items():
        (content / path).parent.mkdir(parents=True, exist_ok=True)
        (content / path).write_bytes(data)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project}\nVersion: 1.0\n")
    tags = "".join(f"Tag: {TAG}-{tag}\n" for tag in platform.split("."))
    (info / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n{tags}")
    record.write(content, info.name)
    (info / "RECORD").write_text((info / "RECORD").read_text() + rows)
    return pack(content, folder / f"{project}-1.0-{TAG}-{platform}.whl", epoch=EPOCH)


def repaired(given: Path, search: Path | None = None, **wishes: Any) -> Repaired:
    """The wheel after its repair, into `out` beside it; other people's parsers find no fault."""
    before = given.read_bytes()
    machine = replace(MACHINE, **wishes.pop("machine", {}))
    arguments = {"wheel_dir": given.parent / "out", "search": (search,) if search else (), **wishes}
    (made,) = repair([given], machine=machine, **arguments)
    assert given.read_bytes() == before
    assert verify_wheel(made.output) == ()
    assert second.record_problems(made.output) == []
    for path, content in second.binaries(made.output).items():
        assert path not in made.edited or second.layout_problems(path, content) == []
    return made


def contents(made: Path) -> dict[str, bytes]:
    """The bytes of every file of a wheel, as the standard library reads them."""
    with zipfile.ZipFile(made) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def installed(folder: Path, *wheels: Path, gone: Path | None = None) -> Path:
    """Site-packages with these wheels, on a machine that has no private libraries."""
    site = folder / "site"
    for one in wheels:
        with zipfile.ZipFile(one) as archive:
            archive.extractall(site)
    if gone is not None:
        gone.rename(folder / "gone")
    return site


def answer(site: Path, code: str = "import pkg._x; print(pkg._x.answer())") -> str:
    """What a fresh process prints that knows of nothing but the site folder."""
    program = f"import sys; sys.path.insert(0, {str(site)!r}); {code}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], env={}, cwd="/", capture_output=True, check=False
    )
    return (done.stdout or done.stderr).decode().strip()


def bill(made: Path) -> dict[str, str]:
    """What the bill of materials says: the place and digest of every grafted library."""
    files = contents(made)
    (name,) = [name for name in files if "/sboms/" in name]
    document = json.loads(files[name])
    assert document["bomFormat"] == "CycloneDX"
    return {
        row["evidence"]["occurrences"][0]["location"]: row["hashes"][0]["content"]
        for row in document["components"]
    }


def digests(made: Path, paths: list[str]) -> dict[str, str]:
    """The sha256 of members."""
    files = contents(made)
    return {path: hashlib.sha256(files[path]).hexdigest() for path in paths}


def macho(*needed: str, name: str = "", **more: Any) -> bytes:
    """A library for macOS that needs these and the system's; a module when it has no name."""
    loads = tuple((make_macho.LOAD, one) for one in (*needed, "/usr/lib/libSystem.B.dylib"))
    plain = replace(make_macho.PLAIN, room=1024, rpaths=(), undefined=(("_printf", len(loads)),))
    kind = 6 if name else 8
    return make_macho.assemble(replace(plain, id=name, type=kind, libraries=loads, **more))


def pe(*needed: str, soname: str = "", **more: Any) -> bytes:
    """A DLL for Windows that imports from these and from the system's; unnamed, it is a module."""
    imports = tuple((one, ("alpha",)) for one in (*needed, "KERNEL32.dll"))
    return make_pe.assemble(replace(make_pe.PLAIN, imports=imports, soname=soname, **more))


def imports(content: bytes) -> list[str]:
    """The DLLs that a PE file imports, as another parser says."""
    import pefile

    image = pefile.PE(data=content)
    return [row.dll.decode() for row in getattr(image, "DIRECTORY_ENTRY_IMPORT", ())]


def names_in(content: bytes) -> list[str]:
    """Every name in the load commands of a Mach-O file, its own first, as another parser says."""
    import lief

    fat = lief.MachO.parse(list(content))
    assert fat is not None
    return [str(row.name) for index in range(fat.size) for row in _libraries(fat.at(index))]


def _libraries(binary: Any) -> list[Any]:
    return list(binary.libraries)


def add_wide(archive: zipfile.ZipFile, name: str, size: int) -> None:
    """Append a stored member of zeros that lie in a hole of the file, so that it takes no room."""
    file = archive.fp
    assert file is not None
    info = zipfile.ZipInfo(name)
    info.file_size = info.compress_size = size
    info.CRC = 0
    info.header_offset = archive.start_dir
    file.seek(archive.start_dir)
    file.write(info.FileHeader(zip64=True))
    file.seek(size, os.SEEK_CUR)
    archive.filelist.append(info)
    archive.NameToInfo[name] = info
    archive.start_dir = file.tell()
    archive._didModify = True  # type: ignore[attr-defined]  # so that its directory is written
