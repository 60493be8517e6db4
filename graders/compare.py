r"""Two answers compared part by part.

What two formulas are to each other is asked through a function that the caller passes in, so the same code runs with
the cheap readings of `algebra` and, inside a worker, with the symbolic ones. Answers are three-valued: None means that
some formula on which the decision depends could not be judged.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from graders.numeric import canonical_decimal, decimal_places, parse_number, same_number
from graders.ranges import as_intervals, interval, is_absolute, reverse, variable, variables
from graders.structure import MAX_DEPTH, Value, is_name, read
from graders.units import compatible, units_differ
from graders.words import same_choice, same_words

Question = Literal["equal", "proportional", "positive", "rounds"]
# (gold, answer, question) -> yes, no, or not decidable here. "rounds": gold is a decimal to which answer rounds.
Formulas = Callable[[str, str, Question], bool | None]

MAX_UNMATCHED = 24  # parts of an unordered pair left after exact matches; the rest is quadratic
# A gold decimal stands for an irrational answer that rounds to it from this many decimals on: `3.14` is not pi.
MIN_ROUNDED_PLACES = 3
_CLOCK = re.compile(r"(\d{1,2}):([0-5]\d)(?::([0-5]\d))?(?: ?([ap])\.?m\.?)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether two answers are equal (None: not decidable here), and the rule that said so."""

    equal: bool | None
    rule: str


def compare(gold: str, answer: str, formulas: Formulas) -> Decision:
    """Whether two normalized texts are the same answer, and by which rule."""
    if same_choice(gold, answer):
        return Decision(True, "structure:choice")
    if same_words(gold, answer):
        return Decision(True, "structure:words")
    left, right = read(gold), read(answer)
    kind = left.kind if left.kind != "formula" else right.kind
    if kind == "formula" and (left.unit or right.unit):
        kind = "unit"
    return Decision(_same(left, right, formulas, MAX_DEPTH), f"structure:{kind}")


def every(answers: Iterable[bool | None]) -> bool | None:
    """Three-valued "and": a single no decides."""
    open_question = False
    for answer in answers:
        if answer is False:
            return False
        open_question = open_question or answer is None
    return None if open_question else True


def some(answers: Iterable[bool | None]) -> bool | None:
    """Three-valued "or": a single yes decides."""
    open_question = False
    for answer in answers:
        if answer:
            return True
        open_question = open_question or answer is None
    return None if open_question else False


def _same(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    if gold.text and gold.text == answer.text and gold.unit == answer.unit and gold.kind == answer.kind:
        return True
    gold, answer = _unwrapped(gold, answer), _unwrapped(answer, gold)
    if depth == 0 or not compatible(gold.unit, answer.unit):
        return False
    if gold.kind == "formula" == answer.kind:
        return _same_formula(gold, answer, formulas)
    comparer = _COMPARERS.get(frozenset([gold.kind, answer.kind]))
    return comparer(gold, answer, formulas, depth - 1) if comparer else False


def _unwrapped(value: Value, other: Value) -> Value:
    """The right-hand side of `x = 5` when the other answer is not an equation."""
    if value.kind != "relation" or value.mark != "=" or other.kind == "relation":
        return value
    left, right = value.parts
    if is_name(left.text) and not (is_name(right.text) and not is_name(other.text)):
        return right
    return left if is_name(right.text) else value


def _same_formula(gold: Value, answer: Value, formulas: Formulas) -> bool | None:
    if same_words(gold.text, answer.text):
        return True
    if units_differ(*(f"{value.text}\\unit{{{value.unit}}}" for value in (gold, answer))):
        return False
    if "\\infty" in gold.text or "\\infty" in answer.text:
        return gold.text.lstrip("+") == answer.text.lstrip("+")
    percents = (gold.unit == "percent") - (answer.unit == "percent")
    equal = _same_value(gold.text, answer.text, formulas)
    if equal or not percents:
        return equal
    # A percentage stands for its hundredth too: 50% is 0.5. The other way round nothing is guessed.
    scaled = (f"({gold.text})/100", answer.text) if percents > 0 else (gold.text, f"({answer.text})/100")
    return some([equal, _same_value(*scaled, formulas)])


def _same_value(gold: str, answer: str, formulas: Formulas) -> bool | None:
    decided = same_number(gold, answer)
    if decided is not None:
        return decided
    equal = formulas(gold, answer, "equal")
    if equal or parse_number(answer) is not None or decimal_places(gold) < MIN_ROUNDED_PLACES:
        return equal
    return formulas(gold, answer, "rounds")


def _unordered(gold: Sequence[Value], answer: Sequence[Value], formulas: Formulas, depth: int) -> bool | None:
    """Equal as sets: every part has a partner on the other side. Parts that are equal as texts are matched first."""
    left_keys, right_keys = ({_key(value) for value in side} for side in (gold, answer))
    left = [value for value in gold if _key(value) not in right_keys]
    right = [value for value in answer if _key(value) not in left_keys]
    if max(len(left), len(right)) > MAX_UNMATCHED:
        return False
    return every(
        [some(_same(part, other, formulas, depth) for other in answer) for part in left]
        + [some(_same(other, part, formulas, depth) for other in gold) for part in right]
    )


def _key(value: Value) -> Hashable:
    """What two parts have in common that need no comparison. A range made from a relation has no text of its own."""
    if not value.text:
        return value
    text = (canonical_decimal(value.text) or value.text) if value.kind == "formula" else value.text
    return value.kind, text, value.unit


def _ordered(gold: Sequence[Value], answer: Sequence[Value], formulas: Formulas, depth: int) -> bool | None:
    if len(gold) != len(answer):
        return False
    return every(_same(left, right, formulas, depth) for left, right in zip(gold, answer, strict=True))


def _same_collections(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    left, right = gold.parts, answer.parts
    if any(part.text == "\\ldots" for part in left + right):
        return _ordered(left, right, formulas, depth)
    assigned = [_assigned_names(left), _assigned_names(right)]
    if any(len(set(names)) > 1 for names in assigned) and not all(assigned):
        return _ordered(left, right, formulas, depth)  # `x=1, y=2` against `1, 2`
    bounded = any(part.kind == "relation" for part in left + right) and not any(assigned)
    if bounded and as_intervals(gold) and as_intervals(answer):
        return _same_ranges(gold, answer, formulas, depth)
    return _unordered(left, right, formulas, depth)


def _assigned_names(parts: Sequence[Value]) -> list[str]:
    """The names on the left of `x=1, y=2` where every part is an assignment, else nothing."""
    assigned = [part.parts[0].text for part in parts if part.kind == "relation" and part.mark == "="]
    return assigned if len(assigned) == len(parts) and all(map(is_name, assigned)) else []


def _list_and_sequence(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    sequence, listed = (gold, answer) if gold.kind == "sequence" else (answer, gold)
    if listed.mark == "signs" or listed.kind == "set" or sequence.mark != "()":
        return False
    return _ordered(gold.parts, answer.parts, formulas, depth)


def _same_sequences(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    return gold.mark == answer.mark and _ordered(gold.parts, answer.parts, formulas, depth)


def _one_and_many(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """A single value and a collection: equal if the collection holds that value and nothing else."""
    one, many = (gold, answer) if answer.kind in ("list", "set") else (answer, gold)
    if not many.parts:
        return False
    pairs = ((part, one) if many is gold else (one, part) for part in many.parts)
    return every(_same(left, right, formulas, depth) for left, right in pairs)


def _relation_and_list(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """`|x| > 2` and `x < -2 or x > 2`, or one relation twice."""
    return some(same(gold, answer, formulas, depth) for same in (_same_ranges, _one_and_many))


def _same_matrices(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    return gold.mark == answer.mark and _ordered(gold.parts, answer.parts, formulas, depth)


def _matrix_and_sequence(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """A column or row and the same vector written in line."""
    matrix = gold if gold.kind == "matrix" else answer
    return int(matrix.mark) in (1, len(matrix.parts)) and _ordered(gold.parts, answer.parts, formulas, depth)


def _same_relations(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    if is_absolute(gold) or is_absolute(answer):
        return variable(gold) == variable(answer) and _same_ranges(gold, answer, formulas, depth)
    intervals = [interval(value) for value in (gold, answer)]
    if intervals[0] and intervals[1]:
        return variable(gold) == variable(answer) and _same(intervals[0], intervals[1], formulas, depth)
    if gold.mark == answer.mark and len(gold.parts) == 2:
        return _same_by_difference(gold, answer, formulas, depth)
    for other in (answer, reverse(answer)):
        if other.mark == gold.mark:
            return _ordered(gold.parts, other.parts, formulas, depth)
        if gold.mark == reverse(answer).mark and len(gold.parts) == 2:
            return _same_by_difference(gold, reverse(answer), formulas, depth)
    return False


def _same_by_difference(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """Equations: one is the other moved or scaled by a non-zero constant; inequalities: by a positive one."""
    if gold.mark == "=" and _is_function_name(gold.parts[0].text, answer.parts[0].text):
        return _same(gold.parts[1], answer.parts[1], formulas, depth)
    if all(part.kind == "formula" for part in gold.parts + answer.parts) and gold.mark != "\\approx":
        left, right = (f"({value.parts[0].text})-({value.parts[1].text})" for value in (gold, answer))
        scaled = formulas(left, right, "proportional" if gold.mark in ("=", "\\neq") else "positive")
        if scaled is not False:
            return scaled and not units_differ(gold.text, answer.text)
    orders = (answer.parts, answer.parts[::-1]) if gold.mark in ("=", "\\neq") else (answer.parts,)
    return some(_ordered(gold.parts, parts, formulas, depth) for parts in orders)


def _is_function_name(left: str, right: str) -> bool:
    """Whether `y = ...` and `f(x) = ...` name a function, so that only the right-hand sides count."""
    if not (is_name(left) and is_name(right)) or "(" in (left[0], right[0]):
        return False
    arguments = [text.partition("(")[2] for text in (left, right)]
    return any(arguments) and (arguments[0] == arguments[1] or not all(arguments))


def _same_ranges(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    names = [variables(value) for value in (gold, answer)]
    if names[0] and names[1] and names[0] != names[1]:
        return False
    left, right = as_intervals(gold), as_intervals(answer)
    return _unordered(left, right, formulas, depth) if left and right else False


def _same_ratios(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    clocks = [_clock(value.text) for value in (gold, answer)]
    if clocks[0] and clocks[1]:
        halves = {clock[1] for clock in clocks if clock} - {""}
        return clocks[0][0] == clocks[1][0] and len(halves) < 2
    if len(gold.parts) != len(answer.parts) or units_differ(gold.text, answer.text):
        return False
    quotients = [
        [f"({first.text})/({second.text})" for first, second in pairwise(value.parts)] for value in (gold, answer)
    ]
    return every(formulas(left, right, "equal") for left, right in zip(*quotients, strict=True))


def _clock(text: str) -> tuple[list[int], str] | None:
    """Hours, minutes and seconds of a clock time, and `a` or `p` where the half of the day is given."""
    found = _CLOCK.fullmatch(text)
    return ([int(part or 0) for part in found.groups()[:3]], (found[4] or "").lower()) if found else None


def _same_bases(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    return gold.text == answer.text


_Comparer = Callable[[Value, Value, Formulas, int], bool | None]
_COMPARERS: dict[frozenset[str], _Comparer] = {
    frozenset(["list"]): _same_collections,
    frozenset(["set"]): _same_collections,
    frozenset(["list", "set"]): _same_collections,
    frozenset(["sequence"]): _same_sequences,
    frozenset(["sequence", "list"]): _list_and_sequence,
    frozenset(["formula", "list"]): _one_and_many,
    frozenset(["formula", "set"]): _one_and_many,
    frozenset(["relation", "set"]): _one_and_many,
    frozenset(["relation", "list"]): _relation_and_list,
    frozenset(["matrix"]): _same_matrices,
    frozenset(["matrix", "sequence"]): _matrix_and_sequence,
    frozenset(["relation"]): _same_relations,
    frozenset(["relation", "sequence"]): _same_ranges,
    frozenset(["relation", "union"]): _same_ranges,
    frozenset(["list", "union"]): _same_ranges,
    frozenset(["union"]): _same_ranges,
    frozenset(["ratio"]): _same_ratios,
    frozenset(["base"]): _same_bases,
}
