"""What a build asks of a conda package: its name, version, build string and number, platform."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Final, Self

from builder.config.accelerator import Accelerator
from builder.config.naming import conda_subdir
from builder.config.naming_conda import (
    build_glob,
    build_number,
    build_string,
    choice_name,
    package_of,
    release_of,
)
from builder.config.recipe import Conda, Recipe
from builder.config.spec import BuildSpec
from builder.config.target import Target
from builder.config.version import parse_version
from builder.errors import BuilderError

__all__ = ["CHOICE", "LIBRARY", "PYTHON", "Order", "sorted_specs"]

PYTHON: Final = "conda"
LIBRARY: Final = "conda_lib"
CHOICE: Final = "conda_choice"
_PARTS: Final[Mapping[str, int]] = {"major": 1, "minor": 2, "patch": 3}


@dataclass(frozen=True, slots=True)
class Order:
    """One package of one target. `version` is that of conda, `post` the post-release behind it.

    `cuda` is the full version of the toolkit, empty without one.
    """

    recipe: Recipe
    target: Target
    version: str
    post: int = 0
    cuda: str = ""

    @classmethod
    def of(cls, spec: BuildSpec, version: str = "") -> Self:
        """The order of a build; `version` is what the wheel says, where nothing said it before.

        Raises `BuilderError` when nobody does.
        """
        full = spec.version or version
        if not full:
            raise BuilderError(
                f"the version of `{spec.recipe.name}` is not known before it is packaged",
                hint="give `version.number` in the recipe, or `--version`",
            )
        release, post = release_of(full, spec.target.accelerator)
        toolkit = spec.toolchain.cuda
        return cls(spec.recipe, spec.target, release, post, toolkit.release if toolkit else "")

    @property
    def conda(self) -> Conda:
        """The table of the recipe."""
        return self.recipe.conda

    @property
    def accelerator(self) -> Accelerator:
        """The accelerator of the target."""
        return self.target.accelerator

    @property
    def subdir(self) -> str:
        """The folder of a channel that it goes into."""
        return conda_subdir(self.target)

    @property
    def name(self) -> str:
        """The name of the package."""
        match self.target.package_type:
            case "conda_lib":
                return self.conda.library
            case "conda_choice":
                return choice_name(self.recipe, self.accelerator)
            case _:
                return package_of(self.recipe)

    @property
    def build(self) -> str:
        """Its build string."""
        return build_string(self.recipe, self.target, self.post, cuda=self.cuda)

    @property
    def number(self) -> int:
        """Its build number."""
        return build_number(self.recipe, self.target, self.post)

    @property
    def glob(self) -> str:
        """The glob over build strings of its accelerator."""
        return build_glob(self.recipe, self.accelerator)

    @property
    def companion(self) -> Order | None:
        """The package with the core tree that one for Python belongs to, if the recipe has one."""
        if not self.conda.library:
            return None
        return replace(self, target=replace(self.target, package_type=LIBRARY, python=None))

    @property
    def exact(self) -> str:
        """The match specification of this very build."""
        return f"{self.name} {self.version} {self.build}"

    @property
    def run_exports(self) -> Mapping[str, tuple[str, ...]]:
        """What those who link to the library require from then on."""
        parts = _PARTS.get(self.conda.run_exports)
        if parts is None:
            return {}
        release = [*parse_version(self.version).release, *(0 for _ in range(parts))][:parts]
        above = ".".join(map(str, (*release[:-1], release[-1] + 1)))
        return {"weak": (f"{self.name} >={self.version},<{above}.0a0",)}

    @property
    def stem(self) -> str:
        """Its file name without the ending."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def file(self) -> str:
        """Its file name."""
        return f"{self.stem}.{self.conda.format}"

    def facts(self) -> Mapping[str, object]:
        """Everything of a recipe and a target that enters the package, for its key."""
        recipe = self.recipe
        return {
            "target": str(self.target),
            "name": recipe.name,
            "summary": recipe.summary,
            "accelerators": list(recipe.axes.accelerators),
            "cuda": self.cuda,
            "keep": list(recipe.archive.keep),
            "leave": list(recipe.archive.leave),
            "below": recipe.archive.wheel,
            "conda": asdict(replace(recipe.conda, variant={}, libraries={}))
            | {"variant": dict(recipe.conda.variant)}
            | {"libraries": {name: list(globs) for name, globs in recipe.conda.libraries.items()}},
        }


def sorted_specs(*groups: Iterable[str]) -> tuple[str, ...]:
    """Match specifications, sorted, each once."""
    return tuple(sorted({spec for group in groups for spec in group}))
