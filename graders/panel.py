"""A file under four graders side by side, and the pairs on which they disagree, worst first."""

import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graders.text import has_controls
from graders.verdict import Verdict

MAX_SHOWN_CHARS = 120  # of one text in the listing

Pair = tuple[str | None, str]  # (answer, gold); answer None: no box

# Kinds of disagreement, worst first: a wrong point given weighs more than one withheld, and both more than a form of
# answer that only a strict grader refuses.
KINDS = {
    "accepted here, refused by Math-Verify": "a point given too much here, or withheld there",
    "refused here, accepted by Math-Verify": "a point withheld here, or given too much there",
    "not judged": "a limit was reached, or the gold holds nothing",
    "equivalent only": "right as mathematics; a grader that compares strings refuses it",
    "normalized only": "right after formatting rules; a strict grader refuses it",
}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One pair on which the columns differ, and how many lines of the file hold it."""

    kind: str
    count: int
    answer: str
    gold: str
    verdict: Verdict
    second: bool | None  # what Math-Verify says; None: it did not decide, or was not asked


def disagreements(
    pairs: Sequence[Pair], verdicts: Sequence[Verdict], second: dict[Pair, bool | None]
) -> list[Disagreement]:
    """Every pair that the columns judge differently, once: by kind in the order of KINDS, then the most frequent."""
    counts = Counter(pairs)
    found = []
    for (answer, gold), verdict in dict(zip(pairs, verdicts, strict=True)).items():
        opinion = second.get((answer, gold))
        kind = _kind(verdict, opinion)
        if kind is not None and answer is not None:
            found.append(Disagreement(kind, counts[answer, gold], answer, gold, verdict, opinion))
    order = list(KINDS)
    return sorted(found, key=lambda row: (order.index(row.kind), -row.count))


def _kind(verdict: Verdict, second: bool | None) -> str | None:
    if not verdict.judged:
        return "not judged"
    if second is not None and second != verdict.correct:
        return next(name for name in KINDS if name.startswith("accepted" if verdict.correct else "refused"))
    if verdict.correct and not verdict.normalized:
        return "equivalent only"
    return "normalized only" if verdict.correct and not verdict.strict else None


def table(
    pairs: Sequence[Pair], verdicts: Sequence[Verdict], second: dict[Pair, bool | None], asked: bool
) -> list[str]:
    """The four columns as lines of text: accepted outputs and their share of all."""
    columns: list[tuple[str, Callable[[Verdict], bool]]] = [
        ("strict", lambda verdict: verdict.strict),
        ("normalized", lambda verdict: verdict.normalized),
        ("equivalent", lambda verdict: verdict.correct),
    ]
    counts = [(name, sum(map(accepts, verdicts))) for name, accepts in columns]
    if asked:
        counts.append(("Math-Verify", sum(second.get(pair) is True for pair in pairs)))
    total = len(verdicts)
    lines = [f"{name:<12} {count:>7,}  {100 * count / max(total, 1):5.1f} %" for name, count in counts]
    undecided = sum(second.get(pair, False) is None for pair in pairs)
    return [*lines, f"Math-Verify did not decide {undecided}"] if undecided else lines


def listing(rows: Sequence[Disagreement], limit: int) -> list[str]:
    """The disagreements as lines of text, `limit` a kind, each with the command that records a decision on it."""
    lines = []
    for kind, meaning in KINDS.items():
        mine = [row for row in rows if row.kind == kind]
        if not mine:
            continue
        outputs = sum(row.count for row in mine)
        lines += ["", f"{kind}: {len(mine):,} pairs, {outputs:,} outputs ({meaning})"]
        lines += [_line(row) for row in mine[:limit]]
        if len(mine) > limit:
            lines.append(f"  ... and {len(mine) - limit:,} more (--show {len(mine)})")
    return lines


def _line(row: Disagreement) -> str:
    shown = f"  {row.count:>4} x  gold {_shown(row.gold)}  answer {_shown(row.answer)}  by {row.verdict.rule}"
    if row.kind in ("equivalent only", "normalized only") or has_controls(row.gold + row.answer):
        return shown  # with characters that a terminal does not show, it would be another pair
    command = f"python -m graders label {shlex.quote(row.gold)} {shlex.quote(row.answer)} equal|different"
    return shown if len(command) > 2 * MAX_SHOWN_CHARS else f"{shown}\n          {command}"


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}... ({len(text)} characters)"
