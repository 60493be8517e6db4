"""A copy of a dataset with other texts in it: what load_datasets makes of that shows whether its rows come from the files.

Standard library and the stack only, Python 3.10.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MOST_BYTES = 2**30
# They say how the rows are stored.
ABOUT = {"dataset_dict.json", "dataset_info.json", "state.json", "manifest.json", "README.md"}


def other(value: Any) -> Any:
    """`value` with something before and behind every text in it."""
    if isinstance(value, str):
        return f"7 {value} 7"
    if isinstance(value, dict):
        return {key: other(each) for key, each in value.items()}
    return [other(each) for each in value] if isinstance(value, list) else value


def write(source: Path, target: Path) -> bool:
    """Writes the dataset `source`, a folder or a file, to `target` with other texts.

    False where a file is of a form that is not known here or cannot be read: then nothing can be said.
    """
    files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
    if sum(path.stat().st_size for path in files) > MOST_BYTES:
        return False
    for path in files:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.name in ABOUT or path.suffix in (".yaml", ".md"):
            shutil.copyfile(path, place)
        elif path.suffix not in WRITERS:
            return False
        else:
            try:
                WRITERS[path.suffix](path, place)
            except Exception:  # damaged files are other checks'
                return False
    return bool(files)


def write_lines(source: Path, target: Path) -> None:
    with source.open(encoding="utf-8") as lines, target.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(other(json.loads(line))) + "\n" for line in lines if line.strip())


def write_json(source: Path, target: Path) -> None:
    """A document, or JSON Lines under that name."""
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
    except ValueError:
        return write_lines(source, target)
    target.write_text(json.dumps(other(content)), encoding="utf-8")
    return None


def write_table(source: Path, target: Path) -> None:
    """A first line of names stays."""
    delimiter = "\t" if source.suffix == ".tsv" else ","
    with source.open(encoding="utf-8", newline="") as lines, target.open("w", encoding="utf-8", newline="") as out:
        rows = csv.reader(lines, delimiter=delimiter)
        table = csv.writer(out, delimiter=delimiter)
        table.writerows(row if number == 0 else other(row) for number, row in enumerate(rows))


def write_text(source: Path, target: Path) -> None:
    lines = source.read_text(encoding="utf-8").splitlines()
    target.write_text("".join(f"{other(line) if line.strip() else line}\n" for line in lines), encoding="utf-8")


def write_parquet(source: Path, target: Path) -> None:
    import pyarrow.parquet as pq

    stored = pq.ParquetFile(source)
    with pq.ParquetWriter(target, stored.schema_arrow) as out:
        for batch in other_batches(stored.iter_batches(), stored.schema_arrow):
            out.write_batch(batch)


def write_arrow(source: Path, target: Path) -> None:
    """A stream, as `save_to_disk` writes it."""
    import pyarrow as pa

    with pa.memory_map(str(source)) as opened, pa.OSFile(str(target), "wb") as sink:
        stored = pa.ipc.open_stream(opened)
        with pa.ipc.new_stream(sink, stored.schema) as out:
            for batch in other_batches(stored, stored.schema):
                out.write_batch(batch)


def other_batches(batches: Any, schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    for batch in batches:
        yield pa.RecordBatch.from_pylist(other(batch.to_pylist()), schema=schema)


WRITERS: dict[str, Callable[[Path, Path], None]] = {
    ".jsonl": write_lines,
    ".json": write_json,
    ".csv": write_table,
    ".tsv": write_table,
    ".txt": write_text,
    ".parquet": write_parquet,
    ".arrow": write_arrow,
}
