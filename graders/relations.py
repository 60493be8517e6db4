r"""Relations: what stands on the right of `x = 5`, when two equations or inequalities are one, and named values."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from graders.logic import Formulas, every, some
from graders.names import (
    find_letters,
    is_matrix_name,
    is_name,
    is_phrase,
    parse_call,
    rename,
    strip_decoration,
    tuple_names,
)
from graders.numeric import decimal_places, parse_number, same_number
from graders.ranges import reverse
from graders.structure import read
from graders.units import conversion
from graders.value import Value

Same = Callable[[Value, Value], bool | None]

# The b of an answer's `A \\approx b` counts only if the reference is a decimal with this many places.
MIN_APPROXIMATED_PLACES = 2
_EQUALITIES = frozenset(["=", "\\approx"])
_ARGUMENTS = frozenset("xyztsuvwrnkmijl") | {"\\theta", "\\phi"}  # names that functions are usually defined for
_COORDINATES = frozenset("xyzw")


def find_meanings(value: Value, other: Value, formulas: Formulas, is_gold: bool) -> Iterator[Value]:
    r"""Yield what a relation can mean when the other answer is not a relation: 5 for `x = 5` and for `x = 2+3 = 5`.

    `A \approx b` means A. In a reference it also means b, if b is A rounded. `2x = 5` and `3 = 5` yield nothing.
    """
    signs = value.mark.split()
    both_named = parse_assignments(value) is not None and parse_assignments(other) is not None
    chain = parse_assignments(value) if value.kind == "relation" and other.kind == "sequence" else None
    if chain is not None:  # `x = y = 1` and `(y,x) = (1,2)` against a point
        yield Value("sequence", "", tuple(sort_coordinates(chain)), "()")
        return
    if value.kind != "relation" or other.kind == "relation" or both_named or not _EQUALITIES.issuperset(signs):
        congruence = signs == ["\\equiv"] and other.kind != "relation" and is_name(value.parts[0].text)
        if congruence and "\\pmod" in value.text:
            yield value.parts[1]
        else:
            yield value
        return
    yield from _values(value, other, formulas, is_gold)


def _values(value: Value, other: Value, formulas: Formulas, is_gold: bool) -> Iterator[Value]:
    signs, parts = value.mark.split(), list(value.parts)
    if len(parts) == 2 and is_name(parts[1].text) and not _is_named(parts[0], parts[1], other):
        parts.reverse()  # `5 = x`
    while len(parts) > 1 and (_is_named(parts[0], parts[1], other) or (len(parts) > 2 and is_name(parts[0].text))):
        parts, signs = parts[1:], signs[1:]
    if not all(
        _holds(left, right, sign, formulas) for (left, right), sign in zip(pairwise(parts), signs, strict=False)
    ):
        return
    exact = [part for part, sign in zip(parts, ["=", *signs], strict=False) if sign == "="]
    if len(parts) == len(exact) or len(exact) == 0:
        yield parts[-1]
        return
    yield exact[-1]
    if is_gold or (other.kind == "formula" and decimal_places(other.text) >= MIN_APPROXIMATED_PLACES):
        yield from (part for part in parts if part not in exact)


def _is_named(left: Value, right: Value, other: Value) -> bool:
    """Whether the left side only names the right one. A name on the right too is a value if the other answer is one."""
    if right.kind == "matrix" and is_matrix_name(left.text):
        return True
    if left.kind == "ratio" and all(is_name(part.text) for part in left.parts):
        return True  # `a:b = 2:3`
    names_only = right.kind == "formula" and is_name(right.text) and not is_name(other.text)
    return is_name(left.text) and not names_only


def _holds(left: Value, right: Value, sign: str, formulas: Formulas) -> bool:
    """Whether two parts of a chain are the same number, or one is the other rounded."""
    if left.kind != "formula" or right.kind != "formula":
        return False
    if sign == "=":
        # Not refuted by doubles is enough: what counts then is the last part of the chain, which is compared exactly.
        return not _has_names(left, right) and formulas(left.text, right.text, "equal") is not False
    # Also `1.41 \\approx \\sqrt 2`; but of two numbers the first one is the exact one.
    turned = parse_number(right.text) is None and formulas(right.text, left.text, "near")
    return bool(formulas(left.text, right.text, "near") or turned)


def _has_names(*values: Value) -> bool:
    names = frozenset[str]().union(*(find_letters(value.text) for value in values))
    return any(len(name) == 1 and name not in "ei" for name in names)


def collapse_chain(value: Value, formulas: Formulas) -> Value:
    """A chain `x = 2+3 = 5` or `x = A \\approx b` as the relation of its name to its exact value."""
    signs = value.mark.split()
    if len(signs) < 2 or not _EQUALITIES.issuperset(signs) or not is_name(value.parts[0].text):
        return value
    if any(is_name(part.text) for part in value.parts[1:-1]):
        return value  # `x = y = 1` says more
    found = list(_values(value, Value("formula"), formulas, is_gold=False))
    return replace(value, parts=(value.parts[0], found[0]), mark="=") if found else value


def same_equations(gold: Value, answer: Value, formulas: Formulas, same: Same) -> bool | None:
    """Whether two relations are one: with the same name on the left, moved, scaled, or read from right to left."""
    gold, answer = collapse_chain(gold, formulas), collapse_chain(answer, formulas)
    if gold.mark == answer.mark == "\\approx" and not is_name(gold.parts[0].text):
        consistent = _holds(answer.parts[0], answer.parts[1], "\\approx", formulas)
        alike = conversion(gold.parts[-1].unit, answer.parts[-1].unit) == 1
        return consistent and alike and same(gold.parts[0], answer.parts[0])
    named = _same_named(gold, answer, same)
    if named is not None:
        return named
    if gold.mark == answer.mark and len(gold.parts) == 2:
        return _same_by_difference(gold, answer, formulas, same)
    for other in (answer, reverse(answer)):
        if other.mark == gold.mark:
            return _ordered(gold.parts, other.parts, same)
        if gold.mark == reverse(answer).mark and len(gold.parts) == 2:
            return _same_by_difference(gold, reverse(answer), formulas, same)
    return False


def _same_named(gold: Value, answer: Value, same: Same) -> bool | None:
    """Compare the right sides if the left sides name the same thing, as in `|AB|=6` and `AB=6`; None if they do not."""
    if not {gold.mark, answer.mark} <= _EQUALITIES or len(gold.parts) != 2 or len(answer.parts) != 2:
        return None
    left, right = gold.parts[0].text, answer.parts[0].text
    if left == right or (strip_decoration(left) == strip_decoration(right) and is_name(left)):
        if is_name(left):
            found = same(gold.parts[1], answer.parts[1])
            return found if found is not False or gold.mark != answer.mark else None
        return None
    functions = parse_call(left), parse_call(right)
    if not any(functions) or not (is_name(left) and is_name(right)) or "(" in (left[0], right[0]):
        return None
    if "(" in left and "(" in right and None in functions:
        return False  # `f(x)` and `f(3)`
    if functions[0] and functions[1] and functions[0][0] != functions[1][0]:
        return False
    if functions[0] and functions[1] and functions[0][1] != functions[1][1]:
        if not _ARGUMENTS.issuperset(functions[0][1] + functions[1][1]):
            return False  # `E(X)` and `E(Y)` are two numbers, and so are `f(a)` and `f(b)`
        return _same_renamed(gold, answer, functions[0][1], functions[1][1], same)
    return same(gold.parts[1], answer.parts[1])


def _same_renamed(
    gold: Value, answer: Value, names: tuple[str, ...], others: tuple[str, ...], same: Same
) -> bool | None:
    """Compare the right sides after renaming the arguments of the answer's function to those of the gold's."""
    text = answer.parts[1].text
    free = find_letters(text) - set(others)
    if len(names) != len(others) or len(set(others)) != len(others) or free & set(names):
        return False
    return same(gold.parts[1], read(rename(text, dict(zip(others, names, strict=True)))))


def _same_by_difference(gold: Value, answer: Value, formulas: Formulas, same: Same) -> bool | None:
    """Equations: one is the other moved or scaled by a non-zero constant; inequalities: by a positive one."""
    symmetric = gold.mark not in _ORDERED
    by_value = gold.mark in ("=", "\\neq", "<", ">", "\\leq", "\\geq")
    if by_value and all(part.kind == "formula" for part in gold.parts + answer.parts):
        if not _like_units(gold, answer):
            return False
        decided = _same_bound(gold, answer)
        if decided is not None:
            return decided
        left, right = (f"({value.parts[0].text})-({value.parts[1].text})" for value in (gold, answer))
        scaled = formulas(left, right, "proportional" if symmetric else "positive")
        if scaled is not False:
            return scaled
    orders = (answer.parts, answer.parts[::-1]) if symmetric else (answer.parts,)
    return some(_ordered(gold.parts, parts, same) for parts in orders)


_ORDERED = frozenset(["<", ">", "\\leq", "\\geq", "\\subset", "\\supset", "\\subseteq", "\\supseteq"])


def _same_bound(gold: Value, answer: Value) -> bool | None:
    """`x<5` and `x<7`, which need no algebra; None where the names or numbers are not plain ones."""
    (left, bound), (other, limit) = gold.parts, answer.parts
    numbers = same_number(bound.text, limit.text)
    if numbers is None or (left.text != other.text and not (is_name(left.text) and is_name(other.text))):
        return None
    return numbers and left.text == other.text


def _like_units(gold: Value, answer: Value) -> bool:
    left, right = ({part.unit for part in value.parts} - {""} for value in (gold, answer))
    return not left or not right or left == right


def _ordered(gold: Sequence[Value], answer: Sequence[Value], same: Same) -> bool | None:
    if len(gold) != len(answer):
        return False
    return every(same(left, right) for left, right in zip(gold, answer, strict=True))


def parse_assignments(value: Value) -> list[tuple[str, Value]] | None:
    """The named values of `x=1, y=2`, of a system, and of `(x,y)=(1,2)`, as written; None for anything else."""
    if value.kind == "relation" and value.mark == "=":
        names = tuple_names(value.parts[0].text)
        values = value.parts[1].parts if value.parts[1].mark == "()" else ()
        return list(zip(names, values, strict=True)) if names and len(names) == len(values) else None
    if value.kind == "relation" and len(value.parts) > 2 and set(value.mark.split()) == {"="}:
        names = tuple(part.text for part in value.parts[:-1])
        return [(name, value.parts[-1]) for name in names] if all(map(is_name, names)) else None
    if value.kind not in ("list", "set") or not value.parts or value.mark == "or":
        return None
    if not all(part.kind == "relation" and set(part.mark.split()) == {"="} for part in value.parts):
        return None
    pairs = [(name.text, part.parts[-1]) for part in value.parts for name in part.parts[:-1]]
    named = all(is_name(name) for name, _ in pairs)
    return pairs if named and len({name for name, _ in pairs}) == len(pairs) > 1 else None


def same_assignments(gold: list[tuple[str, Value]], answer: list[tuple[str, Value]], same: Same) -> bool | None:
    """Whether the same names have the same values, in whatever order."""
    left, right = dict(gold), dict(answer)
    if left.keys() != right.keys():
        return False
    return every(same(part, right[name]) for name, part in left.items())


def collect_names(value: Value) -> frozenset[str]:
    """The names that an answer gives to its values, as x in `x = 5` and `x = 1 or x = 2`; none for an equation of names."""
    if value.kind in ("list", "set"):
        return frozenset(name for part in value.parts if part.kind == "relation" for name in collect_names(part))
    if value.kind != "relation" or not _EQUALITIES.issuperset(value.mark.split()):
        return frozenset()
    names = [part.text for part in value.parts if is_name(part.text)]
    if tuple_names(value.parts[0].text):
        return frozenset(tuple_names(value.parts[0].text) or ())
    return frozenset(map(_key_of_name, names)) if len(names) < len(value.parts) else frozenset()


def _key_of_name(name: str) -> str:
    """A name as it is compared: a function without its arguments."""
    function = parse_call(name)
    return f"{function[0]}()" if function and _ARGUMENTS.issuperset(function[1]) else strip_decoration(name)


def names_clash(gold: Value, answer: Value) -> bool:
    """Whether two answers name their values, and differently: `x = 5` and `y = 5`, `x = 1 or x = 2` and `(x,y) = (1,2)`."""
    ours, theirs = collect_names(gold), collect_names(answer)
    if not ours or not theirs or ours == theirs or any(map(is_phrase, ours | theirs)):
        return False
    if len(ours) == len(theirs) == 1:
        (one,), (other,) = ours, theirs
        if ("y" in (one, other) and "()" in one + other) or one.removesuffix("()") == other.removesuffix("()"):
            return False  # `y = 2x` and `f(x) = 2x`
        # `y = 2x` and `x = y/2` are one equation.
        return one not in find_letters(answer.text) or other not in find_letters(gold.text)
    return True


def names_agree(pairs: list[tuple[str, Value]], parts: Sequence[Value]) -> bool:
    """Whether the parts of a list that name their values name them as the pairs do, one by one."""
    named = [part.parts[0].text if part.kind == "relation" and is_name(part.parts[0].text) else "" for part in parts]
    return len(named) == len(pairs) and all(name in ("", pair[0]) for name, pair in zip(named, pairs, strict=True))


def sort_coordinates(pairs: list[tuple[str, Value]]) -> list[Value]:
    """The values in the order of their names if these are x, y, z or w, else in the order written."""
    if {name for name, _ in pairs} <= _COORDINATES:
        pairs = sorted(pairs, key=lambda pair: "xyzw".index(pair[0]))
    return [part for _, part in pairs]
