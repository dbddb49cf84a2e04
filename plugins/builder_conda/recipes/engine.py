"""A project's own `recipe.yaml` becomes packages: every output a process of its own, all merged under one index.

The table of contents, once it is rendered: waves of outputs that need nothing of each other. What fails is a
failure of its own and of what needs it; the others go on, and the same call goes on from there.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from builder.channel import channel
from builder.errors import UsageError
from builder.events import Events, ignore
from builder.stage.store import TreeStore
from builder_conda.recipes.key import Given
from builder_conda.recipes.making import Made, Wave
from builder_conda.recipes.outputs import Rendered, providers, waves_of
from builder_conda.recipes.rattler import Rattler, channel_urls
from builder_conda.recipes.render import Order, render

__all__ = ["build_all", "debug_shell"]


def build_all(order: Order, rattler: Rattler, *, events: Events = ignore) -> tuple[Made, ...]:
    """Build, prove and deliver every output; one that fails is in the result, with what it said last.

    Raises `UsageError` for what `render` refuses, `Interrupted` on Ctrl-C.
    """
    variants, outputs = render(order, rattler)
    given = Given.of(order, rattler.machine, rattler.processes)
    store = TreeStore(order.store, events=events, processes=rattler.processes)
    urls = channel_urls(order.channels)
    done: dict[str, Made] = {}
    waves = tuple(waves_of(outputs))
    shared = order.store / "conda" / f"channel-{time.time_ns()}"
    try:
        channel.create(shared, (order.subdir,))
        for wave in waves:
            taken = shared if wave is not waves[-1] else None
            channels = (shared.as_uri(), *urls)
            work = Wave(order, rattler, store, variants, given, taken, channels, events)
            jobs = [
                partial(work.make, output, _digests(output, outputs, done), _lacking(output, outputs, done))
                for output in wave
            ]  # fmt: skip
            done |= {made.output.stem: made for made in _side_by_side(jobs, order.jobs, rattler)}
    finally:
        shutil.rmtree(shared, ignore_errors=True)
    if any(made.path for made in done.values()):
        channel.index(order.output)
    return tuple(done[output.stem] for output in outputs)


def debug_shell(order: Order, stem: str) -> str:
    """A command that enters the environment of a build that was kept. Raises `UsageError`."""
    found = sorted(order.place(stem).glob("bld/*/work/build_env.sh"))
    if not found:
        raise UsageError(
            f"no build of `{stem}` was kept",
            hint="a failed build is, once its environment could be solved, until the recipe changes; "
            "`--keep` keeps the others too",
        )
    return f"cd '{found[0].parent}' && env -i TERM=\"$TERM\" bash --rcfile build_env.sh -i"


def _side_by_side(
    jobs: Sequence[Callable[[], Made]], count: int, rattler: Rattler
) -> tuple[Made, ...]:
    """The results of all jobs; on Ctrl-C their processes are ended first, else nobody could wait for them."""
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            return tuple(future.result() for future in futures)
        except BaseException:
            rattler.processes.stop()
            for future in futures:
                future.cancel()
            raise


def _digests(
    output: Rendered, outputs: Sequence[Rendered], done: Mapping[str, Made]
) -> Mapping[str, str]:
    """What was made of the outputs that one is built with."""
    return {other.stem: done[other.stem].sha256 for other in providers(output, outputs)}


def _lacking(output: Rendered, outputs: Sequence[Rendered], done: Mapping[str, Made]) -> str:
    """A needed output of which no variant was made, or nothing."""
    needed = providers(output, outputs)
    there = {other.name for other in needed if done[other.stem].path is not None}
    return next(
        (f"`{other.stem}`, which failed" for other in needed if other.name not in there), ""
    )
