"""The ladder for one pair, shown rung by rung for a person: the trace of the climb that decides."""

from graders.batch import grade_answer
from graders.ladder import MAX_ANSWER_CHARS, climb, unbox
from graders.normalize import RULES
from graders.structure import read
from graders.value import Value

MAX_SHOWN_CHARS = 200  # of one value in the printed ladder


def explain(gold: str, answer: str) -> str:
    """The rungs tried, one per line, followed by the verdict."""
    lines = [f"gold       {_shown(gold)}", f"answer     {_shown(answer)}"]

    def trace(rung: str, found: str) -> None:
        lines.append(f"{rung:<10} {_shown(found)}")
        if rung == "normalized" and max(len(gold), len(answer)) <= MAX_ANSWER_CHARS:
            lines.extend(_readings(unbox(gold), answer))

    step = climb(answer, gold, trace=trace)  # without a judge: the cheap rungs alone
    verdict = grade_answer(answer, gold)
    if step.equal is None and not step.refused:
        lines.append(f"symbolic   {'equal' if verdict.correct else 'differs'}")
    return "\n".join([*lines, f"verdict    {verdict.status}, decided by {verdict.rule}, {verdict.cpu_ms:.2f} ms"])


def _readings(gold: str, answer: str) -> list[str]:
    """What became of the two texts: the string rules that changed them, and their structure."""
    changed = []
    current = [gold, answer]
    for rule in RULES:
        after = [rule.apply(text) for text in current]
        if after != current:
            changed.append(rule.name)
        current = after
    left, right = (_outline(read(text)) for text in current)
    return [f"           rules applied: {', '.join(changed) or 'none'}", f"           read as {left} | {right}"]


def _shown(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}... ({len(text)} characters)"


def _outline(value: Value) -> str:
    """A value as nested kinds: `sequence () [formula 1, formula 2]`."""
    unit = f" ({value.unit})" if value.unit else ""
    if not value.parts:
        return f"{value.kind} {_shown(value.text)}{unit}"
    parts = ", ".join(_outline(part) for part in value.parts)
    return f"{value.kind} {value.mark} [{parts}]{unit}".replace("  ", " ")
