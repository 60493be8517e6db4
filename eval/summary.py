"""The figures of one evaluation, from its predictions and verdicts; nothing here depends on how they came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.prompts import changes_of
from eval.records import Prediction
from eval.samples import sampled_shares
from eval.scores import DEFECTS
from eval.stats import accuracy_interval, wilson
from eval.store import Owner
from graders import GRADER_VERSION, Verdict


def summarise(
    manifest: Mapping[str, Any], predictions: Mapping[Owner, Prediction], verdicts: Mapping[Owner, Verdict]
) -> dict[str, Any]:
    """The shares (0 to 1) that tables show. `statuses` adds up to n; ci95 is the interval of `equivalent`.

    ci95 is Wilson's with one sample a problem, else a bootstrap over problems, because samples of one problem are alike.
    """
    n, decoding = len(verdicts), manifest["decoding"]
    statuses = Counter(verdict.status for verdict in verdicts.values())
    correct = statuses.get("correct", 0)
    if statuses.total() != n or correct != sum(verdict.correct for verdict in verdicts.values()):
        raise AssertionError(f"{manifest['key']}: statuses {dict(statuses)} do not add up to {n} outputs")
    changes = changes_of(manifest["prompt"])
    reasons = Counter(predictions[owner].finish_reason for owner in verdicts)
    summary = {
        "n": n,
        "strict": sum(verdict.strict for verdict in verdicts.values()) / n,
        "normalized": sum(verdict.normalized for verdict in verdicts.values()) / n,
        "equivalent": correct / n,
        "ci95": list(wilson(correct, n)),
        "truncated": reasons["length"] / n,
        "ran_on": reasons["problem"] / n,
        "no_box": statuses.get("no_box", 0) / n,
        "statuses": dict(statuses),
        "key": manifest["key"],
        "grader": GRADER_VERSION,
        "limit": manifest["benchmark"]["limit"],
        "drawn": manifest["benchmark"].get("drawn", False),
        "output_tokens": sum(predictions[owner].output_tokens for owner in verdicts),
        "samples": decoding["n_samples"],
        "repeat": decoding["repeat"],
        "prompt_variant": manifest["prompt"].get("variant", ""),
        "asked": ", ".join(changes),
        "asked_in_full": ", ".join(changes.values()),
    }
    return summary | (_sampled(verdicts) if decoding["n_samples"] > 1 else {})


def untrusted(summaries: Iterable[Mapping[str, Any]], reports: Path) -> list[str]:
    """One sentence for every summary that holds outputs which could not be graded: the command then exits with 1."""
    sentences = []
    for summary in summaries:
        for status in DEFECTS:
            if count := summary["statuses"].get(status):
                sentences.append(
                    f"{summary['checkpoint']} on {summary['benchmark']}: {count} of {summary['n']} outputs are {status}, "
                    f"which is not a wrong answer; see {reports / summary['key']}/verdicts.{summary['grader']}.jsonl."
                )
    return sentences


def _sampled(verdicts: Mapping[Owner, Verdict]) -> dict[str, Any]:
    rows: dict[str, list[Verdict]] = {}
    for (problem, _), verdict in verdicts.items():
        rows.setdefault(problem, []).append(verdict)
    judged = [[verdict.correct for verdict in row if verdict.judged] for row in rows.values()]
    scores = np.array([np.mean(row) if row else np.nan for row in judged])
    interval = accuracy_interval(scores, samples=max(map(len, rows.values())))
    return {"ci95": list(interval)} | sampled_shares(rows)
