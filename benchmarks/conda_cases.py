"""Rendering and building recipes, for `conda.py`: what is made ready, and the commands of both sides."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.conda_differences import differing_packages, only

__all__ = ["ALONE", "OURS", "Case", "Side", "build_cases", "caches", "render_cases"]

OURS: Final = (sys.executable, "-m", "builder")
ALONE: Final = (sys.executable, str(Path(__file__).with_name("conda_alone.py")))

_TEXT: Final = """
package:
  name: hello
  version: "1.0"
build:
  noarch: generic
  script: mkdir -p $PREFIX/share && echo hello > $PREFIX/share/hello
tests:
  - script: grep hello $PREFIX/share/hello
"""
_MATRIX: Final = """
package:
  name: matrix
  version: "1.0"
build:
  script: mkdir -p $PREFIX/share && echo $flavour $size > $PREFIX/share/matrix
  variant:
    use_keys: [flavour, size]
tests:
  - script: test -s $PREFIX/share/matrix
"""
_LIBRARY: Final = """
package:
  name: libanswer
  version: "1.0"
source:
  path: src
build:
  script:
    - mkdir -p $PREFIX/lib/pkgconfig $PREFIX/include
    - gcc -O2 -shared -fPIC -Wl,-soname,libanswer.so.1 -o $PREFIX/lib/libanswer.so.1 answer.c
    - ln -s libanswer.so.1 $PREFIX/lib/libanswer.so
    - cp answer.h $PREFIX/include/
    - echo "prefix=$PREFIX" > $PREFIX/lib/pkgconfig/answer.pc
tests:
  - package_contents:
      lib: [answer]
  - script: test -e $PREFIX/lib/libanswer.so
"""


@dataclass(frozen=True, slots=True)
class Side:
    """One way to do the work: a whole process. `before` is done ahead of every turn, and not measured."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    before: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Case:
    """Work that several sides do, ours first. `differences` are read off what the last turns left."""

    group: str
    name: str
    ours: tuple[Side, ...]
    theirs: tuple[Side, ...]
    differences: Callable[[], Iterable[str]] = tuple


def caches(folder: Path) -> Mapping[str, str]:
    """Both sides keep what they keep in folders of their own."""
    return {
        "BUILDER_CACHE": str(folder / "cache"),
        "RATTLER_CACHE_DIR": str(folder / "rattler-cache"),
    }


def render_cases(folder: Path) -> Iterator[Case]:
    """One recipe with more and more variants."""
    for count in (1, 12, 60):
        place = folder / f"render-{count}"
        project = _project(place / "project", _MATRIX, _matrix(count))
        command = (*OURS, "build", str(project), "--type", "conda", "--dry-run")
        alone = (*ALONE, "render", str(project))
        yield Case(
            "render",
            f"{count} variant{'s' * (count > 1)}",
            (Side("`build --dry-run`", command, caches(place)),),
            (Side("rattler-build", alone, caches(place)),),
            partial(_differing_names, command, alone, caches(place)),
        )


def build_cases(folder: Path) -> Iterator[Case]:
    """A text, a library that is compiled, and twelve variants; each with and without its tests."""
    recipes: dict[str, tuple[str, Mapping[str, list[str]]]] = {
        "noarch text": (_TEXT, {}),
        "C library": (_LIBRARY, {}),
        "12 variants": (_MATRIX, _matrix(12)),
    }
    for name, (recipe, variants) in recipes.items():
        for tests, words in (("skip", ("--no-check",)), ("native", ())):
            place = folder / f"build-{name.replace(' ', '-')}-{tests}"
            project = _project(place / "project", recipe, variants)
            ours, theirs = place / "ours", place / "theirs"
            command = (*OURS, "build", "-q", str(project), "--type", "conda", "-o", str(ours))
            alone = (*ALONE, "build", str(project), str(theirs), tests)
            yield Case(
                "build",
                f"{name}, {'with' if tests == 'native' else 'no'} tests",
                (Side("`build`", (*command, *words), caches(place), _without(ours)),),
                (Side("rattler-build", alone, caches(place), _without(theirs)),),
                partial(differing_packages, ours, theirs),
            )


def _project(folder: Path, recipe: str, variants: Mapping[str, list[str]]) -> Path:
    """A folder with a recipe, and with variants where there are any."""
    (folder / "src").mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipe, "utf-8")
    if variants:
        (folder / "variants.yaml").write_text(json.dumps(variants), "utf-8")  # JSON is YAML
    (folder / "src" / "answer.c").write_text("int answer(void) { return 42; }\n", "utf-8")
    (folder / "src" / "answer.h").write_text("int answer(void);\n", "utf-8")
    return folder


def _matrix(count: int) -> Mapping[str, list[str]]:
    """Two keys whose values make so many variants."""
    flavours = ["plain"] if count == 1 else ["bitter", "plain", "sour", "sweet"]
    return {"flavour": flavours, "size": [str(size) for size in range(count // len(flavours))]}


def _without(folder: Path) -> Callable[[], None]:
    return partial(shutil.rmtree, folder, ignore_errors=True)


def _differing_names(
    command: tuple[str, ...], alone: tuple[str, ...], environment: Mapping[str, str]
) -> Iterator[str]:
    """Packages that only one side would make."""
    stages = json.loads(_said((*command, "--json"), environment))["stages"]
    ours = {target.rpartition("/")[2] for stage in stages for target in stage["targets"]}
    yield from only("packages", ours, set(_said(alone, environment).split()))


def _said(argv: tuple[str, ...], environment: Mapping[str, str]) -> str:
    variables = {**os.environ, **environment}
    done = subprocess.run(argv, env=variables, check=True, capture_output=True, text=True)
    return done.stdout
