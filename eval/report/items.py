"""The outputs of one evaluation with their problems, verdicts and error classes; and the columns that lists are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from eval.outcomes import Outcome, classify
from eval.report.load import Evaluation
from eval.scores import LEVELS, Graded
from eval.stats import Scores
from eval.store import read_lines
from graders import NOT_JUDGED

WITHOUT_VERDICT = (*NOT_JUDGED, "ungraded")
ANSWER_LIMIT = 60  # characters of an answer in a list
TRUNCATED, RAN_ON, RECOVERABLE, STRICT, NORMALIZED = 1, 2, 4, 8, 16  # bits of a fact


@dataclass(frozen=True)
class Item:
    """One output. `position` is its problem's place in the benchmark. `status` is "ungraded" where there is no verdict yet."""

    position: int
    id: str
    sample: int
    text: str
    status: str
    rule: str
    extracted: str | None
    normalized: bool
    strict: bool
    tokens: int
    outcome: Outcome


@dataclass(frozen=True)
class Columns:
    """What lists and counts need of an evaluation's outputs, one entry each, in benchmark order, `samples` a problem."""

    samples: int
    positions: list[int]
    kinds: list[str]
    details: list[str]
    statuses: list[str]
    rules: list[str]
    facts: list[int]
    answers: list[str | None]
    tokens: list[int]

    def to_object(self) -> dict[str, Any]:
        """As JSON; what repeats is numbered."""
        numbered = {}
        for name in ("kinds", "details", "statuses", "rules"):
            values = sorted(set(getattr(self, name)))
            number = {value: place for place, value in enumerate(values)}
            numbered[name] = [values, [number[value] for value in getattr(self, name)]]
        return dict(vars(self)) | numbered

    @staticmethod
    def from_object(stored: Mapping[str, Any]) -> Columns:
        """What `to_object` gave."""
        names = ("kinds", "details", "statuses", "rules")
        columns: dict[str, Any] = {name: [stored[name][0][number] for number in stored[name][1]] for name in names}
        columns |= {name: stored[name] for name in ("samples", "positions", "facts", "answers", "tokens")}
        return Columns(**columns)

    def outcomes(self) -> Iterator[tuple[str, bool]]:
        """(class, recoverable) of every output."""
        return ((kind, bool(fact & RECOVERABLE)) for kind, fact in zip(self.kinds, self.facts, strict=True))


def problems_file(evaluation: Evaluation) -> Path:
    """The benchmark's problems. Only the name is taken: a manifest must not be able to point outside the reports folder."""
    return evaluation.folder.parent / "benchmarks" / Path(evaluation.manifest["benchmark"]["file"]).name


def verdicts_file(evaluation: Evaluation) -> Path:
    """The verdicts of the grader that made the summary."""
    return evaluation.folder / f"verdicts.{Path(str(evaluation.summary['grader'])).name}.jsonl"


def load_problems(path: Path) -> list[dict[str, Any]]:
    """The problems in benchmark order, not to be changed. Raises UserError where they cannot be read."""
    return _load_problems(path, path.stat().st_mtime_ns if path.is_file() else 0)


def load_items(evaluation: Evaluation, problems: Sequence[Mapping[str, Any]]) -> list[Item]:
    """Every output in benchmark order; one that is lost is left out. Raises UserError on a damaged line."""
    verdicts = {(line["id"], line["sample"]): line for line in read_lines(verdicts_file(evaluation))}
    outputs = {(line["id"], line["sample"]): line for line in read_lines(evaluation.folder / "predictions.jsonl")}
    samples = range(samples_of(evaluation))
    next_problem = str(evaluation.manifest["prompt"].get("next_problem") or "")
    return [
        _item(position, problem, outputs[owner], verdicts.get(owner), next_problem)
        for position, problem in enumerate(problems)
        for owner in ((problem["id"], sample) for sample in samples)
        if owner in outputs
    ]


def samples_of(evaluation: Evaluation) -> int:
    """Samples a problem."""
    return int(evaluation.manifest["decoding"]["n_samples"])


def columns_of(items: Iterable[Item], samples: int) -> Columns:
    """The columns of items."""
    rows = [
        (
            item.position,
            item.outcome.kind,
            item.outcome.detail,
            item.status,
            item.rule[:ANSWER_LIMIT],
            _fact(item),
            None if item.extracted is None else item.extracted[:ANSWER_LIMIT],
            item.tokens,
        )
        for item in items
    ]
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(8)]
    return Columns(samples, *columns)


def shares_by(
    columns: Columns, problems: Sequence[Mapping[str, Any]], fields: Iterable[str]
) -> dict[str, dict[str, tuple[int, int]]]:
    """{field: {value: (right, judged outputs)}}, values in order; {} for a field that no problem has."""
    statuses, places = np.array(columns.statuses, dtype=np.str_), np.array(columns.positions, dtype=np.int64)
    right = np.bincount(places[statuses == "correct"], minlength=len(problems))
    judged = np.bincount(places[~np.isin(statuses, WITHOUT_VERDICT)], minlength=len(problems))
    found = {}
    for field in fields:
        values = [problem.get(field) for problem in problems]
        counts: dict[str, tuple[int, int]] = {}
        for value, wins, tries in zip(values, right.tolist(), judged.tolist(), strict=True):
            if value is not None and tries:
                before = counts.get(value, (0, 0))
                counts[value] = before[0] + wins, before[1] + tries
        found[field] = {str(value): counts[value] for value in sorted(counts, key=str)}
    return found


def scores_by(columns: Columns, problems: Sequence[Mapping[str, Any]], field: str) -> dict[str, Scores]:
    """{value: the score of each of its problems that was judged}, as `shares_by` but with a problem as the unit of chance."""
    statuses, places = np.array(columns.statuses, dtype=np.str_), np.array(columns.positions, dtype=np.int64)
    right = np.bincount(places[statuses == "correct"], minlength=len(problems))
    judged = np.bincount(places[~np.isin(statuses, WITHOUT_VERDICT)], minlength=len(problems))
    found: dict[str, list[float]] = {}
    for problem, wins, tries in zip(problems, right.tolist(), judged.tolist(), strict=True):
        if problem.get(field) is not None and tries:
            found.setdefault(str(problem[field]), []).append(wins / tries)
    return {value: np.array(scores) for value, scores in found.items()}


def graded_of(evaluation: Evaluation, columns: Columns, problems: Sequence[Mapping[str, Any]]) -> Graded:
    """What `scores.read_graded` reads from the verdicts, from the columns that were made of them."""
    facts, places = np.array(columns.facts, dtype=np.int64), np.array(columns.positions, dtype=np.int64)
    statuses = np.array(columns.statuses, dtype=np.str_)
    judged = ~np.isin(statuses, WITHOUT_VERDICT)
    met, where = np.unique(places, return_inverse=True)
    total = np.bincount(where[judged], minlength=len(met))
    rights = (facts & STRICT > 0, facts & NORMALIZED > 0, statuses == "correct")
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan: no sample was judged
        levels = {
            level: np.bincount(where[judged], weights=right[judged], minlength=len(met)) / total
            for level, right in zip(LEVELS, rights, strict=True)
        }
    ids = tuple(problems[place]["id"] for place in met)
    undecided = Counter[str](status for status in columns.statuses if status in NOT_JUDGED)
    return Graded(evaluation.manifest["benchmark"]["sha256"], columns.samples, ids, levels, undecided)


@lru_cache(maxsize=8)  # the evaluations of a sweep share their benchmark
def _load_problems(path: Path, changed_ns: int) -> list[dict[str, Any]]:
    return list(read_lines(path))


def _fact(item: Item) -> int:
    outcome = item.outcome
    bits = (TRUNCATED * outcome.truncated, RAN_ON * outcome.ran_on, RECOVERABLE * outcome.recoverable)
    return sum(bits) + STRICT * item.strict + NORMALIZED * item.normalized


def _item(
    position: int,
    problem: Mapping[str, Any],
    output: Mapping[str, Any],
    verdict: Mapping[str, Any] | None,
    next_problem: str,
) -> Item:
    return Item(
        position=position,
        id=output["id"],
        sample=output["sample"],
        text=output["text"],
        status=verdict["status"] if verdict else "ungraded",
        rule=verdict["rule"] if verdict else "",
        extracted=verdict["extracted"] if verdict else None,
        normalized=bool(verdict and verdict["normalized"]),
        strict=bool(verdict and verdict["strict"]),
        tokens=output["output_tokens"],
        outcome=classify(problem["answer"], output["text"], output["finish_reason"], verdict, next_problem),
    )
