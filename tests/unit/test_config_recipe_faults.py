from __future__ import annotations

from pathlib import Path

import pytest

from builder.config.recipe_file import load
from builder.errors import UsageError

DIGEST = "0123456789abcdef" * 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "thing"


def write(folder: Path, text: str, name: str = "recipe.toml") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def faults(path: Path) -> list[str]:
    """The faults of a file, without its name."""
    with pytest.raises(UsageError) as caught:
        load(path)
    assert str(path) in caught.value.message
    return [fault.removeprefix(f"{path}:") for fault in caught.value.faults]


BASE = '[source]\npath = "."\n[python]\n'
OVERRIDE = '[[override]]\nselect = "*"\n'
SHA = f'sha256 = "{DIGEST}"'
FAULTS: dict[str, tuple[str, list[str]]] = {
    "nothing": (
        "",
        [
            "1: the table `source` is missing",
            "1: there is nothing to build: give `core`, `python` or both",
        ],
    ),
    "unknown key": (BASE + "serve = 1", ["4: python.serve: unknown key; did you mean `serves`?"]),
    "unknown table": (BASE + "[pyhton]", ["4: pyhton: unknown key; did you mean `python`?"]),
    "unlike any key": (
        BASE + "[recipe]\nzzz = 1",
        ["5: recipe.zzz: unknown key; known here: `name` and `summary`"],
    ),
    "underscore": (
        BASE + "config_settings = {}",
        ["4: python.config_settings: unknown key; did you mean `config-settings`?"],
    ),
    "type": (BASE + 'requires = "a"', ["4: python.requires: expected an array, not a string"]),
    "date": (
        BASE + "subdirectory = 2020-01-01",
        ["4: python.subdirectory: expected a string, not a date or time"],
    ),
    "nested config setting": (
        BASE + 'config-settings.a.b = "1"',
        [
            (
                "4: python.config-settings.a: expected a string or an integer, not a table; "
                "a name that holds dots has to be quoted"
            )
        ],
    ),
    "enum": (
        BASE + 'serves = "py2"',
        ["4: python.serves: not `auto`, `version`, `abi3` or `py3`: `py2`"],
    ),
    "schema zero": ("schema = 0\n" + BASE, ["1: schema: must be `1`"]),
    "newer schema": (
        "schema = 2\nnew = 1",
        ["1: schema: written for format 2, this builder reads 1"],
    ),
    "name": (
        BASE + '[recipe]\nname = "a/b"',
        ["5: recipe.name: not a name of letters, digits, `.`, `_` and `-`: `a/b`"],
    ),
    "line break at the end of a name": (
        BASE + '[recipe]\nname = "a\\n"',
        ["5: recipe.name: not a name of letters, digits, `.`, `_` and `-`: 'a\\n'"],
    ),
    "two sources": (
        f'[source]\npath = "."\nproject = "a"\nversion = "1"\n{SHA}\n[python]',
        [
            "1: source: `path` and `project` exclude each other",
            "4: source.version: does not belong to this kind of source",
            "5: source.sha256: does not belong to this kind of source",
        ],
    ),
    "no source": (
        "[source]\n[python]",
        ["1: source: needs one of `path`, `git`, `project` and `archive`"],
    ),
    "half a git source": (
        '[source]\ngit = "https://a"\n[python]',
        ["2: source.git: needs `revision` beside it"],
    ),
    "half an sdist": (
        '[source]\nproject = "a"\n[python]',
        ["2: source.project: needs `version` and `sha256` beside it"],
    ),
    "digest": (
        '[source]\narchive = "a.zip"\nsha256 = "12"\n[python]',
        ["3: source.sha256: not a SHA-256 of 64 hexadecimal digits: `12`"],
    ),
    "archive over http": (
        f'[source]\narchive = "http://a/b.zip"\n{SHA}\n[python]',
        ["2: source.archive: must be a `https:` or `file:` URL: `http://a/b.zip`"],
    ),
    "git option": (
        '[source]\ngit = "--upload-pack=x"\nrevision = "-b"\n[python]',
        [
            "2: source.git: not a repository: `--upload-pack=x`",
            "3: source.revision: not a revision: `-b`",
        ],
    ),
    "sdist version": (
        f'[source]\nproject = "a"\nversion = "latest"\n{SHA}\n[python]',
        ["3: source.version: not a version: `latest`"],
    ),
    "source outside": (
        '[source]\npath = "a/../../b"\n[python]',
        ["2: source.path: must stay inside its folder: `a/../../b` leaves it"],
    ),
    "absolute subdirectory": (
        BASE + 'subdirectory = "/x"',
        ["4: python.subdirectory: must be a relative path, not `/x`"],
    ),
    "local version": (
        BASE + '[version]\nnumber = "1.0+cpu"',
        ["5: version.number: a local part is added later, as `local` says; write `1.0`"],
    ),
    "requirement": (
        BASE + 'requires = [\n  "good>=1",\n  "b ad",\n]',
        [("6: python.requires[1]: not a requirement: `b ad`; write it like `cmake>=3.28`")],
    ),
    "variable": (
        BASE + 'environment = { "A B" = "1" }',
        ['4: python.environment."A B": not the name of an environment variable'],
    ),
    "variables of the version": (
        BASE + '[version]\nenvironment = ["OK", "1X"]',
        ["5: version.environment[1]: not the name of an environment variable: `1X`"],
    ),
    "placeholder": (
        BASE + '[core]\ncommands = [["make", "{dist}"]]',
        [
            (
                "5: core.commands[0][1]: unknown placeholder `{dist}`; "
                "known here: {accelerator} {build} {cuda_architectures} {jobs} {prefix} {source} "
                "{version}; a literal brace is written `{{`"
            )
        ],
    ),
    "shell variable": (
        BASE + '[check]\ncommands = [["sh", "-c", "echo ${HOME} {{x}}"]]',
        [
            (
                "5: check.commands[0][2]: unknown placeholder `{HOME}`; "
                "known here: {python} {recipe}; a literal brace is written `{{`"
            )
        ],
    ),
    "empty command": (BASE + "prepare = [[]]", ["4: python.prepare[0]: must not be empty"]),
    "empty program": (
        BASE + 'prepare = [[""]]',
        ["4: python.prepare[0][0]: a command must begin with a program"],
    ),
    "nul": (
        BASE + 'prepare = [["a", "\\u0000"]]',
        ["4: python.prepare[0][1]: holds a NUL character"],
    ),
    "cmake and commands": (
        BASE + '[core]\ncmake = {}\ncommands = [["a"]]',
        ["4: core: `cmake` and `commands` exclude each other"],
    ),
    "neither": (BASE + "[core]", ["4: core: needs one of `cmake` and `commands`"]),
    "time": (BASE + "[check]\ntimeout = 0", ["5: check.timeout: must be more than 0"]),
    "memory": (BASE + "[check]\nmemory = 0", ["5: check.memory: must be more than 0"]),
    "memory in words": (
        BASE + '[check]\nmemory = "2 GiB"',
        ["5: check.memory: expected an integer, not a string"],
    ),
    "neighbour": (
        BASE + '[check]\nneighbours = ["numpy>=2"]',
        ["5: check.neighbours[0]: not the name of a module: `numpy>=2`"],
    ),
    "upgrade": (
        BASE + '[check]\nupgrades = ["numpy>>2"]',
        ["5: check.upgrades[0]: not a requirement: `numpy>>2`; write it like `cmake>=3.28`"],
    ),
    "no time": (BASE + "[check]\ntimeout = nan", ["5: check.timeout: is not a number"]),
    "endless": (BASE + "[check]\ntimeout = inf", ["5: check.timeout: must be at most 86400"]),
    "module": (
        BASE + '[check]\nimports = ["a-b"]',
        ["5: check.imports[0]: not the name of a module: `a-b`"],
    ),
    "half a consumer": (
        BASE + '[core]\ncmake = {}\n[check.consumer]\nsource = "../a.cpp"',
        [
            "6: check.consumer: `package` and `targets` are missing",
            "7: check.consumer.source: must stay inside its folder: `../a.cpp` leaves it",
        ],
    ),
    "consumer of nothing": (
        BASE + '[check.consumer]\nsource = "a"\npackage = "A"\ntargets = ["A"]',
        ["4: check.consumer: a consumer is compiled against the core tree, and there is no `core`"],
    ),
    "sibling": (
        BASE + '[[bundle.sibling]]\npackage = "a"\nlibraries = []\nrequires = "?"',
        [
            "4: bundle.sibling[0]: `directory` is missing",
            "6: bundle.sibling[0].libraries: must not be empty",
            ("7: bundle.sibling[0].requires: not a requirement: `?`; write it like `cmake>=3.28`"),
        ],
    ),
    "conda": (
        BASE
        + '[conda]\nname = "Torch"\nbuild-number = 100\nvariant = { "a-b" = "c" }\n'
        + 'depends = ["numpy>=1", "blas * mkl"]\nrun-exports = "most"',
        [
            "5: conda.name: not a name of small letters, digits, `.`, `_` and `-`: `Torch`",
            "6: conda.build-number: must be at most 99",
            "7: conda.variant.a-b: not a name of letters, digits and `_`",
            (
                "8: conda.depends[0]: not a match specification: 'numpy>=1'; "
                "write it like `numpy >=1.21,<3` or `blas * mkl`"
            ),
            "9: conda.run-exports: not `major`, `minor`, `patch` or `none`: `most`",
        ],
    ),
    "package type": (
        BASE + '[matrix]\ntypes = ["egg"]',
        ["5: matrix.types[0]: not `manywheel`, `wheel`, `conda` or `libtorch`: `egg`"],
    ),
    "override of nothing": (
        BASE + OVERRIDE,
        [
            (
                "4: override[0]: needs one of `version`, `core`, `python`, `bundle`, `archive`, "
                "`conda` and `check`"
            )
        ],
    ),
    "override without select": (
        BASE + "[[override]]\n[override.check]",
        ["4: override[0]: `select` is missing"],
    ),
    "override select": (
        BASE + '[[override]]\nselect = "cuda*"\ncheck = {}',
        [
            (
                "5: override[0].select: `cuda*` matches no target id; "
                "one reads `manywheel-cp311-cpu-linux_x86_64`"
            )
        ],
    ),
    "second override": (
        BASE + OVERRIDE + "check = {}\n" + OVERRIDE + 'python.requires = ["?"]',
        [
            (
                "9: override[1].python.requires[0]: not a requirement: `?`; "
                "write it like `cmake>=3.28`"
            )
        ],
    ),
    "override of no core": (
        BASE + OVERRIDE + "core.requires = []",
        ["6: override[0].core: there is no core stage to change: give `cmake` or `commands`"],
    ),
    "override with two cores": (
        BASE + OVERRIDE + 'core = { cmake = {}, commands = [["a"]] }',
        ["6: override[0].core: `cmake` and `commands` exclude each other"],
    ),
    "source in an override": (
        BASE + OVERRIDE + "source = {}\ncheck = {}",
        [
            (
                "6: override[0].source: unknown key; "
                "known here: `archive`, `bundle`, `check`, `conda`, `core`, `python`, `select` and `version`"
            )
        ],
    ),
    "a waiver without an end": (
        BASE + '[[check.waiver]]\ncheck = "*"\nreason = "?"\nuntil = "2027-02-30"',
        ["7: check.waiver[0].until: is no day: day is out of range for month"],
    ),
    "another shape": (
        "recipe = 1\nsource = []\nversion = 1\nmatrix = 1\ncore = 1\npython = 1",
        [
            "1: recipe: expected a table, not an integer",
            "2: source: expected a table, not an array",
            "3: version: expected a table, not an integer",
            "4: matrix: expected a table, not an integer",
            "5: core: expected a table, not an integer",
            "6: python: expected a table, not an integer",
        ],
    ),
    "another shape in arrays": (
        BASE
        + "[bundle]\nsibling = [1]\n[matrix]\npython = [3.9]\n[[override]]\nselect = 1\ncheck = 1",
        [
            "5: bundle.sibling[0]: expected a table, not an integer",
            "7: matrix.python[0]: expected a string, not a number",
            "9: override[0].select: expected a string, not an integer",
            "10: override[0].check: expected a table, not an integer",
        ],
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_fault_has_its_line_and_says_what_to_do(folder: Path, case: str) -> None:
    text, expected = FAULTS[case]
    assert faults(write(folder, text)) == expected


def test_all_faults_come_at_once_in_the_order_of_the_file(folder: Path) -> None:
    text = BASE + 'serves = "x"\nrequires = ["?"]\n[bundle]\nexclud = []\n[check]\ntimeout = -1\n'
    assert [fault.partition(": ")[0] for fault in faults(write(folder, text))] == [
        "4",
        "5",
        "7",
        "9",
    ]


def test_spelling_that_no_parser_knows_is_refused_where_it_is(folder: Path) -> None:
    text = 'python = ["3.9-2.7"]\naccelerator = [\n"cpu",\n"gpu"]\nplatform = ["beos"]'
    places = [
        fault.partition(": not")[0].partition(": `")[0]
        for fault in faults(write(folder, f"{BASE}[matrix]\n{text}"))
    ]
    assert places == ["5: matrix.python[0]", "8: matrix.accelerator[1]", "9: matrix.platform[0]"]


def test_faults_in_pyproject_name_the_whole_path(folder: Path) -> None:
    text = '[project]\nname = "a"\n[tool.builder.python]\nserve = "py3"\n'
    expected = ["4: tool.builder.python.serve: unknown key; did you mean `serves`?"]
    assert faults(write(folder, text, "pyproject.toml")) == expected


def test_pyproject_whose_tool_builder_is_no_table(folder: Path) -> None:
    path = write(folder, "[tool]\nbuilder = 1\n", "pyproject.toml")
    assert faults(path) == ["2: tool.builder: expected a table"]


def test_pyproject_without_tool_builder_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"has no `\[tool.builder\]`"):
        load(write(folder, "[project]\n", "pyproject.toml"))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(b"a = 1\nb = \n", "2: invalid value", id="value"),
        pytest.param(b'a = "x\n', "1: illegal character '\\n'", id="open string"),
        pytest.param(b"\na = 1\na = 2\n", "3: cannot overwrite a value", id="key twice"),
        pytest.param(b"\n[a\n", "2: expected ']' at the end of a table declaration", id="header"),
        pytest.param(b"a = 1\n\na = [", "3: invalid value", id="end of file"),
        pytest.param(b'a = 1\nb = "\xff"\n', "2: not UTF-8", id="encoding"),
        pytest.param(b"a = " + b"[" * 5000, "1: nested too deeply", id="depth"),
        pytest.param(b"a = " + b"9" * 5000, "1: exceeds the limit", id="number"),
    ],
)
def test_syntax_error_has_its_line(folder: Path, content: bytes, fault: str) -> None:
    folder.mkdir()
    path = folder / "recipe.toml"
    path.write_bytes(content)
    assert [found[: len(fault)] for found in faults(path)] == [fault]


def test_keys_nested_too_deeply_are_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="nested too deeply"):
        load(write(folder, f"{'.'.join(['a'] * 3000)} = 1\n"))


def test_byte_order_mark_and_windows_lines_are_read(folder: Path) -> None:
    folder.mkdir()
    path = folder / "recipe.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (BASE + "serve = 1\n").replace("\n", "\r\n").encode())
    assert faults(path) == ["4: python.serve: unknown key; did you mean `serves`?"]


def test_missing_file_and_folder_are_refused(folder: Path) -> None:
    folder.mkdir()
    with pytest.raises(UsageError, match="does not exist"):
        load(folder / "recipe.toml")
    with pytest.raises(UsageError, match="is not a file"):
        load(folder)


def test_huge_file_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="larger than 1 MiB"):
        load(write(folder, "#" * (1 << 20) + "\n"))
