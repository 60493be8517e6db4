"""From a recipe to a data set: read, take every row through the steps, decide over all of them, write, describe.

    data/built/<name>-<digest>/   train.jsonl  validation.jsonl  dropped.jsonl  manifest.json  README.md  plots

The digest covers the recipe, the content of its sources and benchmarks, the tokenizer's prompt and the rules in force:
the same digest is the same bytes, and what is there already is not built again. Everything is made in a folder beside
and renamed at the end, so a folder with the right name is complete.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rich.console import Console

from data import card, output, sources
from data.adapters import MARKED
from data.mix import WHOLE, Fates
from data.recipe import Recipe, Step
from data.sources import Source
from data.tools import CONTRACT, MAX_ROWS, Tools
from data.work import Chunk, Done, Job, Tally, Work
from eval import benchmarks, prompts
from eval.console import progress
from eval.files import write_json
from eval.records import UserError
from graders import GRADER_VERSION

# Below so many bytes of sources a second process costs more to start than it saves.
SMALL_BYTES = 4 << 20
# Whose text decides what comes out of a recipe; the digest covers them.
RULES = (
    "adapters", "conversations", "damage", "decontaminate", "dedup", "filters", "folders", "hub_card", "leftovers", "marks", "mix",
    "output", "placeholders", "rewrite", "rows", "sources", "synthetic", "text", "tools", "values", "work",
    "wrappers",
)  # fmt: skip


@dataclass(frozen=True)
class Built:
    """A data set: where it is, what its manifest says, and whether it was there before."""

    folder: Path
    manifest: dict[str, Any]
    reused: bool


@dataclass
class Funnel:
    """What each step did, in order. It adds up: what went in is what was dropped and what went on."""

    steps: list[tuple[str, Tally]] = field(default_factory=list)

    def entries(self) -> list[dict[str, Any]]:
        found = []
        for name, tally in self.steps:
            dropped = dict(sorted(tally.dropped.items(), key=lambda item: (-item[1], item[0])))
            kept = tally.rows - sum(dropped.values())
            found.append({"step": name, "rows": tally.rows, "dropped": dropped, "changed": tally.changed, "kept": kept})
            if tally.left_out:
                found[-1]["left_out"] = dict(sorted(tally.left_out.items()))
        for before, after in itertools.pairwise(found):
            if before["kept"] != after["rows"]:
                raise RuntimeError(f"the funnel does not add up: {before} is followed by {after}")
        return found


def build(
    recipe: Recipe, out: Path, benchmarks_dir: Path | None, console: Console, workers: int | None = None
) -> Built:
    """The data set of a recipe under `out`. Raises UserError for what the recipe or its sources get wrong."""
    tools = Tools(recipe.tokenizer, benchmarks_dir, _benchmark_names(recipe, benchmarks_dir, console))
    inputs = describe_inputs(recipe, tools)
    for line in prompts.costs(describe_prompt(tools)):
        console.print(line, markup=False, soft_wrap=True)
    folder = out / f"{recipe.name}-{output.digest(inputs)[:12]}"
    if (folder / "manifest.json").is_file():
        return Built(folder, json.loads((folder / "manifest.json").read_text(encoding="utf-8")), True)
    _clear_remains(out)
    partial = out / f".{folder.name}.{os.getpid()}.partial"
    (partial / "work").mkdir(parents=True)
    try:
        with Work(recipe, tools, partial / "work", _workers(recipe, workers)) as work:
            funnel, read, chunks, fates, table = take_through(recipe, work, console)
        splits = output.write_rows(partial, chunks, fates, table)
        manifest = output.manifest(recipe, inputs, funnel.entries(), read, table, fates, splits)
        card.write(partial, manifest, table, fates)
        shutil.rmtree(partial / "work")
        write_json(partial / "manifest.json", manifest)
        _rename(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Built(folder, manifest, False)


def describe_inputs(recipe: Recipe, tools: Tools) -> dict[str, Any]:
    """All that decides the bytes of a build, known before any row is read."""
    here = Path(__file__).parent
    rules = hashlib.sha256(b"".join((here / f"{name}.py").read_bytes() for name in RULES))
    return {
        "recipe": recipe.content(),
        "sources": {source.name: sources.identity(source) | _reading(source) for source in recipe.sources},
        "tokenizer": recipe.tokenizer,
        "prompt": {key: describe_prompt(tools)[key] for key in ("fingerprint", "template")},
        "benchmarks": {name: benchmarks.load(name, tools.benchmarks_dir).sha256 for name in tools.benchmark_names},
        "grader_version": GRADER_VERSION,
        "rules_sha256": rules.hexdigest(),
    }


def describe_prompt(tools: Tools) -> dict[str, Any]:
    """Today's template, also one with a fault: training refuses that, and the rows are what they are without it."""
    return prompts.describe(tools.tokenizer, tools.template_faults)


def stages(recipe: Recipe) -> Iterator[tuple[tuple[Step, ...], Step]]:
    """(steps that look at a row alone, then the decision over all rows), in order; the last decision is the split."""
    local: list[Step] = []
    for step in recipe.steps:
        if step.name not in WHOLE:
            local.append(step)
            continue
        if step.name == "validation":
            local.append(Step(CONTRACT, {}))
        yield tuple(local), step
        local = []


def take_through(
    recipe: Recipe, work: Work, console: Console
) -> tuple[Funnel, Counter[str], list[Chunk], Fates, pa.Table]:
    """Every row through every step: the funnel, rows read by source, the last chunks, and the fates of their rows."""
    funnel, read, before = Funnel(), Counter[str](), "read"
    chunks: list[Chunk] = []
    for stage, (steps, decision) in enumerate(stages(recipe)):
        signatures = WHOLE[decision.name][1]
        if any(step.name == CONTRACT for step in steps):
            _check_size(sum(reason == "" for chunk in chunks for reason in chunk.reasons), recipe, chunks)
        if stage == 0:
            done = _first_pass(recipe, work, console, steps, signatures)
            for each in done:
                read.update(each.read)
            _check_readable(recipe, done)
        else:
            jobs = [Job(stage, number, chunk, steps, signatures) for number, chunk in enumerate(chunks)]
            done = _tracked(work, jobs, console, f"step {', '.join(step.name for step in steps) or 'next'}")
        _count(funnel, before, [step.name for step in steps], done)
        table = pa.concat_tables([each.table for each in done])
        _check_left(funnel, len(table), recipe)
        fates = _decide(decision, table, done)
        before = decision.name
        chunks = _chunks(done, decision.name, fates)
    last = Tally(len(table), Counter(reason for reason in fates.reasons if reason))
    funnel.steps.append((before, last))
    return funnel, read, chunks, fates, table


def _first_pass(recipe: Recipe, work: Work, console: Console, steps: tuple[Step, ...], signatures: bool) -> list[Done]:
    total = sum(map(sources.size_bytes, recipe.sources))
    done, sizes = [], []

    def jobs() -> Iterator[Job]:
        number = 0
        for source in recipe.sources:
            for batch in sources.batches(source):
                sizes.append(batch.size)
                yield Job(0, number, (batch, source), steps, signatures)
                number += 1

    with progress(console, "read", max(total >> 20, 1), "MB") as advance:
        for each in work.map(jobs()):
            done.append(each)
            advance(min(sum(sizes[: len(done)]), total or 1) >> 20, f"{sum(map(_rows_in, done)):,} rows")
    return done


def _rows_in(done: Done) -> int:
    return done.tallies[0].rows


def _tracked(work: Work, jobs: list[Job], console: Console, what: str) -> list[Done]:
    done = []
    with progress(console, what, len(jobs), "chunk") as advance:
        for each in work.map(jobs):
            done.append(each)
            advance(len(done))
    return done


def _decide(decision: Step, table: pa.Table, done: list[Done]) -> Fates:
    decide, wants_signatures = WHOLE[decision.name]
    if wants_signatures:
        signatures = np.concatenate([each.signatures for each in done])
        return decide(table, signatures, **decision.parameters)  # type: ignore[no-any-return]
    return decide(table, **decision.parameters)  # type: ignore[no-any-return]


def _chunks(done: list[Done], step: str, fates: Fates) -> list[Chunk]:
    found, start = [], 0
    for each in done:
        end = start + len(each.table)
        details = {index - start: fates.details[index] for index in range(start, end) if index in fates.details}
        found.append(Chunk(each.path, step, fates.reasons[start:end], details))
        start = end
    return found


def _count(funnel: Funnel, before: str, names: list[str], done: list[Done]) -> None:
    """Adds the decision before a pass (or reading) and the steps of the pass to the funnel."""
    for place, name in enumerate([before, *names]):
        tally = Tally()
        for each in done:
            tally.add(each.tallies[place])
        funnel.steps.append((name, tally))


# What stops a build


def _check_readable(recipe: Recipe, done: list[Done]) -> None:
    by_name = {source.name: source for source in recipe.sources}
    for name, source in by_name.items():
        mine = [each for each in done if name in each.read]
        rows, bad = sum(each.read[name] for each in mine), sum(_bad_rows(each) for each in mine)
        if not rows:
            raise UserError(f"source {name} has no rows; mend it, or take it out of {recipe.path}.", 1)
        if bad > source.bad_rows * rows:
            first = next(each.first_bad for each in mine if each.first_bad)
            raise UserError(
                f"source {name}: {bad:,} of {rows:,} rows cannot be used, the first is {first}; mend them, or accept their loss "
                f"with `bad_rows: {min(1, -(-1000 * bad // rows) / 1000)}`.",
                1,
            )


def _bad_rows(done: Done) -> int:
    """Rows that could not be read; those that their data set calls wrong could."""
    return sum(count for reason, count in done.tallies[0].dropped.items() if not reason.startswith(MARKED))


def _check_left(funnel: Funnel, rows: int, recipe: Recipe) -> None:
    if rows > 1:
        return
    name, tally = max(funnel.steps, key=lambda item: item[1].dropped.total())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in tally.dropped.most_common(3))
    raise UserError(
        f"{recipe.path}: {rows} rows are left for training; step {name} dropped {tally.dropped.total():,} of {tally.rows:,} ({reasons}); "
        "loosen it or take it out.",
        1,
    )


def _check_size(rows: int, recipe: Recipe, chunks: list[Chunk]) -> None:
    most = sum(MAX_ROWS.values())
    if chunks and rows > most:
        raise UserError(
            f"{recipe.path}: {rows:,} rows are left and the contract allows {MAX_ROWS['train']:,}; add `- mix: {{rows: 100000}}` before "
            "the validation step.",
            1,
        )


def _clear_remains(out: Path) -> None:
    """Takes away what builds left behind that were killed; those of processes that still run stay."""
    for path in out.glob(".*.partial"):
        number = path.name.split(".")[-2]
        if number.isdigit() and not Path(f"/proc/{number}").exists():
            shutil.rmtree(path, ignore_errors=True)


def _rename(partial: Path, folder: Path) -> None:
    try:
        partial.replace(folder)
    except OSError:
        if not (folder / "manifest.json").is_file():  # else another process has built the same meanwhile
            raise


def _reading(source: Source) -> dict[str, Any]:
    return {"format": source.format, "columns": source.columns, "bad_rows": source.bad_rows}


def _workers(recipe: Recipe, asked: int | None) -> int:
    if asked is not None:
        return asked
    small = (
        not any(source.hub for source in recipe.sources) and sum(map(sources.size_bytes, recipe.sources)) < SMALL_BYTES
    )
    return 0 if small else len(os.sched_getaffinity(0))


def _benchmark_names(recipe: Recipe, benchmarks_dir: Path | None, console: Console) -> tuple[str, ...]:
    wanted = [step.parameters["benchmarks"] for step in recipe.steps if step.name == "decontaminate"]
    if not wanted:
        return ()
    if not all(wanted) and (others := benchmarks.left_out(benchmarks_dir)):
        console.print(others, markup=False, soft_wrap=True)
    return tuple(dict.fromkeys(name for names in wanted for name in names or benchmarks.names(benchmarks_dir)))
