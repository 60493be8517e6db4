"""The record of one graded output."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["correct", "wrong", "no_box", "timeout", "unparsed_gold", "error"]
# A limit was reached, the reference answer holds nothing, or the grader failed.
NOT_JUDGED: tuple[Status, ...] = ("timeout", "unparsed_gold", "error")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the grader says about one output, and which rule said it.

    The three levels nest: `strict` (same string) implies `normalized` (same after string rules) implies `correct`.
    Every status but `correct` has all three false. Where `judged` is false nothing was decided, and
    the output is never to be counted as wrong.
    """

    status: Status
    correct: bool
    strict: bool
    normalized: bool
    extracted: str | None  # content of the last box, without surrogates; None: no answer
    rule: str  # the rung and rule that decided, e.g. "numeric" or "structure:interval"
    cpu_ms: float  # CPU milliseconds spent on this pair, in this process or in a worker

    @property
    def judged(self) -> bool:
        """Whether the status says something about the output: all but those in NOT_JUDGED do."""
        return self.status not in NOT_JUDGED

    def __post_init__(self) -> None:
        nested = (not self.strict or self.normalized) and (not self.normalized or self.correct)
        if not nested or self.correct != (self.status == "correct"):
            raise ValueError(f"levels do not nest: {self}")
