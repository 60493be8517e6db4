r"""Why an output did not score: error classes of the last box, and what mending each would be worth.

Classes look at the box that was graded, facts at the whole output: an output that hit the token limit is `truncated`
only where that cost it its box, and one that began the template's next problem is a `runaway` only where the graded
box stands in that problem, or where it never gave its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from graders import NOT_JUDGED, extract_boxed, grade_answer
from graders.boxed import box_starts, brace_depth, closed_boxes, unclosed_content
from graders.normalize import normalize, without_units
from graders.numeric import parse_number

# In the order in which tables show them: what is right, what mending would win, what is mathematics.
CLASSES: Mapping[str, str] = {
    "right": "the last box is the reference answer, letter for letter",
    "format_only": "equal to the reference answer, but written differently: a strict grader may refuse it",
    "overwritten": "an earlier box was right, and the last one is not",
    "runaway": "it went on into a next problem, whose box was read, or which began before any box",
    "truncated": "the token limit cut it off before its last box was complete",
    "unclosed": "the last box never closes, although the model stopped by itself",
    "no_box": "no box, or an empty one",
    "near_miss": "a number off by its sign, by one, or by a simple factor",
    "wrong": "another answer",
    "undecided": "the grader reached a limit or failed: neither right nor wrong",
    "ungraded": "there is no verdict yet",
}
# Ratios that a slip leaves behind: doubled or halved, the decimal point, percent, minutes for hours. More would be chance.
FACTORS = tuple(Fraction(factor) for factor in (2, 10, 60, 100, 1000))
BOXES_TRIED = 8  # the first different ones: an output that repeats itself for 2,000 tokens holds hundreds
EXAMPLES = 5

_END_OF_ANSWER = re.compile(r"\$|\n|\\\)|\\\]")

Right = Callable[[str, str], bool]  # (answer, gold): whether they are equal


@dataclass(frozen=True)
class Outcome:
    """The class of one output. `recoverable`: it would score if the cause were mended, as an answer in it shows.

    `detail` says which near miss ("sign", "off by one", "factor"). `truncated` and `ran_on` are facts about the output,
    whatever its class.
    """

    kind: str
    detail: str = ""
    recoverable: bool = False
    truncated: bool = False
    ran_on: bool = False


@dataclass(frozen=True)
class Tally:
    """How many outputs are of a class, and the points that mending it would win; `examples` are places in the input."""

    kind: str
    count: int
    share: float
    recoverable: int
    points: float
    examples: tuple[int, ...]


@lru_cache(maxsize=100_000)
def is_right(answer: str, gold: str) -> bool:
    """Whether the grader takes `answer` for `gold`."""
    return grade_answer(answer, gold).correct


def classify(
    gold: str,
    text: str,
    finish_reason: str,
    verdict: Mapping[str, object] | None,
    next_problem: str = "",
    right: Right = is_right,
) -> Outcome:
    r"""The outcome of one output. `verdict` has the fields of a line of verdicts.jsonl; `next_problem` is the template's marker.

    >>> wrong = {"status": "wrong", "strict": False, "extracted": "8"}
    >>> classify("7", r"\boxed{7}, no, \boxed{8}", "stop", wrong).kind
    'overwritten'
    """
    own = before_next_problem(text, next_problem)
    truncated, ran_on = finish_reason == "length", finish_reason == "problem" or len(own) < len(text)
    status = str(verdict["status"]) if verdict else "ungraded"
    if verdict is None or status in NOT_JUDGED:
        return Outcome("ungraded" if verdict is None else "undecided", status, False, truncated, ran_on)
    if status == "correct":
        return Outcome("right" if verdict["strict"] else "format_only", "", False, truncated, ran_on)
    extracted = None if verdict["extracted"] is None else str(verdict["extracted"])
    kind, detail, recoverable = _failure(gold, text, own, extracted, truncated, ran_on, right)
    return Outcome(kind, detail, recoverable, truncated, ran_on)


def before_next_problem(text: str, next_problem: str) -> str:
    """`text` up to where it begins the template's next problem on a line of its own; all of it where it does not."""
    if not next_problem or next_problem not in text:
        return text
    found = re.search(rf"^[^\S\n]*{re.escape(next_problem)}", text, re.MULTILINE)
    return text[: found.start()] if found else text


def boxes(text: str) -> Iterator[str]:
    """The content of every complete box that is not empty, in the order of their ends."""
    return (box.content for box in closed_boxes(text) if not box.is_empty)


def tally(outcomes: Iterable[tuple[str, bool]]) -> list[Tally]:
    """One row a class that occurs, in the order of CLASSES, of (class, recoverable) of every output. Counts add up."""
    places: dict[str, list[int]] = {kind: [] for kind in CLASSES}
    recoverable = Counter[str]()
    for place, (kind, would_score) in enumerate(outcomes):
        places[kind].append(place)
        recoverable[kind] += would_score
    n = sum(map(len, places.values()))
    return [_row(kind, found, recoverable[kind], n) for kind, found in places.items() if found]


def near_miss(gold: str, answer: str) -> str:
    """ "sign", "off by one" or "factor" where two numbers differ by just that; "" otherwise, also for what is no number."""
    expected, given = _number(gold), _number(answer)
    if expected is None or given is None or expected == given:
        return ""
    if expected == -given:
        return "sign"
    if abs(expected - given) == 1 and expected.denominator == 1:
        return "off by one"
    ratio = given / expected if given and expected else Fraction(0)
    return "factor" if ratio in FACTORS or (ratio and 1 / ratio in FACTORS) else ""


def _row(kind: str, places: Sequence[int], recoverable: int, n: int) -> Tally:
    return Tally(kind, len(places), len(places) / n, recoverable, 100 * recoverable / n, tuple(places[:EXAMPLES]))


def _failure(
    gold: str, text: str, own: str, extracted: str | None, truncated: bool, ran_on: bool, right: Right
) -> tuple[str, str, bool]:
    starts = box_starts(text)
    foreign = bool(starts) and starts[-1] >= len(own)  # the last box stands in the next problem
    if foreign or (ran_on and extracted is None):
        answer = extract_boxed(own)
        return "runaway", "", answer is not None and right(answer, gold)
    # Most outputs have one box, and that one was judged.
    others = extracted is None or len(starts) > 1
    earlier = others and _any_right(own, gold, extracted, right)
    if extracted is None:
        if truncated:
            return "truncated", "", earlier
        if (unclosed := unclosed_content(text)) is not None:
            return "unclosed", "", earlier or right(_closed(unclosed), gold)
        return ("overwritten", "", True) if earlier else ("no_box", "", False)
    if earlier:
        return "overwritten", "", True
    missed = near_miss(gold, extracted)
    return ("near_miss", missed, False) if missed else ("wrong", "", False)


def _any_right(text: str, gold: str, judged: str | None, right: Right) -> bool:
    """Whether a box of `text` is right; the one that was `judged` is known not to be."""
    tried = {judged}
    for answer in boxes(text):
        if len(tried) > BOXES_TRIED:
            return False
        if answer not in tried and right(answer, gold):
            return True
        tried.add(answer)
    return False


def _closed(content: str) -> str:
    """What an unclosed box holds up to where its formula or line ends, with the missing braces."""
    answer = _END_OF_ANSWER.split(content, maxsplit=1)[0].strip()
    return answer + "}" * max(0, brace_depth(answer))


def _number(text: str) -> Fraction | None:
    if len(text) > 60:
        return None
    return parse_number(normalize(without_units(normalize(text))[0]))
