"""What a folder holds that reading by names would leave out: JSON with rows, packed data, other forms.

A small JSON object beside data is a note. An array of objects, an object that holds one, and
several objects in lines are data, whatever the name of the file.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from pathlib import Path

from data.adapters import COLUMNS, folded_name
from data.values import rows_inside

PACKED = {
    ".zst": "zstd -d", ".xz": "xz -d", ".bz2": "bunzip2", ".gz": "gunzip", ".zip": "unzip", ".tar": "tar -xf",
    ".tgz": "tar -xzf",
}  # fmt: skip
# Forms of data that are not read, as others write them.
UNREAD = (".jsonlines", ".jl", ".arrow", ".feather", ".orc", ".avro", ".xlsx")
PEEKED_BYTES = 1 << 20
LIST_IN_OBJECT = re.compile(r'\{[^\[\]{}]*"\s*:\s*\[\s*\{')


def holds_rows(path: Path) -> bool:
    """Whether a JSON file holds rows, by its first megabyte; true for one that cannot be read."""
    try:
        with path.open("rb") as file:
            stream = gzip.GzipFile(fileobj=file) if path.name.lower().endswith(".gz") else file
            beginning = stream.read(PEEKED_BYTES)
    except (OSError, EOFError, zlib.error):
        return True
    text = beginning.decode("utf-8-sig", "replace").lstrip()
    if text.startswith("["):
        return text[1:].lstrip()[:1] == "{"
    return text.startswith("{") and _object_holds_rows(text)


def _object_holds_rows(text: str) -> bool:
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):  # longer than what was read, or torn
        names = re.findall(r'"([^"]{1,40})"\s*:', text[:4096])
        return LIST_IN_OBJECT.match(text) is not None or _named(names)
    try:
        return text[end:].lstrip()[:1] == "{" or _named(list(value)) or rows_inside(value) is not None
    except ValueError:  # several lists of rows
        return True


def _named(names: list[str]) -> bool:
    """Whether two of the names are those of the columns of rows, or one is that of a conversation."""
    known = {folded_name(name) for name in names} & set(COLUMNS)
    return len(known) > 1 or bool(known & {"messages", "conversations", "conversation"})


def unpacked_name(path: Path, suffixes: tuple[str, ...]) -> str:
    """The name of a packed file, or of another form of data, as it would be read; "" for any other file."""
    name = path.name.lower()
    if name.endswith(suffixes):
        return ""
    if other := next((end for end in UNREAD if name.endswith(end)), ""):
        return f"{path.name[: -len(other)]}.jsonl"
    ending = next((end for end in PACKED if name.endswith(end)), "")
    inner = path.name[: -len(ending)] if ending else ""
    if inner.lower().endswith((*suffixes, ".ndjson", *UNREAD)):
        return inner if inner.lower().endswith(suffixes) else f"{inner.rpartition('.')[0]}.jsonl"
    return f"{inner}.jsonl" if ending in (".zip", ".tar", ".tgz") else ""


def how_to_read(path: Path) -> str:
    """What to do with a file that `unpacked_name` knows."""
    command = next((command for end, command in PACKED.items() if path.name.lower().endswith(end)), "")
    return f"unpack it (`{command} {path.name}`)" if command else "write it as JSON lines or Parquet"
