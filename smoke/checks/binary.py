"""Checks on each binary by itself: can it be mapped, is it hardened, is it signed for its bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from builder.binary import Binary, FlawKind, Format
from smoke.catalogue import NO_BINARIES, Check, Outcome, Skip
from smoke.subject import ARTIFACTS, Content, Member, Subject, content_of

__all__ = ["CHECKS"]

_NAMES = {"elf": "ELF", "macho": "Mach-O", "pe": "PE"}


def _readable(subject: Subject) -> Outcome:
    return Outcome(warnings=content_of(subject).damaged)


def _execstack(subject: Subject) -> Outcome | Skip:
    return _of_each(
        subject,
        lambda binary: "asks for an executable stack" if binary.executable_stack else "",
    )


def _textrel(subject: Subject) -> Outcome | Skip:
    return _of_each(
        subject, lambda binary: "relocates its code (TEXTREL)" if binary.text_relocations else ""
    )


def _of_each(subject: Subject, fault: Callable[[Binary], str]) -> Outcome | Skip:
    """What one rule says about each binary."""
    binaries = content_of(subject).binaries
    if not binaries:
        return NO_BINARIES
    texts = ((member.name, fault(binary)) for member, binary in binaries)
    return Outcome(tuple(f"{name}: {text}" for name, text in texts if text))


def _flaws(kind: FlawKind, *formats: Format) -> Callable[[Subject], Outcome | Skip]:
    """The check that tells the flaws of one kind, of which files of some formats may have any."""

    def run(subject: Subject) -> Outcome | Skip:
        content = content_of(subject)
        found = [(m, flaw) for m in content.members for flaw in m.flaws if flaw.kind == kind]
        if not found and not any(one.format in formats for _, one in content.binaries):
            names = " or ".join(_NAMES[format_] for format_ in formats)
            return Skip(f"there is no {names} file in it")
        texts = {
            fatal: tuple(f"{m.name}: {flaw.text}" for m, flaw in found if flaw.fatal is fatal)
            for fatal in (True, False)
        }
        return Outcome(texts[True], texts[False])

    return run


def _slices(subject: Subject) -> Outcome | Skip:
    universal = list(_universal(content_of(subject)))
    if not universal:
        return Skip("there is no file for several machines in it")
    problems: list[str] = []
    warnings: list[str] = []
    for member, parts in universal:
        first = parts[0]
        for part in parts[1:]:
            who = f"{member.name}: {part.machine}"
            if part.kind != first.kind:
                problems.append(f"{who} is of kind {part.kind}, {first.machine} {first.kind}")
            if part.soname != first.soname:
                problems.append(
                    f"{who} is called `{part.soname}`, {first.machine} `{first.soname}`"
                )
            more = sorted(set(part.needed) ^ set(first.needed))
            if more:
                text = f"only one of {first.machine} and {part.machine} needs {', '.join(more)}"
                warnings.append(f"{member.name}: {text}")
    return Outcome(tuple(problems), tuple(warnings))


def _universal(content: Content) -> Iterator[tuple[Member, tuple[Binary, ...]]]:
    return ((member, one.slices) for member, one in content.binaries if len(one.slices) > 1)


CHECKS = (
    Check(
        "binary.readable",
        "Every file that begins like a binary is one.",
        ARTIFACTS,
        "artifact",
        "build or copy the named file again: it is truncated or was edited by a broken tool",
        _readable,
        "warning",
    ),
    Check(
        "binary.layout",
        "An ELF file is mapped as it says: loads, tables, names and needed versions add up.",
        ARTIFACTS,
        "artifact",
        "link the file again, and edit it with one tool once (`builder repair`), before any strip",
        _flaws("layout", "elf"),
    ),
    Check(
        "binary.pages",
        "Machines with pages of 64 KiB can load it (aarch64, ppc64le, loongarch64).",
        ARTIFACTS,
        "artifact",
        "link with `-z max-page-size=65536`",
        _flaws("pages", "elf"),
        "warning",
    ),
    Check(
        "binary.relro",
        "Tables of addresses are read-only once an ELF file is loaded.",
        ARTIFACTS,
        "artifact",
        "link with `-z relro`, and with `-z now` too",
        _flaws("relro", "elf"),
        "warning",
    ),
    Check(
        "binary.execstack",
        "No binary asks for an executable stack, which hardened hosts refuse to load.",
        ARTIFACTS,
        "artifact",
        "add `.note.GNU-stack` to the assembly sources, or link with `-z noexecstack`",
        _execstack,
    ),
    Check(
        "binary.textrel",
        "No binary relocates its own code at load time.",
        ARTIFACTS,
        "artifact",
        "compile everything that goes into the library with `-fPIC`",
        _textrel,
    ),
    Check(
        "binary.signature",
        "Signatures are for the bytes they are in, and everything for arm64 Macs has one.",
        ARTIFACTS,
        "artifact",
        "sign after the last edit: `codesign --force --sign -` (`builder repair` does), `signtool`",
        _flaws("signature", "macho", "pe"),
    ),
    Check(
        "binary.checksum",
        "The checksum in the header of a PE file is right or absent; drivers need it.",
        ARTIFACTS,
        "artifact",
        "link with `/RELEASE`, and edit with a tool that keeps it up to date (`builder repair`)",
        _flaws("checksum", "pe"),
        "warning",
    ),
    Check(
        "binary.slices",
        "What a file has for several machines is the same library, with the same needs.",
        ARTIFACTS,
        "artifact",
        "build every architecture from the same sources and options before `lipo`",
        _slices,
    ),
)
