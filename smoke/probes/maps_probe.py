# Python 2.7 has no annotations.
# mypy: ignore-errors
"""Import modules in the given order, then say in JSON which did not and which files are mapped.

Runs on CPython 2.7 and 3.5+. On Linux the files are what the kernel says is mapped to be executed, on
macOS what dyld says it has loaded; elsewhere nothing tells.
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
    if os.path.exists("/proc/self/maps"):
        with io.open("/proc/self/maps", encoding="utf-8", errors="replace") as stream:
            return executable(stream)
    if sys.platform == "darwin":
        import ctypes

        return images(ctypes.CDLL(None), ctypes.c_char_p)
    return None


def executable(lines):
    """The files of proc_pid_maps(5) that are mapped to be executed."""
    rows = [line.rstrip("\n").split(None, 5) for line in lines]
    return sorted({row[5] for row in rows if row[5:] and row[5][0] == "/" and "x" in row[1]})


def images(dyld, text):
    """The files of dyld(3); `text` is the type of a C string."""
    name = dyld._dyld_get_image_name
    name.restype = text
    found = [name(number) for number in range(dyld._dyld_image_count())]
    # An image can be unloaded meanwhile.
    return sorted({one.decode("utf-8", "replace") for one in found if one})


def text_of(value):
    try:
        text = str(value)
    except Exception:
        text = repr(value)
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def main(names):
    import importlib

    imported = []
    faults = {}
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException as error:
            faults[name] = "%s: %s" % (type(error).__name__, text_of(error))
        else:
            imported.append(name)
    answer = {"imported": imported, "faults": faults, "files": mapped()}
    print("\n@probe " + json.dumps(answer))
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
