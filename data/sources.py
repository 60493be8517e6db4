"""Sources: a hub id, a folder of `save_to_disk`, Parquet, JSON Lines (also .gz), or the synthetic problems, as rows.

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

from data.adapters import MAX_ROW_BYTES, adapt, parse
from data.content import digest_of_one
from data.rows import Drop, Row
from data.synthetic import generate
from eval.records import UserError, first_line

BATCH_ROWS, BATCH_BYTES = 2000, 8 << 20
SHOWN_CHARS = 120
SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")


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
        files = _all_files(source)
        return {"path": source.path, "files": {path.name: digest_of_one(path) for path in files}} | _split_of(source)
    if source.hub:
        return {"hub": source.hub, "revision": source.revision, "config": source.config, "split": source.split}
    return {"synthetic": source.synthetic, "skip": source.skip, "seed": source.seed, "levels": source.levels}


def size_bytes(source: Source) -> int:
    """Bytes that reading takes, for a progress bar; 0 where that is not known before."""
    return sum(path.stat().st_size for path in _all_files(source)) if source.path else 0


def batches(source: Source) -> Iterator[Batch]:
    """The rows of a source in order. Raises UserError where the source as a whole cannot be read."""
    if source.hub:
        yield from _from_datasets(source, _from_hub(source))
    elif source.path and _is_saved(Path(source.path)):
        yield from _from_datasets(source, _from_disk(source))
    elif source.path:
        for path in _all_files(source):
            yield from _from_parquet(path) if path.suffix == ".parquet" else _from_lines(path)
    else:
        yield from _from_generator(source)


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
            yield Drop(str(error), {"place": f"{batch.place}:{number}", "begins": shown})


# Readers


def _from_lines(path: Path) -> Iterator[Batch]:
    try:
        with path.open("rb") as file:
            stream = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            first, before = 1, 0
            lines = _bounded_lines(stream, path)
            while batch := list(_some(lines)):
                yield Batch(str(path), first, batch, file.tell() - before)
                first, before = first + len(batch), file.tell()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read ({first_line(error)}); it must be JSON lines, gzipped if it ends in .gz."
        ) from None


def _some(lines: Iterator[bytes | int]) -> Iterator[bytes | int]:
    size = 0
    for line in itertools.islice(lines, BATCH_ROWS):
        yield line
        size += len(line) if isinstance(line, bytes) else 0
        if size > BATCH_BYTES:
            return


def _bounded_lines(stream: Any, path: Path) -> Iterator[bytes | int]:
    """Stripped lines; of one beyond MAX_ROW_BYTES only its size, so that a file without line ends costs no memory."""
    beginning = True
    while line := stream.readline(MAX_ROW_BYTES + 1):
        if beginning:
            line, beginning = _check_beginning(line, path), False
        size = len(line)
        while len(line) > MAX_ROW_BYTES and not line.endswith(b"\n"):
            line = stream.readline(MAX_ROW_BYTES + 1) or b"\n"
            size += len(line)
        yield line.strip() if size <= MAX_ROW_BYTES + 1 else size


def _check_beginning(line: bytes, path: Path) -> bytes:
    if line[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UserError(f"{path} is UTF-16; save it as UTF-8 (`iconv -f UTF-16 -t UTF-8`).")
    if line.lstrip()[:1] == b"[":
        raise UserError(f"{path} is one JSON array; write one object a line (`jq -c '.[]'`).")
    return line.removeprefix(b"\xef\xbb\xbf")


def _from_parquet(path: Path) -> Iterator[Batch]:
    try:
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

    try:
        found = load_from_disk(source.path)
        return found[source.split] if isinstance(found, DatasetDict) else found
    except KeyError:
        raise UserError(f"{source.path} has no split {source.split!r} (but {', '.join(found)}); set `split`.") from None
    except Exception as error:  # `datasets` raises a type of its own for each kind of damage
        raise UserError(
            f"{source.path} cannot be read ({first_line(error)}); write it again with save_to_disk."
        ) from None


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


def _is_saved(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "dataset_info.json").is_file()


def _all_files(source: Source) -> list[Path]:
    """The files behind a path, sorted. Raises UserError where there are none that can be read."""
    path = Path(source.path)
    if path.is_file() and path.name.endswith(SUFFIXES):
        return [path]
    if _is_saved(path):
        return sorted(file for file in path.rglob("*") if file.is_file())
    files = sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES)) if path.is_dir() else []
    if not files:
        state = "holds no" if path.is_dir() else "is no" if path.exists() else "does not exist; name a"
        raise UserError(f"source {source.name}: {path} {state} {', '.join(SUFFIXES)} file or folder of save_to_disk.")
    return files


def _split_of(source: Source) -> dict[str, str]:
    return {"split": source.split} if _is_saved(Path(source.path)) else {}
