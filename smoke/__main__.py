"""`python -m smoke`: the suite without the rest of `builder`, on files and a ready environment."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from builder.config.recipe import Checks
from builder.errors import BuilderError, UsageError
from builder.process import Processes
from smoke.catalogue import Check, choose, listing, reference
from smoke.checks import CATALOGUE
from smoke.junit import to_junit
from smoke.previous import read_release
from smoke.probing import interpreter_of, open_environment
from smoke.report import Report, document, merged, to_lines, write_report
from smoke.runner import Request, check_artifact, check_environment, subject_of
from smoke.sarif import to_sarif
from smoke.subject import Expectations, Subject
from smoke.together import check_together

__all__ = ["main"]

_PETABYTE = 10**15


def main(argv: Sequence[str], search_path: str) -> int:
    """Check what `argv` names; print a report; give the exit code."""
    options = _parser().parse_args(argv)
    processes = Processes()
    try:
        checks = choose(CATALOGUE, options.select, options.skip)
        if options.list:
            _print_list(checks, json_wanted=options.json, markdown=options.markdown)
            return 0
        if not options.subject:
            raise UsageError(
                "nothing to check", hint="give a package, a library, a folder or an environment"
            )
        path = tuple(Path(folder) for folder in search_path.split(os.pathsep) if folder)
        before = read_release(options.expect) if options.expect else None
        known = Expectations(previous=before)
        done = [
            _check(Path(file), options, known, checks, path, processes) for file in options.subject
        ]
        reports = [report for _, report in done]
        if (whole := check_together([subject for subject, _ in done], checks)) is not None:
            reports.append(whole)
        if options.junit:
            write_report(options.junit, to_junit(reports))
        if options.sarif:
            write_report(options.sarif, json.dumps(to_sarif(reports, CATALOGUE), indent=1) + "\n")
    except KeyboardInterrupt:
        processes.stop()
        return 130
    except BuilderError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # this is a command line
        return error.exit_code
    if options.json:
        print(json.dumps(document(reports), indent=2))  # noqa: T201  # this is a command line
    else:
        for report in reports:
            print("\n".join(to_lines(report, every=options.verbose)))  # noqa: T201  # this is a command line
    return 0 if all(report.ok for report in reports) else 1


def _check(
    file: Path,
    options: argparse.Namespace,
    known: Expectations,
    checks: tuple[Check, ...],
    path: tuple[Path, ...],
    processes: Processes,
) -> tuple[Subject, Report]:
    wanted = Checks(imports=tuple(options.imports), timeout=options.timeout, memory=options.memory)
    subject = subject_of(Request(file.absolute(), wanted, known))
    report = check_artifact(subject, checks)
    environment = options.python or (file if subject.kind == "environment" else None)
    if environment is None:
        return subject, report
    python = interpreter_of(environment)
    with tempfile.TemporaryDirectory(prefix="smoke-") as scratch:
        installed = open_environment(python, path, Path(scratch), processes)
        probed = check_environment(replace(subject, installed=installed), checks)
    return subject, merged(report, probed)


def _bytes(text: str) -> int:
    """A number of bytes that is a limit. Raises `ValueError`, which `argparse` tells."""
    number = int(text)
    if not 0 < number <= _PETABYTE:
        raise ValueError(text)
    return number


def _print_list(checks: tuple[Check, ...], *, json_wanted: bool, markdown: bool) -> None:
    if json_wanted:
        text = json.dumps(listing(checks), indent=2) + "\n"
    elif markdown:
        text = reference(checks)
    else:
        text = "".join(f"{check.id:20} {check.applies}\n    {check.summary}\n" for check in checks)
    sys.stdout.write(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m smoke",
        description="Check packages, libraries, folders and environments of any system.",
        epilog="exit codes: 0 sound, 1 a check failed, 2 bad usage, 3 no check selected",
    )
    parser.add_argument(
        "subject", nargs="*", help="a wheel, conda package, archive, library, folder or environment"
    )
    parser.add_argument("--python", type=Path, metavar="ENV", help="an environment to probe, ready")
    parser.add_argument(
        "--expect", type=Path, metavar="FILE", help="the release before, to compare with"
    )
    parser.add_argument("--import", dest="imports", action="append", default=[], metavar="MODULE")
    parser.add_argument("--select", action="append", default=[], metavar="GLOB")
    parser.add_argument("--skip", action="append", default=[], metavar="GLOB")
    parser.add_argument("--timeout", type=float, default=Checks().timeout, metavar="SECONDS")
    parser.add_argument("--memory", type=_bytes, metavar="BYTES", help="of each process's own")
    parser.add_argument("--list", action="store_true", help="the checks there are")
    parser.add_argument("--markdown", action="store_true", help="with --list: the reference page")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--sarif", type=Path, metavar="FILE", help="also write SARIF 2.1.0")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="also write JUnit XML")
    parser.add_argument("-v", "--verbose", action="store_true", help="passed and skipped ones too")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ.get("PATH", os.defpath)))
