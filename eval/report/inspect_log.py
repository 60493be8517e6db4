"""Evaluations as logs of Inspect (inspect_ai), so that `inspect view` opens them. Optional: the library is imported late."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eval.records import UserError
from eval.report.conditions import Section
from eval.report.items import (
    WITHOUT_VERDICT,
    load_items,
    load_problems,
    problems_file,
    samples_of,
)
from eval.report.load import Evaluation
from eval.scores import LEVELS

PINNED = "inspect_ai==0.3.285"  # the version whose reader and writer the tests were run with


def write_logs(sections: Iterable[Section], folder: Path) -> list[Path]:
    """inspect/<checkpoint>_<benchmark>_<key>.eval for every row. Raises UserError where inspect_ai is not installed."""
    try:
        from inspect_ai.log import write_eval_log  # type: ignore[import-not-found]
    except ImportError:
        raise UserError(
            f"the inspect format needs inspect_ai, which is not installed; .venv/bin/pip install {PINNED}"
        ) from None
    paths = []
    for section in sections:
        problems = load_problems(problems_file(section.current[0]))
        for row in section.group.rows:
            for evaluation in section.members_of(row.summary):
                name = re.sub(r"[^\w.-]+", "-", f"{row.label}_{section.group.benchmark}_{evaluation.folder.name}")
                path = folder / "inspect" / f"{name}.eval"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_eval_log(_log(evaluation, problems), str(path))
                paths.append(path)
    return paths


def _log(evaluation: Evaluation, problems: list[dict[str, Any]]) -> Any:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalMetric, EvalResults, EvalScore, EvalSpec, EvalStats

    manifest, summary = evaluation.manifest, evaluation.summary
    spec = EvalSpec(
        created=manifest["created"],
        task=summary["benchmark"],
        task_id=evaluation.folder.name,
        run_id=evaluation.folder.name,
        dataset=EvalDataset(
            name=summary["benchmark"],
            samples=len(problems),
            sample_ids=[problem["id"] for problem in problems],
        ),
        model=f"boxed-sft/{summary['checkpoint']}",
        config=EvalConfig(epochs=samples_of(evaluation), limit=summary["limit"]),
        packages=dict(manifest["versions"]),
        metadata={name: manifest[name] for name in ("key", "decoding", "engine", "prompt")},
    )
    figures = {level: EvalMetric(name=level, value=summary[level]) for level in LEVELS}
    score = EvalScore(name="last_box", scorer="last_box", metrics=figures)
    results = EvalResults(total_samples=summary["n"], completed_samples=summary["n"], scores=[score])
    stats = EvalStats(started_at=manifest["created"], completed_at=manifest["created"])
    return EvalLog(status="success", eval=spec, results=results, stats=stats, samples=_samples(evaluation, problems))


def _samples(evaluation: Evaluation, problems: list[dict[str, Any]]) -> list[Any]:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput  # type: ignore[import-not-found]
    from inspect_ai.scorer import Score  # type: ignore[import-not-found]

    model = str(evaluation.summary["checkpoint"])
    found = []
    for item in load_items(evaluation, problems):
        problem, outcome = problems[item.position], item.outcome
        details: dict[str, Any] = {
            "status": item.status,
            "rule": item.rule,
            "class": outcome.kind,
            "detail": outcome.detail,
        }
        details |= {"truncated": outcome.truncated, "ran_on": outcome.ran_on, "recoverable": outcome.recoverable}
        value = "C" if item.status == "correct" else "N" if item.status in WITHOUT_VERDICT else "I"
        score = Score(value=value, answer=item.extracted, explanation=f"decided by {item.rule}", metadata=details)
        found.append(
            EvalSample(
                id=item.id,
                epoch=item.sample + 1,
                input=problem["problem"],
                target=str(problem["answer"]),
                messages=[ChatMessageUser(content=problem["problem"]), ChatMessageAssistant(content=item.text)],
                output=ModelOutput.from_content(
                    model, item.text, stop_reason="max_tokens" if outcome.truncated else "stop"
                ),
                scores={"last_box": score},
                metadata={name: problem.get(name) for name in ("subject", "level", "source")},
            )
        )
    return found
