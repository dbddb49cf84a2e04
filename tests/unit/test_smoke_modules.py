from __future__ import annotations

import pytest

from smoke.content import SITE
from smoke.modules import top_level_modules
from smoke.subject import Content, Member


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        pytest.param(["a/__init__.py", "a/b.py"], ("a",), id="package"),
        pytest.param(["a.py"], ("a",), id="module"),
        pytest.param(["a.cpython-311-x86_64-linux-gnu.so"], ("a",), id="extension"),
        pytest.param(["a/__init__.cpython-311-x86_64-linux-gnu.so"], ("a",), id="compiled package"),
        pytest.param(["ns/a/__init__.py", "ns/b.py"], ("ns.a", "ns.b"), id="namespace"),
        pytest.param(["a/__init__.py", "_a.abi3.so"], ("a",), id="private left out"),
        pytest.param(["_a.abi3.so"], ("_a",), id="private when nothing else"),
        pytest.param(["a/__init__.py", "tests/__init__.py", "tests/t.py"], ("a",), id="tests"),
        pytest.param(["a/__init__.py", "docs/conf.py", "examples/e.py"], ("a",), id="extras"),
        pytest.param(["a/__init__.py", "a.libs/libz.so.1"], ("a",), id="grafted libraries"),
        pytest.param(["a-1.dist-info/METADATA", "a.pth", "a/data.txt"], (), id="nothing"),
        pytest.param(["tests/t.py"], (), id="only tests"),
    ],
)
def test_modules_are_guessed_from_names(names: list[str], expected: tuple[str, ...]) -> None:
    members = tuple(Member(name, f"{SITE}/{name}", 1, "") for name in names)

    assert top_level_modules(Content(members)) == expected


def test_scripts_are_no_modules() -> None:
    assert (
        top_level_modules(Content((Member("a-1.data/scripts/run.py", "bin/run.py", 1, ""),))) == ()
    )
