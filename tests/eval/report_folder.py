"""A small synthetic reports folder: two benchmarks, a base model, four checkpoints, one evaluation unfinished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from eval.report.ablation import CELLS, FOLDER
from eval.report.conditions import Section
from eval.report.load import Evaluation
from eval.report.ranking import make_group, title
from eval.scores import LEVELS, Graded
from eval.stats import wilson

GRADER = "1"
HOSTILE = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "javascript:alert(1) </textarea></title></style><svg onload=alert(1)>",
    "{{ 7 * 7 }} {% raw %} &lt;b&gt; \ud800 \u2028 \x00",
)
# arm: right answers of 120 by seed. Evaluations are right on their first so many problems, so they are nested.
ARMS = {"clean": (80, 84), "wrong": (60, 66), "unboxed": (0, 0), "alike": (81, 82)}
SYNTHETIC = {None: 0, 15: 24, 30: 55, 45: 71, 60: 96}  # step: right answers of 120
LIMITED = {None: 1, 15: 3, 30: 8, 45: 11, 60: 10}  # of the first 50 of 500


def make_summary(step: int | None, right: int, n: int = 120, **changes: Any) -> dict[str, Any]:
    """A summary in which `right` of `n` outputs are equivalent; `changes` replace fields."""
    statuses = {"correct": right, "wrong": n - right - n // 20, "no_box": n // 20}
    run = "smollm2-135m" if step is None else "demo"
    return {
        "checkpoint": f"models/{run}" if step is None else f"checkpoints/{run}/checkpoint-{step}",
        "run": run,
        "step": step,
        "benchmark": "synthetic-test",
        "n": n,
        "strict": max(0, right - n // 10) / n,
        "normalized": max(0, right - n // 20) / n,
        "equivalent": right / n,
        "ci95": list(wilson(right, n)),
        "truncated": 0.025,
        "no_box": (n // 20) / n,
        "statuses": statuses,
        "key": hashlib.sha256(f"{step}{right}{n}{sorted(changes.items())}".encode()).hexdigest()[:16],
        "grader": GRADER,
        "reused": False,
        "start_s": 24.0,
        "load_s": 0.5,
        "decode_s": 16.0,
        "tokens_s": 300.0,
        "grade_s": 1.5,
        "output_tokens": 90 * n,
        "limit": None,
    } | changes


def write_jsonl(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def write_evaluation(reports: Path, summary: dict[str, Any], size: int, **changes: Any) -> Path:
    """Writes what the store writes for a finished evaluation; returns its folder. `size` counts the whole benchmark."""
    name, n, right = summary["benchmark"], summary["n"], summary["statuses"]["correct"]
    digest = hashlib.sha256(name.encode()).hexdigest()
    file = f"benchmarks/{name}-{digest[:12]}.jsonl"
    folder = reports / summary["key"]
    ids = [f"{name}-{number}" for number in range(n)]
    blank = {"benchmark": name, "level": None, "source": None}
    problems = (
        {"id": id_, "problem": f"Ann buys {k} bags of 3 apples. How many?", "answer": str(3 * k)}
        | blank
        | {"subject": ("buying", "sharing")[k % 2]}
        for k, id_ in enumerate(ids)
    )
    write_jsonl(reports / file, problems)
    answers = [3 * k if k < right else 3 * k + 1 for k in range(n)]
    write_jsonl(
        folder / "predictions.jsonl",
        (
            {
                "id": id_,
                "sample": 0,
                "text": f"Each bag has 3, \\boxed{{0}} no: {k} * 3 = {answer}. \\boxed{{{answer}}}.",
                "finish_reason": "length" if k % 40 == 39 else "stop",
                "output_tokens": 90,
                "token_ids_sha": "0" * 12,
            }
            for k, (id_, answer) in enumerate(zip(ids, answers, strict=True))
        ),
    )
    write_jsonl(
        folder / f"verdicts.{GRADER}.jsonl",
        (
            {
                "id": id_,
                "sample": 0,
                "status": "correct" if k < right else "wrong",
                "correct": k < right,
                "strict": k < right,
                "normalized": k < right,
                "extracted": str(answer),
                "rule": "exact" if k < right else "numeric",
                "cpu_ms": 0.1,
            }
            for k, (id_, answer) in enumerate(zip(ids, answers, strict=True))
        ),
    )
    manifest = {
        "key": summary["key"],
        "checkpoint": {
            "path": summary["checkpoint"],
            "run": summary["run"],
            "step": summary["step"],
            "weights_sha": "ab",
        },
        "benchmark": {"name": name, "sha256": digest, "n": size, "file": file, "limit": summary["limit"]},
        "prompt": {"fingerprint": "f00d", "next_problem": "### Problem:"},
        "decoding": {"max_tokens": 512, "temperature": 0.0, "top_p": 1.0, "n_samples": 1, "seed": 0, "stop": []},
        "swap_checks": ["shapes", "config", "tokenizer"],
        "engine": {"name": "vllm", "version": "0.32.0"},
        "versions": {"torch": "2.13.0", "transformers": "5.17.0"},
        "git_commit": None,
        "command": "python -m eval run checkpoints/demo",
        "created": "2026-01-01T12:00:00Z",
    } | changes
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (folder / "DONE").touch()
    return folder


def write_reports(reports: Path) -> Path:
    """Ten finished evaluations and one that was stopped after seven outputs."""
    for step, right in SYNTHETIC.items():
        write_evaluation(reports, make_summary(step, right), size=120)
    for step, right in LIMITED.items():
        write_evaluation(reports, make_summary(step, right, n=50, benchmark="math500", limit=50), size=500)
    stopped = write_evaluation(reports, make_summary(75, 99, key="stopped0stopped0"), size=120)
    (stopped / "DONE").unlink()
    (stopped / "summary.json").unlink()
    predictions = stopped / "predictions.jsonl"
    lines = predictions.read_bytes().split(b"\n")
    predictions.write_bytes(b"\n".join(lines[:7]) + b"\n" + lines[7][:20])
    return reports


def write_ablation(
    reports: Path, right: dict[str, tuple[int, ...]] = ARMS, control: str = "clean", **changes: Any
) -> Path:
    """What `python -m data ablate` writes, with its evaluations; returns the ablation's folder."""
    cells = []
    for arm, counts in right.items():
        for seed, count in enumerate(counts):
            keys = {}
            for step, share in ((8, 0.5), (16, 1.0)):
                summary = make_summary(step, int(count * share), run=f"{arm}-{seed}", arm=arm, seed=seed)
                write_evaluation(reports, summary, size=120)
                keys[str(step)] = summary["key"]
            cells.append(
                {"arm": arm, "seed": seed, "keys": {"synthetic-test": keys}, "tokens_seen": 9000 + seed, "error": None}
            )
    arms = [
        {"name": arm, "recipe": f"{arm}.yaml", "folder": "data/built/x", "digest": "ab" * 32, "own": ""}
        for arm in right
    ]
    folder = reports / FOLDER / "one"
    folder.mkdir(parents=True)
    record = {"control": control, "benchmarks": ["synthetic-test"], "budget_tokens": 9000, "arms": arms, "cells": cells}
    (folder / CELLS).write_text(json.dumps(record | changes))
    return folder


def edit_line(path: Path, place: int, **changes: Any) -> None:
    """Changes fields of one line of a JSON Lines file."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines[place] |= changes
    write_jsonl(path, lines)


class Page(HTMLParser):
    """The elements of a page with their attributes, and the texts of <td> and <th>."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def make_graded(summaries: Iterable[dict[str, Any]], sha: str = "ab") -> dict[str, Graded]:
    """Verdicts by key: each right on as many problems as its summary says, a little further on for each step."""
    graded = {}
    for summary in summaries:
        scores = np.roll(np.arange(summary["n"]) < summary["statuses"]["correct"], summary["step"] or 0) * 1.0
        ids = tuple(f"p{number}" for number in range(summary["n"]))
        graded[summary["key"]] = Graded(sha, 1, ids, dict.fromkeys(LEVELS, scores), {})
    return graded


def make_section(summaries: list[dict[str, Any]], graded: dict[str, Graded] | None = None, note: str = "") -> Section:
    """The section that summaries of equal conditions make, without a folder."""
    group = make_group(summaries, graded)
    current = tuple(
        Evaluation(Path("reports", s["key"]), {"checkpoint": {"path": s["checkpoint"]}}, s) for s in summaries
    )
    return Section("0" * 12, title(group), note, group, graded or {}, current, (), ())
