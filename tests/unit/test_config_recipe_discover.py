from __future__ import annotations

from pathlib import Path

import pytest

from builder.config.discover import find, known
from builder.config.recipe import CMake, CoreStage, Folder, PythonStage, Recipe
from builder.errors import UsageError

RECIPE = '[source]\npath = "src"\n[python]\n'


def fill(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    mine = {"sample/recipe.toml": RECIPE, "notes.txt": "", "empty/x": "", ".git/config": ""}
    theirs = {
        "sample/recipe.toml": "broken",
        "lightgbm/recipe.toml": RECIPE,
        "zlib.x/recipe.toml": "",
    }
    return fill(tmp_path / "mine", mine), fill(tmp_path / "theirs", theirs)


@pytest.fixture
def cwd(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def test_known_recipes_are_sorted_and_the_first_root_wins(
    tmp_path: Path, roots: tuple[Path, Path]
) -> None:
    mine, theirs = roots
    assert known((mine, tmp_path / "absent", mine / "notes.txt", theirs)) == (
        ("lightgbm", theirs / "lightgbm" / "recipe.toml"),
        ("sample", mine / "sample" / "recipe.toml"),
        ("zlib.x", theirs / "zlib.x" / "recipe.toml"),
    )


def test_name_is_looked_up_in_the_order_of_the_roots(roots: tuple[Path, Path], cwd: Path) -> None:
    found = find("sample", roots, cwd)
    assert (found.name, found.folder) == ("sample", roots[0] / "sample")
    assert found.source == Folder(roots[0] / "sample" / "src")


def test_name_of_a_recipe_wins_over_a_folder_here(roots: tuple[Path, Path], cwd: Path) -> None:
    fill(cwd, {"sample/setup.py": "", "other/setup.py": ""})
    assert find("sample", roots, cwd).folder == roots[0] / "sample"
    assert find("./sample", roots, cwd).folder == cwd / "sample"
    assert find("other", roots, cwd).folder == cwd / "other"


@pytest.mark.parametrize(
    "text", [".", "./", "../here", "{cwd}", "{cwd}/recipe.toml", "recipe.toml"]
)
def test_folder_may_be_written_in_many_ways(cwd: Path, text: str) -> None:
    fill(cwd, {"recipe.toml": RECIPE})
    found = find(text.format(cwd=cwd), (), cwd)
    assert (found.name, found.source) == ("here", Folder(cwd / "src"))


def test_parent_folder_has_its_own_name(cwd: Path) -> None:
    fill(cwd, {"setup.py": "", "inner/x": ""})
    assert find("..", (), cwd / "inner") == Recipe("here", cwd, Folder(cwd), python=PythonStage())


PEP517 = "[build-system]\nrequires = []\n"
PROJECTS = {
    "name in pyproject": ({"pyproject.toml": '[project]\nname = "real.Name"\n'}, "real.Name"),
    "pyproject without a name": ({"pyproject.toml": PEP517}, "here"),
    "name in setup.cfg": (
        {
            "pyproject.toml": "[tool.x]\n",
            "setup.cfg": "[metadata]\nname = cfg-name\nversion = %(x)s",
        },
        "cfg-name",
    ),
    "name in pyproject before setup.cfg": (
        {"pyproject.toml": '[project]\nname = "a"\n', "setup.cfg": "[metadata]\nname = b"},
        "a",
    ),
    "name elsewhere": (
        {"pyproject.toml": PEP517, "setup.cfg": "[metadata]\nname = attr: a.b", "PKG-INFO": ""},
        "here",
    ),
    "name in PKG-INFO": (
        {"setup.py": "", "PKG-INFO": "Metadata-Version: 2.1\nName: psycopg2\n\nName: no\n"},
        "psycopg2",
    ),
    "only setup.py": ({"setup.py": "raise SystemExit"}, "here"),
    "broken setup.cfg": ({"setup.py": "", "setup.cfg": "name"}, "here"),
    "name of another type": ({"pyproject.toml": '[project]\nname = ["a"]\n'}, "here"),
    "project of another type": ({"pyproject.toml": "project = 1\n"}, "here"),
    "tool of another type": ({"pyproject.toml": "tool = 1\nproject = {}\n"}, "here"),
}


@pytest.mark.parametrize("case", PROJECTS)
def test_project_without_a_recipe_is_built_by_pep_517(cwd: Path, case: str) -> None:
    files, name = PROJECTS[case]
    fill(cwd, files)
    assert find(".", (), cwd) == Recipe(name, cwd, Folder(cwd), python=PythonStage())


def test_folder_whose_name_is_no_name(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a b (copy)", {"setup.py": ""})
    assert find(".", (), folder).name == "a-b-copy"


@pytest.mark.parametrize(
    ("files", "core"),
    [
        pytest.param(
            {"builder.toml": "core.cmake = {}", "pyproject.toml": "[tool.builder]"},
            CoreStage(cmake=CMake()),
            id="builder.toml before pyproject",
        ),
        pytest.param(
            {"recipe.toml": RECIPE, "builder.toml": "core.cmake = {}"},
            None,
            id="recipe.toml before builder.toml",
        ),
        pytest.param(
            {"pyproject.toml": '[tool.builder.core]\ncmake.source = "c"\n'},
            CoreStage(cmake=CMake("c")),
            id="pyproject",
        ),
    ],
)
def test_first_file_with_a_recipe_counts(
    cwd: Path, files: dict[str, str], core: CoreStage | None
) -> None:
    assert find(".", (), fill(cwd, files)).core == core


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no recipe given"),
        (" ", "no recipe given"),
        ("./absent", "no such folder: `./absent`"),
        ("absent/", "no such folder: `absent/`"),
        ("..\\absent", "no such folder"),
        ("a.whl", "is a package, not a recipe"),
        ("./a-1.0.tar.gz", "is a package, not a recipe"),
        ("notes.txt", "is not a recipe"),
        ("bad.toml", "is not valid TOML"),
        ("a\0b", "unknown recipe"),
        ("x" * 5000, "unknown recipe"),
        ("./" + "x" * 5000, "no such folder"),
    ],
)
def test_what_is_no_recipe_is_refused(cwd: Path, text: str, message: str) -> None:
    fill(cwd, {"a.whl": "", "a-1.0.tar.gz": "", "notes.txt": "", "bad.toml": "="})
    with pytest.raises(UsageError) as caught:
        find(text, (cwd / "recipes",), cwd)
    assert message in caught.value.message


def test_unknown_name_says_what_there_is(roots: tuple[Path, Path], cwd: Path) -> None:
    with pytest.raises(UsageError, match="unknown recipe `LightGMB`") as caught:
        find("LightGMB", roots, cwd)
    assert caught.value.faults == (
        f"searched: {roots[0]}/LightGMB/recipe.toml",
        f"searched: {roots[1]}/LightGMB/recipe.toml",
        f"searched: {cwd}/LightGMB",
        "known recipes: lightgbm, sample, zlib.x",
    )
    assert caught.value.hint == "did you mean `lightgbm`?"


def test_unknown_name_like_no_other_has_no_guess(cwd: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find("qqq", (), cwd)
    assert caught.value.faults == (f"searched: {cwd}/qqq", "known recipes: none")
    assert "did you mean" not in caught.value.hint


def test_folder_with_nothing_to_build_says_what_was_looked_for(cwd: Path) -> None:
    fill(cwd, {"pyproject.toml/x": "", "recipe.toml/x": ""})
    (cwd / "setup.py").symlink_to(cwd / "absent")
    with pytest.raises(UsageError, match="nothing to build in") as caught:
        find(".", (), cwd)
    assert caught.value.faults == (
        "`recipe.toml` is not a readable file",
        "no `builder.toml`",
        "`pyproject.toml` is not a readable file",
        "`setup.py` is not a readable file",
    )


def test_configuration_of_tools_alone_is_no_project(cwd: Path) -> None:
    fill(cwd, {"pyproject.toml": "[tool.ruff]\n"})
    with pytest.raises(UsageError) as caught:
        find(".", (), cwd)
    assert "`pyproject.toml` has neither `[project]` nor `[build-system]`" in caught.value.faults


@pytest.mark.parametrize("content", [b"[project", b'name = "\xff"', b"#" * (1 << 21), b"[[" * 9999])
def test_pyproject_that_cannot_be_read_is_refused(cwd: Path, content: bytes) -> None:
    (cwd / "pyproject.toml").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        find(".", (), cwd)
    assert str(cwd / "pyproject.toml") in caught.value.message


def test_links_in_a_circle_are_refused(cwd: Path) -> None:
    (cwd / "loop").symlink_to(cwd / "loop")
    fill(cwd, {"project/x": ""})
    (cwd / "project" / "pyproject.toml").symlink_to(cwd / "project" / "pyproject.toml")
    with pytest.raises(UsageError, match="no such folder"):
        find("./loop", (), cwd)
    with pytest.raises(UsageError, match="nothing to build"):
        find("project", (), cwd)
