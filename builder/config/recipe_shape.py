"""Faults that the JSON Schema finds (draft 2020-12), in words for people who write TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from builder.config.fault import Fault, did_you_mean, listed
from builder.config.toml_lines import KeyPath

if TYPE_CHECKING:
    from jsonschema import ValidationError

__all__ = ["SCHEMA", "schema", "shape_faults"]

SCHEMA = Path(__file__).parents[1] / "data" / "recipe.schema.json"

_TYPES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "array": "an array",
    "object": "a table",
}
_FIXED = {
    "const": "must be `{}`",
    "exclusiveMinimum": "must be more than {}",
    "maximum": "must be at most {}",
    "minItems": "must not be empty",
    "minLength": "must not be empty",
}


def schema() -> Mapping[str, object]:
    """The published schema of recipe files."""
    return cast("Mapping[str, object]", json.loads(SCHEMA.read_text("utf-8")))


def shape_faults(document: Mapping[str, object]) -> Iterator[Fault]:
    """What the schema has against a parsed document, in no particular order."""
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 - 60 ms at start-up

    kind = validators.extend(Draft202012Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call] # the stubs leave `extend` bare
    for error in kind(schema()).iter_errors(document):
        if error.validator in ("anyOf", "oneOf") and not isinstance(error.instance, dict):
            continue  # they are about keys, and `type` has said it
        path = cast("KeyPath", tuple(error.absolute_path))
        yield from (Fault((*path, *tail), message) for tail, message in _explained(error))


def _pattern(
    _validator: object, pattern: str, instance: object, _schema: object
) -> Iterator[ValidationError]:
    """`pattern`, where `$` means the end as in ECMA 262, and not also before a last newline."""
    from jsonschema import ValidationError  # noqa: PLC0415 - as above

    strict = re.sub(r"(?<!\\)\$", r"\\Z", pattern)
    if isinstance(instance, str) and not re.search(strict, instance):
        yield ValidationError("no match")


def _explained(error: ValidationError) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong, and the keys that lead there from the place of `error`."""
    instance = cast("Mapping[str, object]", error.instance)
    match error.validator:
        case "additionalProperties":
            known = cast("Mapping[str, object]", _rules(error)["properties"])
            for key in instance:
                if key not in known:
                    yield (key,), f"unknown key; {did_you_mean(key, known)}"
        case "required":
            keys = cast("Sequence[str]", error.validator_value)
            yield from (((), f"`{key}` is missing") for key in keys if key not in instance)
        case "dependentRequired":
            yield from _dependent(error, instance)
        case "pattern" if "propertyNames" in error.absolute_schema_path:
            yield (str(error.instance),), f"not {_rules(error)['title']}"
        case _:
            yield (), _message(error)


def _message(error: ValidationError) -> str:
    """What is wrong with one value."""
    match error.validator:
        case "type":
            return _wrong_type(error)
        case "enum":
            known = cast("Sequence[str]", error.validator_value)
            return f"not {listed(known, last='or')}: {_shown(error.instance)}"
        case "pattern":
            return f"not {_rules(error)['title']}: {_shown(error.instance)}"
        case "anyOf" | "oneOf" | "not":
            return _excluded(error)
        case other:
            fixed = _FIXED.get(str(other))
            return fixed.format(error.validator_value) if fixed else error.message


def _rules(error: ValidationError) -> Mapping[str, object]:
    """The part of the schema that was not met."""
    return cast("Mapping[str, object]", error.schema)


def _dependent(
    error: ValidationError, instance: Mapping[str, object]
) -> Iterator[tuple[KeyPath, str]]:
    needs = cast("Mapping[str, Sequence[str]]", error.validator_value)
    for key, others in needs.items():
        missing = [other for other in others if other not in instance]
        if key in instance and missing:
            yield (key,), f"needs {listed(missing)} beside it"


def _wrong_type(error: ValidationError) -> str:
    value = error.validator_value
    wanted = [value] if isinstance(value, str) else cast("list[str]", value)
    *others, last = (_TYPES[name] for name in wanted)
    expected = " or ".join(filter(None, (", ".join(others), last)))
    message = f"expected {expected}, not {_kind(error.instance)}"
    if isinstance(error.instance, dict) and "config-settings" in error.absolute_path:
        message += "; a name that holds dots has to be quoted"
    return message


def _excluded(error: ValidationError) -> str:
    """Which keys exclude each other or are all absent; said with `anyOf`, `oneOf` and `not`."""
    if not error.validator_value:
        return "does not belong to this kind of source"
    alternatives = cast("list[dict[str, list[str]]] | dict[str, list[str]]", error.validator_value)
    if isinstance(alternatives, dict):
        return f"{listed(alternatives['required'])} exclude each other"
    names = [alternative["required"][0] for alternative in alternatives]
    given = [name for name in names if name in cast("Mapping[str, object]", error.instance)]
    if given:
        return f"{listed(given)} exclude each other"
    return f"needs one of {listed(names)}"


def _kind(value: object) -> str:
    """What a TOML value is, with its article."""
    kinds = {bool: "a boolean", int: "an integer", float: "a number", str: "a string"}
    kinds |= {list: "an array", dict: "a table"}
    return kinds.get(type(value), "a date or time")


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else str(value)
    shown = repr(text) if not text.isprintable() or not text else f"`{text}`"
    return shown if len(shown) <= 80 else f"{shown[:70]}...`"  # noqa: PLR2004 - one line
