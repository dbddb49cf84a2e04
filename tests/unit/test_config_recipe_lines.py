from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.config.fault import dotted
from builder.config.toml_lines import KeyPath, line_of, lines

DOCUMENT = """\
# a = 1
top = '''
[not.a.table]
''' # still the value
[table] # [no]
dotted . "quoted key".'x.y' = [
  "one", # ]
  [2,
   { deep = "}", other = 1 }],
]

[[array]]
name = "first"
[array.sub]
key = 1
[[array]]
name = \"\"\"a \\\"\"\" b
c\"\"\"\"
[[array.inner]]
[[array.inner]]
z.y = { x = 1 }
"""

PLACES: dict[KeyPath, int] = {
    ("top",): 2,
    ("table",): 5,
    ("table", "dotted"): 6,
    ("table", "dotted", "quoted key"): 6,
    ("table", "dotted", "quoted key", "x.y"): 6,
    ("table", "dotted", "quoted key", "x.y", 0): 7,
    ("table", "dotted", "quoted key", "x.y", 1): 8,
    ("table", "dotted", "quoted key", "x.y", 1, 0): 8,
    ("table", "dotted", "quoted key", "x.y", 1, 1): 9,
    ("table", "dotted", "quoted key", "x.y", 1, 1, "deep"): 9,
    ("table", "dotted", "quoted key", "x.y", 1, 1, "other"): 9,
    ("array",): 12,
    ("array", 0): 12,
    ("array", 0, "name"): 13,
    ("array", 0, "sub"): 14,
    ("array", 0, "sub", "key"): 15,
    ("array", 1): 16,
    ("array", 1, "name"): 17,
    ("array", 1, "inner"): 19,
    ("array", 1, "inner", 0): 19,
    ("array", 1, "inner", 1): 20,
    ("array", 1, "inner", 1, "z"): 21,
    ("array", 1, "inner", 1, "z", "y"): 21,
    ("array", 1, "inner", 1, "z", "y", "x"): 21,
}


def test_every_key_of_a_document_is_on_its_line() -> None:
    assert lines(DOCUMENT) == PLACES


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param(("table",), 5, id="known"),
        pytest.param(("table", "absent", 3), 5, id="nearest ancestor"),
        pytest.param(("absent",), 1, id="document"),
        pytest.param((), 1, id="nothing"),
    ],
)
def test_unknown_path_is_on_the_line_of_what_holds_it(path: KeyPath, line: int) -> None:
    assert line_of(lines(DOCUMENT), path) == line


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a", 0, "b"), "a[0].b"),
        (("a b", "c"), '"a b".c'),
        (("a", "", 'q"\\'), r'a."".' + r'"q\"\\"'),
    ],
)
def test_path_is_written_as_in_toml(path: KeyPath, text: str) -> None:
    assert dotted(path) == text


SCALARS = st.sampled_from(
    [
        "1",
        "-2.5e3",
        "inf",
        "true",
        "1979-05-27 07:32:00",
        '""',
        "''",
        '"a # ] } , b"',
        r'"\" \\"',
        "'c:\\[d]'",
        '""""""',
        '"""\n[fake]\nx = "y"\n"""',
        '"""a""""',
        '""""b"""',
        r'"""\""" \\"""',
        "'''\n[[fake]]\n'''''",
        "'''x'''",
    ]
)
KEYS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True),
    st.text(st.sampled_from("ab.#=[]{}' \\\"\té"), max_size=6),
)


def quoted(key: str, *, literal: bool) -> str:
    if literal and "'" not in key:
        return f"'{key}'"
    escaped = key.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'


def array(values: list[str]) -> str:
    return "[ # a comment, with ]\n  " + ",\n\n  ".join(values) + "\n]"


def inline(values: list[str]) -> str:
    return "{ " + ", ".join(f"k{i}.'x.y' = {value}" for i, value in enumerate(values)) + " }"


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    values = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(values.map(array), values.map(inline), st.just("[]"), st.just("{}"))


VALUES = st.recursive(SCALARS, containers, max_leaves=5)
Statement = tuple[KeyPath, str]


@st.composite
def statements(draw: st.DrawFn) -> list[Statement]:
    """Pairs and headers of a valid document, each with the path it makes; () for comments."""
    names = draw(st.lists(KEYS, min_size=1, max_size=8, unique=True))
    table: KeyPath = ()
    made: list[Statement] = []
    for name in names:
        key = quoted(name, literal=draw(st.booleans()))
        match draw(st.sampled_from(["pair", "pair", "table", "array", "comment"])):
            case "pair":
                made.append(((*table, name), f"{key} = {draw(VALUES)} # x = 1\n"))
            case "table":
                table = (name,)
                made.append((table, f" [ {key} ]\n"))
            case "array":
                table = (name, 1)
                made += [((name, 0), f"[[{key}]]\n"), (table, f"[[ {key}]] # [a]\n")]
            case _:
                made.append(((), f"# {key} = 1\n\n"))
    return made


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))


def joined(document: list[Statement]) -> str:
    return "".join(text for _, text in document)


@given(statements())
@settings(deadline=None)
def test_every_statement_is_on_its_line(document: list[Statement]) -> None:
    known = lines(joined(document))
    line = 1
    for path, text in document:
        if path:
            assert known[path] == line
        line += text.count("\n")


@given(statements())
@settings(deadline=None)
def test_scanner_and_parser_see_the_same_keys(document: list[Statement]) -> None:
    text = joined(document)
    assert set(lines(text)) == set(paths(tomllib.loads(text)))


@pytest.mark.parametrize("change", [str.upper, str.title, lambda text: text[::-1]])
def test_scanner_ends_on_text_that_is_no_toml(change: Callable[[str], str]) -> None:
    assert all(line >= 1 for line in lines(change(DOCUMENT) + "[{]}=").values())
