# Python 2.7 has no annotations.
# mypy: ignore-errors
"""Import modules, then say in JSON which files are mapped into the process (Linux).

Runs on CPython 2.7 and 3.5+. Modules that do not import are left out: another probe reports them.
The answer is the one line on stdout that begins with `@probe `.
"""

from __future__ import print_function

import io
import json
import os
import sys

sys.path[:] = [
    folder for folder in sys.path if folder not in ("", os.path.dirname(os.path.abspath(__file__)))
]


def mapped():
    files = set()
    if not os.path.exists("/proc/self/maps"):
        return None
    with io.open("/proc/self/maps", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            columns = line.rstrip("\n").split(None, 5)
            if len(columns) == 6 and columns[5].startswith("/") and "x" in columns[1]:
                files.add(columns[5])
    return sorted(files)


def main(names):
    import importlib

    imported = []
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException:
            continue
        imported.append(name)
    print("\n@probe " + json.dumps({"imported": imported, "files": mapped()}))
    sys.stdout.flush()


main(sys.argv[1:])
