from __future__ import annotations

import ast

import pytest

from builder.errors import BuilderError
from builder.relink.init_patch import is_namespace, patched

MARK = "# begin: folders with the DLLs of this wheel (builder)"


def patch(text: str) -> str:
    """The module with the lines of the patch as `<patch>`."""
    new = patched(text.encode(), "p/__init__.py", ("p.libs",)).decode()
    ast.parse(new)
    begin, end = new.index(MARK), new.index("(builder)", new.index("# end:")) + len("(builder)\n")
    assert "_add_dll_folders()" in new[begin:end]
    return f"{new[:begin]}<patch>\n{new[end:]}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("", "<patch>\n", id="empty"),
        pytest.param("import x\n", "<patch>\n\nimport x\n", id="no head"),
        pytest.param('"""Doc."""\n', '"""Doc."""\n\n<patch>\n', id="docstring alone"),
        pytest.param('"""Doc."""', '"""Doc."""\n\n<patch>\n', id="no newline at the end"),
        pytest.param(
            '"""Doc.\n\nMore.\n"""\nimport x\n',
            '"""Doc.\n\nMore.\n"""\n\n<patch>\n\nimport x\n',
            id="docstring",
        ),
        pytest.param(
            "r'a' 'b'  # why\nimport x\n", "r'a' 'b'  # why\n\n<patch>\n\nimport x\n", id="two parts"
        ),
        pytest.param(
            '"""D."""\n# c\nfrom __future__ import (\n    annotations,  # d\n)\nimport x\n',
            '"""D."""\n# c\nfrom __future__ import (\n    annotations,  # d\n)\n\n<patch>\n\nimport x\n',
            id="future",
        ),
        pytest.param(
            "from __future__ import annotations\nfrom __future__ import division\nx = 1\n",
            "from __future__ import annotations\nfrom __future__ import division\n"
            "\n<patch>\n\nx = 1\n",
            id="two futures",
        ),
        pytest.param(
            '"""D."""; from __future__ import annotations; import x\n',
            '"""D."""; from __future__ import annotations\n\n<patch>\n\nimport x\n',
            id="all on one line",
        ),
        pytest.param(
            "#!/usr/bin/python\n# coding: utf-8\n# (c)\n\nimport x\n",
            "#!/usr/bin/python\n# coding: utf-8\n# (c)\n\n<patch>\n\n\nimport x\n",
            id="first comments",
        ),
        pytest.param("'a'.join(x)\n", "<patch>\n\n'a'.join(x)\n", id="no docstring, a call"),
        pytest.param("b'a'\nx = 1\n", "<patch>\n\nb'a'\nx = 1\n", id="no docstring, bytes"),
        pytest.param("f'a'\nx = 1\n", "<patch>\n\nf'a'\nx = 1\n", id="no docstring, formatted"),
        pytest.param(
            "from os import path\n'no docstring'\n",
            "<patch>\n\nfrom os import path\n'no docstring'\n",
            id="text that comes later",
        ),
        pytest.param("if 1:\n  x = 1\n", "<patch>\n\nif 1:\n  x = 1\n", id="block"),
        pytest.param(
            '"""D."""\nx = "\x0c\u2028"\n',
            '"""D."""\n\n<patch>\n\nx = "\x0c\u2028"\n',
            id="odd spaces",
        ),
    ],
)  # fmt: skip
def test_the_lines_come_before_anything_that_can_load(before: str, after: str) -> None:
    assert patch(before) == after


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_newlines_are_those_of_the_file(newline: str) -> None:
    text = f'"""Doc."""{newline}import x{newline}'

    new = patched(text.encode(), "p/__init__.py", ("p.libs",)).decode()

    assert new.replace(newline, "").count("\n") == new.replace(newline, "").count("\r") == 0
    assert new.endswith(f"{newline}import x{newline}")
    ast.parse(new)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'\xef\xbb\xbf"""\xc3\xa4"""\nimport x\n', id="with a byte order mark"),
        pytest.param(b'# -*- coding: latin-1 -*-\n"""\xe4"""\nimport x\n', id="latin-1"),
        pytest.param(b'"""D."""\nx = "\xf0\x9f\x90\x8d"\n', id="utf-8"),
    ],
)
def test_everything_else_keeps_its_bytes(content: bytes) -> None:
    new = patched(content, "p/__init__.py", ("p.libs",))
    begin = new.index(MARK.encode())
    end = new.index(b"\n", new.index(b"# end:")) + 1

    assert new[: begin - 1] + new[end + 1 :] == content
    compile(new, "p", "exec")


def test_a_module_for_a_later_python_is_patched() -> None:
    text = '"""D."""\ntype X[T] = list[T]\nmatch = f"{x!r:{"a"}}" $ \x00\n'

    assert patched(text.encode(), "p/__init__.py", ("p.libs",)).decode().endswith(text[9:])


def test_the_same_again_changes_nothing_and_other_folders_replace_the_lines() -> None:
    once = patched(b'"""D."""\r\nimport x\r\n', "p/__init__.py", ("p.libs",))
    other = patched(once, "p/__init__.py", ("q.libs",))

    assert patched(once, "p/__init__.py", ("p.libs",)) == once
    assert other == patched(b'"""D."""\r\nimport x\r\n', "p/__init__.py", ("q.libs",))


def test_the_lines_register_the_folders_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[str] = []
    monkeypatch.setattr("os.add_dll_directory", added.append, raising=False)
    monkeypatch.setattr("os.path.isdir", lambda path: "absent" not in path)
    folders = ("p.libs", "absent", "torch/lib", "odd'\u00e4")
    names: dict[str, object] = {"__file__": "/site/p/sub/__init__.py"}

    exec(patched(b"x = 1\n", "p/sub/__init__.py", folders), names)  # noqa: S102  # it is to be run

    assert added == ["/site/p.libs", "/site/torch/lib", "/site/odd'\u00e4"]
    assert names.keys() - {"__builtins__", "__file__"} == {"x"}


@pytest.mark.parametrize(
    "content", [b"# coding: nonsense\n", b"\xff\xfe\n", b"# coding: ascii\n\xe4\n"]
)
def test_what_is_no_python_is_refused(content: bytes) -> None:
    with pytest.raises(BuilderError, match=r"`p/__init__\.py` cannot be read as Python"):
        patched(content, "p/__init__.py", ("p.libs",))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n", True),
        (b'__import__("pkg_resources").declare_namespace(__name__)\n', True),
        (b"from pkgutil import extend_path\n", True),
        (b"import pkgutil\n", False),
        (b"", False),
    ],
)
def test_packages_of_many_projects_are_known(content: bytes, expected: bool) -> None:
    assert is_namespace(content) is expected
