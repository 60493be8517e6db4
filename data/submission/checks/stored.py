"""Arrow and Parquet files of a submission: whether the contract's `datasets` knows their features, and how many rows they
hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.submission.checks.findings import Finding, shown

# The feature types of datasets 2.18.0; it raises on every other one.
KNOWN = {"Value", "ClassLabel", "Sequence", "Translation", "TranslationVariableLanguages", "Audio", "Image"}
KNOWN |= {f"Array{size}D" for size in (2, 3, 4, 5)}
INFO, STATE, SPLITS = "dataset_info.json", "state.json", "dataset_dict.json"
# What the libraries raise on damaged files.
UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
)  # NotImplemented, Recursion too
FIX = "JSON Lines (train.jsonl and validation.jsonl), or write it again: python -m data submission"


def findings(path: Path, name: str) -> Iterator[Finding]:
    """What the contract's `datasets` cannot read of one file that `save_to_disk`, `to_parquet` or a writer of Arrow wrote."""
    try:
        features = features_of(path)
    except UNREADABLE as error:
        problem = f"this cannot be read: {' '.join(str(error).split())[:200]}"
        yield Finding("stored-features", name, problem, FIX)
        return
    newer = sorted(types_of(features) - KNOWN)
    if newer:
        problem = f"features {', '.join(map(shown, newer))} need a newer `datasets`; the stock one raises on them"
        yield Finding("stored-features", name, problem, FIX)


def features_of(path: Path) -> Any:
    """The features that a file states, as JSON has them; None where it states none. Raises where it cannot be read."""
    if path.suffix == ".json":
        told = json.loads(path.read_text(encoding="utf-8"))
        return told.get("features") if path.name == INFO else None
    metadata = schema_of(path).metadata or {}
    return json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features")


def schema_of(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        return pq.read_schema(path)
    with pa.memory_map(str(path)) as source:
        return opened(source).schema


def opened(source: Any) -> Any:
    """An Arrow file's reader: `datasets` writes streams, others the format with a footer."""
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(source)
    except pa.ArrowInvalid:
        return pa.ipc.open_file(source)


def types_of(features: Any) -> set[str]:
    """The names of all feature types in `features`."""
    if isinstance(features, list):
        return {name for each in features for name in types_of(each)}
    if not isinstance(features, dict):
        return set()
    own = {features["_type"]} if isinstance(features.get("_type"), str) else set()
    return own | {name for each in features.values() for name in types_of(each)}


def counts(folder: Path) -> dict[str, int]:
    """{"train": rows, "validation": rows} of what `save_to_disk` wrote in `folder`; {} where that cannot be read."""
    found = {}
    for split, names in (("train", ("train",)), ("validation", ("validation", "test"))):
        part = next((folder / name for name in names if (folder / name / STATE).is_file()), None)
        try:
            files = json.loads((part / STATE).read_text(encoding="utf-8"))["_data_files"] if part else []
            found[split] = sum(count(part / Path(each["filename"]).name) for each in files if part)
        except UNREADABLE:
            return {}
    return {split: number for split, number in found.items() if number}


def count(path: Path) -> int:
    """Rows of an Arrow file."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        reader = opened(source)
        if isinstance(reader, pa.ipc.RecordBatchFileReader):
            return sum(reader.get_batch(index).num_rows for index in range(reader.num_record_batches))
        return sum(batch.num_rows for batch in reader)
