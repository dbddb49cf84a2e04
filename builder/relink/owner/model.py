"""The owner of a library, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

__all__ = ["Owner"]


@dataclass(frozen=True, slots=True)
class Owner:
    """A package. `distribution` is as `ID-VERSION_ID` of os-release(5), `licence` what it says itself.

    `licences` are the files with the licence texts.
    """

    kind: Literal["deb", "rpm", "apk", "conda", "generic"]
    name: str
    version: str
    arch: str = ""
    distribution: str = ""
    licence: str = ""
    licences: tuple[Path, ...] = ()

    @property
    def purl(self) -> str:
        """The package URL (ECMA-427), for example `pkg:deb/debian/libgomp1@12.2.0-14?arch=amd64`."""
        vendor = self.distribution.partition("-")[0]
        namespace = f"/{quote(vendor)}" if vendor and self.kind in {"deb", "rpm", "apk"} else ""
        version = f"@{quote(self.version, safe='.-_~')}" if self.version else ""
        words = {"arch": self.arch, "distro": self.distribution}
        query = "&".join(f"{key}={quote(word, safe='.-_~')}" for key, word in words.items() if word)
        return (
            f"pkg:{self.kind}{namespace}/{quote(self.name)}{version}{'?' + query if query else ''}"
        )
