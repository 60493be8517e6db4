"""What is in the reports folder, for other tools: summary.json, CSV tables, and a Parquet file of all items."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from eval.report.conditions import Section
from eval.report.data import GROUPS
from eval.report.items import Item, load_items, load_problems, problems_file
from eval.report.load import Evaluation
from eval.report.look import replace_file
from eval.report.overview import as_rows, make_overviews
from eval.report.training import tokens_seen

# One line an item. Names are those of predictions.jsonl and verdicts.*.jsonl where they mean the same.
TEXTS = ("problem", "gold", "output")
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("key", "checkpoint", "folder", "run")]
    + [("step", pa.int64()), ("benchmark", pa.string()), ("limit", pa.int64()), ("id", pa.string())]
    + [("number", pa.int64()), ("sample", pa.int64())]
    + [(name, pa.string()) for name in (*GROUPS, *TEXTS, "extracted", "status")]
    + [(name, pa.bool_()) for name in ("correct", "normalized", "strict")]
    + [("rule", pa.string()), ("class", pa.string()), ("detail", pa.string())]
    + [(name, pa.bool_()) for name in ("recoverable", "truncated", "ran_on")]
    + [("output_tokens", pa.int64())]
)
FORMULA = re.compile(r"[=@\t\r]|[+-](?!\.?\d)")  # what makes a spreadsheet compute a cell instead of showing it


def write_summary(sections: Iterable[Section], folder: Path) -> list[Path]:
    """summary.json: for each section its conditions and the summaries of its rows, in the order of the table."""
    found = [
        {
            "title": section.title,
            "note": section.note,
            "benchmark": section.current[0].manifest["benchmark"],
            "decoding": section.current[0].manifest["decoding"],
            "engine": section.current[0].manifest["engine"],
            "rows": [_summary(section.evaluation_of(row.summary), row.label) for row in section.group.rows],
        }
        for section in sections
    ]
    path = folder / "summary.json"
    replace_file(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return [path]


def write_csv(sections: Iterable[Section], folder: Path) -> list[Path]:
    """summaries.csv, one line an evaluation, and items.csv, one line an output without the long texts."""
    sections = list(sections)
    rows = [
        {k: v for k, v in _summary(section.evaluation_of(row.summary), row.label).items() if _is_plain(v)}
        for section in sections
        for row in section.group.rows
    ]
    # The first row gives the columns, and older evaluations have fewer.
    columns: dict[str, Any] = dict.fromkeys(name for row in rows for name in row)
    first = _write_table(folder / "summaries.csv", (columns | row for row in rows))
    short = ({k: v for k, v in row.items() if k not in TEXTS} for batch in item_batches(sections) for row in batch)
    return [first, _write_table(folder / "items.csv", short)]


def write_means_json(sections: Iterable[Section], folder: Path) -> list[Path]:
    """means.json: one object a checkpoint with its mean over benchmarks; nothing for a single benchmark."""
    rows, path = as_rows(make_overviews(list(sections))), folder / "means.json"
    if not rows:
        return []
    replace_file(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    return [path]


def write_means_csv(sections: Iterable[Section], folder: Path) -> list[Path]:
    """means.csv: one line a checkpoint with its mean over benchmarks; nothing for a single benchmark."""
    rows = [{_cell(name): value for name, value in row.items()} for row in as_rows(make_overviews(list(sections)))]
    return [_write_table(folder / "means.csv", rows)] if rows else []


def write_parquet(sections: Iterable[Section], folder: Path) -> list[Path]:
    """items.parquet: one line an output, texts included; a row group an evaluation, so that memory holds one at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "items.parquet"
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with pq.ParquetWriter(partial, SCHEMA, compression="zstd") as writer:
        for rows in item_batches(sections):
            writer.write_table(pa.Table.from_pylist([_encodable(row) for row in rows], SCHEMA))
    partial.replace(path)
    return [path]


def item_batches(sections: Iterable[Section]) -> Iterator[list[dict[str, Any]]]:
    """The items of one evaluation after the other, each with the columns of SCHEMA."""
    for section in sections:
        problems = load_problems(problems_file(section.current[0]))
        for row in section.group.rows:
            for evaluation in section.members_of(row.summary):
                yield [_row(evaluation, item, problems[item.position]) for item in load_items(evaluation, problems)]


def _row(evaluation: Evaluation, item: Item, problem: Mapping[str, Any]) -> dict[str, Any]:
    summary, outcome = evaluation.summary, item.outcome
    return {
        **{name: summary[name] for name in ("key", "checkpoint", "run", "step", "benchmark", "limit")},
        "folder": summary.get("folder"),
        "id": item.id,
        "number": item.position + 1,
        "sample": item.sample,
        **{name: None if problem.get(name) is None else str(problem[name]) for name in GROUPS},
        "problem": problem["problem"],
        "gold": str(problem["answer"]),
        "output": item.text,
        "extracted": item.extracted,
        "status": item.status,
        "correct": item.status == "correct",
        "normalized": item.normalized,
        "strict": item.strict,
        "rule": item.rule,
        "class": outcome.kind,
        "detail": outcome.detail,
        "recoverable": outcome.recoverable,
        "truncated": outcome.truncated,
        "ran_on": outcome.ran_on,
        "output_tokens": item.tokens,
    }


def _summary(evaluation: Evaluation, label: str) -> dict[str, Any]:
    low, high = evaluation.summary["ci95"]
    more = {"label": label, "ci95_low": low, "ci95_high": high, "training_tokens": tokens_seen(evaluation)}
    return {**evaluation.summary, **more}


def _write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with partial.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer: csv.DictWriter[str] | None = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(file, list(row), restval="", extrasaction="ignore")
                writer.writeheader()
            writer.writerow({name: _cell(value) for name, value in row.items()})
    partial.replace(path)
    return path


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _encodable(row: dict[str, Any]) -> dict[str, Any]:
    """Model text may hold half of a surrogate pair, which UTF-8 can't."""
    return {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in row.items()}
