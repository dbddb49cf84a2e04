"""Environment checks, in a real environment that a wheel was copied into by hand."""

from __future__ import annotations

import ctypes
import shutil
import sys
import textwrap
import venv
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from builder.binary import Binary
from builder.config.recipe import Checks
from builder.process import Processes
from smoke.checks import CATALOGUE
from smoke.content import SITE, Reading, read_content
from smoke.probing import open_environment
from smoke.report import Result
from smoke.runner import run
from smoke.subject import Content, Kind, Member, Subject

METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
FILES = {
    "tiny/__init__.py": "__version__ = '1.0'\n",
    "tiny-1.0.dist-info/METADATA": METADATA,
    "tiny-1.0.dist-info/RECORD": "",
}
NEAR = {
    "near/__init__.py": "VERSION = 1\n",
    "near-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: near\nVersion: 1\n",
}
PATH = (Path("/usr/bin"), Path("/bin"))


class Lab:
    """An environment, the wheel that is said to be in it, and the checks to run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "env", symlinks=True, with_pip=False)
        self.python = folder / "env" / "bin" / "python"
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        self.below = Path("lib", version, "site-packages")
        self.site = folder / "env" / self.below
        self.scratch = folder / "scratch"

    def install(self, files: Mapping[str, str | bytes]) -> None:
        for name, text in files.items():
            file = self.site / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode() if isinstance(text, str) else text)

    def wheel(self, files: Mapping[str, str | bytes]) -> Content:
        path = self.folder / "tiny-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        return read_content(path, "wheel", Reading())

    def check(self, id_: str, checks: Checks, content: Content | None) -> Result:
        (check,) = (one for one in CATALOGUE if one.id == id_)
        installed = open_environment(self.python, PATH, self.scratch, Processes())
        path = self.folder / "tiny-1.0-py3-none-any.whl"
        kind: Kind = "wheel" if content else "environment"
        subject = Subject(path, kind, content, installed, checks=checks)
        if id_ == "env.upgraded":
            subject = replace(subject, upgrade=lambda: self.upgraded(subject))
        anywhere = replace(check, kinds=("wheel", "environment"))
        return run(subject, [anywhere], [check.needs]).results[0]

    def upgraded(self, subject: Subject, version: str = "2") -> Subject:
        """The same in a second environment, where `near` has this version."""
        root = self.folder / "later"
        if not root.exists():
            venv.create(root, symlinks=True, with_pip=False)
        shutil.rmtree(root / self.below)
        shutil.copytree(self.site, root / self.below)
        (root / self.below / "near" / "__init__.py").write_text(f"VERSION = {version}\n")
        text = NEAR["near-1.dist-info/METADATA"].replace("Version: 1", f"Version: {version}")
        (root / self.below / "near-1.dist-info" / "METADATA").write_text(text)
        python = root / "bin" / "python"
        commands = tuple(
            tuple(word.replace(str(self.python), str(python)) for word in argv)
            for argv in subject.checks.commands
        )
        installed = open_environment(python, PATH, self.scratch, Processes())
        checks = replace(subject.checks, commands=commands)
        return replace(subject, installed=installed, checks=checks)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def lab(environment: Lab) -> Lab:
    for file in sorted(environment.site.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    return environment


def test_what_was_installed_byte_for_byte_passes(lab: Lab) -> None:
    lab.install(FILES)
    content = lab.wheel(FILES)

    assert lab.check("env.install", Checks(), content).status == "pass"
    assert lab.check("env.versions", Checks(), content).status == "pass"
    assert lab.check("env.import", Checks(), content).status == "pass"
    assert lab.check("env.loaded", Checks(), content).status == "pass"


OTHER = "Name: other-name\nVersion: 1\n"
REQUIRES = METADATA + (
    "Requires-Dist: absent-one; python_version > '3'\n"
    "Requires-Dist: absent-two; extra == 'more'\n"
    "Requires-Dist: absent-three; python_version < '3'\n"
    "Requires-Dist: Other.Name (>=2)\n"
    "Requires-Dist: ==nonsense\n"
)


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        pytest.param(
            {"tiny/__init__.py": "changed\n"},
            ["tiny/__init__.py: differs from the wheel's bytes"],
            id="changed file",
        ),
        pytest.param(
            {"tiny-1.0.dist-info/METADATA": REQUIRES, "other_name-1.dist-info/METADATA": OTHER},
            [
                "tiny-1.0.dist-info/METADATA: differs from the wheel's bytes",
                "tiny: requires `absent-one; python_version > '3'`, which is not installed",
                "tiny: requires `Other.Name (>=2)`, installed is 1",
                "tiny: requires `==nonsense`, which is no requirement",
            ],
            id="requirements",
        ),
        pytest.param(
            {"tiny-1.0.dist-info/METADATA": OTHER},
            ["tiny: is not installed in"],
            id="another project",
        ),
    ],
)  # fmt: skip
def test_what_differs_from_the_wheel_is_reported(
    lab: Lab, changes: dict[str, str], problems: list[str]
) -> None:
    lab.install({**FILES, **changes})

    result = lab.check("env.install", Checks(), lab.wheel(FILES))

    assert result.status == "fail"
    assert len(result.problems) == len(problems)
    for found, expected in zip(result.problems, problems, strict=True):
        assert found.startswith(expected)


def test_an_environment_of_others_says_what_its_distributions_lack(lab: Lab) -> None:
    lab.install(FILES)
    assert lab.check("env.install", Checks(), None).status == "pass"
    lab.install({"tiny-1.0.dist-info/METADATA": REQUIRES, "other_name-1.dist-info/METADATA": OTHER})

    result = lab.check("env.install", Checks(), None)

    assert result.status == "warn"
    assert len(result.problems) == 3
    assert result.problems[1] == "tiny: requires `Other.Name (>=2)`, installed is 1"


@pytest.mark.parametrize("kind", ["wheel", "environment"])
def test_an_interpreter_that_does_not_answer_is_a_failure_of_its_environment(
    tmp_path: Path, kind: Kind
) -> None:
    installed = open_environment(tmp_path / "python", (), tmp_path / "scratch", Processes())
    subject = Subject(tmp_path, kind, Content(()) if kind == "wheel" else None, installed)

    report = run(subject, CATALOGUE, ["environment"])

    assert [row.id for row in report.failures] == ["env.install"]


def test_a_missing_file_is_reported(lab: Lab) -> None:
    lab.install(FILES)

    result = lab.check("env.install", Checks(), lab.wheel({**FILES, "tiny/lost.py": ""}))

    assert result.problems == ("tiny/lost.py: in the wheel, not installed",)


def test_another_version_is_reported(lab: Lab) -> None:
    lab.install({**FILES, "tiny-1.0.dist-info/METADATA": METADATA.replace("1.0", "1.1")})

    result = lab.check("env.versions", Checks(), lab.wheel(FILES))

    assert result.status == "fail"
    assert "version 1.1 is installed" in result.problems[0]


KILL = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
CLEAN = "import os\nif 'LD_LIBRARY_PATH' not in os.environ: raise ImportError('clean')"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        pytest.param("import nothing_here", "ModuleNotFoundError: No module", id="error"),
        pytest.param("raise SystemExit(3)", "SystemExit: 3", id="exit"),
        pytest.param("import os; os._exit(7)", "ended with exit code 7", id="hard exit"),
        pytest.param("import os; os._exit(0)", "ended without an answer", id="silent exit"),
        pytest.param(KILL, "was killed by SIGSEGV", id="crash"),
        pytest.param("import signal; signal.pause()", "did not finish within 2 s", id="hang"),
        pytest.param(
            "import atexit, os; atexit.register(os.abort)",
            "imports, then was killed by SIGABRT",
            id="crash at exit",
        ),
        pytest.param(CLEAN, "ImportError: clean", id="no search path"),
    ],
)
def test_imports_that_go_wrong_are_reported(lab: Lab, source: str, problem: str) -> None:
    lab.install({**FILES, "tiny/__init__.py": source})

    result = lab.check("env.import", Checks(imports=("tiny",), timeout=2.0), lab.wheel(FILES))

    assert result.status == "fail"
    assert len(result.problems) == 1
    assert result.problems[0].startswith(f"tiny: {problem}")


def test_an_import_that_takes_too_much_memory_is_reported(lab: Lab) -> None:
    lab.install({**FILES, "tiny/__init__.py": "taken = bytearray(300 * 1000 * 1000)"})
    content = lab.wheel(FILES)

    wide = lab.check("env.import", Checks(imports=("tiny",), memory=500_000_000), content)
    short = lab.check("env.import", Checks(imports=("tiny",), memory=200_000_000), content)

    assert wide.status == "pass"
    assert short.problems == ("tiny: needs more than 200 MB of memory: MemoryError: ",)


def test_nothing_is_installed_and_nothing_of_the_caller_gets_in(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH", "DYLD_INSERT_LIBRARIES"):
        monkeypatch.setenv(name, "/nowhere")
    source = """
        import os, sys
        allowed = {"HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "LC_CTYPE"}
        assert set(os.environ) <= allowed, sorted(os.environ)
        assert os.listdir(".") == [], os.listdir(".")
    """
    lab.install({**FILES, "tiny/__init__.py": textwrap.dedent(source)})
    before = sorted(lab.folder.joinpath("env").rglob("*"))

    checks = Checks(imports=("tiny",), neighbours=("json",))
    results = [
        lab.check(id_, checks, None) for id_ in ("env.import", "env.loaded", "env.neighbours")
    ]

    assert [(one.status, one.problems) for one in results] == [("pass", ())] * 3
    assert sorted(lab.folder.joinpath("env").rglob("*")) == before


def test_noise_of_a_module_does_not_hide_the_answer(lab: Lab) -> None:
    lab.install({**FILES, "tiny/__init__.py": "print('@noise', end='')\n"})

    assert lab.check("env.import", Checks(imports=("tiny",)), None).status == "pass"


def test_one_guessed_module_is_enough_and_all_recipe_modules_are_needed(lab: Lab) -> None:
    files = {**FILES, "plugin_for_absent_host.py": "import absent_host\n"}
    lab.install(files)
    content = lab.wheel(files)

    guessed = lab.check("env.import", Checks(), content)
    named = lab.check("env.import", Checks(imports=("tiny", "plugin_for_absent_host")), content)

    assert guessed.status == "warn"
    assert named.status == "fail"
    assert guessed.problems == named.problems


def test_no_guessed_module_that_imports_is_a_failure(lab: Lab) -> None:
    files = {"broken.py": "import absent\n"}
    lab.install(files)

    assert lab.check("env.import", Checks(), lab.wheel(files)).status == "fail"


TWICE = """
import ctypes, pathlib, sys
host, own = {host!r}, pathlib.Path(__file__).parents[1] / "tiny.libs/{own}"
libraries = [ctypes.CDLL(host), ctypes.CDLL(str(own))]
"""


def _host(name: str) -> Path:
    """A library of the host, where its loader finds it."""
    try:
        ctypes.CDLL(name)
    except OSError as error:
        pytest.skip(f"no {name} to load twice: {error}")
    lines = Path("/proc/self/maps").read_text().splitlines()
    return Path(next(line.split()[-1] for line in lines if name.partition(".")[0] in line))


@pytest.mark.parametrize(
    ("host", "own", "status"),
    [
        ("libstdc++.so.6", "libstdc++-0123abcd.so.6", "fail"),
        ("libgcc_s.so.1", "libgcc_s-0123abcd.so.1", "warn"),
    ],
    ids=["C++", "unwinding"],
)
def test_a_runtime_that_is_loaded_twice_is_reported(
    lab: Lab, host: str, own: str, status: str
) -> None:
    library = _host(host)
    files: dict[str, str | bytes] = {
        **FILES,
        "tiny/__init__.py": TWICE.format(host=str(library), own=own),
        f"tiny.libs/{own}": library.read_bytes(),
    }
    lab.install(files)

    with_wheel = lab.check("env.loaded", Checks(), lab.wheel(files))
    without = lab.check("env.loaded", Checks(imports=("tiny",)), None)

    assert with_wheel.status == status
    assert with_wheel.problems[0].startswith(f"{host.partition('.')[0]}: is loaded 2 times")
    assert without.status == "warn"


def test_a_library_of_the_wheel_that_is_taken_from_the_host_is_reported(lab: Lab) -> None:
    host = _host("libgcc_s.so.1")
    files = {
        **FILES,
        "tiny/__init__.py": f"import ctypes\nlibrary = ctypes.CDLL({str(host)!r})\n",
    }
    lab.install(files)
    content = lab.wheel(files)
    brought = Binary("elf", "x86_64", 64, "little", "shared", soname="libgcc_s.so.1")
    requirer = replace(brought, soname="", needed=("libgcc_s.so.1",))
    members = tuple(
        Member(name, f"{SITE}/{name}", 1, "", one)
        for name, one in (("tiny.libs/libgcc_s.so.1", brought), ("tiny/_x.so", requirer))
    )

    result = lab.check("env.loaded", Checks(), replace(content, members=content.members + members))

    assert result.status == "fail"
    assert result.problems[0].startswith(f"tiny/_x.so: loads `libgcc_s.so.1` from {host}")


FIRST = "import sys\nassert 'near' not in sys.modules, 'near was here first'\n"
KILLED_AFTER = "import os, sys\nif 'near' in sys.modules: os.abort()\n"
HANGS_AFTER = "import signal, sys\nif 'near' in sys.modules: signal.pause()\n"
TAKES_AFTER = "import sys\nif 'near' in sys.modules: taken = bytearray(300 * 1000 * 1000)\n"


@pytest.mark.parametrize(
    ("source", "problems"),
    [
        pytest.param("", (), id="sound"),
        pytest.param(
            FIRST,
            ("import `near` before `tiny`: tiny: AssertionError: near was here first",),
            id="only first",
        ),
        pytest.param(
            KILLED_AFTER, ("import `near` before `tiny`: was killed by SIGABRT",), id="crash"
        ),
        pytest.param(
            HANGS_AFTER, ("import `near` before `tiny`: did not finish within 3 s",), id="hang"
        ),
        pytest.param(
            TAKES_AFTER,
            ("import `near` before `tiny`: tiny: needs more than 200 MB of memory: MemoryError",),
            id="memory",
        ),
        pytest.param(
            "import atexit, os, sys\natexit.register(lambda: os._exit(7 * ('near' in sys.modules)))",
            ("import `tiny` before `near`, and `near` before `tiny`: ended with exit code 7",),
            id="at exit",
        ),
    ],
)  # fmt: skip
def test_neighbours_are_imported_before_and_after(
    lab: Lab, source: str, problems: tuple[str, ...]
) -> None:
    lab.install({**FILES, "tiny/__init__.py": source, "near.py": "value = 1\n"})
    memory = 200_000_000 if source == TAKES_AFTER else None

    checks = Checks(imports=("tiny",), neighbours=("near",), timeout=3.0, memory=memory)
    result = lab.check("env.neighbours", checks, None)

    assert result.status == ("fail" if problems else "pass")
    assert len(result.problems) == len(problems)
    for found, expected in zip(result.problems, problems, strict=True):
        assert found.startswith(expected)


def test_a_runtime_that_only_a_neighbour_brings_once_more_is_reported(lab: Lab) -> None:
    host = _host("libstdc++.so.6")
    load = "import ctypes, pathlib\nctypes.CDLL(str(pathlib.Path(__file__).parent / {!r}))\n"
    own, theirs = "tiny/libstdc++-0123abcd.so.6", "near/libstdc++-4567cdef.so.6"
    lab.install(
        {
            **FILES,
            own: host.read_bytes(),
            theirs: host.read_bytes(),
            "tiny/__init__.py": load.format(Path(own).name),
            "near/__init__.py": load.format(Path(theirs).name),
            "both/__init__.py": "import near, tiny\n",
        }
    )

    def found(neighbour: str) -> Result:
        checks = Checks(imports=("tiny",), neighbours=(neighbour,))
        return lab.check("env.neighbours", checks, None)

    assert found("json").status == "pass"
    assert found("near").status == "fail"
    (problem,) = found("near").problems
    assert problem.startswith(
        "import `tiny` before `near`, and `near` before `tiny`: libstdc++: is"
    )
    assert own in problem
    assert theirs in problem
    # What a neighbour does to itself is not between the two.
    assert found("both").status == "pass"


def test_neighbours_that_cannot_be_tried_are_named(lab: Lab) -> None:
    lab.install({**FILES, "broken.py": "import os; os._exit(9)\n"})
    content = lab.wheel(FILES)

    def found(*neighbours: str) -> Result:
        return lab.check("env.neighbours", Checks(neighbours=neighbours), content)

    assert found().reason == "the recipe names no neighbours"
    assert found("absent").status == "skip"
    assert "absent: not tried, because it does not import by itself: " in found("absent").reason
    assert found("json", "broken").status == "warn"
    (warning,) = found("json", "broken").problems
    assert warning.endswith("does not import by itself: ended with exit code 9")


def test_a_package_that_does_not_import_by_itself_has_no_neighbours(lab: Lab) -> None:
    lab.install({**FILES, "tiny/__init__.py": "import nothing_here"})

    result = lab.check("env.neighbours", Checks(neighbours=("json",)), lab.wheel(FILES))

    assert result.status == "skip"
    assert "does not import by itself" in result.reason


@pytest.mark.parametrize("id_", ["env.import", "env.loaded", "env.commands", "env.versions"])
def test_nothing_to_do_is_skipped_with_a_reason(lab: Lab, id_: str) -> None:
    result = lab.check(id_, Checks(), None)

    assert result.status == "skip"
    assert result.reason


NEUTRAL = 'test $PWD = $HOME && test -z "$PYTHONPATH$LD_LIBRARY_PATH"'


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (("true",), ""),
        (("sh", "-c", NEUTRAL), ""),
        (("sh", "-c", "echo one; echo two; exit 3"), "exit code 3: two (before that: one)"),
        (("no-such-program",), "there is no `no-such-program` on its PATH"),
    ],
    ids=["pass", "clean", "fail", "absent"],
)
def test_commands_of_the_recipe(lab: Lab, argv: tuple[str, ...], problem: str) -> None:
    result = lab.check("env.commands", Checks(commands=(argv,)), None)

    assert result.status == ("fail" if problem else "pass")
    assert problem in "".join(result.problems)


def test_an_interpreter_that_does_not_answer_fails_once_and_skips_the_rest(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no module named encodings >&2\nexit 1\n")
    python.chmod(0o755)
    installed = open_environment(python, (Path("/bin"),), tmp_path / "scratch", Processes())
    subject = Subject(tmp_path / "tiny-1.0-py3-none-any.whl", "wheel", Content(()), installed)

    report = run(subject, CATALOGUE, ["environment"])

    statuses = {result.id: result.status for result in report.results}
    assert statuses.pop("env.install") == "fail"
    assert set(statuses.values()) == {"skip"}
    assert "no module named encodings" in report.failures[0].problems[0]


def test_an_interpreter_that_is_not_there_is_told(tmp_path: Path) -> None:
    installed = open_environment(tmp_path / "python", (), tmp_path / "scratch", Processes())

    assert installed.facts is None
    assert "could not be started" in installed.fault


ALONE = "import sys\nassert 'tiny' not in sys.modules, 'tiny was here before'\n"
SAMPLES: Mapping[str, tuple[dict[str, str | bytes], Checks]] = {
    "env.install": ({"tiny/__init__.py": "changed\n"}, Checks()),
    "env.versions": (
        {"tiny-1.0.dist-info/METADATA": METADATA.replace("1.0", "1.1")},
        Checks(),
    ),
    "env.import": ({"tiny/__init__.py": "import nothing_here\n"}, Checks(imports=("tiny",))),
    "env.loaded": ({"tiny/__init__.py": TWICE}, Checks()),
    "env.commands": ({"tiny/works.py": "raise SystemExit(3)\n"}, Checks()),
    "env.neighbours": (
        {"near/__init__.py": ALONE},
        Checks(imports=("tiny",), neighbours=("near",)),
    ),
    "env.upgraded": (
        {"tiny/__init__.py": "import near\nassert near.VERSION == 1\n"},
        Checks(imports=("tiny",), upgrades=("near",)),
    ),
}
"""What breaks each check, and nothing else about the wheel; and what the recipe asks for."""


def test_every_check_in_an_environment_has_a_sample() -> None:
    assert set(SAMPLES) == {one.id for one in CATALOGUE if one.needs == "environment"}


@pytest.mark.parametrize("id_", SAMPLES)
def test_a_sound_environment_passes_and_a_broken_one_does_not(lab: Lab, id_: str) -> None:
    changes, checks = SAMPLES[id_]
    run_it = ((str(lab.python), "-c", "import tiny.works"),)
    checks = replace(checks, commands=run_it if id_ == "env.commands" else ())
    sound: dict[str, str | bytes] = {**FILES, "tiny/works.py": ""}
    if id_ == "env.loaded":
        library = _host("libstdc++.so.6")
        own = "libstdc++-0123abcd.so.6"
        text = TWICE.format(host=str(library), own=own)
        sound[f"tiny.libs/{own}"] = library.read_bytes()
        changes = {"tiny/__init__.py": text}
    lab.install({**NEAR, **sound})
    good = lab.check(id_, checks, lab.wheel(sound))
    broken = sound if id_ in {"env.install", "env.versions"} else {**sound, **changes}
    lab.install(changes)
    bad = lab.check(id_, checks, lab.wheel(broken))

    assert (good.status, good.problems) == ("pass", ())
    assert bad.status == "fail"
    assert bad.problems
