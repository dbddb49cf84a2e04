"""What rattler does by itself, through its own bindings: the other side of `conda.py`, a process for each call.

`render FOLDER`, `build FOLDER OUT skip|native` and `index CHANNEL`. Nothing of `builder` is imported.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rattler_build import RenderedVariant

VARIANTS = "variants.yaml"


def rendered(folder: Path) -> Iterator[RenderedVariant]:
    """Every output of every variant, each once."""
    from rattler_build import (  # noqa: PLC0415  # only what a call needs is loaded
        JinjaConfig,
        PlatformConfig,
        RenderConfig,
        Stage0Recipe,
        VariantConfig,
    )

    platform = PlatformConfig(target_platform="linux-64")
    config = VariantConfig()
    if (folder / VARIANTS).is_file():
        jinja = JinjaConfig(platform=platform)
        config = VariantConfig.from_file_with_context(folder / VARIANTS, jinja)
    seen = set()
    for row in Stage0Recipe.from_file(folder / "recipe.yaml").render(
        config, RenderConfig(platform)
    ):
        stem = f"{row.recipe.package.name}-{row.recipe.package.version}-{row.recipe.build.string}"
        if stem not in seen:
            seen.add(stem)
            print(stem)
            yield row


def build(folder: Path, out: Path, tests: Literal["skip", "native"]) -> None:
    """Every package, one after the other: the bindings hold the interpreter's lock while they build."""
    from rattler_build import ToolConfiguration  # noqa: PLC0415  # as above

    for row in rendered(folder):
        row.run_build(
            output_dir=out,
            channels=[],
            package_format="conda:9",
            tool_config=ToolConfiguration(test_strategy=tests, channel_priority="strict"),
        )


def index(channel: Path) -> None:
    """The documents that we write too, without shards."""
    from rattler.index import index_fs  # noqa: PLC0415  # as above

    asyncio.run(index_fs(channel, write_zst=True, write_shards=False))


def main(words: list[str]) -> None:
    """Do one thing."""
    match words:
        case ["render", folder]:
            list(rendered(Path(folder)))
        case ["build", folder, out, ("skip" | "native") as tests]:
            build(Path(folder), Path(out), tests)
        case ["index", channel]:
            index(Path(channel))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)  # threads of the library can crash when Python ends in an orderly way
