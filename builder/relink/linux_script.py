"""Programs in the folder of scripts: a script in their place starts them from site-packages.

Nothing leads from `bin` to site-packages that is true on every machine (auditwheel#340).
"""

from __future__ import annotations

__all__ = ["shim"]


def shim(path: str) -> bytes:
    """The script that becomes the program at a path below site-packages."""
    return f"""\
#!python
import os
import sys
import sysconfig


if __name__ == "__main__":
    os.execv(
        os.path.join(sysconfig.get_path("platlib"), {path!r}),
        sys.argv,
    )
""".encode()
