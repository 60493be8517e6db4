"""The ladder for one pair, shown rung by rung for a person."""

from graders.batch import grade_answer
from graders.ladder import MAX_ANSWER_CHARS, climb
from graders.normalize import RULES, normalize, same_format
from graders.numeric import parse_number
from graders.structure import Value, read

MAX_SHOWN_CHARS = 200  # of one value in the printed ladder


def explain(gold: str, answer: str) -> str:
    """The rungs that a pair climbs, a line each, and the verdict, as text."""
    lines = [f"gold       {_shown(gold)}", f"answer     {_shown(answer)}"]
    if max(len(gold), len(answer)) <= MAX_ANSWER_CHARS:
        left, right = normalize(gold), normalize(answer)
        lines += [
            f"exact      {_word(gold.strip() == answer.strip())}",
            f"normalized {_word(same_format(left, right))}: {_shown(left)} | {_shown(right)}",
            f"           rules applied: {', '.join(_applied(gold, answer)) or 'none'}",
            f"numeric    {parse_number(left)} | {parse_number(right)}",
            f"structure  {_outline(read(left))} | {_outline(read(right))}",
        ]
    verdict = grade_answer(answer, gold)
    step = climb(answer, gold)  # without a judge: the cheap rungs alone
    if step.equal is None or step.rule == "algebra":
        lines.append(f"algebra    {'cannot tell' if step.equal is None else _word(step.equal)}")
    if step.equal is None:
        lines.append(f"symbolic   {step.rule if step.refused else _word(verdict.correct)}")
    return "\n".join([*lines, f"verdict    {verdict.status}, decided by {verdict.rule}, {verdict.cpu_ms:.2f} ms"])


def _word(equal: bool) -> str:
    return "equal" if equal else "differs"


def _shown(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}... ({len(text)} characters)"


def _applied(*texts: str) -> list[str]:
    """Names of the string rules that changed one of the texts, in table order."""
    changed = []
    current = list(texts)
    for rule in RULES:
        after = [rule.apply(text) for text in current]
        if after != current:
            changed.append(rule.name)
        current = after
    return changed


def _outline(value: Value) -> str:
    """A value as nested kinds: `sequence () [formula 1, formula 2]`."""
    unit = f" ({value.unit})" if value.unit else ""
    if not value.parts:
        return f"{value.kind} {_shown(value.text)}{unit}"
    parts = ", ".join(_outline(part) for part in value.parts)
    return f"{value.kind} {value.mark} [{parts}]{unit}".replace("  ", " ")
