"""Fuzz one target by coverage: `python tests/fuzz/run.py TARGET --seconds 60`.

Needs atheris. New inputs that reach new code are kept in `--work`; a find is written there as
`crash-*`. Copy what is worth keeping to `tests/fuzz/corpus/TARGET`, where the unit tests replay it.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "data"
EVERY_LIMIT = 20
"""Seconds for one input, beyond which it counts as a hang."""
MEMORY_LIMIT = 1024
"""MiB."""


def main() -> None:
    """Instrument the rooms, then run until the time is over or something is found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--work", type=Path, required=True)
    words = parser.parse_args()
    sys.path.insert(0, str(HERE))
    with atheris.instrument_imports(include=["builder.archive", "builder.binary", "smoke.content"]):
        for room in ("elf", "macho", "pe"):  # imported late otherwise, and not instrumented
            importlib.import_module(f"builder.binary.{room}")
        targets = importlib.import_module("targets").TARGETS
    corpus = words.work / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    # libFuzzer writes what it finds new into the first folder and only reads the others.
    seeds = [HERE / "corpus" / words.target, *_samples(words.target, words.work)]
    options = [
        f"-max_total_time={words.seconds}",
        f"-timeout={EVERY_LIMIT}",
        f"-rss_limit_mb={MEMORY_LIMIT}",
        "-max_len=65536",
        f"-artifact_prefix={words.work}/",
        "-print_final_stats=1",
    ]
    folders = [str(folder) for folder in (corpus, *seeds) if folder.is_dir()]
    atheris.Setup([sys.argv[0], *options, *folders], targets[words.target])
    atheris.Fuzz()


def _samples(target: str, work: Path) -> list[Path]:
    """The samples of the unit tests as seeds; those of `edit` get a byte that chooses the edit."""
    files = [
        path for kind in ("elf", "macho", "pe") for path in sorted((SAMPLES / kind).rglob("*"))
    ]
    if target not in {"binary", "signature", "edit"}:
        return []
    folder = work / "samples"
    folder.mkdir(exist_ok=True)
    for number, path in enumerate(path for path in files if path.is_file()):
        prefix = bytes([number]) if target == "edit" else b""
        (folder / f"{number:03}").write_bytes(prefix + path.read_bytes())
    return [folder]


if __name__ == "__main__":
    main()
