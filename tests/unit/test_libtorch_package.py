from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, cast

import pytest
from builder_libtorch.backend import Libtorch
from builder_libtorch.package import Order, package_tree, package_wheel

from builder.archive.content import MANIFEST, Content
from builder.archive.tar import read_tar
from builder.archive.tar_source import open_source
from builder.backend import Package, Tools, Trees
from builder.binary import read
from builder.config.machine import Machine
from builder.config.recipe import Archive, Bundle, CppArchive, Folder, Recipe, Source
from builder.config.spec import BuildSpec
from builder.config.target import Target
from builder.config.toolchain import Toolchain
from builder.errors import BuilderError
from builder.plugins import Plugins
from builder.process import Processes
from builder.stage.tree import Tree, scan
from tests.data import make_elf, make_macho, make_pe

DYLIB = make_macho.assemble(replace(make_macho.PLAIN, rpaths=("@loader_path",)))


def elf(*needed: str, **fields: Any) -> bytes:
    return make_elf.assemble(make_elf.Elf(needed=(*needed, "libc.so.6"), room=4, **fields))


def target(variant: str, platform: str = "linux_x86_64") -> Target:
    return Target.parse(f"libtorch-none-cpu-{platform}-{variant.replace('-', '_')}")


def spec(variant: str = "shared-with-deps", **archive: Any) -> BuildSpec:
    recipe = Recipe(
        "demo", Path("/recipe"), Folder(Path("/source")), archive=CppArchive(**archive),
        bundle=Bundle(exclude=("libdriver.so.*",)),
    )  # fmt: skip
    toolchain = Toolchain(Path("/usr/bin/cc"), Path("/usr/bin/c++"), "gcc", "identity")
    return BuildSpec(recipe, target(variant), toolchain, "1.2.0", "digest", None)


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    machine = Machine((Path("/usr/bin"),), tmp_path, 2, "linux", "x86_64")
    return Tools(Processes(), machine, Path(sys.executable), tmp_path / "work", tmp_path / "log")


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[Mapping[str, bytes | str]], Tree]:
    """A core tree with these files; a text is the target of a link."""

    def make(files: Mapping[str, bytes | str]) -> Tree:
        root = tmp_path / "store/trees/0123456789abcdef0/content"
        for name, content in files.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, str):
                file.symlink_to(content)
            else:
                file.write_bytes(content)
                file.chmod(0o755 if name.startswith("bin/") else 0o644)
        prefix = str(tmp_path / "store/work/0123456789abcdef/content")
        return Tree(
            "0123456789abcdef0", root, scan(root), {"prefix": prefix, "epoch": 1_700_000_000}
        )

    return make


FILES: Mapping[str, bytes | str] = {
    "lib/libdemo.so.1.2": elf("libinner.so.3", soname="libdemo.so.1"),
    "lib/libdemo.so.1": "libdemo.so.1.2",
    "lib/libdemo.so": "libdemo.so.1",
    "lib/libinner.so.3": elf(soname="libinner.so.3"),
    "bin/demo": elf("libdemo.so.1", interpreter="/lib64/ld-linux-x86-64.so.2"),
    "include/demo.h": b"int demo(void);\n",
    "python/demo.py": b"",
}
STATIC: Mapping[str, bytes | str] = {"lib/libdemo.a": b"!<arch>\n", "include/demo.h": b""}


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def order(variant: str = "shared-with-deps", **archive: Any) -> Order:
    return Order.of(spec(variant, **archive), 1_700_000_000)


def test_the_plugin_is_found_by_its_entry_point() -> None:
    plugins = Plugins([EntryPoint("libtorch", "builder_libtorch", "builder")])

    assert plugins.faults == {}
    assert isinstance(plugins.backend("libtorch"), Libtorch)
    assert not plugins.backend("libtorch").needs_python


def test_the_plan_reads_as_shell() -> None:
    with_all = spec(keep=("lib/*",), debug=True)

    assert [str(step) for step in Libtorch().plan(with_all)] == [
        "select --keep 'lib/*' '{core}'",
        "relocate libdemo",
        "objcopy --strip-debug '--add-gnu-debuglink={dbg}' '{library}'",
        "graft --into libdemo/lib --exclude 'libdriver.so.*' libdemo",
        "pack libdemo libdemo-shared-with-deps-1.2.0.zip",
        "verify libdemo-shared-with-deps-1.2.0.zip",
    ]


def test_a_tree_becomes_an_archive_whose_parts_find_each_other(
    tree: Callable[[Mapping[str, bytes | str]], Tree], tools: Tools, tmp_path: Path
) -> None:
    package = Libtorch().package(spec(), Trees(tree(FILES), None), tmp_path / "out", tools)

    assert package.path.name == "libdemo-shared-with-deps-1.2.0.zip"
    assert package.facts == {
        "grafted": [], "host": [], "content": "libdemo-shared-with-deps-1.2.0.content.json",
        "aliases": ["libdemo-shared-with-deps-latest.zip"],
    }  # fmt: skip
    found = members(package.path)
    below = sorted(name.removeprefix("libdemo/") for name in found)
    assert below == sorted(
        [
            *(name for name in FILES if name != "python/demo.py"),
            "build-hash",
            "build-version",
            MANIFEST,
        ]
    )
    assert found["libdemo/lib/libdemo.so"] == b"libdemo.so.1"
    assert found["libdemo/build-version"] == b"1.2.0\n"
    assert read(found["libdemo/lib/libdemo.so.1.2"]).runpath == ("$ORIGIN",)
    assert read(found["libdemo/bin/demo"]).runpath == ("$ORIGIN/../lib",)
    assert read(found["libdemo/bin/demo"]).needed == ("libdemo.so.1", "libc.so.6")
    assert sorted(path.name for path in package.path.parent.iterdir()) == [
        "libdemo-shared-with-deps-1.2.0.content.json", "libdemo-shared-with-deps-1.2.0.zip",
    ]  # fmt: skip
    assert list(tools.work.iterdir()) == []


def test_the_manifest_inside_is_the_one_beside_and_says_every_file(
    tree: Callable[[Mapping[str, bytes | str]], Tree], tools: Tools, tmp_path: Path
) -> None:
    package = package_tree(tree(FILES), order(), tmp_path / "out", tools)

    inside = members(package.path)[f"libdemo/{MANIFEST}"]
    assert (package.path.parent / str(package.facts["content"])).read_bytes() == inside
    content = Content.parse(inside, "manifest")
    roles = {item.path: item.role for item in content.items}
    assert roles == {
        "bin/demo": "tool", "build-hash": "data", "build-version": "data",
        "include/demo.h": "header", "lib/libdemo.so": "library", "lib/libdemo.so.1": "library",
        "lib/libdemo.so.1.2": "library", "lib/libinner.so.3": "library",
    }  # fmt: skip
    assert (content.name, content.version) == ("demo", "1.2.0")


def test_the_same_tree_gives_the_same_bytes(
    tree: Callable[[Mapping[str, bytes | str]], Tree], tools: Tools, tmp_path: Path
) -> None:
    made = tree(FILES)
    one = package_tree(made, order(), tmp_path / "one", tools)
    other_tools = replace(tools, work=tmp_path / "other", machine=replace(tools.machine, cores=1))
    two = package_tree(made, order(), tmp_path / "two", other_tools)

    assert one.path.read_bytes() == two.path.read_bytes()


def test_a_tar_has_the_same_content(
    tree: Callable[[Mapping[str, bytes | str]], Tree], tools: Tools, tmp_path: Path
) -> None:
    package = package_tree(
        tree(FILES), order(format="tar.zst", top="top", name="other"), tmp_path / "out", tools
    )

    assert package.path.name == "libother-shared-with-deps-1.2.0.tar.zst"
    with open_source(package.path) as source:
        kinds = {member.path: member.kind for member, _ in read_tar(source, "x")}
    assert kinds["top/lib/libdemo.so"] == "link"
    assert kinds["top/lib/libdemo.so.1.2"] == "file"
    assert f"top/{MANIFEST}" in kinds


@pytest.mark.parametrize(
    ("variant", "host", "faults"),
    [
        ("shared-without-deps", ["libdriver.so.1", "libfar.so.1", "libpython3.11.so.1.0"], ()),
        ("shared-with-deps", [], ("libfar.so.1", "libpython3.11.so.1.0")),
    ],
)
def test_what_is_not_there_is_named_or_refused(
    tree: Callable[[Mapping[str, bytes | str]], Tree],
    tools: Tools,
    tmp_path: Path,
    variant: str,
    host: list[str],
    faults: tuple[str, ...],
) -> None:
    needy = tree({"lib/liba.so": elf("libfar.so.1", "libdriver.so.1", "libpython3.11.so.1.0")})

    def pack() -> Package:
        return package_tree(needy, order(variant), tmp_path / "out", tools)

    if faults:
        with pytest.raises(BuilderError, match="cannot be found") as caught:
            pack()
        assert {fault.partition(":")[0] for fault in caught.value.faults[:-1]} == set(faults)
        assert not (tmp_path / "out").exists()
    else:
        assert pack().facts["host"] == host


def test_a_library_of_the_machine_is_grafted_under_a_name_of_its_own(
    tree: Callable[[Mapping[str, bytes | str]], Tree], tools: Tools, tmp_path: Path
) -> None:
    made = tree({"lib/liba.so": elf("libfar.so.1"), "lib64/libfar.so.1": elf(soname="libfar.so.1")})
    only_lib = order(keep=("lib/*",))

    package = package_tree(made, only_lib, tmp_path / "out", tools)

    (graft,) = cast("list[dict[str, str]]", package.facts["grafted"])
    assert graft["as"] == f"lib/libfar-{graft['sha256'][:8]}.so.1"
    found = members(package.path)
    assert read(found["libdemo/lib/liba.so"]).needed[0] == f"libfar-{graft['sha256'][:8]}.so.1"
    assert f"libdemo/{graft['as']}" in found
    identity = Libtorch().identity(spec(keep=("lib/*",)), Trees(made, None), tools)
    assert identity["grafts"] == {"libfar.so.1": graft["sha256"]}


def test_a_static_variant_is_libraries_for_a_linker(
    tree: Callable[[Mapping[str, bytes | str]], Tree], tools: Tools, tmp_path: Path
) -> None:
    package = package_tree(tree(STATIC), order("static-with-deps"), tmp_path / "out", tools)

    assert package.path.name == "libdemo-static-with-deps-1.2.0.zip"
    assert "libdemo/lib/libdemo.a" in members(package.path)


@pytest.mark.parametrize(
    ("files", "variant", "message", "fault"),
    [
        (FILES, "static-with-deps", "asks for static libraries", ""),
        (STATIC, "shared-with-deps", "asks for shared libraries", ""),
        ({"python/x.py": b""}, "shared-with-deps", "no C\\+\\+ part in the core tree", ""),
        (
            {"lib/liba.so": elf(machine=183)},
            "shared-with-deps",
            "1 binaries are not for",
            "lib/liba.so: is elf for aarch64",
        ),
        (
            {"lib/liba.so": b"\x7fELF and no more"},
            "shared-with-deps",
            "cannot be read",
            "lib/liba.so: ELF header: unknown class, byte order or version (20 61 6e)",
        ),
    ],
    ids=["shared tree", "static tree", "python only", "other machine", "damaged"],
)
def test_a_tree_that_does_not_fit_is_one_error(
    tree: Callable[[Mapping[str, bytes | str]], Tree],
    tools: Tools,
    tmp_path: Path,
    files: Mapping[str, bytes | str],
    variant: str,
    message: str,
    fault: str,
) -> None:
    with pytest.raises(BuilderError, match=message) as caught:
        package_tree(tree(files), order(variant), tmp_path / "out", tools)

    assert caught.value.hint
    assert tuple(filter(None, [fault])) == caught.value.faults
    assert not (tmp_path / "out").exists()
    assert list(tools.work.iterdir()) == []


def test_every_name_of_a_build_folder_is_told(
    tree: Callable[[Mapping[str, bytes | str]], Tree], tools: Tools, tmp_path: Path
) -> None:
    prefix = f"{tmp_path}/store/work/0123456789abcdef/content"
    dirty = tree(
        {
            "lib/liba.so": elf() + b"\0" + f"{prefix}/x".encode(),
            "include/a.h": f"\n// {prefix}\n".encode(),
            "lib/cmake/a.cmake": f'set(A "{prefix}/lib")\n'.encode(),
        }
    )

    with pytest.raises(BuilderError, match="name folders of the build") as caught:
        package_tree(dirty, order(), tmp_path / "out", tools)

    assert f"include/a.h:2: names `{prefix}`" in caught.value.faults
    assert any(
        fault.startswith(f"lib/liba.so: names `{prefix}` at") for fault in caught.value.faults
    )
    assert not any(fault.startswith("lib/cmake") for fault in caught.value.faults)


def test_a_version_that_nobody_knows_is_an_error(
    tree: Callable[[Mapping[str, bytes | str]], Tree], tools: Tools, tmp_path: Path
) -> None:
    unknown = Order.of(replace(spec(), version=""))

    with pytest.raises(BuilderError, match="version of `demo` is not known"):
        package_tree(tree(FILES), unknown, tmp_path / "out", tools)


def wheel(folder: Path, files: Mapping[str, bytes], tags: str) -> Path:
    path = folder / f"demo-2.0-cp311-cp311-{tags}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


VERSION = b"__version__ = '2.0+cpu'\ngit_version = 'abc'\n"
FROM_WHEEL = CppArchive(keep=("lib/*", "include/*"), wheel="demo", version="version.py")


def from_wheel(variant: str, platform: str, exclude: tuple[str, ...] = ()) -> Order:
    return Order("demo", FROM_WHEEL, target(variant, platform), Bundle(exclude=exclude))


@pytest.mark.parametrize(
    ("platform", "tags", "library", "content", "name"),
    [
        (
            "macos_arm64", "macosx_11_0_arm64", "libdemo.dylib",
            DYLIB, "libdemo-macos-arm64-2.0.zip",
        ),
        (
            "windows_x86_64", "win_amd64", "demo.dll", make_pe.sound()["amd64.dll"],
            "libdemo-win-shared-with-deps-2.0.zip",
        ),
        (
            "linux_aarch64", "linux_aarch64", "libdemo.so", elf(machine=183),
            "libdemo-aarch64-shared-with-deps-2.0.zip",
        ),
    ],
    ids=["macos", "windows", "linux"],
)  # fmt: skip
def test_a_wheel_of_any_system_gives_its_cpp_part(
    tools: Tools, tmp_path: Path, platform: str, tags: str, library: str, content: bytes, name: str
) -> None:
    given = wheel(
        tmp_path,
        {f"demo/lib/{library}": content, "demo/version.py": VERSION, "demo/x.py": b"1/0"},
        tags,
    )
    wanted = from_wheel("shared-with-deps", platform, ("*",))

    package = package_wheel(given, wanted, tmp_path / "out", tools)

    assert package.path.name == name
    assert members(package.path) | {f"libdemo/{MANIFEST}": b""} == {
        f"libdemo/lib/{library}": content,
        "libdemo/build-version": b"2.0+cpu\n",
        "libdemo/build-hash": b"abc\n",
        f"libdemo/{MANIFEST}": b"",
    }


def test_an_rpath_that_leads_to_the_build_machine_goes(tools: Tools, tmp_path: Path) -> None:
    dylib = make_macho.sound()["arm64.dylib"]
    given = wheel(
        tmp_path,
        {"demo/lib/libdemo.dylib": dylib, "demo/version.py": VERSION},
        "macosx_11_0_arm64",
    )

    package = package_wheel(
        given, from_wheel("shared-with-deps", "macos_arm64", ("*",)), tmp_path / "out", tools
    )

    packed = members(package.path)["libdemo/lib/libdemo.dylib"]
    assert read(dylib).rpath == ("@loader_path/../lib", "/opt/lib")
    assert read(packed).rpath == ("@loader_path/../lib",)


def test_what_a_repair_grafted_beside_the_package_goes_along(tools: Tools, tmp_path: Path) -> None:
    given = wheel(
        tmp_path,
        {
            "demo/lib/libdemo.so": elf("libz-1.so", runpath="$ORIGIN/../../demo.libs"),
            "demo.libs/libz-1.so": elf(soname="libz-1.so"),
            "demo/version.py": VERSION,
        },
        "linux_x86_64",
    )

    package = package_wheel(
        given, from_wheel("shared-with-deps", "linux_x86_64"), tmp_path / "out", tools
    )

    found = members(package.path)
    (needed, _) = read(found["libdemo/lib/libdemo.so"]).needed
    assert read(found["libdemo/lib/libdemo.so"]).runpath == ("$ORIGIN",)
    assert f"libdemo/lib/{needed}" in found


def test_copies_of_a_library_become_links_but_on_windows(tools: Tools, tmp_path: Path) -> None:
    twice = {f"demo/lib/libdemo.so{end}": elf(soname="libdemo.so.1") for end in ("", ".1", ".1.2")}
    given = wheel(tmp_path, {**twice, "demo/version.py": VERSION}, "linux_x86_64")
    dlls = {f"demo/lib/{name}.dll": make_pe.sound()["amd64.dll"] for name in "ab"}
    for_windows = wheel(tmp_path, {**dlls, "demo/version.py": VERSION}, "win_amd64")
    out = tmp_path / "out"

    unix = package_wheel(given, from_wheel("shared-with-deps", "linux_x86_64"), out, tools)
    windows = package_wheel(
        for_windows, from_wheel("shared-with-deps", "windows_x86_64", ("*",)), out, tools
    )

    found = members(unix.path)
    assert found["libdemo/lib/libdemo.so"] == found["libdemo/lib/libdemo.so.1"] == b"libdemo.so.1.2"
    assert members(windows.path)["libdemo/lib/a.dll"] == make_pe.sound()["amd64.dll"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"demo/x.py": b"", "demo/version.py": VERSION}, r"no C\+\+ part below `demo`"),
        ({"demo/lib/liba.so": elf()}, "has no `demo/version.py`"),
        ({"demo/lib/liba.so": elf(), "demo/version.py": b"1 +"}, "cannot be read as Python"),
        ({"demo/lib/liba.so": elf(machine=183), "demo/version.py": VERSION}, "not for"),
        ({"demo/lib/liba.so": elf("libno.so"), "demo/version.py": VERSION}, "cannot be found"),
    ],
    ids=["python only", "no version", "no python", "other machine", "missing"],
)
def test_a_wheel_that_does_not_fit_is_one_error(
    tools: Tools, tmp_path: Path, files: Mapping[str, bytes], message: str
) -> None:
    given = wheel(tmp_path, files, "linux_x86_64")

    with pytest.raises(BuilderError, match=message):
        package_wheel(
            given, from_wheel("shared-with-deps", "linux_x86_64"), tmp_path / "out", tools
        )

    assert not (tmp_path / "out").exists()
    assert list(tools.work.iterdir()) == []


@contextmanager
def busy(work: Callable[[int], object]) -> Iterator[None]:
    """Something else that is done over and over meanwhile, with a number that grows."""
    ended = threading.Event()

    def repeat() -> None:
        numbers = itertools.count()
        while not ended.is_set():
            work(next(numbers))

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_file_that_changes_while_it_is_packed_is_one_error(
    tree: Callable[[Mapping[str, bytes | str]], Tree], tools: Tools, tmp_path: Path
) -> None:
    made = tree({**FILES, "include/big.h": bytes(8 << 20)})

    with (
        (made.root / "include/big.h").open("r+b", buffering=0) as file,
        busy(lambda number: os.pwrite(file.fileno(), number.to_bytes(8, "big"), 100)),
        pytest.raises(BuilderError, match="is not sound") as caught,
    ):
        package_tree(made, order(), tmp_path / "out", tools)

    assert caught.value.faults == ("include/big.h: changed while it was packed",)
    assert list((tmp_path / "out").iterdir()) == []
    assert list(tools.work.iterdir()) == []


def test_a_wheel_that_is_written_to_while_it_is_packed_is_one_error(
    tools: Tools, tmp_path: Path
) -> None:
    given = wheel(tmp_path, {"demo/lib/liba.so": elf(), "demo/version.py": VERSION}, "linux_x86_64")

    with (
        busy(lambda number: os.utime(given, (number, number))),
        pytest.raises(BuilderError, match="changed while it was packed"),
    ):
        package_wheel(
            given, from_wheel("shared-with-deps", "linux_x86_64"), tmp_path / "out", tools
        )

    assert list((tmp_path / "out").iterdir()) == []


def test_the_identity_says_what_the_recipe_says(
    tree: Callable[[Mapping[str, bytes | str]], Tree], tools: Tools
) -> None:
    trees = Trees(tree(FILES), None)

    one = Libtorch().identity(spec(), trees, tools)
    two = Libtorch().identity(spec(leave=("bin/*",)), trees, tools)

    assert one != two
    assert json.loads(json.dumps(one)) is not None
    assert not tools.work.exists()


@pytest.mark.parametrize("given", ["wheel", "nothing"])
def test_the_source_may_be_a_finished_wheel(tools: Tools, tmp_path: Path, given: str) -> None:
    made = wheel(tmp_path, {"lib/liba.so": elf(), "x.py": b""}, "linux_x86_64")
    sources: Mapping[str, Source] = {
        "wheel": Archive(str(made), "a" * 64), "nothing": Folder(tmp_path),
    }  # fmt: skip
    bare = spec()
    wanted = replace(bare, recipe=replace(bare.recipe, source=sources[given]), version="")

    if given == "wheel":
        package = Libtorch().package(wanted, Trees(None, None), tmp_path / "out", tools)
        assert package.path.name == "libdemo-shared-with-deps-2.0.zip"
        assert Libtorch().identity(wanted, Trees(None, None), tools)["wheel"] == "a" * 64
    else:
        with pytest.raises(BuilderError, match="has no core stage"):
            Libtorch().package(wanted, Trees(None, None), tmp_path / "out", tools)
