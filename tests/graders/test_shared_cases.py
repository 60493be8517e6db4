"""Labelled cases and hostile probes that lie beside the repository on some machines; not part of it."""

import gzip
import json
from pathlib import Path

import pytest

from graders import Verdict, extract_boxed, grade_answers, grade_many

SHARED = Path(__file__).resolve().parents[3] / "shared"
MIN_CORE_AGREEMENT = 0.983  # five rows follow another contract: four take \fbox for a box, one a rounded decimal
MIN_CHEAP_SHARE = 0.97  # of boxed real outputs that no worker needs to see
EMPTY_GOLDS = {"gaokao2023en-0167", "gaokao2023en-0192"}  # benchmark rows without an answer


def _beside(name: str) -> Path:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is absent: these data are not part of the repository")
    return path


def _rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _graded(name: str) -> list[tuple[dict[str, str], Verdict]]:
    path = _beside(f"grading/{name}")
    cases = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    pairs = [(c["answer"] if "answer" in c else extract_boxed(c["output"]), c["gold"]) for c in cases]
    return list(zip(cases, grade_answers(pairs), strict=True))


def test_core_cases_agree() -> None:
    graded = [(case, verdict) for case, verdict in _graded("cases.jsonl") if case["policy"] == "core"]
    wrongly_accepted = [case for case, verdict in graded if verdict.correct and not case["label"]]
    agreement = sum(verdict.correct == case["label"] for case, verdict in graded) / len(graded)
    assert wrongly_accepted == []
    assert agreement >= MIN_CORE_AGREEMENT


def test_no_hostile_probe_is_accepted() -> None:
    assert [case["id"] for case, verdict in _graded("hostile.jsonl") if verdict.correct and not case["label"]] == []


def test_every_gold_of_every_benchmark_grades_itself() -> None:
    for path in sorted(_beside("data/benchmarks").glob("*.jsonl.gz")):
        rows = _rows(path)
        verdicts = grade_many([(f"\\boxed{{{row['answer']}}}", row["answer"]) for row in rows])
        refused = {row["id"] for row, verdict in zip(rows, verdicts, strict=True) if not verdict.strict}
        assert refused <= EMPTY_GOLDS, path.name


def test_cheap_rungs_decide_real_outputs() -> None:
    rows = _rows(_beside("data/outputs/model_outputs.jsonl.gz"))
    boxed = [v for v in grade_many([(row["output"], row["gold"]) for row in rows]) if v.extracted is not None]
    cheap = [verdict for verdict in boxed if not verdict.rule.startswith(("symbolic", "limit"))]
    assert len(cheap) >= MIN_CHEAP_SHARE * len(boxed)
    assert {verdict.status for verdict in boxed} <= {"correct", "wrong"}
