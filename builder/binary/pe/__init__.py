"""PE files (Microsoft's "PE Format"): programs and DLLs of Windows, read and edited.

There is no rpath: a DLL is found by its name, in folders that the process chooses.
"""

from __future__ import annotations

from builder.binary.pe.checksum import checksum, checksum_problems
from builder.binary.pe.edit import plan
from builder.binary.pe.reader import defined, forwarded, imports, read
from builder.binary.pe.soundness import flaws

__all__ = [
    "checksum",
    "checksum_problems",
    "defined",
    "flaws",
    "forwarded",
    "imports",
    "plan",
    "read",
]
