"""What a wheel says about itself to people, for `about.json` and the licence of `index.json`.

Keys of METADATA are those of the "Core metadata specifications".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from builder.archive.metadata import Headers

__all__ = ["about", "license_of"]

_LONGEST: Final = 100
_CLASSIFIER: Final = "License ::"
_URLS: Final = {
    "documentation": "doc_url", "docs": "doc_url", "homepage": "home",
    "home": "home", "repository": "dev_url", "source": "dev_url", "sourcecode": "dev_url",
    "github": "dev_url",
}  # fmt: skip


def license_of(metadata: Headers) -> str:
    """The licence as one line; empty when there is nothing but its whole text."""
    expressions = metadata.get("License-Expression")
    classifiers = [text for text in metadata.get("Classifier") if text.startswith(_CLASSIFIER)]
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.count(" :: ") > 1]
    for text in (*expressions, *metadata.get("License"), ", ".join(sorted(named))):
        if 0 < len(text) <= _LONGEST and text.isprintable() and text.upper() != "UNKNOWN":
            return text
    return ""


def about(metadata: Headers, license_files: Iterable[str]) -> Mapping[str, object]:
    """The document, without anything that is no public address or plain text."""
    found: dict[str, object] = {}
    for key, url in _addresses(metadata):
        found.setdefault(key, url)
    summary = " ".join(" ".join(metadata.get("Summary")).split())
    if summary and _is_public(summary):
        found["summary"] = summary
    if (text := license_of(metadata)) and _is_public(text):
        found["license"] = text
    if files := sorted(license_files):
        found["license_file"] = files
    return found


def _addresses(metadata: Headers) -> Iterator[tuple[str, str]]:
    pairs = [("homepage", text) for text in metadata.get("Home-page")]
    for line in metadata.get("Project-URL"):
        label, _, url = line.partition(",")
        pairs.append(("".join(filter(str.isalnum, label.lower())), url.strip()))
    for label, url in pairs:
        key = _URLS.get(label, "")
        if key and url.startswith(("https://", "http://")) and _is_public(url):
            yield key, url


def _is_public(text: str) -> bool:
    return text.isprintable() and "file:" not in text and not text.startswith(("/", "~"))
