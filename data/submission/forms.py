"""The forms in which rows can travel besides JSON Lines, and which of them the submission's own load_datasets reads."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.submission import sandbox
from data.submission.archive import MAX_BYTES, MAX_FILES
from data.submission.checks import files, stored
from eval.records import UserError

BATCH = 10_000


def loaded(folder: Path, dataset: Path) -> dict[str, str] | None:
    """Split -> the digest of the rows that the load_datasets of the submission in `folder` gives for `dataset`.

    None where it fails, {} where it exceeds the time limit.
    """
    with tempfile.TemporaryDirectory(prefix="submission-rows-") as work:
        job: dict[str, Any] = {"dataset": str(dataset), "model": work, "readable": [str(dataset.resolve())]}
        job |= {"rows_only": True, "packing": True}
        told = sandbox.start("probe.py", folder, Path(work) / "probe", job).wait()
    if told["stage"] == "time":
        return {}
    return dict(told["digests"]) if told["stage"] == "done" and "digests" in told else None


def holds_only(source: Path, splits: tuple[str, ...]) -> bool:
    """Whether a dataset's folder has no data files except the JSON Lines of `splits`."""
    there = {path.relative_to(source).as_posix() for path in files.data_files(source.parent, source.name)}
    return there == {f"{split}.jsonl" for split in splits}


def copy_data(source: Path, target: Path) -> None:
    """Copies the files of a dataset's folder as they are.

    Raises UserError where it is not a dataset within the limits, or has features that the contract's `datasets` does not know.
    """
    there = list(files.data_files(source.parent, source.name)) if source.is_dir() and source.name else []
    found = [finding for path in there for finding in newer_features(path, source)]
    if not there or len(there) > MAX_FILES or sum(path.stat().st_size for path in there) > MAX_BYTES:
        raise UserError(
            f"{source} is not a folder with a dataset of at most {MAX_FILES} files and {MAX_BYTES:,} bytes; name one: --dataset FOLDER."
        )
    if found:
        raise UserError(f"{source}/{found[0].where}: {found[0].problem}; {found[0].fix}.")
    for path in there:
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)


def newer_features(path: Path, source: Path) -> Iterator[Any]:
    if any(path.match(pattern) for pattern in files.STORED):
        yield from stored.findings(path, path.relative_to(source).as_posix())


def write_stored(splits: dict[str, Any], target: Path) -> None:
    """Writes what `load_from_disk` of the contract's `datasets` reads: the features follow from the Arrow types."""
    for name, rows in splits.items():
        (target / name).mkdir(parents=True)
        path = target / name / "data-00000-of-00001.arrow"
        write_arrow(rows, path)
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()[:16]
        state: dict[str, Any] = {"_data_files": [{"filename": path.name}], "_fingerprint": digest, "_split": name}
        state |= {"_format_columns": None, "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False}
        write_json(state, target / name / stored.STATE)
        write_json({"citation": "", "description": "", "features": None}, target / name / stored.INFO)
    write_json({"splits": list(splits)}, target / stored.SPLITS)


def write_arrow(rows: Any, path: Path) -> None:
    """One Arrow stream without the metadata of `datasets`, whose newer features older versions refuse."""
    import pyarrow as pa

    schema = pa.schema([field.with_type(small(field.type)) for field in rows.features.arrow_schema])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for table in rows.with_format("arrow").iter(batch_size=BATCH):
            writer.write_table(table.select(schema.names).cast(schema))


def small(kind: Any) -> Any:
    """An Arrow type without the large variants that the contract's `datasets` does not know."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(small(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(small(kind.value_type))
    return kind


def write_json(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
