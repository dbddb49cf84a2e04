"""`builder check`: the suite on the exact bytes, then on what a fresh environment makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from builder.archive.conda import INDEX, read_info
from builder.archive.wheel import WheelName
from builder.backend import Backend, Home
from builder.channel.package import SUFFIXES
from builder.config.apply import expand
from builder.config.machine import Machine
from builder.config.python import Python
from builder.config.recipe import Bundle, Checks, Recipe
from builder.config.spec import BuildSpec
from builder.config.toolchain import Interpreter
from builder.errors import BuilderError, Interrupted, NothingSelected, UsageError
from builder.events import Events, ignore
from builder.process import Processes
from builder.stage import environment, interpreters
from builder.stage.system import installed
from builder.stage.tree import Tree
from builder.stage.workbench import Workbench
from builder.verbs.trials import compared, has_manifest, scratch, selected, try_archive
from smoke.catalogue import Check, choose
from smoke.checks import CATALOGUE
from smoke.claims import header, name_of
from smoke.previous import read_release
from smoke.probing import interpreter_of, open_environment
from smoke.report import Report, Result, merged
from smoke.runner import Request, check_artifact, check_environment, subject_of
from smoke.subject import Core, Expectations, Installed, Release, Subject
from smoke.together import check_together

__all__ = ["Knowledge", "check", "check_home", "check_package", "newest_for", "upgraded"]

_LONGEST_INDEX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a recipe or a build knows about a subject, and its bytes do not say.

    `recipe` is the folder that commands call `{recipe}` and that holds the C++ consumer; `core` is
    the core tree's folder. `programs` are folders searched before the machine's own. `previous` is the
    release to compare with.
    """

    bundle: Bundle = field(default_factory=Bundle)
    build_paths: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    recipe: Path | None = None
    core: Path | None = None
    programs: tuple[Path, ...] = ()
    previous: Release | None = None


@dataclass(frozen=True, slots=True)
class _Bench:
    """What every check of one call works with."""

    known: Knowledge
    chosen: tuple[Check, ...]
    machine: Machine
    processes: Processes
    interpreter: Interpreter | None = None

    @property
    def path(self) -> tuple[Path, ...]:
        """The search path for programs."""
        return (*self.known.programs, *self.machine.path)


def check(
    subjects: Sequence[Path],
    machine: Machine,
    *,
    python: Path | None = None,
    interpreter: Interpreter | None = None,
    checks: Checks | None = None,
    knowledge: Knowledge | None = None,
    select: Sequence[str] = (),
    skip: Sequence[str] = (),
    extra: Iterable[Check] = (),
    backends: Mapping[str, Backend] | None = None,
    recipe: Recipe | None = None,
    expect: Path | None = None,
    events: Events = ignore,
    processes: Processes | None = None,
) -> tuple[Report, ...]:
    """One report for each wheel, folder, environment or archive with a manifest of its content.

    A wheel is also installed into a fresh environment of an interpreter that it is for; with
    `python` (an environment's folder or interpreter) that one is probed as it is; with `interpreter`
    the fresh one is of it, whatever a newer one could install. `python` alone is a subject of its
    own. `extra` are checks of plugins. What `recipe` says counts unless there are `checks` and
    `knowledge`. An archive with a manifest of its content is also tried by the one of `backends`
    that makes its type. `expect` is an older release of any kind, or the manifest of an archive, to
    compare with; two manifests are compared and nothing else. Several wheels are also checked
    together, in a report of its own at the end. Raises `UsageError` for what cannot be checked,
    `NothingSelected` when no check is left.
    """
    if expect is not None and subjects and all(path.suffix == ".json" for path in subjects):
        return tuple(compared(path, expect) for path in subjects)
    if recipe is not None:
        checks = checks or recipe.checks
        knowledge = knowledge or Knowledge(recipe.bundle, recipe=recipe.folder)
    tried = {path for path in subjects if has_manifest(path)}
    try:
        chosen = choose((*CATALOGUE, *extra), select, skip)
    except NothingSelected:
        if tried != set(subjects) or not tried:
            raise
        chosen = ()  # what is selected are trials
    ready = interpreter_of(python) if python else None
    if python and not subjects:
        subjects = (python if python.is_dir() else python.parent.parent,)
    if not subjects:
        raise UsageError(
            "nothing to check", hint="give a package, a library, a folder or an environment"
        )
    known = replace(knowledge or Knowledge(), previous=read_release(expect) if expect else None)
    bench = _Bench(known, chosen, machine, processes or Processes(events), interpreter)
    looked: list[Subject] = []
    reports: list[Report] = []
    for path in subjects:
        subject, report = _check_one(path.absolute(), checks or Checks(), ready, bench)
        if path in tried:
            trials = try_archive(path, backends or {}, recipe, machine, bench.processes)
            report = selected(merged(report, trials), select, skip)
        looked.append(subject)
        reports.append(report)
    whole = check_together(looked, chosen)
    return (*reports, *((whole,) if whole is not None else ()))


def check_package(
    path: Path,
    spec: BuildSpec,
    core: Tree | None,
    bench: Workbench,
    extra: Iterable[Check] = (),
    facts: Mapping[str, object] = MappingProxyType({}),
) -> Report:
    """The report on a package that was just built, in an environment of its own target.

    `facts` are those of its `Package`. A conda package is looked at and not installed: that is its backend's
    to do (`Installs`). One that is neither (of a plugin's backend) is one skip, with the reason.
    """
    is_conda = path.name.endswith(SUFFIXES) and INDEX in read_info(path, {INDEX: _LONGEST_INDEX})
    if path.suffix != ".whl" and not is_conda:
        reason = f"packages of type `{spec.target.package_type}` are not known to the suite"
        return Report(str(path), (Result("archive.readable", "skip", reason=reason),))
    recipe, toolchain = spec.recipe, spec.toolchain
    outside = facts.get("outside")
    names = map(str, outside) if isinstance(outside, list | tuple) else ()
    bundle = replace(recipe.bundle, exclude=(*recipe.bundle.exclude, *names))
    has_code = toolchain.cuda is not None and facts.get("device_code", True)
    known = Knowledge(
        bundle,
        (str(bench.store.root), str(recipe.folder), str(bench.machine.home)),
        toolchain.architectures if has_code else (),
        recipe.folder,
        core.root if core else None,
        (toolchain.cuda.root / "bin",) if toolchain.cuda else (),
    )
    own = _Bench(known, (*CATALOGUE, *extra), bench.machine, bench.processes)
    subject = _subject(path, recipe.checks, own)
    report = check_artifact(subject, own.chosen)
    if is_conda:
        return report
    return merged(report, _in_fresh_environment(subject, spec.interpreter or bench.host, own))


def check_home(
    home: Home, spec: BuildSpec, bench: Workbench, folder: Path, extra: Iterable[Check] = ()
) -> Report:
    """The report on an environment that a package was installed into, by what its recipe asks for.

    Processes work below `folder`.
    """
    recipe, toolchain = spec.recipe, spec.toolchain
    programs = (toolchain.cuda.root / "bin",) if toolchain.cuda else ()
    known = Knowledge(recipe.bundle, recipe=recipe.folder, core=home.core, programs=programs)
    own = _Bench(known, (*CATALOGUE, *extra), bench.machine, bench.processes)
    ready = open_environment(home.python, own.path, folder / "neutral", bench.processes)
    subject = Subject(home.python.parent.parent, "environment", checks=recipe.checks)
    return _probe(subject, ready, folder, own)


def _check_one(
    path: Path, checks: Checks, ready: Path | None, bench: _Bench
) -> tuple[Subject, Report]:
    subject = _subject(path, checks, bench)
    report = check_artifact(subject, bench.chosen)
    if all(one.needs in {"artifact", "set"} for one in bench.chosen):
        return subject, report  # nothing asks for an environment
    return subject, merged(report, _tried(subject, ready, bench))


def _tried(subject: Subject, ready: Path | None, bench: _Bench) -> Report:
    """What an environment says, the given one or a fresh one."""
    if subject.kind == "environment":
        ready = ready or interpreter_of(subject.path)
    if ready:
        return _in_ready_environment(subject, ready, bench)
    if subject.kind == "folder":
        return _with_core_alone(subject, bench)
    if subject.kind != "wheel":
        return Report(str(subject.path), ())
    interpreter = bench.interpreter or _suitable(subject, bench)
    if interpreter is None:
        absent = "no interpreter on this machine can install it"
        return check_environment(subject, bench.chosen, absent=absent)
    return _in_fresh_environment(subject, interpreter, bench)


def _subject(path: Path, checks: Checks, bench: _Bench) -> Subject:
    """The subject, read once, with what is known of it as expectations."""
    expectations = Expectations(
        bundle=bench.known.bundle,
        build_paths=bench.known.build_paths,
        architectures=bench.known.architectures,
        previous=bench.known.previous,
    )
    return subject_of(Request(path, checks, expectations))


def _in_fresh_environment(subject: Subject, interpreter: Interpreter, bench: _Bench) -> Report:
    """Install the exact bytes with their declared dependencies, then probe."""
    with scratch(bench.machine) as folder:
        ready = _install(subject, interpreter, folder, bench)
        newer = replace(subject, checks=upgraded(subject.checks))

        def upgrade() -> Subject:
            later = _install(newer, interpreter, folder / "upgraded", bench)
            return _at(newer, later, bench)

        return _probe(replace(subject, upgrade=upgrade), ready, folder, bench)


def upgraded(checks: Checks) -> Checks:
    """What a recipe asks for when its upgrades take the place of requirements of the same projects."""
    names = {canonicalize_name(Requirement(text).name) for text in checks.upgrades}
    kept = (
        text for text in checks.requires if canonicalize_name(Requirement(text).name) not in names
    )
    return replace(checks, requires=(*kept, *checks.upgrades))


def _install(subject: Subject, interpreter: Interpreter, folder: Path, bench: _Bench) -> Installed:
    """A fresh environment with the wheel in it; what the installer says against it is its fault."""
    neutral = folder / "neutral"
    try:
        installed(subject.checks.system, bench.machine, bench.processes)
        made = environment.fresh(
            folder / "environment",
            interpreter,
            subject.checks.requires,
            bench.machine,
            bench.processes,
            wheel=subject.path,
        )
    except Interrupted:
        raise
    except BuilderError as error:
        fault = "; ".join((error.message, *error.faults[-5:]))
        return Installed(interpreter.executable, bench.path, neutral, bench.processes, None, fault)
    return open_environment(made.python, bench.path, neutral, bench.processes)


def _in_ready_environment(subject: Subject, python: Path, bench: _Bench) -> Report:
    with scratch(bench.machine) as folder:
        ready = open_environment(python, bench.path, folder / "neutral", bench.processes)
        return _probe(subject, ready, folder, bench)


def _with_core_alone(subject: Subject, bench: _Bench) -> Report:
    """A folder is taken for a core tree: the C++ consumer may use it."""
    with scratch(bench.machine) as folder:
        known = replace(bench.known, core=bench.known.core or subject.path)
        core = _core(folder, replace(bench, known=known))
        return check_environment(replace(subject, core=core), bench.chosen)


def _probe(subject: Subject, ready: Installed, folder: Path, bench: _Bench) -> Report:
    whole = replace(_at(subject, ready, bench), core=_core(folder, bench))
    return check_environment(whole, bench.chosen)


def _at(subject: Subject, ready: Installed, bench: _Bench) -> Subject:
    """The subject in an environment, whose interpreter its commands call `{python}`."""
    values = {"python": str(ready.python), "recipe": str(bench.known.recipe or "")}
    commands = tuple(
        tuple(expand(word, values) for word in argv) for argv in subject.checks.commands
    )
    return replace(subject, installed=ready, checks=replace(subject.checks, commands=commands))


def _core(folder: Path, bench: _Bench) -> Core | None:
    if bench.known.core is None or bench.known.recipe is None:
        return None
    work = folder / "core"
    work.mkdir(parents=True, exist_ok=True)
    return Core(
        bench.machine.os, bench.known.core, bench.known.recipe, bench.path, work, bench.processes
    )


def _suitable(subject: Subject, bench: _Bench) -> Interpreter | None:
    """An interpreter of this machine that the wheel is for."""
    name = name_of(subject.path.name)
    if name is None or not _for_machine(name, bench.machine):
        return None
    required = header(subject.content, "METADATA", "Requires-Python")
    return newest_for(name, required, interpreters.find("all", bench.machine, bench.processes))


def newest_for(
    name: WheelName,
    required: Sequence[str],
    found: Mapping[Python, Interpreter | BuilderError],
) -> Interpreter | None:
    """The newest interpreter that a wheel's tags and its `Requires-Python` values are for."""
    fitting = [
        (python, interpreter)
        for python, interpreter in found.items()
        if isinstance(interpreter, Interpreter)
        and _serves(name, python)
        and _satisfies(interpreter.version, required)
    ]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _for_machine(name: WheelName, machine: Machine) -> bool:
    return any(
        tag == "any" or (tag.endswith(f"_{machine.arch}") and "linux" in tag and "musl" not in tag)
        for tag in name.platforms
    )


def _serves(name: WheelName, python: Python) -> bool:
    """Whether an interpreter accepts one of the wheel's Python and ABI tags."""
    tag = python.interpreter_tag
    if python.abi_tag in name.abis and tag in name.pythons:
        return True
    if "none" in name.abis:
        return bool(
            {f"py{python.major}", f"py{python.major}{python.minor}", tag} & set(name.pythons)
        )
    prefix = f"cp{python.major}"
    lowest = [
        int(text.removeprefix(prefix))
        for text in name.pythons
        if text.startswith(prefix) and text.removeprefix(prefix).isdigit()
    ]
    return (
        "abi3" in name.abis
        and "t" not in python.abiflags
        and min(lowest, default=99) <= python.minor
    )


def _satisfies(version: str, required: Sequence[str]) -> bool:
    try:
        return all(SpecifierSet(text).contains(version, prereleases=True) for text in required)
    except InvalidSpecifier:
        return True
