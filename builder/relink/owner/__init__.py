"""Which package of this machine a library belongs to, under which licence; asked of the databases.

No process is started: dpkg, rpm, apk and conda keep their records in files. A library that no
package owns may still have a licence text beside it.
"""

from __future__ import annotations

from pathlib import Path

from builder.relink.owner import apk, conda, dpkg, rpm
from builder.relink.owner.beside import licences_beside
from builder.relink.owner.model import Owner

__all__ = ["Owner", "Owners"]

_DATABASES = (conda.owner_of, dpkg.owner_of, apk.owner_of, rpm.owner_of)


class Owners:
    """The package databases below a root folder, each library asked for once."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._known: dict[Path, Owner | None] = {}

    def of(self, library: Path) -> Owner | None:
        """The package that a library belongs to, or None when nothing at all is known of it.

        `library` is an absolute path below the root, links resolved. A damaged database counts as
        one that does not know.
        """
        if library not in self._known:
            self._known[library] = self._ask(library)
        return self._known[library]

    def _ask(self, library: Path) -> Owner | None:
        for ask in _DATABASES:
            if (owner := ask(library, self._root)) is not None:
                return owner
        texts = licences_beside(library, self._root)
        return (
            Owner("generic", library.name.split(".so", 1)[0], "", licences=texts) if texts else None
        )
