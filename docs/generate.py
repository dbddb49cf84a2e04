"""Writes the pages of `docs/reference` that are made from data: `python docs/generate.py`.

A test fails when a page is not what this would write.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import cast

ROOT = Path(__file__).parents[1]

_Schema = Mapping[str, object]

_RECIPE_INTRODUCTION = """\
<!-- Written by docs/generate.py from builder/data/recipe.schema.json; change that. -->

# The recipe file

A recipe says what to build, for every target at once. It is TOML, and it is one of

- `recipes/NAME/recipe.toml`: then `builder build NAME` finds it,
- `builder.toml` in a project's own folder,
- `[tool.builder]` in a project's `pyproject.toml` (there, `[core]` is `[tool.builder.core]`).

A project with none of these is built by PEP 517. All faults of a file are reported at once, each
with its line.

An editor that knows JSON Schema completes the keys: put `#:schema` and the path of
`builder/data/recipe.schema.json` in the first line of the file.

```toml
schema = 1

[recipe]
name = "sample"
summary = "a library, its Python extension and a check"

[source]
path = "source"

[version]
number = "1.4.0"
environment = "SAMPLE_VERSION"

[matrix]
types = ["manywheel"]
python = ["3.9-3.13"]
accelerator = ["cpu", "cuda13.0"]
platform = ["linux_x86_64"]

[core]
requires = ["cmake>=3.28", "ninja"]
cmake = { options = { CMAKE_BUILD_TYPE = "Release", SAMPLE_CUDA = false } }

[python]
subdirectory = "python"
environment = { SAMPLE_ROOT = "{core}" }

[check]
imports = ["sample"]
commands = [["{python}", "{recipe}/check.py"]]

[[override]]
select = "*-cuda*"
core.cmake.options = { SAMPLE_CUDA = true, CMAKE_CUDA_ARCHITECTURES = "{cuda_architectures}" }
```

In a word or value with placeholders, `{{` and `}}` are literal braces. Relative paths never leave
the folder they start in.
"""


def recipe_page(schema: _Schema) -> str:
    """`docs/reference/recipe.md`: one section per table, one row per key."""
    sections = [_RECIPE_INTRODUCTION]
    top = _table_of(schema, schema)
    plain = {name: entry for name, entry in top.items() if not _fields(schema, entry)}
    sections.append(_section(schema, "Top level", "", plain))
    for name, entry in top.items():
        if name not in plain:
            sections.extend(_sections(schema, name, entry))
    return "\n".join(sections)


def _sections(schema: _Schema, name: str, entry: _Schema) -> Iterator[str]:
    """The section of a table, then those of the tables in it."""
    header = f"`[[{name}]]`" if "items" in entry else f"`[{name}]`"
    fields = _fields(schema, entry)
    inner = {key: field for key, field in fields.items() if _fields(schema, field)}
    shared = name == "override"
    rows = {key: field for key, field in fields.items() if shared or key not in inner}
    yield _section(schema, header, str(entry.get("description", "")), rows)
    for key, field in inner.items():
        if not shared:
            yield from _sections(schema, f"{name}.{key}", field)


def _section(schema: _Schema, header: str, description: str, rows: Mapping[str, _Schema]) -> str:
    lines = [f"## {header}", ""]
    if description:
        lines += [description, ""]
    if rows:
        lines += ["| key | value | meaning |", "|---|---|---|"]
        lines += [
            f"| `{key}` | {_kind(schema, row)} | {_meaning(row)} |" for key, row in rows.items()
        ]
        lines.append("")
    return "\n".join(lines)


def _fields(schema: _Schema, entry: _Schema) -> Mapping[str, _Schema]:
    """The keys of a table or of the elements of an array of tables; none for other values."""
    items = entry.get("items")
    inner = _resolved(schema, cast("_Schema", items)) if isinstance(items, dict) else entry
    return _table_of(schema, inner)


def _table_of(schema: _Schema, entry: _Schema) -> Mapping[str, _Schema]:
    properties = cast("Mapping[str, _Schema]", entry.get("properties", {}))
    return {name: _resolved(schema, value) for name, value in properties.items()}


def _resolved(schema: _Schema, entry: _Schema) -> _Schema:
    """`entry` with what its `$ref` leads to; its own words come first."""
    reference = entry.get("$ref")
    if not isinstance(reference, str):
        return entry
    definitions = cast("Mapping[str, _Schema]", schema["$defs"])
    return {**_resolved(schema, definitions[reference.rpartition("/")[2]]), **entry}


def _kind(schema: _Schema, entry: _Schema) -> str:
    """What a value is, in a few words."""
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return ", ".join(f"`{word}`" for word in cast("list[str]", entry["enum"]))
    kinds = entry["type"] if isinstance(entry["type"], list) else [entry["type"]]
    if kinds == ["array"]:
        items = _resolved(schema, cast("_Schema", entry["items"]))
        return "commands" if items.get("type") == "array" else f"list of {_plural(schema, items)}"
    if kinds == ["object"]:
        values = entry.get("additionalProperties")
        return f"table of {_plural(schema, values)}" if isinstance(values, dict) else "table"
    return " or ".join(_NAMES[str(kind)] for kind in kinds)


def _plural(schema: _Schema, entry: _Schema) -> str:
    entry = _resolved(schema, entry)
    if "enum" in entry:
        return _kind(schema, entry)
    kinds = entry["type"] if isinstance(entry["type"], list) else [entry["type"]]
    return " or ".join(f"{_NAMES[str(kind)]}s" for kind in kinds)


def _meaning(entry: _Schema) -> str:
    """The description, the default and an example."""
    words = [str(entry.get("description", ""))]
    if "default" in entry and "const" not in entry:
        words.append(f"Default: `{entry['default']}`.")
    examples = cast("list[object]", entry.get("examples", []))
    words += [f"Example: `{json.dumps(example)}`." for example in examples]
    return " ".join(filter(None, words)).replace("|", "\\|")


_NAMES = MappingProxyType(
    {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean"}
    | {"array": "list", "object": "table"}
)


def _recipe() -> str:
    schema = ROOT / "builder" / "data" / "recipe.schema.json"
    return recipe_page(json.loads(schema.read_text("utf-8")))


PAGES: Mapping[str, Callable[[], str]] = MappingProxyType({"docs/reference/recipe.md": _recipe})
"""Every generated page, by its path in the repository."""


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
