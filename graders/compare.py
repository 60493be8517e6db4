r"""Two answers compared part by part.

What two formulas are to each other is asked through a function that the caller passes in, so the same code runs with
the cheap readings of `algebra` and, inside a worker, with the symbolic ones. Answers are three-valued: None means that
some formula on which the decision depends could not be judged.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from graders import ranges
from graders.clocks import is_clock, same_clocks
from graders.formulas import same_formula
from graders.logic import Formulas, every, some
from graders.names import find_letters, rename
from graders.numeric import canonical_decimal
from graders.qualifiers import domains_differ, renamings, split_qualifier
from graders.relations import (
    collect_names,
    find_meanings,
    names_agree,
    names_clash,
    parse_assignments,
    same_assignments,
    same_equations,
    sort_coordinates,
)
from graders.structure import parse_set_builder, read
from graders.units import conversion
from graders.value import MAX_DEPTH, Value
from graders.words import same_choice, same_words

MAX_UNMATCHED = 24  # parts of an unordered pair left after exact matches; the rest is quadratic


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
    if is_clock(gold) or is_clock(answer):
        return Decision(same_clocks(gold, answer), "structure:clock")
    (gold, name), (answer, other) = parse_set_builder(gold), parse_set_builder(answer)
    if name and other and name != other and name not in find_letters(answer):
        answer = rename(answer, {other: name})
    left, right = split_qualifier(gold), split_qualifier(answer)
    if domains_differ(left, right) or _members_differ(left.core, right.core):
        return Decision(False, "structure:qualifier")
    expected = read(left.core)
    decisions = [_compared(expected, read(core), formulas) for core in renamings(left, right)]
    equal = some(decision.equal for decision in decisions)
    return Decision(equal, next((d.rule for d in decisions if d.equal), decisions[0].rule))


_MEMBER = re.compile(r"(\\?[A-Za-z]+(?:_\w)?)\\(?:not)?in(?![A-Za-z])")


def _members_differ(gold: str, answer: str) -> bool:
    r"""Whether `x\in A` and `y\in A` speak of two names."""
    found = _MEMBER.match(gold), _MEMBER.match(answer)
    return found[0] is not None and found[1] is not None and found[0][1] != found[1][1]


def _compared(left: Value, right: Value, formulas: Formulas) -> Decision:
    if names_clash(left, right):
        return Decision(False, "structure:names")
    kind = left.kind if left.kind != "formula" else right.kind
    if kind == "formula" and (left.unit or right.unit):
        kind = "unit"
    return Decision(_same(left, right, formulas, MAX_DEPTH), f"structure:{kind}")


def _same(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    if _is_same_text(gold, answer):
        return True
    if depth == 0:
        return False
    if gold.mark == ":" or answer.mark == ":":  # one value, written twice
        return every(
            _same(left, right, formulas, depth - 1)
            for left in (gold.parts if gold.mark == ":" else [gold])
            for right in (answer.parts if answer.mark == ":" else [answer])
        )
    pairs = (
        (left, right)
        for left in find_meanings(gold, answer, formulas, is_gold=True)
        for right in find_meanings(answer, gold, formulas, is_gold=False)
    )
    return some(_same_parts(left, right, formulas, depth) for left, right in pairs)


def _is_same_text(gold: Value, answer: Value) -> bool:
    return bool(gold.text) and (gold.kind, gold.text, gold.unit) == (answer.kind, answer.text, answer.unit)


def _same_parts(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    if gold.kind == "formula" == answer.kind:
        return _is_same_text(gold, answer) or same_formula(gold, answer, formulas)
    if conversion(gold.unit, answer.unit) != 1:
        return False
    if "degree" in (gold.unit, answer.unit) and gold.unit != answer.unit and "\\pi" in gold.text + answer.text:
        return False  # `(1, \\frac{\\pi}{3})` is in radians
    if depth < MAX_DEPTH and {gold.kind, answer.kind} == {"formula", "set"}:
        return False  # inside a set, 1 is not the set of 1
    comparer = _COMPARERS.get(frozenset([gold.kind, answer.kind]))
    return comparer(gold, answer, formulas, depth - 1) if comparer else False


def _unordered(gold: Sequence[Value], answer: Sequence[Value], formulas: Formulas, depth: int) -> bool | None:
    """Equal as sets: every part has a partner on the other side. Parts that are equal as texts are matched first."""
    left_keys, right_keys = ({_key(value) for value in side} for side in (gold, answer))
    left = [value for value in gold if _key(value) not in right_keys]
    right = [value for value in answer if _key(value) not in left_keys]
    if max(len(left), len(right)) > MAX_UNMATCHED:
        return False
    there = (some(_same(part, other, formulas, depth) for other in answer) for part in left)
    back = (some(_same(other, part, formulas, depth) for other in gold) for part in right)
    return every(chain(there, back))


def _key(value: Value) -> Hashable:
    """What two parts have in common that need no comparison. A value made from others has no text of its own."""
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
    named = parse_assignments(gold), parse_assignments(answer)
    if named[0] is not None and named[1] is not None:
        return same_assignments(named[0], named[1], lambda part, other: _same(part, other, formulas, depth))
    if any(_names_apart(side) for side, pairs in zip((gold, answer), named, strict=True) if pairs is None):
        return False  # `x=1 or y=2`
    if named[0] is not None or named[1] is not None:  # `x=1, y=2` against `1, 2`
        other = right if named[1] is None else left
        listed = (answer if named[1] is None else gold).mark in (",", ";")
        if not listed or not names_agree(named[0] or named[1] or [], other):
            return False
        expected = left if named[0] is None else sort_coordinates(named[0])
        given = right if named[1] is None else sort_coordinates(named[1])
        return _ordered(expected, given, formulas, depth)
    alike = len(left) == len(right) and gold.mark == answer.mark == ","  # then the parts are compared one by one
    if not alike and (ranges.is_condition(gold) or ranges.is_condition(answer)):
        found = _same_ranges(gold, answer, formulas, depth)
        if found is not False or (ranges.range_variables(gold) and ranges.range_variables(answer)):
            return found  # `x>1 and x<3` is not `x>1 or x<3`, although its parts are the same
    return _unordered(left, right, formulas, depth)


def _names_apart(value: Value) -> bool:
    """Whether the parts of a list name their values differently."""
    return len({names for part in value.parts if (names := collect_names(part))}) > 1


def _list_and_sequence(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    sequence, listed = (gold, answer) if gold.kind == "sequence" else (answer, gold)
    if sequence.mark != "if" and ranges.is_condition(listed):
        return _same_ranges(gold, answer, formulas, depth)
    if listed.mark == "signs":
        return _one_and_many(gold, answer, formulas, depth)
    if sequence.mark != "()":
        return False
    named = parse_assignments(listed)
    if named is None and (listed.mark not in (",", ";") or any(part.kind == "relation" for part in listed.parts)):
        return False  # `x = 1 or x = 2` is no point
    parts = listed.parts if named is None else sort_coordinates(named)
    if sequence is gold:
        return _ordered(sequence.parts, parts, formulas, depth)
    return _ordered(parts, sequence.parts, formulas, depth)


def _set_and_sequence(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    r"""`\{(1,2)\}` and `(1,2)`; a set of numbers is no tuple."""
    many = gold if gold.kind == "set" else answer
    tuples = all(part.kind in ("sequence", "list") for part in many.parts)
    return _one_and_many(gold, answer, formulas, depth) if tuples else False


def _same_sequences(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    return gold.mark == answer.mark and _ordered(gold.parts, answer.parts, formulas, depth)


def _one_and_many(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """A single value and a collection: equal if the collection holds that value and nothing else."""
    one, many = (gold, answer) if answer.kind in ("list", "set") else (answer, gold)
    if not many.parts:
        return False
    pairs = ((part, one) if many is gold else (one, part) for part in many.parts)
    return every(_same(left, right, formulas, depth) for left, right in pairs)


def _relation_and_many(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """`|x| > 2` and `x < -2 or x > 2`; `(x,y)=(1,2)` and `y=2, x=1`; one relation twice."""
    named = parse_assignments(gold), parse_assignments(answer)
    if named[0] is not None and named[1] is not None:
        return same_assignments(named[0], named[1], lambda part, other: _same(part, other, formulas, depth))
    return some(same(gold, answer, formulas, depth) for same in (_same_ranges, _one_and_many, _chain_and_list))


def _chain_and_list(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """`a>b>c` and `a>b and b>c`."""
    chain_side = gold if gold.kind == "relation" else answer
    signs = chain_side.mark.split()
    if len(signs) < 2 or (gold.mark if chain_side is answer else answer.mark) == "or":
        return False
    links = [Value("relation", "", pair, sign) for pair, sign in zip(pairwise(chain_side.parts), signs, strict=True)]
    if chain_side is gold:
        return _unordered(links, answer.parts, formulas, depth)
    return _unordered(gold.parts, links, formulas, depth)


def _same_matrices(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    return gold.mark == answer.mark and _ordered(gold.parts, answer.parts, formulas, depth)


def _matrix_and_sequence(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """A column or row and the same vector written in line."""
    matrix = gold if gold.kind == "matrix" else answer
    return int(matrix.mark) in (1, len(matrix.parts)) and _ordered(gold.parts, answer.parts, formulas, depth)


def _same_relations(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    named = parse_assignments(gold), parse_assignments(answer)
    if named[0] is not None and named[1] is not None:
        return same_assignments(named[0], named[1], lambda part, other: _same(part, other, formulas, depth))
    equal = same_equations(gold, answer, formulas, lambda part, other: _same(part, other, formulas, depth))
    if equal is False and ranges.is_condition(gold) and ranges.is_condition(answer):
        return _same_ranges(gold, answer, formulas, depth)
    return equal


def _same_ranges(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """Equal as sets of real numbers, for some variable that both may be about."""
    ours, theirs = ranges.range_variables(gold), ranges.range_variables(answer)
    if (ranges.is_condition(gold) and gold.kind != "union" and not ours) or (
        ranges.is_condition(answer) and answer.kind != "union" and not theirs
    ):
        return False
    names = ours & theirs if ours and theirs else ours | theirs or {""}
    return some(_same_real_sets(gold, answer, name, formulas, depth) for name in sorted(names))


def _same_real_sets(gold: Value, answer: Value, name: str, formulas: Formulas, depth: int) -> bool | None:
    def order(left: Value, right: Value) -> int | None:
        return ranges.order_of_ends(left, right, formulas)

    try:
        left, right = ranges.build_spans(gold, name, order), ranges.build_spans(answer, name, order)
    except ranges.Unordered:
        left, right = ranges.build_unordered_spans(gold, name), ranges.build_unordered_spans(answer, name)
        if left is not None and right is not None and len(left) == len(right) > 1:
            return _unordered(ranges.as_values(left), ranges.as_values(right), formulas, depth)
    if left is None or right is None or len(left) != len(right):
        return False
    return _ordered(ranges.as_values(left), ranges.as_values(right), formulas, depth)


def _same_ratios(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    if len(gold.parts) != len(answer.parts):
        return False
    left, right = (_quotients(value) for value in (gold, answer))
    return every(formulas(one, other, "equal") for one, other in zip(left, right, strict=True))


def _quotients(ratio: Value) -> list[str]:
    return [f"({first.text})/({second.text})" for first, second in pairwise(ratio.parts)]


def _ratio_and_formula(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    """A ratio of two is its quotient."""
    texts = [_quotients(value)[0] if value.kind == "ratio" else value.text for value in (gold, answer)]
    ratio, other = (gold, answer) if gold.kind == "ratio" else (answer, gold)
    return len(ratio.parts) == 2 and not other.unit and formulas(texts[0], texts[1], "equal")


def _same_bases(gold: Value, answer: Value, formulas: Formulas, depth: int) -> bool | None:
    return gold.text == answer.text


_Comparer = Callable[[Value, Value, Formulas, int], bool | None]
_COMPARERS: dict[frozenset[str], _Comparer] = {
    frozenset(["list"]): _same_collections,
    frozenset(["set"]): _same_collections,
    frozenset(["list", "set"]): _same_collections,
    frozenset(["sequence"]): _same_sequences,
    frozenset(["sequence", "list"]): _list_and_sequence,
    frozenset(["sequence", "set"]): _set_and_sequence,
    frozenset(["formula", "list"]): _one_and_many,
    frozenset(["formula", "set"]): _one_and_many,
    frozenset(["relation", "set"]): _relation_and_many,
    frozenset(["relation", "list"]): _relation_and_many,
    frozenset(["matrix"]): _same_matrices,
    frozenset(["matrix", "set"]): _one_and_many,
    frozenset(["matrix", "list"]): _one_and_many,
    frozenset(["matrix", "sequence"]): _matrix_and_sequence,
    frozenset(["relation"]): _same_relations,
    frozenset(["relation", "sequence"]): _same_ranges,
    frozenset(["relation", "union"]): _same_ranges,
    frozenset(["list", "union"]): _same_ranges,
    frozenset(["sequence", "union"]): _same_ranges,
    frozenset(["set", "union"]): _same_ranges,
    frozenset(["union"]): _same_ranges,
    frozenset(["ratio"]): _same_ratios,
    frozenset(["ratio", "formula"]): _ratio_and_formula,
    frozenset(["base"]): _same_bases,
}
