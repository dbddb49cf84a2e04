"""Checks on the papers of grafted libraries: their licences, and the bill of materials (PEP 770)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, cast

from builder.archive.record import encode_digest
from smoke.catalogue import Check, Outcome, Skip
from smoke.grafts import grafts_of, stem
from smoke.subject import Content, Subject, content_of

__all__ = ["CHECKS"]

_Json = Mapping[str, object]
_BILLS: Final = re.compile(r"[^/]+\.dist-info/sboms/.+\.json")
_LICENCES: Final = re.compile(
    r"[^/]+\.dist-info/(?:licenses/.+|(?:LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*)"
)
_WORDS: Final = re.compile(r"[a-z][a-z0-9+]*")
_CHANCE: Final = 2
"""Letters of a piece that says nothing (`r0`, `ng`)."""
_SHORT: Final = 3
"""Letters of a name that are in other words of any text (`acl` in `oracle`)."""
_LONG: Final = 4
"""Letters of a word that a name hardly begins with by chance."""
_ORDINARY: Final = frozenset((
    "base", "com", "common", "core", "data", "event", "file", "form", "free", "graph", "history",
    "image", "inter", "link", "magic", "meta", "open", "poly", "sample", "sound", "system", "term",
    "text", "thread", "tool", "trace", "util",
))  # fmt: skip
"""Words that licences have for reasons of their own, and libraries are called, or begin with."""
_FAMILIES: Final = (
    ("gcc", ("stdc++", "gcc_s", "gfortran", "quadmath", "gomp", "atomic", "winpthread")),
    ("glibc", ("crypt",)),
    ("krb5", ("k5crypto", "gssapi_krb")),
    ("openssl", ("crypto", "ssl")),
    ("ffmpeg", ("avcodec", "avdevice", "avfilter", "avformat", "avutil", "swresample", "swscale")),
    ("webp", ("sharpyuv",)),
    ("ldap", ("lber",)),
    ("postgres", ("pq",)),
    ("zlib", ("z",)),
    ("zeromq", ("zmq",)),
    ("bzip2", ("bz",)),
    ("xz", ("lzma",)),
    ("aec", ("sz",)),
    ("nettle", ("hogweed",)),
    ("openexr", ("iex", "ilmthread")),
    ("microsoft", ("msvcp", "vcruntime", "concrt", "vcomp", "ucrtbase")),
)
"""Projects whose libraries have other names."""


def _licences(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    grafts = grafts_of(content)
    if not grafts:
        return Skip("no library was grafted into it")
    project = subject.path.name.split("-", 1)[0].lower()
    papers = "\n".join(f"{name}\n{text}" for name, text in _papers(content).items()).lower()
    words = frozenset(_WORDS.findall(papers)) - {project} - _ORDINARY
    return Outcome(
        warnings=tuple(
            f"{member.name}: no licence text and no bill of materials speaks of it"
            for member in grafts
            if not any(_speaks(papers, words, name) for name in _names(stem(member.name), project))
        )
    )


def _papers(content: Content) -> Mapping[str, str]:
    return {
        name: text
        for name, text in content.texts.items()
        if _LICENCES.fullmatch(name) or _BILLS.fullmatch(name)
    }


def _names(library: str, project: str) -> frozenset[str]:
    """Everything that a library (`z.1.3.1.zlib-ng`, `openblaso-r0`) may be spoken of as.

    Of a name in pieces (`boost_system`) the first is the project.
    """
    pieces = [word for word in _WORDS.findall(library) if len(word) > _CHANCE and word != project]
    names = {library, library.split(".", 1)[0], *pieces[:1]}
    plain = {re.sub(r"[-_.\d]+$", "", name) for name in names}
    families = {family for family, known in _FAMILIES if not plain.isdisjoint(known)}
    return frozenset((names | plain | families) - {project, "lib", ""})


def _speaks(papers: str, words: Collection[str], name: str) -> bool:
    """Whether the texts have a name, or a word that it begins with.

    A short name counts as a word, an ordinary word as the name of a library.
    """
    if name in _ORDINARY:
        return f"lib{name}" in words
    if len(name) <= _SHORT:
        return name in words or f"lib{name}" in words
    return name in papers or any(len(word) >= _LONG and name.startswith(word) for word in words)


def _bill(subject: Subject) -> Outcome | Skip:
    content = content_of(subject)
    bills = {name: text for name, text in content.texts.items() if _BILLS.fullmatch(name)}
    if not bills:
        return Skip("there is no bill of materials in it")
    problems: list[str] = []
    warnings: list[str] = []
    placed: dict[str, _Json] = {}
    for name, text in bills.items():
        try:
            bill = json.loads(text)
        except (ValueError, RecursionError) as error:
            problems.append(f"{name}: is no JSON: {error}")
            continue
        fault = _fault(bill)
        if fault:
            problems.append(f"{name}: {fault}")
            continue
        components = list(_components(bill))
        problems += _untrue(name, components, content)
        placed |= {place: one for one in components for place in _places(one)}
    if placed:  # a bill that says no places cannot be held against files
        warnings += [
            f"{member.name}: is in no bill of materials, others are"
            for member in grafts_of(content)
            if member.name not in placed
        ]
    return Outcome(tuple(problems), tuple(warnings))


def _fault(bill: object) -> str:
    """Why a document is no CycloneDX, or nothing."""
    if not isinstance(bill, dict) or bill.get("bomFormat") != "CycloneDX":
        return "does not say `bomFormat: CycloneDX`"
    if not re.fullmatch(r"1\.\d+", str(bill.get("specVersion"))):
        return f"has the unknown `specVersion` {bill.get('specVersion')!r}"
    components = bill.get("components", [])
    if not isinstance(components, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in components
    ):
        return "has components without a name"
    return ""


def _components(bill: _Json) -> Iterator[_Json]:
    """The components and those in them."""
    for one in cast("Sequence[object]", bill.get("components") or ()):
        if isinstance(one, dict):
            yield one
            yield from _components(one)


def _untrue(bill: str, components: Sequence[_Json], content: Content) -> Iterator[str]:
    """What a bill says about files that is not so."""
    members = {member.name: member for member in content.members}
    for one in components:
        for place in _places(one):
            member = members.get(place)
            if member is None:
                yield f"{bill}: `{one['name']}` is said to be `{place}`, which is not in the wheel"
                continue
            said = _sha256(one)
            if said and said != member.digest:
                yield f"{bill}: the SHA-256 of `{place}` is another one"


def _places(one: _Json) -> Iterator[str]:
    """Where a component says that it is."""
    evidence = one.get("evidence")
    occurrences = evidence.get("occurrences") if isinstance(evidence, dict) else None
    for place in occurrences if isinstance(occurrences, list) else ():
        if isinstance(place, dict) and isinstance(place.get("location"), str):
            yield place["location"]


def _sha256(one: _Json) -> str:
    """The digest that a component says, as RECORD spells it, or nothing."""
    hashes = one.get("hashes")
    for entry in hashes if isinstance(hashes, list) else ():
        if isinstance(entry, dict) and entry.get("alg") == "SHA-256":
            try:
                return encode_digest(bytes.fromhex(str(entry.get("content"))))
            except ValueError:
                return "no digest"
    return ""


CHECKS = (
    Check(
        "metadata.licences",
        "A licence text or a bill of materials speaks of every grafted library.",
        ("wheel",),
        "artifact",
        "put the licence into `.dist-info/licenses` (`builder repair` does, where it is installed)",
        _licences,
        "warning",
    ),
    Check(
        "metadata.sbom",
        "The bills of materials are CycloneDX, and true of the files that they name.",
        ("wheel",),
        "artifact",
        "write the bill after the last change of a library (`builder repair` does)",
        _bill,
    ),
)
