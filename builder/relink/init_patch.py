r"""A few lines in an `__init__.py` that make Windows look into more folders for DLLs.

They come after the docstring and `from __future__` imports, before anything that could load a DLL.
Only the beginning of a module is looked at, token by token, so it may be written for any Python.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Sequence

from builder.errors import BuilderError

__all__ = ["is_namespace", "patched"]

_BEGIN = "# begin: folders with the DLLs of this wheel (builder)"
_END = "# end: folders with the DLLs of this wheel (builder)"
_BLOCK = re.compile(rf"{re.escape(_BEGIN)}.*?{re.escape(_END)}(?:\r\n|\r|\n|\Z)", re.DOTALL)
_NEWLINE = re.compile(r"\r\n|\r|\n")
_COMMENTS = re.compile(r"(?:[ \t]*#[^\r\n]*(?:\r\n|\r|\n|\Z))*")
_PLAIN = re.compile(r"[rRuU]?['\"]")
_NAMESPACE = re.compile(rb"__import__\(\s*['\"]pkg(?:util|_resources)['\"]\s*\)|\bextend_path\b")

_LINES = (
    _BEGIN,
    "def _add_dll_folders():",
    "    import os",
    "    site = os.path.abspath(os.path.join(os.path.dirname(__file__){up}))",
    "    for name in ({names}):",
    '        folder = os.path.join(site, *name.split("/"))',
    "        if os.path.isdir(folder):",
    "            os.add_dll_directory(folder)",
    "",
    "",
    "_add_dll_folders()",
    "del _add_dll_folders",
    _END,
    "",
)


def patched(content: bytes, path: str, folders: Sequence[str]) -> bytes:
    """The module at `path` with lines that register folders, both below site-packages.

    Lines of an earlier repair are replaced, so the same folders again give the same bytes. Newlines
    and encoding stay those of the file. Raises `BuilderError` for a file that is no Python.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
    except (SyntaxError, UnicodeError) as error:
        raise BuilderError(
            f"`{path}` cannot be read as Python: {error}",
            hint="the DLLs that are grafted can only be found with a change in this file",
        ) from error
    found = _NEWLINE.search(text)
    newline = found[0] if found else "\n"
    block = newline.join(_lines(path, folders))
    if (old := _BLOCK.search(text)) is not None:
        return (text[: old.start()] + block + text[old.end() :]).encode(encoding)
    before, after = _divided(text)
    if before and not before.endswith(("\r", "\n")):
        before += newline
    gap = newline if before else ""
    rest = newline + after if after else ""
    return f"{before}{gap}{block}{rest}".encode(encoding)


def is_namespace(content: bytes) -> bool:
    """Whether an `__init__.py` is one of several, in as many projects, for the same package."""
    return _NAMESPACE.search(content) is not None


def _lines(path: str, folders: Iterable[str]) -> Iterator[str]:
    up = ", os.pardir" * path.count("/")
    names = "".join(f"{folder!a}, " for folder in folders).rstrip()
    for line in _LINES:
        yield line.format(up=up, names=names) if "{" in line else line


def _divided(text: str) -> tuple[str, str]:
    """The part of a module that must stay first, and the rest."""
    comments = _COMMENTS.match(text)
    end = comments.end() if comments else 0
    lines = _split(text)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    for row, column, is_line in _heads(lines):
        end = starts[row] if is_line else starts[row - 1] + column
    before, after = text[:end], text[end:]
    is_split = before and not before.endswith(("\r", "\n"))
    return before, after.lstrip(" \t;") if is_split else after


def _heads(lines: Sequence[str]) -> Iterator[tuple[int, int, bool]]:
    """The ends of the docstring and of each import from the future: (row, column, ends its line)."""
    is_first, words = True, list[tokenize.TokenInfo]()
    plain = iter([f"{_NEWLINE.sub('', line)}\n" for line in lines])
    try:
        for token in tokenize.generate_tokens(lambda: next(plain, "")):
            if token.type in {tokenize.COMMENT, tokenize.NL}:
                continue
            is_line = token.type == tokenize.NEWLINE
            if not is_line and token.string != ";":
                words.append(token)
                if not _may_be_head(words, is_first=is_first):
                    return
                continue
            if not words:
                return
            yield *words[-1].end, is_line
            is_first, words = False, []
    except (tokenize.TokenError, SyntaxError):
        return


def _may_be_head(words: Sequence[tokenize.TokenInfo], *, is_first: bool) -> bool:
    """Whether a statement that begins with these tokens can be a docstring or such an import."""
    first = words[0]
    if first.type == tokenize.STRING:
        return is_first and all(
            word.type == tokenize.STRING and _PLAIN.match(word.string) for word in words
        )
    start = [word.string for word in words[:3]]
    return start == ["from", "__future__", "import"][: len(start)]


def _split(text: str) -> list[str]:
    """Lines with their ends, at what Python takes for the end of a line and nothing else."""
    ends = [match.end() for match in _NEWLINE.finditer(text)]
    starts = [0, *ends]
    pieces = [text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True)]
    return pieces if pieces[-1] else pieces[:-1]
