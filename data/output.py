"""The files of a build: the rows that are kept, those that are not with their reasons, and the manifest."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from data.content import digest_of_one
from data.mix import Fates
from data.recipe import Recipe
from data.rows import OPTIONAL, Row, to_line, training_row
from data.tools import MAX_ROWS
from data.work import Chunk, read_rows
from eval.records import UserError


def write_rows(folder: Path, chunks: list[Chunk], fates: Fates, table: pa.Table) -> dict[str, dict[str, Any]]:
    """train.jsonl and validation.jsonl in the order of the rows' hashes, and dropped.jsonl; returns counts and digests."""
    kept: dict[str, list[tuple[int, Row]]] = {"train": [], "validation": []}
    priorities, index, late = table["priority"].to_pylist(), 0, []
    for chunk in chunks:
        for place, row in enumerate(read_rows(chunk.path)):
            if fates.reasons[index]:
                shown = {key: value for key, value in row.items() if value and key not in ("hash", "tokens")}
                detail = chunk.details.get(place, {})
                late.append(
                    to_line({"step": chunk.step, "reason": fates.reasons[index], "detail": detail, "row": shown})
                )
            else:
                split = "validation" if index in fates.validation else "train"
                kept[split].append((priorities[index], row))
            index += 1
    (folder / "work" / "dropped-99").write_bytes(b"".join(late))
    optional = tuple(name for name in OPTIONAL if any(row.get(name) for rows in kept.values() for _, row in rows))
    splits = {}
    for split, rows in kept.items():
        if len(rows) > MAX_ROWS[split]:
            raise UserError(
                f"{split} has {len(rows):,} rows, the contract allows {MAX_ROWS[split]:,}; lower `rows` of mix.", 1
            )
        rows.sort(key=lambda item: (item[0], item[1]["id"], item[1]["solution"]))
        path = folder / f"{split}.jsonl"
        path.write_bytes(b"".join(to_line(training_row(row, optional)) for _, row in rows))
        tokens = sum(int(row["tokens"]) for _, row in rows)
        splits[split] = {"rows": len(rows), "tokens": tokens, "sha256": digest_of_one(path)}
    return splits | {"dropped": _gather_dropped(folder)}


def _gather_dropped(folder: Path) -> dict[str, Any]:
    path, lines = folder / "dropped.jsonl", 0
    with path.open("wb") as out:
        for part in sorted((folder / "work").glob("dropped-*")):
            data = part.read_bytes()
            lines += data.count(b"\n")
            out.write(data)
    return {"rows": lines, "sha256": digest_of_one(path)}


def manifest(
    recipe: Recipe,
    inputs: dict[str, Any],
    funnel: list[dict[str, Any]],
    read: Counter[str],
    table: pa.Table,
    fates: Fates,
    splits: dict[str, Any],
) -> dict[str, Any]:
    """What a build says of itself. Raises RuntimeError where its counts contradict one another."""
    lost = sum(count for entry in funnel for count in entry["dropped"].values())
    kept = splits["train"]["rows"] + splits["validation"]["rows"]
    if funnel[0]["rows"] != kept + lost or splits["dropped"]["rows"] != lost:
        raise RuntimeError(
            f"the funnel does not add up: {funnel[0]['rows']} read, {kept} kept, {lost} dropped, {splits}"
        )
    return {
        "name": recipe.name,
        "about": recipe.about,
        "digest": digest(inputs),
        **inputs,
        "rows_read": {source.name: read[source.name] for source in recipe.sources},
        "funnel": funnel,
        "splits": splits,
        **{f"by_{column}": _by(column, table, fates) for column in ("source", "level", "subject")},
    }


def digest(inputs: dict[str, Any]) -> str:
    """Of all that decides a build, without the places where files lie: moved data are the same data."""
    moved = {
        name: {key: value for key, value in source.items() if key != "path"}
        for name, source in inputs["sources"].items()
    }
    content = {key: value for key, value in inputs.items() if key != "tokenizer"} | {"sources": moved}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _by(column: str, table: pa.Table, fates: Fates) -> dict[str, dict[str, int]]:
    """Rows and tokens of train by the values of a column, most rows first; {} where no row says anything."""
    rows, tokens = Counter[str](), Counter[str]()
    values, counts = table[column].to_pylist(), table["tokens"].to_pylist()
    for index, (value, count) in enumerate(zip(values, counts, strict=True)):
        if not fates.reasons[index] and index not in fates.validation:
            rows[value] += 1
            tokens[value] += count
    order = sorted(rows, key=lambda value: (-rows[value], value))
    return {value: {"rows": rows[value], "tokens": tokens[value]} for value in order} if any(rows.keys()) else {}
