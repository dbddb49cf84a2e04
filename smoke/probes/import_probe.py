# Python 2.7 has no annotations.
# mypy: ignore-errors
"""Import one module and say in JSON what came of it. Runs on CPython 2.7 and 3.5+.

The answer is the one line on stdout that begins with `@probe `; a module may print what it likes.
"""

from __future__ import print_function

import json
import os
import sys
import time

# Python 2.7 has no isolated mode: take this script's own folder off the path by hand.
sys.path[:] = [
    folder for folder in sys.path if folder not in ("", os.path.dirname(os.path.abspath(__file__)))
]


def text_of(value):
    try:
        text = str(value)
    except Exception:
        text = repr(value)
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else text


def main(name):
    import importlib

    begin = time.time()
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        answer = {"module": name, "error": "%s: %s" % (type(error).__name__, text_of(error))}
    else:
        version = getattr(module, "__version__", None)
        answer = {
            "module": name,
            "file": getattr(module, "__file__", None),
            "version": None if version is None else text_of(version),
            "seconds": time.time() - begin,
        }
    print("\n@probe " + json.dumps(answer))
    sys.stdout.flush()


main(sys.argv[1])
