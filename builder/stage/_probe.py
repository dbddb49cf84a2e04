"""Say what one CPython is, in a line of JSON; run as text with `-E -s -S -c` by 2.7 and 3.2 on."""
# ruff: noqa: E402, C405, UP036, PLR2004, PTH118, T201 - old Pythons run this, and it answers by printing

import sys

sys.path = [path for path in sys.path if path]  # with `-c`, the current folder is first

import hashlib
import json
import os
import platform
import sysconfig

# What decides how an extension is compiled and linked, and with which ABI. No folders among them.
NAMES = (
    "AR ARFLAGS BASECFLAGS BLDSHARED CC CCSHARED CFLAGS CONFIGURE_CFLAGS CPPFLAGS CXX EXT_SUFFIX "
    "HOST_GNU_TYPE LDCXXSHARED LDFLAGS LDSHARED LINKFORSHARED MULTIARCH OPT PY_CFLAGS "
    "PY_CORE_CFLAGS PY_LDFLAGS Py_DEBUG Py_ENABLE_SHARED Py_GIL_DISABLED Py_TRACE_REFS "
    "Py_UNICODE_SIZE SHLIB_SUFFIX SIZEOF_LONG SIZEOF_SIZE_T SIZEOF_VOID_P SIZEOF_WCHAR_T SO SOABI "
    "WITH_PYMALLOC"
)

variables = sysconfig.get_config_vars()
text = json.dumps([[name, str(variables.get(name))] for name in NAMES.split()])
prefixes = set([sys.prefix, sys.exec_prefix, getattr(sys, "base_prefix", sys.prefix)])
prefixes.update([os.path.realpath(sys.prefix), str(variables.get("prefix") or sys.prefix)])
for prefix in sorted(prefixes, key=len, reverse=True):
    if len(prefix) > 1:
        text = text.replace(json.dumps(prefix)[1:-1], "{prefix}")

flags = getattr(sys, "abiflags", "")
if sys.version_info[0] == 2:
    flags = "mu" if sys.maxunicode > 0xFFFF else "m"

facts = {
    "implementation": platform.python_implementation(),
    "version": platform.python_version(),
    "major": sys.version_info[0],
    "minor": sys.version_info[1],
    "abiflags": flags,
    "suffix": variables.get("EXT_SUFFIX") or variables.get("SO") or "",
    "build": hashlib.sha256(text.encode("utf-8")).hexdigest(),
    "headers": os.path.join(sysconfig.get_path("include") or "", "Python.h"),
}
print("builder-probe " + json.dumps(facts, sort_keys=True))
