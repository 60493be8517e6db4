r"""Answers that are set in rows: matrices, with a factor or transposed, systems under one brace, functions by cases."""

import re
from collections.abc import Callable
from dataclasses import replace

from graders.value import MAX_PARTS, Value, split_at, top_level

Read = Callable[[str, int], Value]  # reads one cell or row; the number is the depth that is left

MATRIX = re.compile(r"\\begin\{([pbBvV]?matrix|smallmatrix|array)\}(?:\{[lcr|.@{} ]*\})?([\s\S]*)\\end\{\1\}")
_ROWS = re.compile(
    r"(\\\{|\{)?\\begin\{(d?cases|aligned|align\*?|gathered|split|array|matrix)\}(?:\{[lcr|. ]*\})?([\s\S]*)\\end\{\2\}(?:\\\})?"
)
_ROW_BREAK = re.compile(r"\\\\(?:\[[^\]]{0,20}\])?")


_TRANSPOSED = re.compile(r"\^(?:\{ ?(?:T|\\top|\\intercal|\\mathsf\{T\}) ?\}|T|\\top|\\intercal)$")
_SCALED = re.compile(r"(-?[^\\+,;=<>&(\[]*(?:\\(?:frac|sqrt|pi)[^\\+,;=<>&(\[]*){0,3})\*? ?(?=[(\[]?\\begin\{)")


def read_matrix(text: str, depth: int, read: Read) -> Value | None:
    """A matrix, also one with a factor before it, or transposed."""
    turned = _TRANSPOSED.search(text)
    if turned:
        value = read(text[: turned.start()], depth - 1)
        return _transposed(value) if value.kind == "matrix" or value.mark in ("()", "[]") else None
    scaled = _SCALED.match(text)
    if scaled and scaled[1] and not re.search(r"(?<!\\)\b[A-Za-z]{3}", scaled[1]):
        value = read(text[scaled.end() :], depth - 1)
        factor = f"{scaled[1]}1" if scaled[1] == "-" else scaled[1]
        return _times(factor, value, depth, read) if value.kind == "matrix" else None
    return read_cells(text, depth, read)


def _times(factor: str, matrix: Value, depth: int, read: Read) -> Value:
    cells = tuple(read(f"({factor})*({cell.text})", depth - 1) for cell in matrix.parts)
    return replace(matrix, text="", parts=cells)


def _transposed(value: Value) -> Value:
    columns = int(value.mark) if value.kind == "matrix" else len(value.parts)
    rows = len(value.parts) // columns
    cells = tuple(value.parts[row * columns + column] for column in range(columns) for row in range(rows))
    return Value("matrix", "", cells, str(rows))


def read_cells(text: str, depth: int, read: Read) -> Value | None:
    found = MATRIX.fullmatch(text)
    if found is None or found[1] in ("vmatrix", "Vmatrix"):  # bars are a determinant
        return None
    rows = [row for row in _ROW_BREAK.split(found[2].replace("\\hline", "")) if row.strip()]
    cells = [split_at(row, top_level(row), ["&"]) for row in rows]
    if not cells or len({len(row) for row in cells}) != 1 or len(cells) * len(cells[0]) > MAX_PARTS:
        return None
    return Value("matrix", text, tuple(read(cell, depth - 1) for row in cells for cell in row), str(len(cells[0])))


def read_rows(text: str, depth: int, read: Read) -> Value | None:
    """A system, or a function by cases: rows one under the other behind one brace, or aligned."""
    found = _ROWS.fullmatch(text)
    if found is None:
        return None
    rows = list[str]()
    for row in (row.strip(" ,;.") for row in _ROW_BREAK.split(found[3])):
        if rows and re.match(r"&? ?=", row):
            rows[-1] += row.lstrip("& ")  # `x &= 2+3 \\\\ &= 5` goes on
        elif row:
            rows.append(row)
    braced = found[1] == "\\{" and not text.endswith("\\}")
    if not 1 <= len(rows) <= MAX_PARTS or (
        found[2] in ("array", "matrix") and not braced and len(rows) > 1 and not all("=" in row for row in rows)
    ):
        return None
    values = tuple(_read_row(row, depth, read) for row in rows)
    return values[0] if len(values) == 1 else Value("list", text, values, ",")


_CONDITION = re.compile(r"(?:if|for|when|where|as|,)\s*")


def _read_row(row: str, depth: int, read: Read) -> Value:
    """A row of a system, or a value with its condition."""
    cells = [cell for cell in split_at(row, top_level(row), ["&"]) if cell]
    condition = "".join(cells[1:]) if len(cells) > 1 and not cells[1].startswith("=") else ""
    starts = _CONDITION.match(condition)
    if starts or condition.startswith(("otherwise", "else")) or re.search(r"[<>=]|\\[lg]eq|\\neq", condition[1:]):
        value = cells[0].rstrip(",; ")
        if value and not re.search(r"[=<>]", value):
            bare = condition[starts.end() :] if starts else condition
            pair = read(value, depth - 1), read(bare.removeprefix("if "), depth - 1)
            return Value("sequence", row, pair, "if")
    return read(row.replace("&", " "), depth - 1)
