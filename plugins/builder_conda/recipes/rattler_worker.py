"""One job of rattler-build, in a process of its own: the only module that knows its bindings.

It is run by its path, with a file that holds the job and one for the result (both JSON), and imports nothing of
`builder`. rattler-build holds the interpreter's lock while it works, names its folders after the second, and tells
why something failed only through its log; so each job has a process, an output folder and a log of its own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rattler_build import RenderedVariant, VariantConfig

__all__ = ["main"]

_CONDA_BUILD = "conda_build_config.yaml"

Job = Mapping[str, Any]


class _Log:
    """Prints what rattler-build says, as it says it; some of its lines are empty."""

    def on_log(self, event: Any) -> None:
        if text := str(event.message).strip("\n"):
            _say(text)


def main(words: list[str]) -> int:
    """Do the job in the file `words[0]`, write its result to `words[1]`; 1 when it failed."""
    job = json.loads(Path(words[0]).read_text(encoding="utf-8"))
    try:
        result = _JOBS[job["do"]](job)
    except Exception as error:  # noqa: BLE001  # the border: the parent reads what is printed
        _say(f"{type(error).__name__}: {error}")
        return 1
    Path(words[1]).write_text(json.dumps(result), encoding="utf-8")
    return 0


def _variants(job: Job) -> Mapping[str, object]:
    """The keys, values and zipped keys of variant files; a later file wins over an earlier one."""
    from rattler_build import JinjaConfig, PlatformConfig, VariantConfig  # noqa: PLC0415  # slow to load

    jinja = JinjaConfig(platform=PlatformConfig(target_platform=job["platform"]))
    merged = VariantConfig()
    zipped: list[list[str]] = []
    for name in job["files"]:
        if name.endswith(_CONDA_BUILD):
            found = VariantConfig.from_conda_build_config(name, jinja)
        else:
            found = VariantConfig.from_file_with_context(name, jinja)
        zipped = found.zip_keys or zipped
        merged = merged.merge(found)
    values = {key: [str(value) for value in row] for key, row in merged.to_dict().items()}
    return {"values": values, "zipped": merged.zip_keys or zipped}


def _config(variants: Mapping[str, Any]) -> VariantConfig:
    from rattler_build import VariantConfig  # noqa: PLC0415  # slow to load

    return VariantConfig(variants["values"], zip_keys=variants["zipped"] or None)


def _rendered(job: Job, variants: Mapping[str, Any]) -> list[RenderedVariant]:
    from rattler_build import PlatformConfig, RenderConfig, Stage0Recipe  # noqa: PLC0415  # as above

    recipe = Stage0Recipe.from_file(job["recipe"])
    platform = PlatformConfig(target_platform=job["platform"], experimental=job["experimental"])
    return recipe.render(_config(variants), RenderConfig(platform))


def _render(job: Job) -> object:
    """Every output of every variant; shared ones come once for each. Variants may still be in their files."""
    variants = _variants(job) if "files" in job else {key: job[key] for key in ("values", "zipped")}
    outputs = [_described(variant) for variant in _rendered(job, variants)]
    return {"variants": variants, "outputs": outputs}


def _described(variant: RenderedVariant) -> Mapping[str, object]:
    recipe = variant.recipe.to_dict()
    return {
        **_named(variant),
        "variant": {key: str(value) for key, value in variant.variant.items()},
        "noarch": str(variant.recipe.build.noarch or ""),
        "recipe": json.loads(json.dumps(recipe, default=str)),
    }


def _named(variant: RenderedVariant) -> Mapping[str, str]:
    recipe = variant.recipe
    return {
        "name": str(recipe.package.name),
        "version": str(recipe.package.version),
        "build": str(recipe.build.string),
    }


def _build(job: Job) -> Mapping[str, object]:
    """Build one output, untested; give back its package and which package each file of its host is of."""
    from rattler_build import ToolConfiguration  # noqa: PLC0415  # slow to load

    variant = next(row for row in _rendered(job, job) if _named(row) == job["output"])
    result = variant.run_build(
        output_dir=job["folder"],
        channels=job["channels"],
        package_format="conda:1",
        no_build_id=True,
        no_include_recipe=True,
        tool_config=ToolConfiguration(
            keep_build=True, test_strategy="skip", compression_threads=1, channel_priority="strict"
        ),
        progress_callback=_Log(),  # type: ignore[arg-type]  # of its optional methods, one
    )
    return {"package": str(result.packages[0]), "owners": _owners(Path(job["folder"]))}


def _owners(folder: Path) -> Mapping[str, str]:
    """Which package brought each file of the host environments below a folder."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("bld/*/host_env*/conda-meta/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        found |= dict.fromkeys(record.get("files", ()), record["name"])
    return found


def _test(job: Job) -> object:
    """Run the tests inside a package; each whether it passed, and what it said."""
    from rattler_build import Package  # noqa: PLC0415  # slow to load

    results = Package.from_file(job["package"]).run_tests(
        channel=job["channels"],
        channel_priority="strict",
        progress_callback=_Log(),  # type: ignore[arg-type]  # of its optional methods, one
    )
    return [{"success": row.success, "output": list(row.output)} for row in results]


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


_JOBS: Mapping[str, Callable[[Job], object]] = {
    "variants": _variants,
    "render": _render,
    "build": _build,
    "test": _test,
}

if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # the bindings' threads may crash an interpreter that ends in the usual way
