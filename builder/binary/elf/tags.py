"""Tags of the dynamic section: the System V gABI, and the GNU and Sun extensions in common use."""

from __future__ import annotations

from typing import Final

__all__ = [
    "FLAGS",
    "FLAGS_1",
    "GNU_HASH",
    "HASH",
    "MIPS_MAP_RELATIVE",
    "NEEDED",
    "NULL",
    "RPATH",
    "RUNPATH",
    "SONAME",
    "STRSZ",
    "STRTAB",
    "SYMENT",
    "SYMTAB",
    "TABLES",
    "TEXTREL",
    "TEXTS",
    "VERDEF",
    "VERDEFNUM",
    "VERNEED",
    "VERNEEDNUM",
    "VERSYM",
]

NULL, NEEDED, HASH, STRTAB, SYMTAB, STRSZ, SYMENT = 0, 1, 4, 5, 6, 10, 11
SONAME, RPATH, TEXTREL, RUNPATH, FLAGS = 14, 15, 22, 29, 30
GNU_HASH, VERSYM, FLAGS_1 = 0x6FFFFEF5, 0x6FFFFFF0, 0x6FFFFFFB
VERDEF, VERDEFNUM, VERNEED, VERNEEDNUM = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF
MIPS_MAP_RELATIVE: Final = 0x70000035
"""The distance of something from this very entry."""

TEXTS: Final = frozenset(
    {NEEDED, SONAME, RPATH, RUNPATH, 0x6FFFFEFA, 0x6FFFFEFB, 0x6FFFFEFC, 0x7FFFFFFD, 0x7FFFFFFF}
)
"""Those whose value is a place in the string table; the last ones are CONFIG, DEPAUDIT, AUDIT,
AUXILIARY and FILTER."""
TABLES: Final = frozenset({HASH, STRTAB, SYMTAB, 7, 17, 23, 36, GNU_HASH, VERSYM, VERDEF, VERNEED})
"""Those whose value is the address of a table; those without a name are of relocations."""
