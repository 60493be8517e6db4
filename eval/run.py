"""The main path: decode what is missing, grade what is not graded, for every checkpoint with one resident engine."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from eval import checkpoints, places, prompts, store
from eval.benchmark_remarks import remarks, show_remarks
from eval.console import progress
from eval.doubts import set_apart
from eval.engines.base import Engine, Loaded, Prompt, Stops
from eval.grading import grade_stored
from eval.plan import Job, Options, choose_device, choose_engine, load_benchmarks, load_shots, longest, named, plan
from eval.records import Benchmark, Completion, Prediction
from eval.shots import Shots, note
from eval.skips import Skipped, Skips
from eval.summary import summarise

# Predictions that are synced to disk together: what a crash can cost is less than a second of decoding.
BATCH_PREDICTIONS = 32


def evaluate(
    names: list[str], options: Options, console: Console, skipped: list[Skipped] | None = None
) -> Iterator[dict[str, Any]]:
    """Yields the summary of every (checkpoint, benchmark), in order, each finished on disk before it is yielded.

    Everything is checked before the engine starts, and the engine starts only when something has to be decoded. With a
    list `skipped`, a checkpoint that is broken or locked joins that list instead of ending the call.
    """
    engine, jobs, skips = prepare(names, options, skipped, console)
    with closing(engine):
        yield from score(jobs, options, engine, console, skips)


def prepare(
    names: list[str], options: Options, skipped: list[Skipped] | None, console: Console
) -> tuple[Engine, list[Job], Skips]:
    """The engine, not started, and what it will be asked. Raises UserError for whatever can be refused by now."""
    engine, sets = choose_engine(options, choose_device(options.device)), load_benchmarks(options)
    tell(sets, console)
    shots = told_shots(load_shots(sets, options), console)
    found = checkpoints.found(names)
    skips, jobs = Skips(skipped, several=len(found) > 1), []
    for folder, hub_id in found.items():
        with skips.around(hub_id or str(folder)):
            jobs += plan(checkpoints.identify(folder, hub_id), sets, options, engine, shots)
    tell_costs(jobs, console)
    if skipped is None:
        for job in jobs:
            with skips.around(job.checkpoint.name):
                check_free(job, options)
    return engine, jobs, skips


def watch(
    run: Path, options: Options, console: Console, skipped: list[Skipped] | None = None
) -> Iterator[dict[str, Any]]:
    """Yields what `evaluate` does, for each checkpoint of `run` as training finishes it, until training has ended."""
    engine, sets = choose_engine(options, choose_device(options.device)), load_benchmarks(options)
    shots = told_shots(load_shots(sets, options), console)
    tell(sets, console)
    skips = Skips(skipped, several=True)
    with closing(engine):
        for folder in waited_for(run, console):
            jobs: list[Job] = []
            with skips.around(str(folder)):
                jobs = plan(checkpoints.identify(folder), sets, options, engine, shots)
            tell_costs(jobs, console)
            yield from score(jobs, options, engine, console, skips)


def told_shots(shots: dict[str, Shots], console: Console) -> dict[str, Shots]:
    """`shots`, after a line for each benchmark that says what they are."""
    for benchmark, drawn in shots.items():
        console.print(note(drawn, benchmark), markup=False, soft_wrap=True)
    return shots


def tell(sets: Iterable[Benchmark], console: Console) -> None:
    """Prints what is to be known of the benchmarks, once, before anything is decoded."""
    for benchmark in sets:
        show_remarks(remarks(benchmark), console)


def tell_costs(jobs: Iterable[Job], console: Console) -> None:
    """Prints what the faults of a template cost that does not stop a measurement, once for each checkpoint."""
    said = {(job.checkpoint.name, line) for job in jobs for line in prompts.costs(job.manifest["prompt"])}
    for name, line in sorted(said):
        console.print(f"{name}: {line}", markup=False, soft_wrap=True)


def waited_for(run: Path, console: Console) -> Iterator[Path]:
    """The checkpoints of `run` as they become complete, each with a line that says how long it has been so."""
    arrivals = checkpoints.arrivals(run)
    while True:
        with console.status(Text(f"waiting for a checkpoint in {run}")):
            arrival = next(arrivals, None)
        if arrival is None:
            return
        folder, seconds = arrival
        console.print(f"{folder}: complete for {seconds:.0f} s", markup=False, soft_wrap=True)
        yield folder


def score(
    jobs: list[Job], options: Options, engine: Engine, console: Console, skips: Skips
) -> Iterator[dict[str, Any]]:
    """Yields the summary of every job, in order; what is stored already is not decoded again."""
    engine.max_model_tokens = max(engine.max_model_tokens, longest(jobs))
    inside: Path | None = None
    for planned in jobs:
        job = replace(planned, manifest=set_apart(planned.manifest, options.reports))
        summary, held, inside = None, inside, None  # after a failure nobody knows what the engine holds
        with skips.around(job.checkpoint.name, job.benchmark.name, engine):
            summary, inside = score_one(job, options, engine, console, held)
        if summary:
            yield summary


def score_one(
    job: Job, options: Options, engine: Engine, console: Console, inside: Path | None
) -> tuple[dict[str, Any], Path | None]:
    """(the summary of one job, the model that the engine holds now); `inside` is the one that it held before."""
    folder = store.create(options.reports, job.manifest, job.benchmark)
    places.note(folder, job.manifest)
    if summary := store.read_summary(folder):
        return summary | named(job) | {"reused": True}, inside
    with store.locked(folder):
        owed, loaded = missing(job, folder), Loaded(0.0, 0.0)
        if owed and inside != job.checkpoint.path:
            with console.status(Text(f"loading {job.checkpoint.name}")):
                inside, loaded = job.checkpoint.path, engine.load(job.checkpoint.path)
        times = {"start_s": loaded.start_s, "load_s": loaded.swap_s}
        times |= decode(job, owed, folder, engine, console)
        store.put_in_order(folder, job.owners)
        summary = named(job) | grade(job, folder, options.workers, console) | times | {"reused": False}
        store.finish(folder, summary)
    return summary, inside


def check_free(job: Job, options: Options) -> None:
    """Raises UserError where another process is writing this evaluation."""
    folder = options.reports / str(job.manifest["key"])
    if folder.is_dir() and not store.read_summary(folder):
        with store.locked(folder):
            pass


def missing(job: Job, folder: Path) -> list[int]:
    """Indices of problems that lack a sample: a set difference of ids, whatever order they were written in."""
    have = store.read_predictions(folder)
    samples = range(job.decoding.n_samples)
    return [
        index
        for index, problem in enumerate(job.benchmark.problems)
        if any((problem.id, sample) not in have for sample in samples)
    ]


def decode(job: Job, owed: list[int], folder: Path, engine: Engine, console: Console) -> dict[str, float]:
    """Decodes the problems in `owed` and appends their predictions batch by batch.

    Returns {"decode_s", "tokens_s"}: seconds and output tokens a second of this call, which may finish an earlier one.
    """
    if not owed:
        return {"decode_s": 0.0, "tokens_s": 0.0}
    began = time.monotonic()
    prompt = job.manifest["prompt"]
    stops = Stops(tuple(prompt["stop_token_ids"]), prompt["next_problem"] if job.decoding.stop_at_problem else "")
    asked = [Prompt(job.benchmark.problems[index].id, job.prompt_ids[index]) for index in owed]
    outputs = engine.generate(asked, job.decoding, stops)
    label = f"decode {job.checkpoint.path.name} on {job.benchmark.name}"
    have = store.read_predictions(folder)
    batch: list[Prediction] = []
    tokens = 0
    try:
        with progress(console, label, len(owed), "problem") as advance:
            for done, (position, completions) in enumerate(outputs, start=1):
                problem = job.benchmark.problems[owed[position]]
                tokens += sum(len(completion.token_ids) for completion in completions)
                batch += [
                    _prediction(problem.id, sample, completion, job.tokenizer)
                    for sample, completion in enumerate(completions)
                    if (problem.id, sample) not in have
                ]
                if len(batch) >= BATCH_PREDICTIONS:
                    full, batch = batch, []
                    store.append_predictions(folder, full)
                advance(done, f"{tokens / (time.monotonic() - began):.0f} tokens/s")
    finally:  # also when the engine fails or the user stops it
        store.append_predictions(folder, batch)
    seconds = time.monotonic() - began
    return {"decode_s": round(seconds, 3), "tokens_s": round(tokens / seconds, 1)}


def grade(job: Job, folder: Path, workers: int | None, console: Console) -> dict[str, Any]:
    """Grades every prediction and writes the verdicts; returns the figures that follow, and "grade_s"."""
    began = time.monotonic()
    label = f"{job.checkpoint.path.name} on {job.benchmark.name}"
    _, verdicts = grade_stored(folder, job.manifest, workers, console, label)
    summary = summarise(job.manifest, store.read_predictions(folder), verdicts)
    return summary | {"grade_s": round(time.monotonic() - began, 3)}


def _prediction(id_: str, sample: int, completion: Completion, tokenizer: Any) -> Prediction:
    token_ids = list(completion.token_ids)
    return Prediction(
        id=id_,
        sample=sample,
        text=tokenizer.decode(token_ids, skip_special_tokens=True),
        finish_reason=completion.finish_reason,
        output_tokens=len(token_ids),
        token_ids_sha=hashlib.sha256(json.dumps(token_ids).encode()).hexdigest(),
    )
