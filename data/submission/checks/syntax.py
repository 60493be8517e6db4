"""Syntax that Python 3.10, the contract's, cannot read, found on any newer Python: `ast` with a feature version misses some."""

from __future__ import annotations

import ast
import io
import itertools
import re
import subprocess
import token as kinds
import tokenize
from collections.abc import Iterator
from pathlib import Path

VERSION = (3, 10)
# A string as Python 3.10 reads it, f-strings too: it ends at the first quote of its kind, whatever braces it has.
STRING = re.compile(
    r"""[A-Za-z]{0,2}(?:'{3}(?:[^'\\]|\\.|'(?!''))*'{3}|"{3}(?:[^"\\]|\\.|"(?!""))*"{3}"""
    r"""|'(?:[^'\\\n]|\\(?s:.))*'|"(?:[^"\\\n]|\\(?s:.))*")""",
    re.DOTALL,
)
START, END = getattr(kinds, "FSTRING_START", None), getattr(kinds, "FSTRING_END", None)
MIDDLE = getattr(kinds, "FSTRING_MIDDLE", None)  # of Python 3.12 and newer
TIMEOUT_S = 60

Place = tuple[int, str]


def newer(text: str, tree: ast.Module) -> list[Place]:
    """(line, what) for syntax of `text` that is newer than Python 3.10; `tree` is what this Python reads in it."""
    return sorted({*stars(text, tree), *deep_formats(tree), *f_strings(text)})


def stars(text: str, tree: ast.Module) -> Iterator[Place]:
    """`a[*b]` and `*args: *Ts` of Python 3.11; `a[(*b,)]` is old."""
    lines = list(io.StringIO(text))
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and isinstance(node.annotation, ast.Starred):
            yield node.lineno, "a star in an annotation needs Python 3.11"
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple):
            start = lines[node.slice.lineno - 1].encode()[node.slice.col_offset :]
            if any(isinstance(each, ast.Starred) for each in node.slice.elts) and start[:1] != b"(":
                yield node.lineno, "a star in an index needs Python 3.11"


def deep_formats(tree: ast.Module) -> Iterator[Place]:
    """A format within a format within a format."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.FormattedValue) and node.format_spec):
            continue
        for inner in ast.walk(node.format_spec):
            if isinstance(inner, ast.FormattedValue) and inner.format_spec and holds_field(inner.format_spec):
                yield node.lineno, "an f-string's format is nested deeper than Python 3.10 allows"


def holds_field(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.FormattedValue) for inner in ast.walk(node))


def f_strings(text: str) -> Iterator[Place]:
    """f-strings of Python 3.12: quotes of their own kind, backslashes, comments or line ends within the braces.

    Older Pythons refuse them when parsing.
    """
    if START is None:
        return
    lines = list(io.StringIO(text))
    starts = [0, *itertools.accumulate(map(len, lines))]  # of each line in the text
    open_ones: list[int] = []
    before = (1, 0)
    for each in tokenize.generate_tokens(io.StringIO(text).readline):
        inside = len(open_ones) - (each.type in (MIDDLE, END))
        if inside > 0 and within_braces(each, lines, before):
            yield each.start[0], "a backslash or comment within the braces of an f-string needs Python 3.12"
        if each.type == START:
            open_ones.append(starts[each.start[0] - 1] + each.start[1])
        elif each.type == END:
            old = STRING.match(text, open_ones.pop())
            if not old or old.end() != starts[each.end[0] - 1] + each.end[1]:
                yield each.start[0], "quotes or line ends within the braces of an f-string need Python 3.12"
        before = each.end


def within_braces(each: tokenize.TokenInfo, lines: list[str], before: tuple[int, int]) -> bool:
    """Whether a token within the braces of an f-string is one that Python 3.10 refuses there."""
    continued = each.start[0] > before[0] and lines[before[0] - 1].rstrip("\r\n").endswith("\\")
    strings = each.type in (kinds.STRING, MIDDLE)
    return each.type == tokenize.COMMENT or continued or (strings and "\\" in each.string)


ASK = "import sys; compile(sys.stdin.buffer.read(), 'sft_utils.py', 'exec', dont_inherit=True)"


def ask(python: Path, text: str) -> Place | None:
    """(line, message) of the syntax error that `python`, a Python 3.10, reports; None where it reads the text."""
    command = [str(python), "-I", "-W", "ignore", "-c", ASK]
    done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=TIMEOUT_S, check=False)
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    if not done.returncode or not said or not said[-1].startswith(("SyntaxError", "IndentationError", "TabError")):
        return None
    line = next((int(at) for row in said for at in re.findall(r'^\s*File "sft_utils\.py", line (\d+)', row)), 1)
    return line, said[-1].partition(": ")[2][:200]
