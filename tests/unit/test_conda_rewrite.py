from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from builder_conda.recipes.rewrite import prefix_of, unpack_package, write_again

from builder.archive.conda import open_package, read_info
from builder.archive.conda_package import CondaFile, CondaPackage
from builder.archive.conda_write import write_conda
from builder.errors import BuilderError

BUILD = "/home/somebody/bld"
PREFIX = f"{BUILD}/host_env_{'placehold_' * 20}"
ELF = b"\x7fELF" + bytes(60)


def package(folder: Path, *files: CondaFile, epoch: int = 1, **fields: object) -> Path:
    """A package as an engine leaves it."""
    made = replace(CondaPackage("w", "1", "0", "linux-64", license="MIT"), **fields)  # type: ignore[arg-type]  # as given
    return write_conda(folder, made, files, epoch=epoch, profile="fast")


def again(path: Path, folder: Path) -> Path:
    unpacked = unpack_package(path, folder / "unpacked", Path(BUILD))
    return write_again(unpacked, folder, epoch=7, profile="fast", file_format="conda")


def members(path: Path) -> dict[str, bytes]:
    with open_package(path) as found:
        return {member.name: content.read(member.size) for member, content in found}


def test_the_built_prefix_gives_way_to_one_of_nobody(tmp_path: Path) -> None:
    text, binary = f"prefix={PREFIX}/lib\n".encode(), ELF + PREFIX.encode() + b"/share\0"
    path = package(
        tmp_path / "built",
        CondaFile("lib/w.pc", text, placeholder=PREFIX),
        CondaFile("lib/w.so", binary, placeholder=PREFIX, mode="binary", executable=True),
        CondaFile("lib/x.so", link="w.so"),
    )

    found = again(path, tmp_path)

    neutral = prefix_of(len(PREFIX))
    content = members(found)
    assert content["lib/w.pc"] == f"prefix={neutral}/lib\n".encode()
    assert content["lib/w.so"] == ELF + neutral.encode() + b"/share\0"
    paths = {row["_path"]: row for row in json.loads(content["info/paths.json"])["paths"]}
    assert {row.get("prefix_placeholder") for row in paths.values()} == {None, neutral}
    assert paths["lib/w.so"]["file_mode"] == "binary"
    assert not any(b"somebody" in text for text in content.values())


def test_time_and_order_of_the_build_do_not_show(tmp_path: Path) -> None:
    first = package(tmp_path / "a", CondaFile("x", b"1"), epoch=1, depends=("a", "b"))
    second = package(tmp_path / "b", CondaFile("x", b"1"), epoch=2_000_000_000, depends=("b", "a"))

    assert again(first, tmp_path / "c").read_bytes() == again(second, tmp_path / "d").read_bytes()


def test_what_a_package_says_is_kept(tmp_path: Path) -> None:
    tests = CondaFile("tests/tests.yaml", b"- script: true\n")
    recipe = CondaFile("recipe/recipe.yaml", f"path: {BUILD}".encode())
    path = package(
        tmp_path / "built",
        about={"summary": "A widget"},
        run_exports={"weak": ("w >=1",)},
        constrains=("b <2",),
        track_features="f",
        build_number=3,
        info=(tests, recipe),
    )

    found = again(path, tmp_path)

    old, new = (read_info(file, dict.fromkeys(NAMES, 1 << 20)) for file in (path, found))
    assert json.loads(new["info/index.json"]) == json.loads(old["info/index.json"]) | {
        "timestamp": 7000
    }
    assert new["info/run_exports.json"] == old["info/run_exports.json"]
    assert new["info/about.json"] == old["info/about.json"]
    assert new["info/tests/tests.yaml"] == b"- script: true\n"
    assert "info/recipe/recipe.yaml" not in members(found)


NAMES = ("info/index.json", "info/run_exports.json", "info/about.json", "info/tests/tests.yaml")


def test_the_entry_points_of_a_pure_package_are_kept(tmp_path: Path) -> None:
    made = CondaPackage("w", "1", "0", "noarch", noarch="python", entry_points=("w = w:main",))
    path = write_conda(tmp_path / "built", made, (), epoch=1, profile="fast")

    assert members(again(path, tmp_path))["info/link.json"] == members(path)["info/link.json"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(ELF + b"\x90old_placehold_pla\x90", id="a piece of sixteen"),
        pytest.param(ELF + b"\x90placehold_placeho\x90", id="another"),
        pytest.param(ELF + b"\x90hold_placehol\x90", id="a short one"),
    ],
)
def test_a_prefix_in_pieces_is_found(content: bytes, tmp_path: Path) -> None:
    path = package(tmp_path / "built", CondaFile("lib/w.so", content))

    with pytest.raises(BuilderError, match="in pieces") as caught:
        again(path, tmp_path)
    assert caught.value.faults[0].startswith("lib/w.so: ")
    assert "bytes of the build prefix at 0x" in caught.value.faults[0]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(ELF + b"a placeholder for placeholders\0", id="the ordinary word"),
        pytest.param(b"placehold_placehold", id="in a text"),
    ],
)
def test_what_only_looks_like_a_prefix_is_none(content: bytes, tmp_path: Path) -> None:
    path = package(tmp_path / "built", CondaFile("lib/w.so", content))

    assert members(again(path, tmp_path))["lib/w.so"] == content


def test_a_path_of_the_machine_in_the_information_is_refused(tmp_path: Path) -> None:
    path = package(tmp_path / "built", info=(CondaFile("tests/t.yaml", f"cd {BUILD}".encode()),))

    with pytest.raises(BuilderError) as caught:
        again(path, tmp_path)
    assert caught.value.faults == (f"info/tests/t.yaml: names {BUILD}",)
