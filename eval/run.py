"""The main path: decode what is missing, grade what is not graded, for every checkpoint with one resident engine."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from eval import store
from eval.console import progress
from eval.engines.base import Engine, Loaded
from eval.plan import Job, Options, choose_device, choose_engine, longest, named, plan
from eval.records import Completion, Decoding, Prediction
from eval.stats import wilson
from graders import GRADER_VERSION, Verdict, grade_many

# Predictions that are synced to disk together: what a crash can cost is less than a second of decoding.
BATCH_PREDICTIONS = 32


def evaluate(names: list[str], options: Options, console: Console) -> Iterator[dict[str, Any]]:
    """Yields the summary of every (checkpoint, benchmark), in order, each finished on disk before it is yielded.

    Everything is checked before the engine starts, and the engine starts only when something has to be decoded.
    """
    engine = choose_engine(options, choose_device(options.device))
    jobs = plan(names, options, engine)
    engine.max_model_tokens = longest(jobs, options.decoding)
    inside: Path | None = None
    try:
        for job in jobs:
            folder = store.create(options.reports, job.manifest, job.benchmark)
            if summary := store.read_summary(folder):
                yield summary | named(job) | {"reused": True}
                continue
            with store.locked(folder):
                owed, loaded = missing(job, folder), Loaded(0.0, 0.0)
                if owed and inside != job.checkpoint.path:
                    with console.status(Text(f"loading {job.checkpoint.name}")):
                        inside, loaded = job.checkpoint.path, engine.load(job.checkpoint.path)
                times = {"start_s": loaded.start_s, "load_s": loaded.swap_s}
                times |= decode(job, owed, folder, engine, console)
                grade_s, verdicts = grade(job, folder, options.workers, console)
                summary = summarise(job, folder, verdicts) | times | {"grade_s": grade_s, "reused": False}
                store.finish(folder, summary)
            yield summary
    finally:
        engine.close()


def missing(job: Job, folder: Path) -> list[int]:
    """Indices of problems that lack a sample: a set difference of ids, whatever order they were written in."""
    have = store.read_predictions(folder)
    samples = range(job.manifest["decoding"]["n_samples"])
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
    decoding = Decoding(**job.manifest["decoding"])
    outputs = engine.generate(
        [job.prompt_ids[index] for index in owed], decoding, job.manifest["prompt"]["stop_token_ids"]
    )
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


def grade(job: Job, folder: Path, workers: int | None, console: Console) -> tuple[float, dict[store.Owner, Verdict]]:
    """Grades every prediction, in benchmark order, and writes the verdicts; returns (seconds, verdicts)."""
    began = time.monotonic()
    predictions = store.read_predictions(folder)
    golds = {problem.id: problem.answer for problem in job.benchmark.problems}
    owners = [(id_, sample) for id_ in golds for sample in range(job.manifest["decoding"]["n_samples"])]
    pairs = [(predictions[owner].text, golds[owner[0]]) for owner in owners]
    with progress(
        console, f"grade {job.checkpoint.path.name} on {job.benchmark.name}", len(pairs), "output"
    ) as advance:
        graded = grade_many(pairs, workers=workers, progress=lambda done, _total: advance(done))
    verdicts = dict(zip(owners, graded, strict=True))
    store.write_verdicts(folder, verdicts)
    return round(time.monotonic() - began, 3), verdicts


def summarise(job: Job, folder: Path, verdicts: dict[store.Owner, Verdict]) -> dict[str, Any]:
    """The shares (0 to 1) that tables show. `statuses` adds up to n; ci95 is Wilson's interval of `equivalent`."""
    predictions = store.read_predictions(folder)
    n = len(verdicts)
    statuses: dict[str, int] = {}
    for verdict in verdicts.values():
        statuses[verdict.status] = statuses.get(verdict.status, 0) + 1
    correct = statuses.get("correct", 0)
    if sum(statuses.values()) != n or correct != sum(verdict.correct for verdict in verdicts.values()):
        raise AssertionError(f"{folder}: statuses {statuses} do not add up to {n} outputs")
    return {
        **named(job),
        "n": n,
        "strict": sum(verdict.strict for verdict in verdicts.values()) / n,
        "normalized": sum(verdict.normalized for verdict in verdicts.values()) / n,
        "equivalent": correct / n,
        "ci95": list(wilson(correct, n)),
        "truncated": sum(predictions[owner].finish_reason == "length" for owner in verdicts) / n,
        "no_box": statuses.get("no_box", 0) / n,
        "statuses": statuses,
        "key": job.manifest["key"],
        "grader": GRADER_VERSION,
        "limit": job.manifest["benchmark"]["limit"],
        "output_tokens": sum(predictions[owner].output_tokens for owner in verdicts),
    }


def untrusted(summaries: list[dict[str, Any]]) -> list[str]:
    """One sentence for every summary that holds outputs which could not be graded: the command then exits with 1."""
    sentences = []
    for summary in summaries:
        for status in ("unparsed_gold", "error"):
            if count := summary["statuses"].get(status):
                sentences.append(
                    f"{summary['checkpoint']} on {summary['benchmark']}: {count} of {summary['n']} outputs are {status}, "
                    f"which is not a wrong answer; see verdicts in key {summary['key']}."
                )
    return sentences


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
