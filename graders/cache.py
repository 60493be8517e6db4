"""Verdicts that this process has reached already: checkpoints give many of the same answers to the same problems."""

from graders.verdict import Verdict

MAX_ENTRIES = 100_000  # about 50 MB; when full the cache starts anew
MAX_CHARS = 400  # of answer and gold together; longer pairs hardly ever come twice

Key = tuple[str, str, str]  # gold, answer, GRADER_VERSION

_verdicts: dict[Key, Verdict] = {}


def recall(gold: str, answer: str, version: str) -> Verdict | None:
    """The verdict that this version reached on this pair before; None if it has not met it."""
    return _verdicts.get((gold, answer, version))


def remember(gold: str, answer: str, version: str, verdict: Verdict) -> None:
    """Keep a verdict that is decided. A limit that was met, or a defect, is tried again the next time."""
    if not verdict.judged or len(gold) + len(answer) > MAX_CHARS:
        return
    if len(_verdicts) >= MAX_ENTRIES:
        _verdicts.clear()
    _verdicts[gold, answer, version] = verdict


def forget() -> None:
    """Empty the cache."""
    _verdicts.clear()
