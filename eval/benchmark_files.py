"""The rows of a benchmark's file: JSON lines, JSON, CSV, TSV or Parquet, each also as .gz."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from eval.benchmark_rows import NotABenchmark, Row, check_shape, states_problem
from eval.records import UserError

# Of two files with one name the first format is read.
FORMATS = (".jsonl", ".ndjson", ".parquet", ".csv", ".tsv", ".json")
MAX_CELL_CHARS = 1 << 24  # csv stops at 131,072 by itself, which a solution may exceed
# How pandas writes a column of floats: with a point in every value.
FLOAT = re.compile(r"[+-]?\d+\.\d+(?:[eE][+-]?\d+)?")
# A table's header to its line end, where quoted cells may hold others; Excel's line before it.
QUOTED_CELL = re.compile(r'"(?:[^"]|"")*"')
HEADER = re.compile(r'(?:"(?:[^"]|"")*"|[^\r\n])*')
SEPARATOR = re.compile(r'"?sep=(?P<sign>[^\r\n"])"?[^\S\r\n]*\r?\n', re.IGNORECASE)
SPACE = re.compile(r"\s*")
SHOWN_CHARS = 40


class ColumnTwice(Exception):
    """Two columns have one name; its text says which."""


def stem(path: Path) -> str:
    """The benchmark's name in a file's name; "" where no format is known."""
    return path.name[: -len(extension)] if (extension := extension_of(path)) else ""


def extension_of(path: Path) -> str:
    """.jsonl, .csv.gz and so on, in lower case; "" where no format is known."""
    name = path.name.lower()
    packed = ".gz" if name.endswith(".gz") else ""
    plain = name.removesuffix(".gz")
    known = (suffix for suffix in FORMATS if plain.endswith(suffix) and plain != suffix)
    return next((suffix + packed for suffix in known), "")


def rank(path: Path) -> tuple[int, bool]:
    """Sorts the files of one name: the first one is read."""
    extension = extension_of(path)
    plain = extension.removesuffix(".gz")
    return FORMATS.index(plain) if plain else len(FORMATS), extension.endswith(".gz")


def read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """(place, row) for every row; the place is what a message names.

    Raises UserError for a damaged file, and for a row that is no object.
    """
    format_ = extension_of(path).removesuffix(".gz")
    try:
        if format_ == ".parquet":
            yield from _parquet_rows(path)
        elif format_ in (".csv", ".tsv"):
            yield from _csv_rows(_text(path), path, format_)
        else:
            yield from _json_rows(_text(path), path)
    except ColumnTwice as error:
        raise UserError(f"{path}: {error}; rename or remove one of them.") from None
    except (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error) as error:
        kind = "Parquet" if format_ == ".parquet" else f"UTF-8 text ({format_})"
        raise UserError(
            f"{path} cannot be read ({' '.join(str(error).split())}); it must be {kind}, gzipped if it ends in .gz."
        ) from None


def _bytes(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if path.name.lower().endswith(".gz") else content


def _text(path: Path) -> str:
    content = _bytes(path)
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path} is UTF-16; save it as UTF-8 (`iconv -f UTF-16 -t UTF-8`).")
    if content.startswith(b"version https://git-lfs"):
        raise UserError(f"{path} is a pointer of Git LFS, not the file itself; fetch it with `git lfs pull`.")
    return content.decode("utf-8-sig")


# JSON


def _json_rows(text: str, path: Path) -> Iterator[tuple[str, Row]]:
    # Not splitlines(): U+2028 inside a string is no line end.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    stated = [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if (rows := _whole(text, stated, path)) is None:
        for number, line in stated:
            yield f"{path}:{number}", _parsed_line(line, f"{path}:{number}")
        return
    for number, row in enumerate(rows, start=1):
        place = f"{path}, row {number}"
        yield place, _object(row, place, repr(row)[:SHOWN_CHARS])


def _whole(text: str, lines: list[tuple[int, str]], path: Path) -> list[Any] | None:
    """The rows of an array, of an object with them, or of objects over several lines; else None."""
    begins = text.lstrip()[:1]
    if begins not in ("[", "{") or (begins == "{" and len(lines) > 1 and _decoded(lines[0][1])):
        return None
    values = _decoded(text)
    if len(values) != 1:
        return values or None
    (value,) = values
    if isinstance(value, list):
        return value if not value or any(isinstance(row, dict) for row in value) else None
    rows = _rows_in(value, path)
    return None if rows == [value] and len(lines) == 1 else rows


def _decoded(text: str) -> list[Any]:
    """The JSON values that stand in `text`, one after the other; [] where any of it is not JSON."""
    decoder, found, place = json.JSONDecoder(object_pairs_hook=_row_once), [], len(text) - len(text.lstrip())
    try:
        while place < len(text):
            value, end = decoder.raw_decode(text, place)
            found.append(value)
            place = SPACE.match(text, end).end()  # type: ignore[union-attr]
    except (ValueError, RecursionError):
        return []
    return found


def _rows_in(value: Row, path: Path) -> list[Any]:
    """The rows that an object holds: a list, columns, or objects by id; else it is a row itself.

    Raises UserError where several lists hold problems: they may be subjects, or train and test.
    """
    if states_problem(value):
        return _from_columns(value) or [value]
    lists = {key: found for key, rows in value.items() if (found := _listed_rows(rows))}
    if len(lists) > 1:
        names = ", ".join(f"{key!r:.{SHOWN_CHARS}} ({len(rows):,})" for key, rows in lists.items())
        raise UserError(f"{path} holds several lists of problems: {names}; write each into a file of its own.")
    if lists:
        return next(iter(lists.values()))
    by_id = [{"id": key, **row} for key, row in value.items() if isinstance(row, dict) and states_problem(row)]
    return by_id if by_id and len(by_id) == len(value) else [value]


def _listed_rows(rows: Any) -> list[Any]:
    """The rows of a list of problems, or of such columns; [] for anything else."""
    if isinstance(rows, dict) and states_problem(rows):
        return _from_columns(rows)
    if not isinstance(rows, list) or not rows or not isinstance(rows[0], dict):
        return []
    inner = [row.get("row", row) if isinstance(row, dict) else row for row in rows]
    return inner if isinstance(inner[0], dict) and states_problem(inner[0]) else []


def _from_columns(value: Row) -> list[Row]:
    """{"problem": [...]}, or what pandas writes, {"problem": {"0": ...}}, as rows; [] for a row."""
    lists = all(isinstance(column, list) for column in value.values())
    if not lists and not all(isinstance(column, dict) and "0" in column for column in value.values()):
        return []
    columns = [list(column.values()) if isinstance(column, dict) else column for column in value.values()]
    if len({len(column) for column in columns}) != 1 or len(columns) < 2:
        return []
    return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _row_once(pairs: list[tuple[str, Any]]) -> Row:
    """The object of these pairs. Raises ColumnTwice for a row with a key twice, of which JSON drops one."""
    row = dict(pairs)
    if len(row) < len(pairs) and states_problem(row):
        _check_columns(key for key, _ in pairs)
    return row


def _parsed_line(line: str, place: str) -> Row:
    shown = line[:SHOWN_CHARS]
    try:
        row = json.loads(line, object_pairs_hook=_row_once)
    except (ValueError, RecursionError) as error:
        if not line.lstrip().startswith(("{", "[")):
            raise NotABenchmark(place, f"{shown!r}… is not JSON ({error})") from None
        raise UserError(f"{place}: {shown!r}… is not JSON ({error}); write one object a line.") from None
    return _object(row, place, shown)


def _object(row: Any, place: str, shown: str) -> Row:
    if not isinstance(row, dict):
        raise NotABenchmark(place, f"{shown!r}… is not an object")
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except ValueError as error:  # half a character, such as \ud800, is JSON but no text
        raise UserError(f"{place}: {shown!r}… is not text ({error}); write whole characters.") from None
    return row


# Tables


def _csv_rows(text: str, path: Path, format_: str) -> Iterator[tuple[str, Row]]:
    csv.field_size_limit(MAX_CELL_CHARS)
    delimiter, begin = _delimiter(text, format_)
    skipped = text[:begin].count("\n")
    reader = csv.DictReader(io.StringIO(text[begin:], newline=""), delimiter=delimiter, strict=True)
    if reader.fieldnames:  # before a fault in the rows of another table
        check_shape(dict.fromkeys(reader.fieldnames), f"{path}:{1 + skipped}")
        _check_columns(reader.fieldnames)
    rows = []
    for row in reader:
        place = f"{path}:{reader.line_num + skipped}"
        if None in row or None in row.values():
            raise UserError(f"{place}: this row has more or fewer cells than the header; quote cells with commas.")
        if any(cell.strip() for cell in row.values()):
            rows.append((place, row))
    floats = [column for column in reader.fieldnames or () if _is_float(row[column] for _, row in rows)]
    for place, row in rows:
        yield place, row | {column: row[column].strip().removesuffix(".0") for column in floats}


def _check_columns(names: Iterable[str]) -> None:
    """Raises ColumnTwice where two columns have one name: which of them counts is not known."""
    twice = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if twice:
        raise ColumnTwice(f"the column {twice[0]!r:.{SHOWN_CHARS}} comes twice")


def has_semicolons(path: Path) -> bool:
    """Whether a table parts its cells with semicolons, as spreadsheets write where 3,5 is a number."""
    format_ = extension_of(path).removesuffix(".gz")
    return format_ == ".csv" and _delimiter(_text(path), format_)[0] == ";"


def _delimiter(text: str, format_: str) -> tuple[str, int]:
    """(what parts the cells, where the header begins): spreadsheets of some countries write semicolons.

    It is what Excel's first line "sep=;" names, else what splits the header into columns of a
    benchmark, else into most cells.
    """
    if named := SEPARATOR.match(text):
        return named["sign"], named.end()
    if format_ == ".tsv":
        return "\t", 0
    header = HEADER.match(text)[0]  # type: ignore[index]
    return max(",;\t", key=lambda sign: _cells(header, sign)), 0


def _cells(header: str, sign: str) -> tuple[bool, int]:
    """(whether the header names a problem and an answer, into how many cells it is split)."""
    names = next(csv.reader(io.StringIO(header, newline=""), delimiter=sign), [])
    try:
        check_shape(dict.fromkeys(names), "")
    except NotABenchmark:
        return False, QUOTED_CELL.sub("", header).count(sign)
    return True, len(names)


def _is_float(cells: Iterator[str]) -> bool:
    """Whether a column is one of floats as pandas writes them, so that 5.0 stands for 5."""
    stated = [cell.strip() for cell in cells if cell.strip()]
    return bool(stated) and all(map(FLOAT.fullmatch, stated))


def _parquet_rows(path: Path) -> Iterator[tuple[str, Row]]:
    # Imported late: most benchmarks are text.
    import pyarrow as pa
    import pyarrow.parquet as pq

    content, number = _bytes(path), 0
    if not content.startswith(b"PAR1"):
        raise NotABenchmark(path, "it does not begin as Parquet")
    try:
        table = pq.ParquetFile(io.BytesIO(content))
        _check_columns(table.schema_arrow.names)
        for batch in table.iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", row
    except pa.ArrowException as error:
        raise UserError(
            f"{path} cannot be read ({' '.join(str(error).split())}); it must be Parquet, gzipped if it ends in .gz."
        ) from None
