"""What the pages cost: 100 checkpoints on 5,000 problems, beside 10 checkpoints. Outputs are of a solution's usual length.

python -m bench report
"""

from __future__ import annotations

import hashlib
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

from bench.measure import Row, watched
from eval import plan, store
from eval.records import Benchmark, Checkpoint, Decoding, Prediction, Problem
from eval.summary import summarise
from graders import grade_many

PROBLEMS, CHECKPOINTS = 5_000, (10, 100)
SENTENCE = (
    "Then $x_{{{k}}} = \\frac{{{k}}}{{{m}}} \\cdot {m} = {k}$, which leaves {k} of the {m} parts for the others. "
)
SENTENCES = 6
PROMPT = {"fingerprint": "f", "next_problem": "### Problem:"}


def rows(counts: Iterable[int] = CHECKPOINTS) -> Iterator[Row]:
    """One row a count of checkpoints: seconds, peak memory, and the largest page; beside it, seconds a checkpoint."""
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="report-cost-") as folder:
            reports = Path(folder)
            write_store(reports, count)
            seconds, cpu_seconds, peak = watched([sys.executable, "-m", "eval", "report", "--reports", folder])
            pages = [page.stat().st_size for page in reports.rglob("*.html")]
            yield (
                f"pages of {count} checkpoints x {PROBLEMS:,} problems",
                f"{seconds:.0f} s, {cpu_seconds:.0f} CPU s, {peak / 1e9:.2f} GB",
                f"{len(pages)} pages, the largest {max(pages) / 1e6:.2f} MB",
                f"{seconds / count:.2f} s a checkpoint",
            )


def write_store(reports: Path, count: int) -> None:
    """The store of `count` checkpoints that get better by and by, written by what evaluation writes it with."""
    problems = tuple(
        Problem(
            f"p{k}", "b", f"What is $\\frac{{{7 * k}}}{{7}}$? " * 4, str(k),
            subject=("algebra", "numbers", "geometry")[k % 3], level=f"Level {k % 5 + 1}",
        )
        for k in range(PROBLEMS)
    )  # fmt: skip
    benchmark = Benchmark("b", problems, hashlib.sha256(b"b").hexdigest(), PROBLEMS)
    for number in range(1, count + 1):
        write_evaluation(reports, benchmark, 10 * number, number / (count + 1))


def write_evaluation(reports: Path, benchmark: Benchmark, step: int, share: float) -> None:
    """One evaluation with about that share of right answers."""
    rng = random.Random(step)
    name = f"checkpoints/run/checkpoint-{step}"
    checkpoint = Checkpoint(Path(name), name, step, "run", weights_sha=str(step))
    manifest = plan.describe(checkpoint, benchmark, PROMPT, SimpleNamespace(name="vllm", version="0"), Decoding())
    manifest |= {"versions": {}, "git_commit": None, "command": ""}
    predictions = [
        Prediction(
            problem.id, 0, output_of(k, k if rng.random() < share else k + rng.choice((1, 3, 40))), "stop", 250, ""
        )
        for k, problem in enumerate(benchmark.problems)
    ]
    owners = [(prediction.id, 0) for prediction in predictions]
    pairs = [(one.text, problem.answer) for one, problem in zip(predictions, benchmark.problems, strict=True)]
    verdicts = dict(zip(owners, grade_many(pairs), strict=True))
    folder = store.create(reports, manifest, benchmark)
    store.append_predictions(folder, predictions)
    store.write_verdicts(folder, verdicts)
    names = {"checkpoint": name, "run": "run", "step": step, "benchmark": "b"}
    store.finish(folder, summarise(manifest, dict(zip(owners, predictions, strict=True)), verdicts) | names)


def output_of(k: int, answer: int) -> str:
    return SENTENCE.format(k=k, m=k % 17 + 2) * SENTENCES + f"So it is $\\boxed{{{answer}}}$."
