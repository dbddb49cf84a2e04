"""The wheel of `sample`: one plain C-API extension, linked to an installed libsample.

SAMPLE_CORE is the folder that libsample was installed to (it has `include/` and `lib/`);
SAMPLE_VERSION is the version of the wheel.
"""

import os

from setuptools import Extension, setup

HERE = os.path.dirname(os.path.abspath(__file__))


def core():
    folder = os.environ.get("SAMPLE_CORE", "")
    if not os.path.isfile(os.path.join(folder, "include", "sample", "sample.hpp")):
        raise SystemExit(
            "SAMPLE_CORE must name the folder that libsample was installed to, not %r" % folder
        )
    return folder


def version():
    given = os.environ.get("SAMPLE_VERSION")
    if given:
        return given
    with open(os.path.join(HERE, os.pardir, "version.txt"), encoding="ascii") as file:
        return file.read().strip()


setup(
    name="builder-sample",
    version=version(),
    description="A small library with the features that make packaging hard",
    license="Apache-2.0",
    python_requires=">=3.7",
    packages=["sample"],
    package_data={"sample": ["*.pyi", "py.typed"]},
    zip_safe=False,
    ext_modules=[
        Extension(
            "sample._native",
            ["sample/_native.cpp"],
            language="c++",
            include_dirs=[os.path.join(core(), "include")],
            library_dirs=[os.path.join(core(), "lib")],
            libraries=["sample"],
            define_macros=[("SAMPLE_VERSION_TEXT", '"%s"' % version())],
            extra_compile_args=["-std=c++14", "-g0", "-Wextra"],
        )
    ],
)
