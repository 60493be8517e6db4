"""The row-by-row steps, over chunks of some thousand rows: in this process, or in one process a core.

A chunk is a file of rows between two decisions that need all rows at once. Each pass reads a chunk, writes what was
dropped since beside it, takes the rest through its steps, and writes a new chunk; so memory holds a few chunks and one
line of figures a row, however large the sources are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from data import dedup
from data.adapters import MARKED, describe_columns
from data.damage import BATCH_REWRITES
from data.filters import FILTERS
from data.recipe import Recipe, Step
from data.rewrite import REWRITES
from data.rows import Drop, Row, draw, to_line
from data.sources import Batch, Source, read
from data.text import normalised
from data.tools import BATCH_FILTERS, CONTRACT, Tools, contract


@dataclass(frozen=True)
class Chunk:
    """A file of rows, and for each row why it has been dropped since ("" for those that have not)."""

    path: Path
    step: str = ""
    reasons: list[str] = field(default_factory=list)
    details: dict[int, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A pass over one chunk. `what` is a batch of a source, for the first pass, or a chunk of the pass before."""

    stage: int
    number: int
    what: tuple[Batch, Source] | Chunk
    steps: tuple[Step, ...]
    signatures: bool = False


@dataclass
class Tally:
    """What one step did: rows that came in, why some were dropped, how many it changed."""

    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    changed: int = 0
    left_out: Counter[str] = field(default_factory=Counter)  # columns of reasoning beside full solutions

    def add(self, other: Tally) -> None:
        self.rows += other.rows
        self.dropped.update(other.dropped)
        self.changed += other.changed
        self.left_out.update(other.left_out)


@dataclass(frozen=True)
class Done:
    """A finished pass: the new chunk, one line of figures for each of its rows, and what each step did."""

    path: Path
    table: pa.Table
    signatures: np.ndarray[tuple[int, ...], np.dtype[np.uint32]]
    tallies: list[Tally]  # of reading or of the decision before, then of each step
    read: Counter[str]  # rows read by source, for the first pass
    first_bad: str = ""


class Work:
    """Where passes are done. `with Work(...) as work: for done in work.map(jobs): ...` gives results in the jobs' order."""

    def __init__(self, recipe: Recipe, tools: Tools, folder: Path, workers: int) -> None:
        self.recipe, self.tools, self.folder, self.workers = recipe, tools, folder, workers
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Work:
        if self.workers > 1:
            # Spawned, not forked: a fork copies the threads' locks of Arrow and of the tokenizer in whatever state they are.
            # With tools of its own: those of this process may hold a tokenizer, which would have to be pickled.
            tools = dataclasses.replace(self.tools)
            self.pool = ProcessPoolExecutor(
                self.workers, multiprocessing.get_context("spawn"), _start, (self.recipe, tools, self.folder)
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def map(self, jobs: Iterable[Job]) -> Iterator[Done]:
        """Results in order; at most three jobs a worker are in flight, so that reading does not run ahead of work."""
        if self.pool is None:
            yield from (run(job, self.recipe, self.tools, self.folder) for job in jobs)
            return
        waiting: deque[Future[Done]] = deque()
        for job in jobs:
            waiting.append(self.pool.submit(_run_here, job))
            if len(waiting) >= 3 * self.workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


_here: tuple[Recipe, Tools, Path] | None = None  # of a worker process


def _start(*context: Any) -> None:
    global _here
    _here = context
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism


def _run_here(job: Job) -> Done:
    assert _here is not None
    return run(job, *_here)


def run(job: Job, recipe: Recipe, tools: Tools, folder: Path) -> Done:
    """One pass over one chunk. Its files are named by stage and number, so the order of workers shows nowhere."""
    tally, counts, first_bad = Tally(), Counter[str](), ""
    dropped: list[bytes] = []
    if isinstance(job.what, Chunk):
        origins, rows = _continue(job.what, dropped, tally)
    else:
        rows = []
        for item in read(*job.what):
            tally.rows += 1
            counts[job.what[1].name] += 1
            if isinstance(item, Drop):
                tally.dropped[item.reason] += 1
                first_bad = first_bad or _bad(item)
                dropped.append(to_line({"step": "read", "reason": item.reason, "detail": item.detail}))
            else:
                tally.left_out.update([column] if (column := item.pop("left_out", "")) else [])
                rows.append(item)
        origins = list(range(len(rows)))
    tallies = [tally]
    for step in job.steps:
        rows, origins, tally = _apply(step, rows, origins, tools, dropped)
        tallies.append(tally)
    (folder / f"dropped-{job.stage:02d}-{job.number:06d}").write_bytes(b"".join(dropped))
    path = folder / f"rows-{job.stage:02d}-{job.number:06d}"
    write_rows(path, rows)
    problems = [row["problem"] for row in rows] if job.signatures else []
    return Done(path, _figures(rows, origins, job, recipe.seed), dedup.signatures(problems), tallies, counts, first_bad)


def _bad(drop: Drop) -> str:
    """What is said of the first row that could not be read; "" for one that its data set calls wrong."""
    columns = f" ({describe_columns(drop.detail['columns'])})" if "columns" in drop.detail else ""
    return "" if drop.reason.startswith(MARKED) else f"{drop.detail['place']}: {drop.reason}{columns}"


def _continue(chunk: Chunk, dropped: list[bytes], tally: Tally) -> tuple[list[int], list[Row]]:
    """The rows that the decision before has kept, and their places; the others go to `dropped` and are counted."""
    origins, rows = [], []
    for index, row in enumerate(read_rows(chunk.path)):
        tally.rows += 1
        reason = chunk.reasons[index] if chunk.reasons else ""
        if reason:
            tally.dropped[reason] += 1
            dropped.append(_dropped_line(chunk.step, row, Drop(reason, chunk.details.get(index, {}))))
        else:
            origins.append(index)
            rows.append(row)
    chunk.path.unlink()
    return origins, rows


def _apply(
    step: Step, rows: list[Row], origins: list[int], tools: Tools, dropped: list[bytes]
) -> tuple[list[Row], list[int], Tally]:
    """The rows after a step, their places in the chunk that came in, and what the step did."""
    tally = Tally(len(rows))
    if step.name in REWRITES or step.name in BATCH_REWRITES:
        changed = rewritten(step, rows)
        tally.changed = sum(new is not old and new != old for new, old in zip(changed, rows, strict=True))
        return changed, origins, tally
    kept, places = [], []
    for row, origin, verdict in zip(rows, origins, verdicts(step, rows, tools), strict=True):
        if verdict is None:
            kept.append(row)
            places.append(origin)
        else:
            tally.dropped[verdict.reason] += 1
            dropped.append(_dropped_line(step.name, row, verdict))
    return kept, places, tally


def rewritten(step: Step, rows: list[Row]) -> list[Row]:
    """The rows as a rewriting step leaves them."""
    if step.name in BATCH_REWRITES:
        return BATCH_REWRITES[step.name](rows, **step.parameters)
    return [REWRITES[step.name](row, **step.parameters) for row in rows]


def verdicts(step: Step, rows: list[Row], tools: Tools) -> list[Drop | None]:
    """For each row None where a filter keeps it, or why it does not."""
    if step.name == CONTRACT:
        return contract(rows, tools)
    if step.name in BATCH_FILTERS:
        return BATCH_FILTERS[step.name](rows, tools, **step.parameters)
    reasons = (FILTERS[step.name](row, **step.parameters) for row in rows)
    return [None if reason is None else Drop(reason) for reason in reasons]


def _dropped_line(step: str, row: Row, drop: Drop) -> bytes:
    shown = {key: value for key, value in row.items() if value and key not in ("hash", "tokens")}
    return to_line({"step": step, "reason": drop.reason, "detail": drop.detail, "row": shown})


def _figures(rows: list[Row], origins: list[int], job: Job, seed: int) -> pa.Table:
    text = {
        name: pa.array([row[name] for row in rows], pa.string())
        for name in ("id", "source", "subject", "level", "difficulty")
    }
    ranks = list(zip(*(dedup.rank(row["solution"], row["answer"] or None) for row in rows), strict=True)) or [
        (),
        (),
        (),
    ]
    numbers = {
        "tokens": pa.array([int(row.get("tokens", 0)) for row in rows], pa.int64()),
        "origin": pa.array(origins, pa.int32()),
        "priority": pa.array([draw(f"mix {seed}", row) for row in rows], pa.uint64()),
        "validation": pa.array([draw(f"validation {seed}", row) for row in rows], pa.uint64()),
        "key": pa.array([_key(row["problem"]) for row in rows] if job.signatures else [0] * len(rows), pa.uint64()),
    }
    numbers |= {f"rank{place}": pa.array(values, pa.int64()) for place, values in enumerate(ranks)}
    return pa.table(text | numbers)


def _key(problem: str) -> int:
    data = (normalised(problem) or problem).encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def write_rows(path: Path, rows: list[Row]) -> None:
    """A chunk file: one Arrow column of JSON, because rows are read whole or not at all."""
    lines = pa.array([json.dumps(row, ensure_ascii=False).encode() for row in rows], pa.large_binary())
    table = pa.table({"row": lines})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a chunk file, in order."""
    with pa.memory_map(str(path)) as file:
        for line in pa.ipc.open_file(file).read_all()["row"]:
            yield json.loads(line.as_py())
