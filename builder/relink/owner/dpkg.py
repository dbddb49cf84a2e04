"""dpkg: `var/lib/dpkg/info/NAME.list` has the files of a package, `status` its version."""

from __future__ import annotations

import re
from pathlib import Path

from builder.relink.owner.model import Owner
from builder.relink.owner.release import distribution

__all__ = ["owner_of"]

_TOPS = frozenset({"bin", "etc", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "usr"})


def owner_of(library: Path, root: Path) -> Owner | None:
    """The Debian package that installed a file."""
    if library.relative_to(root).parts[0] not in _TOPS:
        return None  # no package has files there, and there are thousands of lists
    places = _spellings("/" + library.relative_to(root).as_posix())
    word = re.split(r"[-._\d]", library.name.removeprefix("lib"), maxsplit=1)[0]
    listings = sorted((root / "var/lib/dpkg/info").glob("*.list"))
    # Most packages are named like their library: those lists first, for there are thousands.
    for listing in sorted(listings, key=lambda path: (word not in path.name, path.name)):
        try:
            lines = listing.read_bytes()
        except OSError:
            continue
        if any(b"\n" + place + b"\n" in lines for place in places):
            name, _, arch = listing.stem.partition(":")
            return _owner(name, arch, root)
    return None


def _spellings(path: str) -> tuple[bytes, ...]:
    """A file of a merged /usr may be listed under /lib."""
    short = re.sub(r"^/usr(?=/lib)", "", path)
    return tuple(dict.fromkeys((path.encode(), short.encode())))


def _owner(name: str, arch: str, root: Path) -> Owner:
    fields = _fields(name, arch, root)
    copyright_ = root / "usr/share/doc" / name / "copyright"
    texts = (copyright_,) if copyright_.is_file() else ()
    return Owner(
        "deb",
        name,
        fields.get("Version", ""),
        fields.get("Architecture", arch),
        distribution(root),
        licences=texts,
    )


def _fields(name: str, arch: str, root: Path) -> dict[str, str]:
    """The paragraph of one package in the status file."""
    try:
        text = (root / "var/lib/dpkg/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    for match in re.finditer(rf"^Package: {re.escape(name)}\n(?:.+\n)*", text, re.MULTILINE):
        fields = dict(
            line.split(": ", 1) for line in match[0].splitlines() if re.match(r"[\w-]+: ", line)
        )
        if arch in {"", fields.get("Architecture", "")}:
            return fields
    return {}
