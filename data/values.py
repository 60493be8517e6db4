"""Text files as rows, each a JSON line, whatever their form: JSON lines, an array, objects over several lines, CSV.

What is kept is bounded: a file of any size costs the memory of its longest value.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from data.adapters import COLUMNS, MAX_ROW_BYTES, OTHER_CELLS, folded_name
from data.conversations import ROLE_KEYS, TEXT_KEYS, is_turns
from eval.records import UserError

BLANK = " \t\r\n"
READ_CHARS, LONGEST_VALUE = 1 << 20, 64 << 20
# How indented JSON begins, and an object whose first list holds objects.
INDENTED = re.compile(rb'\{\s*\n\s*["}]')
LIST_IN_OBJECT = re.compile(rb'\{[^\[\]{}]*"(?!messages|conversation|prompt|completion)\w+"\s*:\s*\[\s*\{')
# Where an object keeps its rows, whatever the names of their columns.
LIST_KEYS = ("data", "rows", "examples", "problems", "questions", "items", "train")
LONGEST_FIELD, PEEKED = 16 << 20, 4096


def rows_of(stream: Any, path: Path) -> Iterator[bytes | int]:
    """The rows of a text file, each as a JSON line, whatever the form of the file."""
    beginning = stream.peek(PEEKED)[:PEEKED]
    if beginning[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UserError(f"{path} is UTF-16; save it as UTF-8 (`iconv -f UTF-16 -t UTF-8`).")
    check_pointer(beginning, path)
    name = path.name.lower().removesuffix(".gz")
    plain = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    if name.endswith((".csv", ".tsv")):
        yield from _bounded(csv_rows(stream, path, _delimiter(plain, name)))
    elif plain[:1] == b"[" or _goes_over_lines(plain, lines=not name.endswith(".json")):
        yield from _bounded(json_values(stream, path))
    else:
        yield from _bounded_lines(stream)


def check_pointer(beginning: bytes, path: Path) -> None:
    """Raises UserError for what a clone without Git LFS leaves in the place of a file."""
    if beginning.startswith(b"version https://git-lfs"):
        raise UserError(f"{path} is a pointer of Git LFS, not the file; fetch it (`git lfs pull`).")


def _goes_over_lines(beginning: bytes, lines: bool) -> bool:
    """Whether the first line is only a part of a JSON value, or holds rows that are not lines.

    In a file of `lines` a first line that is no JSON is one bad row, unless it breaks off where
    indented JSON does.
    """
    line, end, _ = beginning.partition(b"\n")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        broken = bool(INDENTED.match(beginning) if end else LIST_IN_OBJECT.match(line))
        return broken if lines else bool(end) or broken
    return (bool(end) and value is None) or (isinstance(value, dict) and _holds_rows(value))


def _holds_rows(value: dict[str, Any]) -> bool:
    try:
        return rows_inside(value) is not None
    except ValueError:  # which rows are meant is asked where they are read
        return True


def _delimiter(beginning: bytes, name: str) -> str:
    """What splits the names into most cells: spreadsheets of some countries write semicolons."""
    header = beginning.partition(b"\n")[0].decode("utf-8", "replace")
    return "\t" if name.endswith(".tsv") and "\t" in header else max(",;\t", key=header.count)


def rows_inside(value: dict[str, Any]) -> list[Any] | None:
    """The rows that one object holds, as a list or as columns; None where it is a row or a note.

    Raises ValueError where it holds several lists of rows.
    """
    if any(key in COLUMNS for key in map(folded_name, value)):
        return _from_columns(value)
    lists: dict[str, list[Any]] = {key: rows for key, rows in value.items() if is_turns(rows) and _are_rows(key, rows)}
    if len(lists) > 1:
        raise ValueError(f"holds several lists of rows, {', '.join(map(repr, lists))[:200]}")
    if lists:
        return next(iter(lists.values()))
    tables = [rows for rows in value.values() if isinstance(rows, dict) and rows_inside_columns(rows)]
    return _from_columns(tables[0]) if len(tables) == 1 else None


def rows_inside_columns(value: dict[str, Any]) -> bool:
    """Whether an object holds the columns of rows, as lists."""
    return any(key in COLUMNS for key in map(folded_name, value)) and _from_columns(value) is not None


def _are_rows(key: str, rows: list[dict[str, Any]]) -> bool:
    """Whether objects are rows, not the turns of a conversation or notes."""
    named = {folded_name(name) for row in rows[:10] for name in row}
    if named & set(ROLE_KEYS) and named & set(TEXT_KEYS):
        return False
    return bool(named & {*COLUMNS, "row"}) or (folded_name(key) in LIST_KEYS and len(named) > 1)


def _from_columns(value: dict[str, Any]) -> list[Any] | None:
    """The rows of {"problem": [...]}, or of what pandas writes, {"problem": {"0": ...}}; None for a row."""
    columns = [list(one.values()) if isinstance(one, dict) and "0" in one else one for one in value.values()]
    if len(columns) < 2 or not all(isinstance(one, list) for one in columns):
        return None
    if len({len(one) for one in columns}) > 1 or any(is_turns(one) for one in columns):
        return None
    return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]


def _bounded(rows: Iterator[bytes]) -> Iterator[bytes | int]:
    yield from (row if len(row) <= MAX_ROW_BYTES else len(row) for row in rows)


def _bounded_lines(stream: Any) -> Iterator[bytes | int]:
    """Stripped lines; of one beyond MAX_ROW_BYTES only its size, so that a file without line ends costs no memory."""
    beginning = True
    while line := stream.readline(MAX_ROW_BYTES + 1):
        if beginning:
            line, beginning = line.removeprefix(b"\xef\xbb\xbf"), False
        size = len(line)
        while len(line) > MAX_ROW_BYTES and not line.endswith(b"\n"):
            line = stream.readline(MAX_ROW_BYTES + 1) or b"\n"
            size += len(line)
        yield line.strip() if size <= MAX_ROW_BYTES + 1 else size


def json_values(stream: IO[bytes], path: object) -> Iterator[bytes]:
    """The elements of a JSON array, or JSON values that follow one another, each as one line.

    Raises UserError where the file breaks off or is no JSON: what comes after is lost then.
    """
    text = _Text(stream, path)
    array = text.take("[")
    if not array and (rows := _only_object(text, path)) is not None:
        yield from (json.dumps(row).encode() for row in rows)
        return
    first = True
    while not text.at_end():
        if array and text.take("]"):
            break
        if array and not first and not text.take(","):
            raise text.broken()
        yield text.value().encode()
        first = False
    else:
        if array:
            raise text.broken()
    if not text.at_end():
        raise text.broken()


def _only_object(text: _Text, path: object) -> list[Any] | None:
    """The rows inside the object that is all of a file; None, and nothing is read, for another file."""
    start = text.value()
    try:
        value = json.loads(start)
        rows = rows_inside(value) if text.at_end() and isinstance(value, dict) else None
    except ValueError as error:
        raise UserError(f"{path} {error}; write one of them to a file of its own (`jq -c '.NAME[]'`).") from None
    if rows is None:
        text.put_back(start)
        return None
    return [row["row"] if isinstance(row, dict) and isinstance(row.get("row"), dict) else row for row in rows]


class _Text:
    """A stream of JSON, of which only what is not read yet is kept."""

    def __init__(self, stream: IO[bytes], path: object) -> None:
        self.reader = codecs.getreader("utf-8-sig")(stream)
        self.path, self.buffer, self.place, self.ended = path, "", 0, False
        self.decoder, self.values = json.JSONDecoder(), 0

    def more(self, size: int = READ_CHARS) -> bool:
        """Reads on; false at the end of the stream."""
        try:
            read = self.reader.read(size)
        except UnicodeDecodeError:
            raise UserError(f"{self.path} is not UTF-8; save it as UTF-8.") from None
        self.buffer, self.place = self.buffer[self.place :] + read, 0
        self.ended = not read
        return bool(read)

    def at_end(self) -> bool:
        """Whether nothing but spaces is left; goes to what comes next otherwise."""
        while True:
            while self.place < len(self.buffer) and self.buffer[self.place] in BLANK:
                self.place += 1
            if self.place < len(self.buffer):
                return False
            if not self.more():
                return True

    def take(self, sign: str) -> bool:
        """Whether `sign` comes next; it is behind us then."""
        found = not self.at_end() and self.buffer[self.place] == sign
        self.place += found
        return found

    def value(self) -> str:
        """The text of the next value."""
        self.at_end()
        size = READ_CHARS
        while True:
            try:
                _, end = self.decoder.raw_decode(self.buffer, self.place)
            except (ValueError, RecursionError):
                end = 0
            if end and (end < len(self.buffer) or self.ended):
                text, self.place = self.buffer[self.place : end], end
                self.values += 1
                return text
            if len(self.buffer) - self.place > LONGEST_VALUE or not (self.more(size) or end):
                raise self.broken()
            size = len(self.buffer)

    def put_back(self, text: str) -> None:
        """Makes `text`, which was the last value, the next one again."""
        self.buffer, self.place = text + " " + self.buffer[self.place :], 0
        self.values -= 1

    def broken(self) -> UserError:
        return UserError(
            f"{self.path} is one JSON array or object that cannot be read after {self.values:,} values; mend it, or "
            "write one object a line (`jq -c '.[]'`)."
        )


def csv_rows(stream: IO[bytes], path: object, delimiter: str) -> Iterator[bytes]:
    """The rows of a table with a line of names, each as a JSON object of texts."""
    csv.field_size_limit(LONGEST_FIELD)
    # Excel saves a mark in front; without `newline=""` a line end inside of quotes is changed.
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    try:
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        names = next(rows, [])
        if len(set(names)) < len(names):
            raise UserError(f"{path} has the column {max(names, key=names.count)!r} twice; rename one.")
        yield from (json.dumps(_record(names, row)).encode() for row in rows if row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no readable CSV in UTF-8 ({error}); write it again, or as JSON lines.") from None
    finally:
        text.detach()  # else the file is closed with it, which the caller still asks for its place


def _record(names: list[str], row: list[str]) -> Any:
    """The row by its names; under OTHER_CELLS, which is refused with its place, where it has another length."""
    return dict(zip(names, row, strict=True)) if len(names) == len(row) else {OTHER_CELLS: row}
