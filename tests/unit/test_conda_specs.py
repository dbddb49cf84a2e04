"""Requirements and tags of Python in conda's words."""

from __future__ import annotations

import pytest
from builder_conda.names import conda_name
from builder_conda.needs import KNOWN, Needs, of_any_python, of_one_python, parse_requirements
from builder_conda.platforms import platform_of, pythons_of
from builder_conda.specs import matched, version_of
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from builder.archive.wheel_name import WheelName
from builder.config.python import Python
from builder.errors import UsageError


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("x", "x"),
        ("x>=1.2", "x >=1.2"),
        ("x<2,>=1,!=1.5", "x >=1,<2a0,!=1.5"),
        ("x<2.0rc1", "x <2.0rc1"),
        ("x<=2", "x <=2"),
        ("x~=1.4.5", "x >=1.4.5,<1.5a0"),
        ("x~=2.2", "x >=2.2,<3a0"),
        ("x~=1!2.2", "x >=1!2.2,<1!3a0"),
        ("x==1.2", "x ==1.2"),
        ("x==1.2.*", "x 1.2.*"),
        ("x!=1.*", "x !=1.*"),
        ("x===1.2", "x ==1.2"),
        ("x==2.13.0+cpu", "x ==2.13.0 *cpu*"),
        ("x==2.13.0+cu12.8", "x ==2.13.0 *cu12_8*"),
        ("x!=2.13.0+cpu", "x"),
        ("x[socks]>=1", "x >=1"),
        ("x @ https://example.org/x.whl", "x"),
    ],
)
def test_a_requirement_is_said_in_the_words_of_conda(text: str, spec: str) -> None:
    assert matched("x", Requirement(text))[0] == spec


@pytest.mark.parametrize("text", ["x[socks]", "x @ https://example.org/x.whl", "x!=2.13.0+cpu"])
def test_what_conda_cannot_say_is_told(text: str) -> None:
    assert len(matched("x", Requirement(text))[1]) == 1


@pytest.mark.parametrize("text", ["x===a-b", "x==1+a,==1+b"])
def test_a_version_that_conda_cannot_have_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="cannot be said to conda"):
        matched("x", Requirement(text))


def test_a_local_version_is_no_part_of_the_version() -> None:
    assert version_of("2.13.0+cu12.8") == ("2.13.0", "cu12_8")
    assert version_of("1!2.0.post1") == ("1!2.0.post1", "")


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("torch", "pytorch"),
        ("Typing-Extensions", "typing_extensions"),
        ("ruamel.yaml", "ruamel.yaml"),
        ("opencv_python_headless", "opencv"),
        ("MarkupSafe", "markupsafe"),
        ("own", "theirs"),
    ],
)
def test_a_name_is_that_of_the_channel(project: str, name: str) -> None:
    assert conda_name(project, {"own": "theirs"}) == name


@pytest.mark.parametrize(
    ("tag", "wanted", "subdir", "requires"),
    [
        ("manylinux_2_28_x86_64", "", "linux-64", ("__glibc >=2.28",)),
        ("manylinux2014_aarch64.manylinux_2_17_aarch64", "", "linux-aarch64", ("__glibc >=2.17",)),
        ("manylinux_2_17_x86_64.manylinux_2_28_x86_64", "", "linux-64", ("__glibc >=2.17",)),
        ("manylinux_2_34_ppc64le", "", "linux-ppc64le", ("__glibc >=2.34",)),
        ("manylinux_2_17_s390x", "", "linux-s390x", ("__glibc >=2.17",)),
        ("manylinux1_i686", "", "linux-32", ("__glibc >=2.5",)),
        ("linux_x86_64", "", "linux-64", ()),
        ("macosx_11_0_arm64", "", "osx-arm64", ("__osx >=11.0",)),
        ("macosx_10_9_x86_64", "", "osx-64", ("__osx >=10.9",)),
        ("macosx_10_9_universal2", "osx-arm64", "osx-arm64", ("__osx >=11.0",)),
        ("macosx_10_9_universal2", "osx-64", "osx-64", ("__osx >=10.9",)),
        ("win_amd64", "", "win-64", ()),
        ("win32", "", "win-32", ()),
        ("win_arm64", "", "win-arm64", ()),
        ("musllinux_1_2_x86_64.manylinux_2_17_x86_64", "", "linux-64", ("__glibc >=2.17",)),
    ],
)
def test_a_tag_says_subdir_and_floor(
    tag: str, wanted: str, subdir: str, requires: tuple[str, ...]
) -> None:
    found = platform_of(WheelName.parse(f"x-1-cp311-cp311-{tag}.whl"), wanted)
    assert (found.subdir, found.requires) == (subdir, requires)


@pytest.mark.parametrize(
    ("tag", "wanted", "fault"),
    [
        ("musllinux_1_2_x86_64", "", "no conda channel has"),
        ("manylinux_2_17_x86_64", "win-64", "does not run on win-64"),
        ("macosx_11_0_universal2", "", "runs on osx-64 and osx-arm64"),
    ],
)
def test_a_platform_that_conda_lacks_or_an_open_choice_is_an_error(
    tag: str, wanted: str, fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        platform_of(WheelName.parse(f"x-1-cp311-cp311-{tag}.whl"), wanted)


@pytest.mark.parametrize(
    ("tag", "pythons"),
    [
        ("cp311-cp311", (Python(3, 11),)),
        ("cp313-cp313t", (Python(3, 13, "t"),)),
        ("cp37-cp37m", (Python(3, 7, "m"),)),
        ("cp310.cp311-none", (Python(3, 10), Python(3, 11))),
        ("cp37-abi3", ()),
        ("py2.py3-none", ()),
    ],
)
def test_a_tag_says_the_pythons(tag: str, pythons: tuple[Python, ...]) -> None:
    assert pythons_of(WheelName.parse(f"x-1-{tag}-manylinux_2_17_x86_64.whl")) == pythons


@pytest.mark.parametrize("tag", ["pp310-pypy310_pp73", "cp27-cp27mu", "py2-none"])
def test_a_wheel_for_no_cpython_3_is_an_error(tag: str) -> None:
    with pytest.raises(UsageError, match="not for CPython 3"):
        pythons_of(WheelName.parse(f"x-1-{tag}-manylinux_2_17_x86_64.whl"))


def needs_of(*texts: str, python: str = "3.11", subdir: str = "linux-64") -> tuple[str, ...]:
    requirements = parse_requirements(texts, "x.whl")
    return of_one_python(requirements, Python.parse(python), (subdir,), {}).depends


@pytest.mark.parametrize(
    ("marker", "python", "subdir", "holds"),
    [
        ("python_version < '3.11'", "3.10", "linux-64", True),
        ("python_version < '3.11'", "3.11", "linux-64", False),
        ("python_full_version < '3.11.3'", "3.11", "linux-64", True),
        ("python_full_version >= '3.11.3'", "3.11", "linux-64", True),
        ("sys_platform == 'win32'", "3.11", "win-64", True),
        ("sys_platform == 'win32'", "3.11", "linux-64", False),
        ("platform_system == 'Darwin' and platform_machine == 'arm64'", "3.11", "osx-arm64", True),
        ("platform_machine == 'aarch64'", "3.11", "linux-aarch64", True),
        ("platform_machine == 'AMD64'", "3.11", "win-64", True),
        ("implementation_name == 'pypy'", "3.11", "linux-64", False),
        ("extra == 'dev'", "3.11", "linux-64", False),
    ],
)
def test_markers_are_evaluated_where_the_package_will_run(
    marker: str, python: str, subdir: str, holds: bool
) -> None:
    found = needs_of(f"x>=1; {marker}", python=python, subdir=subdir)
    assert found == (("x >=1",) if holds else ())


def any_python(*texts: str, allowed: str = ">=3.8", python: str = "", subdir: str = "") -> Needs:
    requirements = parse_requirements(texts, "x.whl")
    wanted = Python.parse(python) if python else None
    return of_any_python(requirements, SpecifierSet(allowed), wanted, subdir, {})


def test_what_every_python_and_system_requires_is_required() -> None:
    needs = any_python("a>=1", "b; python_version >= '3.8'", "c; python_version < '3.8'")
    assert (needs.depends, needs.virtual, needs.python) == (("a >=1", "b"), "", None)
    assert needs.notes == ()


def test_what_some_pythons_require_is_for_all_unless_one_is_chosen() -> None:
    texts = (
        "tomli>=1; python_version < '3.11'",
        "n>=1; python_version < '3.10'",
        "n>=2; python_version >= '3.10'",
    )
    needs = any_python(*texts)
    assert needs.depends == ("n", "tomli >=1")
    assert len(needs.notes) == 2
    chosen = any_python(*texts, python="3.12")
    assert (chosen.depends, chosen.python, chosen.notes) == (("n >=2",), Python(3, 12), ())


@pytest.mark.parametrize(
    ("text", "subdir", "depends", "virtual"),
    [
        ("x; sys_platform == 'win32'", "", (), "__unix"),
        ("x; sys_platform == 'win32'", "osx-64", (), "__unix"),
        ("x; sys_platform == 'win32'", "win-64", ("x",), "__win"),
        ("x; sys_platform == 'linux'", "", ("x",), "__linux"),
        ("x; sys_platform == 'linux'", "osx-arm64", (), "__osx"),
        ("x; sys_platform == 'darwin'", "win-64", (), "__win"),
    ],
)
def test_what_differs_between_systems_makes_a_package_for_one_kind(
    text: str, subdir: str, depends: tuple[str, ...], virtual: str
) -> None:
    needs = any_python(text, subdir=subdir)
    assert (needs.depends, needs.virtual, len(needs.notes)) == (depends, virtual, 1)


@pytest.mark.parametrize(
    ("allowed", "python", "subdir", "fault"),
    [
        (">=3.12", "3.11", "", "not for Python 3.11"),
        ("<3.7", "", "", "no Python that is known"),
        (">=3.8", "", "linux-65", "no subdir"),
    ],
)
def test_a_choice_that_cannot_be_is_an_error(
    allowed: str, python: str, subdir: str, fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        any_python("a", allowed=allowed, python=python, subdir=subdir)


def test_all_unreadable_requirements_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        parse_requirements(["a b c", "fine", "x>=_"], "x.whl")
    assert len(caught.value.faults) == 2


def test_the_known_pythons_are_in_order() -> None:
    assert KNOWN[0] == Python(3, 7, "m")
    assert sorted(KNOWN) == list(KNOWN)
