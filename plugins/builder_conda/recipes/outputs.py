"""What a recipe renders to: its outputs, each once, in the order in which they can be built. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from builder.config.python import Python
from builder.errors import UsageError

__all__ = [
    "Rendered",
    "Variants",
    "chosen",
    "cuda_key",
    "profile_of",
    "providers",
    "read_outputs",
    "waves_of",
]

_WORD: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_VERSION: Final = re.compile(r"(\d+\.\d+)")
_CUDA: Final = re.compile(r"\d+(\.\d+)*")
_FIRST_FREE: Final = Python(3, 13, "")
_CUDA_KEYS: Final = ("cuda", "cuda_version", "cuda_compiler_version")


@dataclass(frozen=True, slots=True)
class Variants:
    """The keys of a matrix with their values; those of a group in `zipped` go together, one by one."""

    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    zipped: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Variants:
        """What a worker read from files. Raises `UsageError` for zipped keys of unequal length."""
        values = {key: tuple(map(str, row)) for key, row in document["values"].items()}
        found = cls(values, tuple(tuple(group) for group in document["zipped"]))
        for group in found.zipped:
            lengths = {key: len(values[key]) for key in group if key in values}
            if len(set(lengths.values())) > 1:
                shown = ", ".join(f"{key} has {count}" for key, count in lengths.items())
                raise UsageError(
                    f"zipped keys need one value each: {shown}",
                    hint="give them as many values as each other, or take one out of `zip_keys`",
                )
        return found


@dataclass(frozen=True, slots=True)
class Rendered:
    """One output of a recipe, evaluated: what its package will be called, and what it is made of.

    `variant` are the keys that enter its hash. `needs` are the names of what it is built, run and tested
    with. `recipe` is the evaluated recipe.
    """

    name: str
    version: str
    build: str
    subdir: str
    variant: Mapping[str, str]
    needs: tuple[str, ...]
    recipe: Mapping[str, Any]

    @property
    def stem(self) -> str:
        """`name-version-build`."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def cuda(self) -> str:
        """The version of CUDA that it is for, or nothing."""
        found = (self.variant.get(key, "") for key in _CUDA_KEYS)
        return next((value for value in found if _CUDA.fullmatch(value)), "")


def profile_of(recipe: Mapping[str, Any]) -> Literal["fast", "default", "release", ""]:
    """How much time goes into making a package small (`extra.builder.profile`); empty where nothing says it.

    Raises `UsageError`.
    """
    extra = recipe.get("extra", {}).get("builder", {})
    match extra.get("profile", "") if isinstance(extra, Mapping) else "":
        case ("fast" | "default" | "release" | "") as known:
            return known
        case other:
            raise UsageError(
                f"`extra.builder.profile` of the recipe is {other!r}",
                hint="write `fast`, `default` or `release`",
            )


def read_outputs(rows: Iterable[Mapping[str, Any]], subdir: str) -> tuple[Rendered, ...]:
    """Each output once, in the order of the recipe; a shared one is rendered again for every variant.

    Raises `UsageError` when two variants would make two packages of one name.
    """
    found: dict[str, Rendered] = {}
    for row in rows:
        output = _read(row, subdir)
        twin = found.setdefault(output.stem, output)
        if twin.variant != output.variant:
            differing = sorted(
                key
                for key in twin.variant.keys() | output.variant.keys()
                if twin.variant.get(key) != output.variant.get(key)
            )
            raise UsageError(
                f"two variants would both be `{output.stem}`: they differ in {', '.join(differing)}",
                hint="let the build string of the recipe hold `${{ hash }}`, or leave it out",
            )
    return tuple(found.values())


def providers(output: Rendered, everything: Sequence[Rendered]) -> tuple[Rendered, ...]:
    """The outputs of the same recipe that have to be there before this one can be built and tested."""
    return tuple(
        other
        for other in everything
        if other.name in output.needs and other.name != output.name and _agree(output, other)
    )


def waves_of(outputs: Sequence[Rendered]) -> Iterator[tuple[Rendered, ...]]:
    """Outputs that can be built at once, those that others need first. Raises `UsageError` for a circle."""
    left = list(outputs)
    while left:
        wave = tuple(output for output in left if not providers(output, left))
        if not wave:
            raise UsageError(
                f"the outputs need each other: {', '.join(sorted({row.name for row in left}))}",
                hint="take one of them out of the requirements or tests of the other",
            )
        yield wave
        left = [output for output in left if output not in wave]


def chosen(variants: Variants, key: str, wanted: Sequence[str]) -> Variants:
    """The matrix with only the wanted versions of one key, and what is zipped with it.

    A version that no file has is added when nothing is zipped with the key. Raises `UsageError` else.
    """
    if not wanted:
        return variants
    present = variants.values.get(key, ())
    fresh = _python_value if key == "python" else str
    group = next((group for group in variants.zipped if key in group), (key,))
    rows = [_row(present, version) for version in wanted]
    missing = [version for version, row in zip(wanted, rows, strict=True) if row is None]
    if missing and len(group) > 1:
        raise UsageError(
            f"the variants have no {key} {', '.join(missing)}, and {key} is zipped with "
            f"{', '.join(other for other in group if other != key)}",
            hint=f"choose from {', '.join(present)}, or give another file with `--variants`",
        )
    values = dict(variants.values)
    for other in group:
        old = values.get(other, ())
        if other == key or old:
            values[other] = tuple(
                fresh(version) if row is None else old[row]
                for version, row in zip(wanted, rows, strict=True)
            )
    return Variants(values, variants.zipped)


def _row(present: Sequence[str], version: str) -> int | None:
    """Which value means a version; `3.13t` is the build of Python without a global lock."""
    plain = version.removesuffix("t")
    for number, value in enumerate(present):
        match = _VERSION.match(value)
        same = (
            match is not None and match[1] == plain and value.endswith("t") == version.endswith("t")
        )
        if same or value == version or (version, value) == ("cpu", "None"):
            return number
    return None


def _python_value(version: str) -> str:
    """How a variant spells a Python, where nothing else does: from 3.13 on, there are two of each."""
    plain = version.removesuffix("t")
    if plain == version and Python.parse(plain) < _FIRST_FREE:
        return f"{plain}.*"
    return f"{plain}.* *_cp{version.replace('.', '')}"


def cuda_key(variants: Variants) -> str:
    """The key that says which CUDA a variant is for."""
    return next((key for key in _CUDA_KEYS if key in variants.values), _CUDA_KEYS[0])


def _read(row: Mapping[str, Any], subdir: str) -> Rendered:
    recipe = row["recipe"]
    profile_of(recipe)
    return Rendered(
        row["name"],
        row["version"],
        row["build"],
        "noarch" if row["noarch"] else subdir,
        row["variant"],
        tuple(sorted(set(_names(recipe)))),
        recipe,
    )


def _names(recipe: Mapping[str, Any]) -> Iterator[str]:
    """The first word of every requirement, also of tests."""
    required = recipe.get("requirements", {})
    lists = [required.get(kind, ()) for kind in ("build", "host", "run")]
    for test in recipe.get("tests", ()):
        asked = test.get("requirements", {}) if isinstance(test, Mapping) else {}
        lists += [asked.get(kind, ()) for kind in ("build", "run")]
    for items in lists:
        for item in items if isinstance(items, list | tuple) else ():
            yield from _name(item)


def _name(item: object) -> Iterator[str]:
    if isinstance(item, str) and (match := _WORD.match(item)) is not None:
        yield match[0]
    elif isinstance(item, Mapping):
        for key, value in item.items():
            if key == "name" and isinstance(value, str):
                yield value
            elif isinstance(value, Mapping | str) and key != "name":
                yield from _name(value)


def _agree(one: Rendered, other: Rendered) -> bool:
    """Whether two outputs can belong to one variant; an exact pin names the one that is meant."""
    if other.name in one.variant:
        return one.variant[other.name] == f"{other.version} {other.build}"
    return all(one.variant.get(key, value) == value for key, value in other.variant.items())
