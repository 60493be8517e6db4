"""Outputs graded a second against Math-Verify given the last box only, its best case, on the same outputs."""

from __future__ import annotations

from itertools import islice

from bench.measure import Row, seconds
from data.synthetic import LARGEST, generate
from graders import grade_many

OUTPUTS = 2000


def rows() -> list[Row]:
    """One row; the answers are easy ones, which the first rungs decide."""
    from math_verify import parse, verify

    pairs = [(item.solution, item.answer) for item in islice(generate(0, tuple(LARGEST)), OUTPUTS)]
    ours = seconds(lambda: grade_many(pairs, workers=1))
    theirs = seconds(lambda: [verify(parse(f"${gold}$"), parse(f"\\boxed{{{gold}}}")) for _, gold in pairs])
    return [
        (
            f"grade {OUTPUTS:,} easy outputs",
            f"{OUTPUTS / ours:,.0f}/s",
            f"Math-Verify {OUTPUTS / theirs:,.0f}/s",
            f"{theirs / ours:.0f}",
        )
    ]
