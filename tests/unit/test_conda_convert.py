"""Wheels as conda packages: what goes where, what it requires, and what is refused."""

from __future__ import annotations

import io
import json
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import new
from pathlib import Path
from posixpath import normpath
from typing import Literal

import pefile
import pytest
from builder_conda.convert import convert_wheel
from builder_conda.scripts import PLACEHOLDER, entry_points
from click.testing import CliRunner

from builder.archive.conda import open_package
from builder.archive.refusals import Member
from builder.channel.channel import add, create
from builder.channel.verify import verify
from builder.cli.convert import command
from builder.config.python import Python
from builder.converter import Conversion, Converted
from builder.errors import BuilderError, UsageError

NATIVE = "demo-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
PURE = "demo-1.0-py3-none-any.whl"
POINTS = "[console_scripts]\ndemo = demo.main:run\n[gui_scripts]\nwin = demo:Gui.start [x]\n"


def wheel(folder: Path, name: str = NATIVE, files: Mapping[str, str] | None = None, *,
          metadata: str = "", lies: Mapping[str, str] | None = None, kind: str = "sha256") -> Path:  # fmt: skip
    stem = "-".join(name.split("-")[:2])
    version = name.split("-")[1]
    contents = {
        "demo/__init__.py": "x = 1\n",
        **(files or {}),
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: demo\nVersion: {version}\n{metadata}\n",
        f"{stem}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n",
    }
    rows = []
    for path, text in contents.items():
        said = (lies or {}).get(path, text).encode()
        digest = urlsafe_b64encode(new(kind, said).digest()).decode().rstrip("=")
        rows.append(f"{path},{kind}={digest},{len(text.encode())}")
    contents[f"{stem}.dist-info/RECORD"] = "\n".join([*rows, f"{stem}.dist-info/RECORD,,", ""])
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in contents.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 2, 2, 2, 2, 2)), text)
    return folder / name


def read(made: Converted) -> dict[str, tuple[Member, bytes]]:
    with open_package(made.path) as members:
        return {member.name: (member, content.read(member.size)) for member, content in members}


def converted(tmp_path: Path, path: Path, **wishes: object) -> dict[str, tuple[Member, bytes]]:
    return read(convert_wheel(path, tmp_path / "out", Conversion(compression="fast", **wishes)))  # type: ignore[arg-type]  # one test says which


def index_of(found: dict[str, tuple[Member, bytes]]) -> dict[str, object]:
    document: dict[str, object] = json.loads(found["info/index.json"][1])
    return document


SLASH = "[console_scripts]\n../x = a:b"
SITE = "lib/python3.11/site-packages"
ALL = {
    "demo/_x.so": "binary",
    "demo-1.0.data/scripts/run": "#!python -E\nprint(1)\n",
    "demo-1.0.data/scripts/tool": "#!/bin/sh\n",
    "demo-1.0.data/headers/demo.h": "int x;",
    "demo-1.0.data/data/share/demo/a": "a",
    "demo-1.0.data/purelib/demo/pure.py": "",
    "demo-1.0.data/platlib/demo/plat.py": "",
    "demo-1.0.dist-info/entry_points.txt": POINTS,
    "demo-1.0.dist-info/licenses/LICENSE": "MIT",
    "demo-1.0.dist-info/INSTALLER": "pip\n",
    "demo-1.0.dist-info/direct_url.json": "{}",
}


def test_every_scheme_has_its_place(tmp_path: Path) -> None:
    found = converted(tmp_path, wheel(tmp_path, files=ALL))
    info = f"{SITE}/demo-1.0.dist-info"
    assert sorted(name for name in found if not name.startswith("info/")) == sorted([
        "bin/demo", "bin/run", "bin/tool", "bin/win", "include/python3.11/demo/demo.h", "share/demo/a",
        f"{SITE}/demo/__init__.py", f"{SITE}/demo/_x.so", f"{SITE}/demo/pure.py", f"{SITE}/demo/plat.py",
        f"{info}/METADATA", f"{info}/WHEEL", f"{info}/RECORD", f"{info}/INSTALLER",
        f"{info}/entry_points.txt", f"{info}/licenses/LICENSE",
    ])  # fmt: skip
    assert {name for name, (member, _) in found.items() if member.executable} == {
        "bin/demo", "bin/run", "bin/tool", "bin/win",
    }  # fmt: skip
    assert found["bin/tool"][1] == b"#!/bin/sh\n"
    assert found["bin/run"][1] == f"#!{PLACEHOLDER}/bin/python -E\nprint(1)\n".encode()
    assert found["bin/demo"][1].startswith(f"#!{PLACEHOLDER}/bin/python\n".encode())
    assert b"from demo import Gui" in found["bin/win"][1]
    assert b"sys.exit(Gui.start())" in found["bin/win"][1]
    assert found[f"{info}/INSTALLER"][1] == b"conda\n"
    assert found["info/licenses/LICENSE"][1] == b"MIT"
    paths = {row["_path"]: row for row in json.loads(found["info/paths.json"][1])["paths"]}
    assert {path for path, row in paths.items() if "prefix_placeholder" in row} == {
        "bin/demo", "bin/run", "bin/win",
    }  # fmt: skip


def test_record_says_what_is_installed_and_where(tmp_path: Path) -> None:
    found = converted(tmp_path, wheel(tmp_path, files=ALL))
    text = found[f"{SITE}/demo-1.0.dist-info/RECORD"][1].decode()
    rows = {line.split(",")[0]: line.split(",")[1:] for line in text.splitlines()}
    real = {name for name in found if not name.startswith("info/")}
    assert {normpath(f"{SITE}/{path}") for path in rows} == real
    assert rows["../../../bin/demo"] == ["", ""]
    assert rows["demo-1.0.dist-info/INSTALLER"][1] == "6"
    assert rows["demo/__init__.py"][0].startswith("sha256=")


def test_a_native_wheel_is_pinned_to_its_python_and_platform(tmp_path: Path) -> None:
    text = "Requires-Dist: torch>=2\nRequires-Python: >=3.9\nLicense: MIT\nSummary: one\n  two\nHome-page: https://x.org"
    made = convert_wheel(wheel(tmp_path, metadata=text), tmp_path / "out", Conversion())
    assert made.path == tmp_path / "out" / "linux-64" / "demo-1.0-py311_0.conda"
    found = read(made)
    assert index_of(found) == {
        "arch": "x86_64", "build": "py311_0", "build_number": 0, "license": "MIT", "name": "demo",
        "platform": "linux", "subdir": "linux-64", "timestamp": 1580608922000, "version": "1.0",
        "depends": ["__glibc >=2.28", "python 3.11.*", "python_abi 3.11.* *_cp311", "pytorch >=2"],
    }  # fmt: skip
    about = json.loads(found["info/about.json"][1])
    assert about == {"home": "https://x.org", "license": "MIT", "summary": "one two"}
    create(tmp_path / "channel")
    add(tmp_path / "channel", [made.path])
    assert verify(tmp_path / "channel") == (1, ())


def test_a_pure_wheel_is_fitted_to_any_python_by_the_installer(tmp_path: Path) -> None:
    path = wheel(tmp_path, PURE, ALL, metadata="Requires-Python: >=3.8,!=3.9.1")
    found = converted(tmp_path, path)
    assert {name.partition("/")[0] for name in found} == {
        "site-packages", "python-scripts", "include", "share", "info",
    }  # fmt: skip
    index = index_of(found)
    assert (index["noarch"], index["subdir"], index["build"]) == ("python", "noarch", "py_0")
    assert index["depends"] == ["python >=3.8,!=3.9.1"]
    link = json.loads(found["info/link.json"][1])
    assert link["noarch"] == {
        "type": "python", "entry_points": ["demo = demo.main:run", "win = demo:Gui.start"],
    }  # fmt: skip
    text = found["site-packages/demo-1.0.dist-info/RECORD"][1].decode()
    assert not [line for line in text.splitlines() if line.startswith("..")]


@pytest.mark.parametrize(
    ("name", "wishes", "build", "subdir", "pins"),
    [
        pytest.param("demo-1.0+cpu-cp311-cp311-win_amd64.whl", {}, "py311_cpu_0", "win-64",
                     ["python 3.11.*", "python_abi 3.11.* *_cp311"], id="local"),
        pytest.param("demo-1.0+cu128-2-cp311-cp311-manylinux_2_28_x86_64.whl", {}, "py311_cu128_2", "linux-64",
                     ["__cuda >=12", "__glibc >=2.28", "python 3.11.*", "python_abi 3.11.* *_cp311"], id="cuda"),
        pytest.param("demo-1.0-cp313-cp313t-macosx_11_0_arm64.whl", {}, "py313t_0", "osx-arm64",
                     ["__osx >=11.0", "python 3.13.*", "python_abi 3.13.* *_cp313t"], id="free-threaded"),
        pytest.param("demo-1.0-cp37-abi3-manylinux_2_28_x86_64.whl", {}, "abi3_0", "linux-64",
                     ["__glibc >=2.28", "python >=3.7"], id="abi3"),
        pytest.param("demo-1.0-cp37-abi3-manylinux_2_28_x86_64.whl", {"python": Python(3, 12)}, "py312_0", "linux-64",
                     ["__glibc >=2.28", "python 3.12.*", "python_abi 3.12.* *_cp312"], id="abi3 for one"),
        pytest.param("demo-1.0-py3-none-macosx_11_0_universal2.whl", {"subdir": "osx-64"}, "py3_0", "osx-64",
                     ["__osx >=11.0", "python >=3.7"], id="any Python"),
        pytest.param("demo-1.0-cp311-none-any.whl", {}, "py311_0", "noarch", ["python 3.11.*"], id="pure for one"),
    ],
)  # fmt: skip
def test_tags_say_build_subdir_and_pins(
    tmp_path: Path, name: str, wishes: dict[str, object], build: str, subdir: str, pins: list[str]
) -> None:
    path = wheel(tmp_path, name, metadata="Requires-Python: >=3.7")
    index = index_of(converted(tmp_path, path, **wishes))
    assert (index["build"], index["subdir"], index["depends"]) == (build, subdir, pins)
    assert index["version"] == "1.0"


def test_an_abi3_wheel_is_one_package_for_every_python_of_its_platform(tmp_path: Path) -> None:
    path = wheel(tmp_path, "demo-1.0-cp37-abi3-manylinux_2_28_x86_64.whl", ALL)
    found = converted(tmp_path, path)
    index = index_of(found)
    assert (index["noarch"], index["subdir"]) == ("python", "linux-64")
    assert index["constrains"] == ["python-freethreading <0a0"]
    assert "site-packages/demo/_x.so" in found
    assert json.loads(found["info/link.json"][1])["noarch"]["entry_points"] != []


@pytest.mark.parametrize(
    ("platform", "machine"),
    [("win_amd64", 0x8664), ("win32", 0x14C), ("win_arm64", 0xAA64)],
)
def test_windows_gets_its_folders_and_programs(tmp_path: Path, platform: str, machine: int) -> None:
    path = wheel(tmp_path, f"demo-1.0-cp311-cp311-{platform}.whl", ALL)
    found = converted(tmp_path, path)
    assert {"Lib/site-packages/demo/_x.so", "Scripts/demo.exe", "Scripts/win.exe",
            "Scripts/run", "Include/demo/demo.h", "share/demo/a"} <= found.keys()  # fmt: skip
    for name, python, subsystem in (("demo", b"python.exe", 3), ("win", b"pythonw.exe", 2)):
        content = found[f"Scripts/{name}.exe"][1]
        program = pefile.PE(data=content)
        assert (program.FILE_HEADER.Machine, program.OPTIONAL_HEADER.Subsystem) == (
            machine,
            subsystem,
        )
        assert program.OPTIONAL_HEADER.CheckSum == 0 or program.verify_checksum()
        assert b'#!"<launcher_dir>\\..\\' + python + b'"\r\n' in content
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert "sys.exit(" in archive.read("__main__.py").decode()
        assert b"placehold" not in content


@pytest.mark.parametrize("file_format", ["conda", "tar.bz2"])
def test_the_same_wheel_gives_the_same_bytes(
    tmp_path: Path, file_format: Literal["conda", "tar.bz2"]
) -> None:
    path = wheel(tmp_path, files=ALL)
    wishes = [Conversion(threads=threads, file_format=file_format) for threads in (1, 3)]
    made = [convert_wheel(path, tmp_path / str(wish.threads), wish) for wish in wishes]
    assert made[0].path.read_bytes() == made[1].path.read_bytes()


@pytest.mark.parametrize("name", [NATIVE, PURE])
@pytest.mark.parametrize("kind", ["sha256", "sha512"])
@pytest.mark.parametrize("member", ["demo/big", "demo-1.0.data/scripts/run"])
def test_a_member_with_other_bytes_than_record_says_is_refused(
    tmp_path: Path, name: str, kind: str, member: str
) -> None:
    files = {"demo/big": "ab" * (1 << 20), "demo-1.0.data/scripts/run": "#!python\n"}
    lie = {member: files[member].replace("\n", "\t").replace("b", "c")}
    path = wheel(tmp_path, name, files, lies=lie, kind=kind)
    with pytest.raises(BuilderError, match="does not have the digest"):
        convert_wheel(path, tmp_path / "out", Conversion(compression="fast"))
    assert [file for file in (tmp_path / "out").rglob("*") if file.is_file()] == []


@pytest.mark.parametrize(
    ("files", "metadata", "fault"),
    [
        pytest.param({"demo-1.0.data/data/conda-meta/history": ""}, "", "conda-meta", id="conda-meta"),
        pytest.param({"demo-1.0.data/data/info/index.json": ""}, "", "info", id="info"),
        pytest.param({"demo-1.0.data/other/x": ""}, "", "no install scheme", id="scheme"),
        pytest.param({"demo-1.0.data/purelib/demo/__init__.py": ""}, "", "twice", id="twice"),
        pytest.param({"../x": ""}, "", "traversal", id="traversal"),
        pytest.param({}, "Requires-Dist: a b c", "cannot be read", id="requirement"),
        pytest.param({}, "Requires-Python: x", "cannot be read", id="python"),
        pytest.param({}, "Requires-Python: <3.9", "not for Python 3.11", id="other python"),
        pytest.param({"demo-1.0.dist-info/entry_points.txt": SLASH}, "", "no program", id="program"),
        pytest.param({"demo-1.0.dist-info/entry_points.txt": "x = 1"}, "", "cannot be used", id="points"),
    ],
)  # fmt: skip
def test_wheels_that_no_package_can_be_made_of_are_refused(
    tmp_path: Path, files: dict[str, str], metadata: str, fault: str
) -> None:
    path = wheel(tmp_path, files=files, metadata=metadata)
    with pytest.raises(UsageError) as caught:
        convert_wheel(path, tmp_path / "out", Conversion(compression="fast"))
    assert fault in str(caught.value)


@pytest.mark.parametrize("name", [NATIVE, PURE])
def test_an_entry_point_comes_before_a_script_of_its_name(tmp_path: Path, name: str) -> None:
    files = {**ALL, "demo-1.0.data/scripts/demo": "#!python\nprint(0)\n"}
    found = converted(tmp_path, wheel(tmp_path, name, files))
    assert "python-scripts/demo" not in found
    assert name == PURE or b"demo.main" in found["bin/demo"][1]


def test_what_record_does_not_list_is_refused(tmp_path: Path) -> None:
    path = wheel(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("demo/more.py", "")
    with pytest.raises(UsageError, match="RECORD"):
        convert_wheel(path, tmp_path / "out", Conversion(compression="fast"))


@pytest.mark.parametrize(
    "text",
    ["[console_scripts]\nx = a:b; import os", "[console_scripts]\nx = a b:c", "[console_scripts]\nx = a",
     "[console_scripts]\na b = c:d", "[console_scripts]\nx =", "\x80"],
)  # fmt: skip
def test_entry_points_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        entry_points(text.encode("latin-1"))


def test_the_command_converts_each_file_into_its_subdir(tmp_path: Path) -> None:
    given = [wheel(tmp_path, NATIVE), wheel(tmp_path, "demo-1.0-cp311-cp311-win_amd64.whl")]
    words = [*map(str, given), "-o", str(tmp_path / "out"), "--compression", "fast", "--json",
             "--name", "Demo=other", "-q"]  # fmt: skip
    environ = {"SOURCE_DATE_EPOCH": "1600000000"}
    done = CliRunner().invoke(command, words, env=environ, standalone_mode=False)
    assert done.return_value == 0, done.stderr
    rows = json.loads(done.stdout)["converted"]
    assert [Path(row["output"]).relative_to(tmp_path / "out").as_posix() for row in rows] == [
        "linux-64/other-1.0-py311_0.conda",
        "win-64/other-1.0-py311_0.conda",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["linux-64", "win-64"]
    for row in rows:
        found = read(Converted(Path(row["output"]), {}))
        assert index_of(found)["timestamp"] == 1600000000000
        assert row["size"] == Path(row["output"]).stat().st_size


def test_two_wheels_that_become_one_package_are_refused(tmp_path: Path) -> None:
    both = [wheel(tmp_path, f"demo-1.0-cp311-cp311-macosx_{n}_0_arm64.whl") for n in (11, 14)]
    done = CliRunner().invoke(command, [*map(str, both), "-o", str(tmp_path / "out"), "-q"])
    assert isinstance(done.exception, UsageError)
    assert "become one package" in str(done.exception)
    (made,) = (tmp_path / "out" / "osx-arm64").iterdir()
    assert index_of(read(Converted(made, {})))["depends"][0] == "__osx >=11.0"  # type: ignore[index]  # a list


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--to", "deb"], "kind `deb`"),
        (["--name", "torch"], "PROJECT=NAME"),
        (["--python", "x"], "not a Python version"),
        (["--python", "3.12"], "is not for Python 3.12"),
        (["--subdir", "osx-64"], "does not run on osx-64"),
    ],
)
def test_words_that_do_not_fit_are_errors(tmp_path: Path, words: list[str], fault: str) -> None:
    given = str(wheel(tmp_path))
    done = CliRunner().invoke(command, [given, "-o", str(tmp_path / "out"), "-q", *words])
    assert isinstance(done.exception, UsageError)
    assert fault in str(done.exception)
