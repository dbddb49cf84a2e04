from __future__ import annotations

from typing import Any

import pytest
from builder_conda.recipes.unhashed import Script, scripts_of, unhashed

ADVICE = "which does not enter the hash: add `variant: {use_keys: [cuda]}` to `build`"


@pytest.mark.parametrize(
    ("line", "reads"),
    [
        ("cmake -DCUDA=$cuda .", True),
        ('cmake "-DCUDA=${cuda}" .', True),
        ("cmake -DCUDA=${cuda:-cpu} .", True),
        ("cmake -DCUDA=%cuda% .", True),
        ("cmake $env:cuda", True),
        ("python -c 'import os; print(os.environ[\"cuda\"])'", True),
        ("python -c 'import os; print(os.environ.get(\"cuda\"))'", True),
        ("python -c 'import os; print(os.getenv(\"cuda\"))'", True),
        ("cmake -DCUDA=$cudatoolkit .", False),
        ("cmake -DCUDA=$CUDA .", False),
        ("echo cuda", False),
        ("# uses $cuda", False),
        ("REM uses %cuda%", False),
    ],
)
def test_how_a_key_is_read(line: str, reads: bool) -> None:
    found = unhashed([Script("build.sh", f"set -e\n{line}\n")], ["cuda"], {})

    assert found == ((f"build.sh, line 2: reads `cuda`, {ADVICE}",) if reads else ())


@pytest.mark.parametrize(
    "line", ["cuda=12", "export cuda=12", "local cuda=1", "for cuda in 1 2; do", "read cuda"]
)
def test_a_variable_of_the_script_itself_is_no_key(line: str) -> None:
    assert unhashed([Script("build.sh", f"{line}\necho $cuda\n")], ["cuda"], {}) == ()


def test_a_default_for_the_key_still_reads_it() -> None:
    [found] = unhashed([Script("build.sh", "cuda=${cuda:-cpu}\n")], ["cuda"], {})

    assert found.startswith("build.sh, line 1")


def test_a_hashed_key_may_be_read() -> None:
    assert unhashed([Script("build.sh", "echo $cuda")], ["cuda", "python"], {"cuda": "cpu"}) == ()


@pytest.mark.parametrize(
    ("build", "beside", "expected"),
    [
        pytest.param({"script": ["a", "b"]}, {}, [Script("build.script", "a\nb")], id="list"),
        pytest.param({"script": "a"}, {}, [Script("build.script", "a")], id="text"),
        pytest.param({"script": {"content": ["a"]}}, {}, [Script("build.script", "a")], id="content"),
        pytest.param({"script": {"file": "x.sh"}}, {"x.sh": "t"}, [Script("x.sh", "t")], id="file"),
        pytest.param({"script": {"file": "x"}}, {"x.sh": "t"}, [Script("x.sh", "t")], id="file without ending"),
        pytest.param({"script": "x.sh"}, {"x.sh": "t"}, [Script("x.sh", "t")], id="name of a file"),
        pytest.param({}, {"build.sh": "t", "other.sh": "u"}, [Script("build.sh", "t")], id="the usual one"),
        pytest.param({}, {}, [], id="none"),
    ],
)  # fmt: skip
def test_where_the_script_of_an_output_is(
    build: dict[str, Any], beside: dict[str, str], expected: list[Script]
) -> None:
    assert list(scripts_of({"build": build}, beside)) == expected
