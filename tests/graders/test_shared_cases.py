"""Labelled cases and hostile probes that lie beside the repository on some machines; not part of it."""

import json
from pathlib import Path

import pytest

from graders import Verdict, extract_boxed, grade_answers

SHARED = Path(__file__).resolve().parents[3] / "shared" / "grading"
MIN_CORE_AGREEMENT = 0.97  # the rest are rows whose label follows another contract (\fbox, rounded decimals)


def _graded(name: str) -> list[tuple[dict[str, str], Verdict]]:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path} is absent: these labelled cases are not part of the repository")
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
