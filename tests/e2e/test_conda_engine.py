"""A project's own recipe becomes packages: built, judged, tested, delivered, and the same every time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from builder_conda.recipes.rattler import Rattler
from builder_conda.recipes.render import Order, render

from builder.archive.conda_package import CondaPackage
from builder.archive.conda_write import write_conda
from builder.channel import channel as channels
from builder.channel.judge import judge, standard
from builder.channel.question import Question
from builder.channel.shelf import Shelf
from builder.channel.solve import Client
from builder.channel.verify import verify
from builder.cli.surroundings import this_machine
from builder.process import Processes
from tests.e2e.conda_channel import LEAN, interpreters, make_channel, reason
from tests.e2e.conftest import HOST, Builder, Ran

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the recipes call gcc for ELF"),
]

REAL = find_spec("conda_build") is not None or shutil.which("conda-build") is not None
OTHER = next((version for version in interpreters() if version != HOST), "")

LIBRARY = """
#include "widget.h"
static const char where[] = WIDGET_PREFIX "/share/widget";
int widget_answer(void) { return 42; }
const char *widget_share(void) { return where; }
"""
MODULE = """
#include <Python.h>
#include <widget.h>
static PyObject *answer(PyObject *self, PyObject *a) { return PyLong_FromLong(widget_answer()); }
static PyObject *share(PyObject *self, PyObject *a) { return PyUnicode_FromString(widget_share()); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, 0}, {"share", share, METH_NOARGS, 0}, {0}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "widget", "", -1, methods};
PyMODINIT_FUNC PyInit_widget(void) { return PyModule_Create(&module); }
"""
RECIPE = """
recipe:
  name: widget
  version: "1.2.0"
source:
  path: src
outputs:
  - package:
      name: libwidget
    build:
      script:
        - mkdir -p $PREFIX/lib/pkgconfig $PREFIX/include
        - name="-Wl,-soname,libwidget.so.1 -o $PREFIX/lib/libwidget.so.1"
        - gcc -O2 -shared -fPIC -DWIDGET_PREFIX="\\"$PREFIX\\"" $name widget.c
        - ln -s libwidget.so.1 $PREFIX/lib/libwidget.so
        - cp widget.h $PREFIX/include/
        - echo "prefix=$PREFIX" > $PREFIX/lib/pkgconfig/widget.pc
    requirements:
      run_exports:
        - ${{ pin_subpackage("libwidget", upper_bound="x.x") }}
    tests:
      - package_contents:
          lib: [widget]
  - package:
      name: widget
    build:
      script:
        - site=$($PYTHON -c "import sysconfig; print(sysconfig.get_path('platlib'))")
        - suffix=$($PYTHON -c "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))")
        - include=$($PYTHON -c "import sysconfig; print(sysconfig.get_path('include'))")
        - mkdir -p $site
        - library="-L$PREFIX/lib -lwidget -Wl,-rpath,$PREFIX/lib"
        - gcc -O2 -shared -fPIC -I$include -I$PREFIX/include -o $site/widget$suffix pywidget.c $library
    requirements:
      host: [python, libwidget]
      run: [python]
    tests:
      - script:
          - python -c "import widget; assert widget.answer() == 42"
about:
  license: MIT
  summary: An answer
"""


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel with the interpreters at hand."""
    folder = tmp_path_factory.mktemp("offline")
    return make_channel(folder / "channel", folder, [HOST, *filter(None, [OTHER])], LEAN)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A C library and an extension that uses it."""
    source = tmp_path / "widget" / "src"
    source.mkdir(parents=True)
    (source / "widget.c").write_text(LIBRARY)
    (source / "widget.h").write_text("int widget_answer(void);\nconst char *widget_share(void);\n")
    (source / "pywidget.c").write_text(MODULE)
    (source.parent / "recipe.yaml").write_text(RECIPE)
    return source.parent


def solve(fresh: Builder, *words: str) -> Ran:
    """`builder channel solve`."""
    process = subprocess.run(
        [sys.executable, "-m", "builder", "channel", "solve", *words],
        cwd=fresh.folder, env=fresh.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Ran(process.returncode, process.stdout, process.stderr)


def create(fresh: Builder, channel: Path, *specs: str, prefix: Path) -> list[dict[str, Any]]:
    """What an independent client installs from our channel."""
    ran = solve(
        fresh,
        str(fresh.output),
        *specs,
        "--channel",
        str(channel),
        "--create",
        str(prefix),
        "--json",
    )
    assert ran.code == 0, ran.err
    rows: list[dict[str, Any]] = ran.document["chosen"]
    return rows


@pytest.mark.skipif(bool(reason()) or not OTHER, reason=reason() or "there is one interpreter only")
def test_two_outputs_for_two_pythons_from_one_recipe(
    project: Path, channel: Path, fresh: Builder, tmp_path: Path
) -> None:
    words = (str(project), "--type", "conda", "--channel", str(channel))

    ran = fresh.build(*words, "--python", f"{HOST},{OTHER}", "--json")

    assert ran.code == 0, ran.err
    rows = {(row["name"], row["variant"].get("python")): row for row in ran.document["artifacts"]}
    assert sorted(rows, key=str) == sorted(
        [("libwidget", None), ("widget", f"{HOST}.*"), ("widget", f"{OTHER}.*")], key=str
    )
    assert [row["tests"] for (name, _), row in rows.items() if name == "widget"] == [1, 1]
    assert verify(fresh.output) == (3, ())

    prefix = tmp_path / ("long" * 60)[: 230 - len(str(tmp_path))]
    for version in (HOST, OTHER):
        made = create(fresh, channel, "widget", f"python={version}", prefix=prefix / version)
        assert {"libwidget", "widget", "python", "python_abi"} == {row["name"] for row in made}
        said = subprocess.run(
            [prefix / version / "bin" / "python", "-c", "import widget; print(widget.answer(), widget.share())"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert said.stdout == f"42 {prefix / version}/share/widget\n"
    assert len(str(prefix)) > 200

    first = {row["name"]: row["sha256"] for row in rows.values() if f"{OTHER}.*" not in str(row)}
    again = fresh.build(*words, "--python", HOST, "--no-check", "--json")
    assert {row["name"]: row["sha256"] for row in again.document["artifacts"]} == first


def shell(name: str, *lines: str, more: str = "") -> str:
    """An output that a shell script makes."""
    script = "".join(f"        - {line}\n" for line in ("mkdir -p $PREFIX/lib", *lines))
    return f"  - package:\n      name: {name}\n    build:\n      script:\n{script}{more}"


BROKEN = "recipe:\n  name: many\n  version: '1'\noutputs:\n" + "".join([
    shell("good", "echo 1 > $PREFIX/lib/good"),
    shell("untrue", "echo 1 > $PREFIX/lib/untrue",
          more="    tests:\n      - script:\n          - echo the sky is green\n          - exit 3\n"),
    shell("needy", "echo 1 > $PREFIX/lib/needy", more="    requirements:\n      host: [untrue]\n"),
    shell("wrong", "echo no such luck", "exit 4"),
    shell("killed", "kill -9 $PPID"),
    shell("stray", "echo 'int stray(void) { return 1; }' > s.c",
          "echo 'int stray(void); int f(void) { return stray(); }' > f.c",
          "gcc -shared -fPIC -Wl,-soname,libstray.so.7 -o libstray.so s.c",
          "gcc -shared -fPIC -o $PREFIX/lib/libf.so f.c -L. -lstray"),
    shell("split", "printf '\\177ELFold_placehold_pla' > $PREFIX/lib/split.so"),
])  # fmt: skip


def test_what_fails_is_told_with_its_last_lines_and_the_others_are_made(
    tmp_path: Path, fresh: Builder
) -> None:
    (tmp_path / "many").mkdir()
    (tmp_path / "many" / "recipe.yaml").write_text(BROKEN)

    ran = fresh.build("./many", "--type", "conda", "--json")

    assert ran.code == 1
    assert [row["name"] for row in ran.document["artifacts"]] == ["good"]
    failures = {row["target"].partition("-")[0]: row for row in ran.document["failures"]}
    assert {name: row["stage"] for name, row in failures.items()} == {
        "untrue": "test", "needy": "build", "wrong": "build", "killed": "build", "stray": "package", "split": "package",
    }  # fmt: skip
    assert "the sky is green" in failures["untrue"]["error"]
    assert "which failed" in failures["needy"]["error"]
    assert "no such luck" in failures["wrong"]["error"]
    assert "SIGKILL" in failures["killed"]["error"]
    assert "needs libstray.so.7, which neither" in failures["stray"]["error"]
    assert "holds the build prefix in pieces" in failures["split"]["error"]

    command = failures["wrong"]["hint"].split("`")[1].split()
    assert command[:4] == ["builder", "build", "./many", "--type"]
    entered = fresh.build(*command[2:])
    assert entered.code == 0, entered.err
    asked = entered.out.replace("--rcfile build_env.sh -i", "-c '. build_env.sh; echo $PKG_NAME'")
    inside = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, check=True)
    assert inside.stdout == "wrong\n"


VARIANTS = """
recipe: {name: acc, version: '1'}
outputs:
  - package:
      name: acc
    build:
      script:
        - echo $cuda > $PREFIX/acc
      USE
    requirements:
      host: [python, numpy]
"""
CONFIG = """
python: [3.10.* *_cpython, 3.11.* *_cpython, 3.12.* *_cpython]
numpy: ["1.26", "2.0", "2.1"]
cuda:
  - cpu
  - "12.8"  # [linux]
  - "11.0"  # [win]
zip_keys:
  - [python, numpy]
"""


def test_zipped_keys_and_selectors_make_the_matrix(tmp_path: Path, fresh: Builder) -> None:
    folder = tmp_path / "acc"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(VARIANTS.replace("USE", "variant: {use_keys: [cuda]}"))
    (folder / "conda_build_config.yaml").write_text(CONFIG)

    ran = fresh.build("./acc", "--type", "conda", "--python", "3.11,3.12", "--dry-run", "--json")

    assert ran.code == 0, ran.err
    assert sorted(row["note"] for row in ran.document["stages"]) == [
        f"cuda {cuda}, numpy {numpy}, python {python}.* *_cpython, target_platform linux-64"
        for cuda in ("12.8", "cpu")
        for numpy, python in (("2.0", "3.11"), ("2.1", "3.12"))
    ]
    assert len({row["targets"][0] for row in ran.document["stages"]}) == 4


def test_all_variants_are_rendered_by_one_process(tmp_path: Path) -> None:
    folder, calls = tmp_path / "acc", tmp_path / "calls"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(VARIANTS.replace("USE", "variant: {use_keys: [cuda]}"))
    (folder / "conda_build_config.yaml").write_text(CONFIG)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho >> "{calls}"\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    rattler = Rattler(replace(this_machine({}), python=python), Processes(), tmp_path / "cache")

    variants, outputs = render(Order(folder, tmp_path / "out", tmp_path / "store"), rattler)

    assert len(outputs) == len(variants.values["cuda"]) * len(variants.values["python"])
    assert calls.read_text() == "\n"


def test_zipped_keys_of_unequal_length_are_told_in_our_words(
    tmp_path: Path, fresh: Builder
) -> None:
    folder = tmp_path / "acc"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(VARIANTS.replace("USE", "variant: {use_keys: [cuda]}"))
    (folder / "variants.yaml").write_text(
        "python: ['3.11.*', '3.12.*']\ncuda: [cpu]\nzip_keys:\n  - [python, cuda]\n"
    )

    ran = fresh.build("./acc", "--type", "conda", "--dry-run")

    assert ran.code == 2
    assert "zipped keys need one value each: python has 2, cuda has 1" in ran.err


def test_a_key_that_only_a_script_reads_is_an_error(tmp_path: Path, fresh: Builder) -> None:
    folder = tmp_path / "acc"
    folder.mkdir()
    (folder / "recipe.yaml").write_text(VARIANTS.replace("USE", ""))
    (folder / "conda_build_config.yaml").write_text(CONFIG)

    ran = fresh.build("./acc", "--type", "conda", "--dry-run")

    assert ran.code == 2
    assert "acc: build.script, line 1: reads `cuda`" in ran.err
    assert "use_keys: [cuda]" in ran.err


def test_an_old_recipe_needs_the_other_engine(tmp_path: Path, fresh: Builder) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "meta.yaml").write_text("{% set name = 'old' %}\n")

    ran = fresh.build("./old", "--type", "conda")

    assert ran.code == 2
    assert "is read by conda-build alone" in ran.err
    assert "--engine conda-build" in ran.err


def test_what_rattler_build_refuses_is_told_in_its_words(tmp_path: Path, fresh: Builder) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "recipe.yaml").write_text(
        dedent("""
            package: {name: bad, version: '1'}
            build: {scrip: [true]}
        """)
    )

    ran = fresh.build("./bad", "--type", "conda")

    assert ran.code == 2
    assert "unknown field 'scrip'" in ran.err


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two packages for CPU and CUDA: `right` is made as it should be, `wrong` gives GPUs the CPU build, as once."""
    folder = tmp_path_factory.mktemp("pairs") / "channel"
    channels.create(folder, ("linux-64",))
    made = []
    for name, number in (("right", 1), ("wrong", 0)):
        cpu = CondaPackage(name, "1.0", f"cpu_{1 - number}", "linux-64", 1 - number)
        cuda = CondaPackage(
            name, "1.0", f"cuda128_{number}", "linux-64", number, depends=("__cuda >=12",)
        )
        made += [
            write_conda(folder.parent, row, (), epoch=0, profile="fast") for row in (cpu, cuda)
        ]
    channels.add(folder, made)
    return folder


def test_what_a_user_gets(pairs: Path, tmp_path: Path) -> None:
    bare = Question(("right",))
    gpu = replace(bare, cuda="12.8")
    asked = (
        (bare, "cpu_0"),
        (gpu, "cuda128_1"),
        (replace(gpu, specs=("right=*=cpu*",)), "cpu_0"),
        (replace(gpu, cuda="11.8"), "cpu_0"),
        (replace(gpu, installed=("right=*=cpu*",)), "cuda128_1"),
        (replace(gpu, specs=("wrong",), installed=("right=*=cpu*",)), "cpu_0"),
    )
    client = Client([str(pairs)], this_machine(), Processes(), tmp_path)

    answers = client.solve([question for question, _ in asked])

    found = [answer.of("right") for answer in answers]
    assert [choice and choice.build for choice in found] == [build for _, build in asked]


def test_what_nothing_fits_is_told_by_its_cause(pairs: Path, fresh: Builder) -> None:
    ran = solve(fresh, str(pairs), "right=*=cuda*")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "error: `install right=*=cuda*` on linux-64 without a GPU: nothing fits",
        "  __cuda >=12, for which no candidates were found",
    ]


def test_the_judge_catches_the_package_that_gives_gpus_the_cpu_build(
    pairs: Path, tmp_path: Path
) -> None:
    client = Client([str(pairs)], this_machine(), Processes(), tmp_path)
    entries = tuple(Shelf.load(pairs / "linux-64").entries.values())

    right = judge(standard("right", entries, "linux-64", ("12.8",)), client)
    wrong = judge(standard("wrong", entries, "linux-64", ("12.8",)), client)

    assert [verdict.problem for verdict in right] == ["", "", ""]
    asked = "`install wrong` on linux-64 with CUDA 12.8"
    reason = "`wrong 1.0 cuda128_0` has build number 0, and `wrong 1.0 cpu_1` 1: a solver takes the highest"
    assert [verdict.problem for verdict in wrong] == [
        "",
        f"{asked}: expected a build `*cuda*`, got `wrong 1.0 cpu_1`: {reason}",
        "",
    ]


CONDA_BUILD = f"""#!{sys.executable}
import sys
import time
from pathlib import Path
from builder.archive.conda_package import CondaPackage
from builder.archive.conda_write import write_conda

output = Path(sys.argv[sys.argv.index("--output-folder") + 1])
print("asked", *sys.argv[1:2])
if "--no-test" not in sys.argv:
    sys.exit("the tests of the recipe fail")
write_conda(output / "noarch", CondaPackage("old", "1", "0", "noarch", noarch="generic"), (), epoch=5)
"""


@pytest.fixture
def other(tmp_path: Path, fresh: Builder) -> Builder:
    """A machine with a program `conda-build`, and a recipe that only it reads."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "meta.yaml").write_text("{% set name = 'old' %}\n")
    program = tmp_path / "bin" / "conda-build"
    program.parent.mkdir()
    program.write_text(CONDA_BUILD)
    program.chmod(0o755)
    return replace(fresh, variables={"PATH": f"{program.parent}:{os.environ['PATH']}"})


@pytest.mark.skipif(REAL, reason="the real conda-build comes first")
def test_packages_of_the_other_engine_are_delivered_in_our_bytes(other: Builder) -> None:
    ran = other.build("./old", "--type", "conda", "--engine", "conda-build", "--no-check", "--json")

    assert ran.code == 0, ran.err
    assert [row["name"] for row in ran.document["artifacts"]] == ["old"]
    assert verify(other.output) == (1, ())
    assert Shelf.load(other.output / "noarch").entries["old-1-0.conda"]["timestamp"] == 315532800000


@pytest.mark.skipif(REAL, reason="the real conda-build comes first")
def test_what_the_other_engine_says_last_is_told(other: Builder) -> None:
    ran = other.build("./old", "--type", "conda", "--engine", "conda-build", "--json")

    assert ran.code == 1
    assert "the tests of the recipe fail" in ran.document["failures"][0]["error"]


@pytest.mark.skipif(REAL, reason="conda-build is here")
def test_without_the_other_engine_the_error_says_how_to_get_it(
    project: Path, fresh: Builder
) -> None:
    ran = fresh.build(str(project), "--type", "conda", "--engine", "conda-build")

    assert ran.code == 1
    assert "there is no conda-build on this machine" in ran.err
    assert "conda install conda-build" in ran.err


@pytest.mark.skipif(
    not REAL, reason="there is no conda-build here: both engines cannot be compared"
)
def test_one_recipe_gives_the_same_packages_through_both_engines(
    project: Path, channel: Path, fresh: Builder, tmp_path: Path
) -> None:
    words = (str(project), "--type", "conda", "--channel", str(channel), "--python", HOST, "--json")
    both = [
        replace(fresh, output=tmp_path / engine).build(*words, "--engine", engine)
        for engine in ("rattler", "conda-build")
    ]

    assert [ran.code for ran in both] == [0, 0], both[1].err
    names = [sorted(row["name"] for row in ran.document["artifacts"]) for ran in both]
    assert names[0] == sorted(set(names[1]))


RESUMED = "recipe:\n  name: long\n  version: '1'\noutputs:\n" + "".join([
    shell("first", "echo first >> COUNT", "echo 1 > $PREFIX/lib/first",
          more="    tests:\n      - script:\n          - echo tested >> COUNT\n"),
    shell("second", "echo second >> COUNT", "test -e READY || sleep 60", "test -e READY",
          "echo 2 > $PREFIX/lib/second", more="    requirements:\n      host: [first]\n"),
])  # fmt: skip


def test_a_killed_call_goes_on_where_it_was(tmp_path: Path, fresh: Builder) -> None:
    (tmp_path / "long").mkdir()
    count, ready = tmp_path / "count", tmp_path / "ready"
    text = RESUMED.replace("COUNT", str(count)).replace("READY", str(ready))
    (tmp_path / "long" / "recipe.yaml").write_text(text)
    words = ("./long", "--type", "conda", "--json")

    killed = fresh.start(*words)
    until = time.monotonic() + 60
    while "second" not in (count.read_text() if count.exists() else ""):
        assert killed.poll() is None, killed.communicate()
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert [path.name.partition("-")[0] for path in fresh.output.glob("*/*.conda")] == ["first"]

    ready.touch()
    planned = fresh.build(*words, "--dry-run")
    again = fresh.build(*words)

    assert [row["hit"] for row in planned.document["stages"]] == [True, False]
    assert again.code == 0, again.err
    assert {row["name"]: row["hit"] for row in again.document["artifacts"]} == {
        "first": True, "second": False,
    }  # fmt: skip
    assert count.read_text().split() == ["first", "tested", "second", "second"]
    whole = fresh.build(*words)
    assert [row["hit"] for row in whole.document["artifacts"]] == [True, True]
    assert count.read_text().split() == ["first", "tested", "second", "second"]
    fresh.build(*words, "--keep")
    assert count.read_text().split().count("second") == 3


def test_what_cannot_be_delivered_is_a_failure_of_its_own(tmp_path: Path, fresh: Builder) -> None:
    (tmp_path / "two").mkdir()
    recipe = "recipe:\n  name: two\n  version: '1'\noutputs:\n"
    recipe += shell("native", "echo 1 > $PREFIX/lib/a")
    recipe += shell("any", "echo 1 > $PREFIX/lib/b").replace(
        "    build:\n", "    build:\n      noarch: generic\n"
    )
    (tmp_path / "two" / "recipe.yaml").write_text(recipe)
    (fresh.output / "noarch").mkdir(parents=True)
    (fresh.output / "linux-64").write_text("in the way")

    ran = fresh.build("./two", "--type", "conda", "--json")

    assert ran.code == 1
    (failure,) = ran.document["failures"]
    assert (failure["stage"], "cannot be written" in failure["error"]) == ("store", True)
    assert [path.name.partition("-")[0] for path in fresh.output.glob("noarch/*.conda")] == ["any"]
