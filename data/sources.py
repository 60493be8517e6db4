"""Sources: a hub id, a folder of `save_to_disk`, Parquet, JSON, CSV (also .gz), or the synthetic problems, as rows.

Files are streamed in batches, so a source of any size costs the memory of a few thousand rows. A row that cannot be
read is no error by itself: it becomes a Drop with its place, and counts in the funnel like any other dropped row.
"""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data.adapters import (
    PREFERENCE,
    SHOWN_COLUMNS,
    SHOWN_NAME,
    UNKNOWN,
    adapt,
    folded_name,
    nearest,
    parse,
)
from data.content import digest_of_one
from data.folders import SPLITS, SUFFIXES, WORDS, files_of, is_saved, split_asked, split_of
from data.leftovers import PACKED
from data.rows import Drop, Row
from data.synthetic import generate
from data.values import PEEKED, check_pointer, rows_of
from eval.records import UserError, first_line

BATCH_ROWS, BATCH_BYTES = 2000, 8 << 20
SHOWN_CHARS = 120


@dataclass(frozen=True)
class Source:
    """One entry of a recipe's `sources`; exactly one of `hub`, `path` and `synthetic` says where its rows are."""

    name: str
    hub: str = ""
    revision: str = ""
    config: str = ""
    split: str = "train"
    path: str = ""
    synthetic: int = 0
    skip: int = 0
    seed: int = 0
    levels: list[int] = field(default_factory=lambda: [1, 2, 3])
    format: str = "auto"
    columns: dict[str, str] = field(default_factory=dict)
    bad_rows: float = 0.01


@dataclass(frozen=True)
class Batch:
    """Some rows as they were read: JSON lines (an int stands for a line of so many bytes, too long to keep) or Arrow."""

    place: str
    first: int
    rows: list[bytes | int] | pa.Table
    size: int  # bytes read for it


def identity(source: Source) -> dict[str, Any]:
    """What says which rows a source has, without reading them as rows: digests of files, or the hub's revision."""
    if source.path:
        folder, files = _all_files(source)
        names = {path: path.relative_to(folder).as_posix() for path in files}
        digests = {name: digest_of_one(path) for path, name in names.items()}
        return {"path": source.path, "files": digests} | _split_of(source)
    if source.hub:
        return {"hub": source.hub, "revision": source.revision, "config": source.config, "split": source.split}
    return {"synthetic": source.synthetic, "skip": source.skip, "seed": source.seed, "levels": source.levels}


def size_bytes(source: Source) -> int:
    """Bytes that reading takes, for a progress bar; 0 where that is not known before."""
    return sum(path.stat().st_size for path in _all_files(source)[1]) if source.path else 0


def batches(source: Source) -> Iterator[Batch]:
    """The rows of a source in order. Raises UserError where the source as a whole cannot be read."""
    for number, batch in enumerate(_batches(source)):
        if not number:
            _check_columns(source, batch)
        yield batch


def _batches(source: Source) -> Iterator[Batch]:
    if source.hub:
        yield from _from_datasets(source, _from_hub(source))
    elif source.path and is_saved(split_asked(source.path, source.split)[0]):
        yield from _from_datasets(source, _from_disk(source))
    elif source.path:
        for path in _all_files(source)[1]:
            yield from _from_parquet(path) if path.suffix.lower() == ".parquet" else _from_lines(path)
    else:
        yield from _from_generator(source)


def _check_columns(source: Source, batch: Batch) -> None:
    """Raises UserError for a column of `columns` that no row of the first batch has."""
    asked = {new: column for new, column in source.columns.items() if new != column}
    names = _columns_of(batch) if asked else []
    known = {*names, *map(folded_name, names)}
    for new, column in asked.items() if names else ():
        if column not in known and folded_name(column) not in known:
            near = [f"did you mean {name!r}?" for name in nearest(column, names)] or ["name one of them."]
            there = ", ".join(repr(name[:SHOWN_NAME]) for name in names[:SHOWN_COLUMNS])
            raise UserError(f"{batch.place} has no column {column!r} for {new}, but {there}; {near[0]}")


def _columns_of(batch: Batch) -> list[str]:
    if isinstance(batch.rows, pa.Table):
        return list(batch.rows.column_names)
    found: dict[str, None] = {}
    for line in batch.rows:
        try:
            row = parse(line) if line != b"" else {}
        except ValueError:
            continue
        found |= dict.fromkeys(row if isinstance(row, dict) else ())
    return list(found)


def read(batch: Batch, source: Source, derive: bool = True) -> Iterator[Row | Drop]:
    """The rows of a batch through the source's adapter; a Drop for each that is none.

    Where a row states no answer, `derive` takes it out of the solution; without it, the answer is "".
    """
    rows = batch.rows.to_pylist() if isinstance(batch.rows, pa.Table) else batch.rows
    for number, item in enumerate(rows, start=batch.first):
        if item == b"":
            continue
        try:
            raw = item if isinstance(item, dict) else parse(item)
            yield adapt(raw, source.name, source.format, source.columns, derive)
        except ValueError as error:
            shown = (
                item[:SHOWN_CHARS].decode("utf-8", "replace") if isinstance(item, bytes) else str(item)[:SHOWN_CHARS]
            )
            detail: dict[str, Any] = {"place": f"{batch.place}:{number}", "begins": shown}
            if str(error) in (UNKNOWN, PREFERENCE):
                detail["columns"] = [str(name)[:SHOWN_NAME] for name in raw][:SHOWN_COLUMNS]
            yield Drop(str(error), detail)


# Readers


def _from_lines(path: Path) -> Iterator[Batch]:
    try:
        with path.open("rb") as file:
            stream = gzip.GzipFile(fileobj=file) if path.suffix.lower() == ".gz" else file
            first, before = 1, 0
            lines = rows_of(stream, path)
            while batch := list(_some(lines)):
                yield Batch(str(path), first, batch, file.tell() - before)
                first, before = first + len(batch), file.tell()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read ({first_line(error)}); its content must match its extension, gzipped if it ends in .gz."
        ) from None


def _some(lines: Iterator[bytes | int]) -> Iterator[bytes | int]:
    size = 0
    for line in itertools.islice(lines, BATCH_ROWS):
        yield line
        size += len(line) if isinstance(line, bytes) else 0
        if size > BATCH_BYTES:
            return


def _from_parquet(path: Path) -> Iterator[Batch]:
    try:
        with path.open("rb") as beginning:
            check_pointer(beginning.read(PEEKED), path)
        file, first = pq.ParquetFile(path), 0
        for batch in file.iter_batches(BATCH_ROWS):
            table = pa.Table.from_batches([batch])
            yield Batch(str(path), first, table, path.stat().st_size * len(table) // max(file.metadata.num_rows, 1))
            first += len(table)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path} is no readable Parquet file ({first_line(error)}); write it again.") from None


def _from_datasets(source: Source, rows: Any) -> Iterator[Batch]:
    first, place = 0, source.hub or source.path
    for table in rows.with_format("arrow").iter(batch_size=BATCH_ROWS):
        yield Batch(place, first, table, table.nbytes)
        first += len(table)


def _from_hub(source: Source) -> Any:
    # Imported late: reading files needs no `datasets`.
    from datasets import load_dataset

    try:
        return load_dataset(source.hub, source.config or None, split=source.split, revision=source.revision)
    except Exception as error:  # the hub's client raises a dozen unrelated types for "not to be had"
        raise UserError(
            f"{source.hub}@{source.revision[:12]} could not be had from the hub ({first_line(error)}); mend that, or pass "
            f"--source {source.name}=PATH with a copy.",
            1,
        ) from None


def _from_disk(source: Source) -> Any:
    from datasets import DatasetDict, load_from_disk

    path, split, _ = split_asked(source.path, source.split)
    try:
        found = load_from_disk(str(path))
    except Exception as error:  # `datasets` raises a type of its own for each kind of damage
        raise UserError(f"{path} cannot be read ({first_line(error)}); write it again with save_to_disk.") from None
    if isinstance(found, DatasetDict):
        return found[split_of(list(found), split, path, _place(source))]
    _check_only_split(str(found.split or ""), split, path, source)
    return found


def _check_only_split(own: str, split: str, path: Path, source: Source) -> None:
    """Raises UserError where a Dataset without splits is asked for one, or says that it is another one."""
    words = {SPLITS[word] for word in WORDS.split(own.casefold()) if word in SPLITS}
    if len(words) == 1:
        split_of(sorted(words), split, path, _place(source))
    elif split != "train":
        raise UserError(
            f"{_place(source)}: {path} is one Dataset without splits, so it has no {split!r}; leave the split out, "
            "or save a DatasetDict."
        )


def _from_generator(source: Source) -> Iterator[Batch]:
    stream = itertools.islice(generate(source.seed, tuple(source.levels)), source.skip, source.skip + source.synthetic)
    first = 1
    while items := list(itertools.islice(stream, BATCH_ROWS)):
        rows: list[bytes | int] = [
            json.dumps(
                {"id": item.id, "problem": item.problem, "solution": item.solution, "answer": item.answer}
                | {"source": item.kind, "level": f"Level {item.level}"}
            ).encode()
            for item in items
        ]
        yield Batch("synthetic", first, rows, 0)
        first += len(rows)


# Files


def _all_files(source: Source) -> tuple[Path, list[Path]]:
    """(a folder, the files in it that are read), sorted. Raises UserError where there are none that can be read."""
    path, split, named = split_asked(source.path, source.split)
    if path.is_file() and path.name.lower().endswith(SUFFIXES):
        return path.parent, [path]
    if is_saved(path):
        return path, sorted(file for file in path.rglob("*") if file.is_file())
    if path.is_dir():
        return files_of(path, split, named, source.config, _place(source))
    if command := PACKED.get(path.suffix.lower()) if path.is_file() else None:
        raise UserError(
            f"{_place(source)}: {path} is packed; unpack it (`{command} {path.name}`) and name what is inside."
        )
    state = "is no" if path.exists() else "does not exist; name a"
    raise UserError(f"{_place(source)}: {path} {state} {', '.join(SUFFIXES)} file or folder of save_to_disk.")


def _place(source: Source) -> str:
    return f"source {source.name}"


def _split_of(source: Source) -> dict[str, str]:
    path, split, _ = split_asked(source.path, source.split)
    return {"split": split} if is_saved(path) else {}
