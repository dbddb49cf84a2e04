# Python 2.7 has no annotations.
# mypy: ignore-errors
"""Say in JSON what this interpreter is and which distributions it sees. Runs on CPython 2.7 and 3.5+.

The answer is the one line on stdout that begins with `@probe `.
"""

from __future__ import print_function

import io
import json
import os
import platform
import sys
import sysconfig
from email.parser import Parser


def full_version(info):
    version = "%d.%d.%d" % (info[0], info[1], info[2])
    return version if info[3] == "final" else version + info[3][0] + str(info[4])


def markers():
    implementation = getattr(sys, "implementation", None)
    return {
        "implementation_name": implementation.name if implementation else "cpython",
        "implementation_version": full_version(
            implementation.version if implementation else sys.version_info
        ),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": platform.release(),
        "platform_system": platform.system(),
        "platform_version": platform.version(),
        "python_full_version": platform.python_version(),
        "python_version": "%d.%d" % sys.version_info[:2],
        "sys_platform": "linux" if sys.platform.startswith("linux") else sys.platform,
    }


def distribution(folder, name):
    metadata = os.path.join(folder, name, "METADATA")
    if not os.path.isfile(metadata):
        return None
    with io.open(metadata, encoding="utf-8") as stream:
        text = stream.read()
    headers = Parser().parsestr(text if sys.version_info[0] > 2 else text.encode("utf-8"), True)
    return {
        "name": headers["Name"],
        "version": headers["Version"],
        "folder": folder,
        "requires": headers.get_all("Requires-Dist") or [],
    }


def distributions():
    found = []
    for folder in sys.path:
        if os.path.isdir(folder):
            for name in sorted(os.listdir(folder)):
                if name.endswith(".dist-info"):
                    found.append(distribution(folder, name))
    return [one for one in found if one]


def main():
    answer = {
        "version": list(sys.version_info[:3]),
        "prefix": sys.prefix,
        "base_prefix": getattr(sys, "base_prefix", getattr(sys, "real_prefix", sys.prefix)),
        "site": sysconfig.get_paths()["platlib"],
        "markers": markers(),
        "distributions": distributions(),
    }
    print("@probe " + json.dumps(answer))


main()
