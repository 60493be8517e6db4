"""What the pages cost: 100 checkpoints on 5,000 problems, beside 10 checkpoints. Outputs are of a solution's usual length.

python -m bench report
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.measure import Row, watched
from eval.stats import wilson
from graders import GRADER_VERSION

PROBLEMS, CHECKPOINTS = 5_000, (10, 100)
SENTENCE = (
    "Then $x_{{{k}}} = \\frac{{{k}}}{{{m}}} \\cdot {m} = {k}$, which leaves {k} of the {m} parts for the others. "
)
SENTENCES = 6


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
    """The store of `count` checkpoints that get better by and by: what evaluation leaves behind."""
    problems = [
        {"id": f"p{k}", "benchmark": "b", "problem": f"What is $\\frac{{{7 * k}}}{{7}}$? " * 4, "answer": str(k)}
        | {"subject": ("algebra", "numbers", "geometry")[k % 3], "level": f"Level {k % 5 + 1}", "source": None}
        for k in range(PROBLEMS)
    ]
    digest = hashlib.sha256(b"b").hexdigest()
    file = f"benchmarks/b-{digest[:12]}.jsonl"
    write_lines(reports / file, problems)
    for number in range(1, count + 1):
        write_evaluation(reports, 10 * number, number / (count + 1), {"name": "b", "sha256": digest, "file": file})


def write_evaluation(reports: Path, step: int, share: float, benchmark: dict[str, Any]) -> None:
    """One evaluation with about that share of right answers."""
    rng = random.Random(step)
    key = hashlib.sha256(str(step).encode()).hexdigest()[:16]
    right = [rng.random() < share for _ in range(PROBLEMS)]
    answers = [str(k if good else k + rng.choice((1, 3, 40))) for k, good in enumerate(right)]
    owner = [{"id": f"p{k}", "sample": 0} for k in range(PROBLEMS)]
    work = [SENTENCE.format(k=k, m=k % 17 + 2) * SENTENCES for k in range(PROBLEMS)]
    ended = {"finish_reason": "stop", "output_tokens": 250, "token_ids_sha": "0" * 12}
    write_lines(
        reports / key / "predictions.jsonl",
        (
            one | {"text": f"{text}So it is $\\boxed{{{answer}}}$."} | ended
            for one, text, answer in zip(owner, work, answers, strict=True)
        ),
    )
    write_lines(
        reports / key / f"verdicts.{GRADER_VERSION}.jsonl",
        (
            one
            | {"status": "correct" if good else "wrong", "correct": good, "strict": good, "normalized": good}
            | {"extracted": answer, "rule": "exact" if good else "numeric", "cpu_ms": 0.1}
            for one, good, answer in zip(owner, right, answers, strict=True)
        ),
    )
    n, total = sum(right), PROBLEMS
    name = f"checkpoints/run/checkpoint-{step}"
    summary = {"checkpoint": name, "run": "run", "step": step, "benchmark": "b", "n": total, "key": key}
    summary |= dict.fromkeys(("strict", "normalized", "equivalent"), n / total) | {"ci95": list(wilson(n, total))}
    summary |= {"truncated": 0.0, "no_box": 0.0, "limit": None, "statuses": {"correct": n, "wrong": total - n}}
    summary |= {"grader": GRADER_VERSION, "output_tokens": 250 * total}
    manifest = {
        "key": key,
        "checkpoint": {"path": name, "run": "run", "step": step, "weights_sha": key},
        "benchmark": benchmark | {"n": total, "limit": None},
        "prompt": {"fingerprint": "f", "next_problem": "### Problem:"},
        "decoding": {"max_tokens": 2048, "temperature": 0.0, "top_p": 1.0, "n_samples": 1, "seed": 0},
        "engine": {"name": "vllm", "version": "0"},
        "versions": {}, "git_commit": None, "command": "", "created": "2026-01-01T12:00:00Z",
    }  # fmt: skip
    for file, content in (("manifest.json", manifest), ("summary.json", summary)):
        (reports / key / file).write_text(json.dumps(content), encoding="utf-8")
    (reports / key / "DONE").touch()


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
