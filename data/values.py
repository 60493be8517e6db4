"""Text files as rows, each a JSON line, whatever their form: JSON lines, an array, objects over several lines, CSV.

What is kept is bounded: a file of any size costs the memory of its longest value.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from data.adapters import MAX_ROW_BYTES, OTHER_CELLS
from eval.records import UserError

BLANK = " \t\r\n"
READ_CHARS, LONGEST_VALUE = 1 << 20, 64 << 20
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
        yield from _bounded(csv_rows(stream, path, "," if name.endswith(".csv") else "\t"))
    elif plain[:1] == b"[" or (name.endswith(".json") and _goes_over_lines(plain)):
        yield from _bounded(json_values(stream, path))
    else:
        yield from _bounded_lines(stream)


def check_pointer(beginning: bytes, path: Path) -> None:
    """Raises UserError for what a clone without Git LFS leaves in the place of a file."""
    if beginning.startswith(b"version https://git-lfs"):
        raise UserError(f"{path} is a pointer of Git LFS, not the file; fetch it (`git lfs pull`).")


def _goes_over_lines(beginning: bytes) -> bool:
    """Whether the first line is only a part of a JSON value."""
    line, end, _ = beginning.partition(b"\n")
    try:
        return bool(end) and json.loads(line) is None
    except ValueError:
        return True


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
