"""Grading: one output, one answer, or many at once."""

import time
from collections.abc import Callable, Iterable, Sequence

from graders import cache, pool
from graders.boxed import extract_boxed
from graders.ladder import Step, climb, is_usable_gold
from graders.text import without_surrogates
from graders.verdict import Status, Verdict

GRADER_VERSION = "4"  # changes whenever a verdict may change; tests tie it to the source of the rules

Progress = Callable[[int, int], None]  # called with (done, total)


def grade(output: str, gold: str) -> Verdict:
    """The verdict on a model's whole output: its last box against the reference answer."""
    return grade_many([(output, gold)])[0]


def grade_answer(answer: str, gold: str) -> Verdict:
    """The verdict on a bare answer, as it would stand in the box."""
    return grade_answers([(answer, gold)])[0]


def grade_many(
    pairs: Iterable[tuple[str, str]], workers: int | None = None, progress: Progress | None = None
) -> list[Verdict]:
    """Verdicts on (output, gold) pairs, in input order: the same that `grade` gives one by one.

    `workers` is the number of processes for the symbolic rung (default: one a core, at most four). They are started
    only if a pair needs them. `progress` is called with (done, total).
    """
    return grade_answers([(extract_boxed(output), gold) for output, gold in pairs], workers, progress)


def grade_answers(
    pairs: Sequence[tuple[str | None, str]], workers: int | None = None, progress: Progress | None = None
) -> list[Verdict]:
    """Verdicts on (answer, gold) pairs, in input order; an answer None is an output without a box.

    A pair that was decided before is not judged again (see `cache`). Halves of surrogate pairs are
    read as U+FFFD, so that every verdict can be written as UTF-8.
    """
    pairs = [_without_surrogates(answer, gold) for answer, gold in pairs]
    advance = _counter(progress, len(pairs))
    verdicts: dict[tuple[str | None, str], Verdict | None] = {}
    for pair in pairs:
        if pair not in verdicts:
            verdicts[pair] = _known_verdict(*pair) or _cheap_verdict(*pair)
        if verdicts[pair] is not None:
            advance(1)
    undecided = [(pair[0], pair[1]) for pair, verdict in verdicts.items() if verdict is None and pair[0] is not None]
    replies = pool.judge_many(undecided, workers, lambda: advance(1))
    for (answer, gold), reply in zip(undecided, replies, strict=True):
        verdicts[answer, gold] = _worker_verdict(answer, reply)
    for (known, gold), verdict in verdicts.items():
        if verdict is not None and known is not None:
            cache.remember(gold, known, GRADER_VERSION, verdict)
    advance(len(pairs))  # repeated pairs are judged once
    return [verdict for verdict in map(verdicts.get, pairs) if verdict is not None]


def _counter(progress: Progress | None, total: int) -> Callable[[int], None]:
    """A function that reports so many more as done, up to the total."""
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        if progress is not None and done < total:
            done = min(done + more, total)
            progress(done, total)

    return advance


def _without_surrogates(answer: str | None, gold: str) -> tuple[str | None, str]:
    return None if answer is None else without_surrogates(answer), without_surrogates(gold)


def _known_verdict(answer: str | None, gold: str) -> Verdict | None:
    return None if answer is None else cache.recall(gold, answer, GRADER_VERSION)


def _cheap_verdict(answer: str | None, gold: str) -> Verdict | None:
    """The verdict of every rung but the symbolic one; None where that rung is needed."""
    started = time.process_time()
    try:
        if not is_usable_gold(gold):
            return _undecided("unparsed_gold", answer, "empty gold", started)
        if answer is None:
            return _undecided("no_box", None, "no box", started)
        step = climb(answer, gold)
    except Exception as error:
        return _undecided("error", answer, f"error: {type(error).__name__}: {error}", started)
    if step.equal is None:
        return _undecided("timeout", answer, step.rule, started) if step.refused else None
    return _decided(step, answer, started)


def _decided(step: Step, answer: str, started: float) -> Verdict:
    correct = bool(step.equal)
    status: Status = "correct" if correct else "wrong"
    return Verdict(status, correct, step.strict, step.normalized, answer, step.rule, _ms_since(started))


def _undecided(status: Status, answer: str | None, rule: str, started: float) -> Verdict:
    return Verdict(status, False, False, False, answer, rule, _ms_since(started))


def _worker_verdict(answer: str, reply: pool.Reply) -> Verdict:
    if reply.equal is None:
        status: Status = "error" if reply.rule.startswith("error:") else "timeout"
        return Verdict(status, False, False, False, answer, reply.rule, reply.cpu_ms)
    return Verdict("correct" if reply.equal else "wrong", reply.equal, False, False, answer, reply.rule, reply.cpu_ms)


def _ms_since(started: float) -> float:
    return 1000 * (time.process_time() - started)
