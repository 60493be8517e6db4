"""The rational number that a formula stands for, where it does, under a bound on the size of every step."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from fractions import Fraction

from graders.expression import Node, TooLarge

MAX_BITS = 60_000  # of an exact number: 2006! has 19,000; arithmetic on this size stays under a millisecond
MAX_FACTORIAL = 5_000  # 5000! has 54,000 bits
# Products of two words of 64 bits that exact arithmetic may take for one pair, some ten milliseconds in all.
MAX_WORK = 2_000_000


class Undefined(ArithmeticError):
    """The formula has no value at this point, or none that this reading can give."""


@dataclass(slots=True)
class _Budget:
    """What one pair may still spend on exact arithmetic, and the values it has paid for, with their nodes."""

    left: int = 0
    values: dict[int, tuple[Node, Fraction | None]] = field(default_factory=dict)


_budget: ContextVar[_Budget | None] = ContextVar("budget", default=None)


@contextmanager
def limited_work() -> Iterator[None]:
    """Within, exact arithmetic raises TooLarge once it has taken MAX_WORK steps in all."""
    token = _budget.set(_Budget(MAX_WORK))
    try:
        yield
    finally:
        _budget.reset(token)


def _spend(bits: int, other: int = 64) -> None:
    """Pay for a product of two numbers of so many bits, before it is computed."""
    budget = _budget.get()
    if budget is None:
        return
    budget.left -= 4 + (bits * other >> 12)
    if budget.left < 0:
        raise TooLarge("more exact arithmetic than one pair may take")


def exact_value(node: Node) -> Fraction | None:
    """The rational number a formula stands for; None if it holds names or irrational parts or has no value.

    Raises TooLarge when the number, or a step on the way, is over MAX_BITS, or when the work of the pair is spent.
    """
    budget = _budget.get()
    known = budget.values.get(id(node)) if budget else None
    if known is not None:
        return known[1]
    try:
        value = _exact(node)
    except (Undefined, ZeroDivisionError):
        value = None
    if budget is not None:
        budget.values[id(node)] = node, value  # kept, so that no other node takes its id
    return value


def _exact(node: Node) -> Fraction:
    op = node.op
    if op == "num":
        return node.value
    if op in ("name", "call"):
        raise Undefined
    values = [_exact(child) for child in node.children]
    if op == "add":
        return _bounded(_total(values))
    if op == "neg":
        return -values[0]
    if op == "mul":
        result = Fraction(1)
        for value in values:
            _spend(_size(result), _size(value))
            result = _bounded(result * value)
        return result
    if op == "div":
        _spend(_size(values[0]), _size(values[1]))
        return _bounded(values[0] / values[1])
    if op == "pow":
        return _exact_power(values[0], values[1])
    if op == "fact":
        return Fraction(math.factorial(_natural(values[0], MAX_FACTORIAL)))
    if op == "fact2":
        n = _natural(values[0], MAX_FACTORIAL)
        return Fraction(math.prod(range(n, 0, -2)))
    return _exact_function(node.name, values)


def _total(values: list[Fraction]) -> Fraction:
    result = Fraction(0)
    for value in values:
        _spend(_size(result), _size(value))
        result = _bounded(result + value)
    return result


def _size(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _exact_function(name: str, values: list[Fraction]) -> Fraction:
    if name == "abs":
        return abs(values[0])
    if name == "root" and values[1].denominator == 1 and 2 <= values[1] <= 64:
        return _exact_root(values[0], int(values[1]))
    if name == "binom" and len(values) == 2:
        n = _natural(values[0], MAX_FACTORIAL)
        return Fraction(math.comb(n, _natural(values[1], MAX_FACTORIAL)))
    if name in ("floor", "ceil"):
        return Fraction(math.floor(values[0]) if name == "floor" else math.ceil(values[0]))
    if name in ("min", "max"):
        return min(values) if name == "min" else max(values)
    if name in ("gcd", "lcm"):
        _spend(max(map(_size, values)), sum(map(_size, values)))
    if name in ("gcd", "lcm") and all(value.denominator == 1 for value in values):
        return Fraction((math.gcd if name == "gcd" else math.lcm)(*(int(value) for value in values)))
    raise Undefined


def _exact_power(base: Fraction, exponent: Fraction) -> Fraction:
    if base in (0, 1) or exponent == 1:
        return base if exponent > 0 else Fraction(1) / base if base else _nothing()
    if exponent.denominator != 1:
        if exponent.denominator > 64:
            raise Undefined
        return _exact_power(_exact_root(base, exponent.denominator), Fraction(exponent.numerator))
    if base == -1:
        return Fraction(1 if exponent % 2 == 0 else -1)
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent) * max(size - 1, 1) > MAX_BITS:
        raise TooLarge(f"a power of more than {MAX_BITS} bits")
    _spend(int(abs(exponent)) * size, int(abs(exponent)) * size)
    return base ** int(exponent)


def _nothing() -> Fraction:
    raise Undefined


def _exact_root(value: Fraction, index: int) -> Fraction:
    """The rational root of a rational number that has one; odd roots of negative numbers are the real ones."""
    if value < 0 and index % 2 == 0:
        raise Undefined
    _spend(_size(value) * index, _size(value))
    root = Fraction(_integer_root(abs(value.numerator), index), _integer_root(value.denominator, index))
    return root if value >= 0 else -root


def _integer_root(value: int, index: int) -> int:
    if index == 2:
        root = math.isqrt(value)
    else:
        root = 1 << -(-value.bit_length() // index)  # Newton from above
        while True:
            better = ((index - 1) * root + value // root ** (index - 1)) // index if root else 0
            if better >= root:
                break
            root = better
    if root**index != value:
        raise Undefined
    return root


def _natural(value: Fraction, limit: int) -> int:
    if value.denominator != 1 or value < 0:
        raise Undefined
    if value > limit:
        raise TooLarge(f"a factorial or binomial over {limit}")
    _spend(int(value) * 12, int(value))
    return int(value)


def _bounded(value: Fraction) -> Fraction:
    if _size(value) > MAX_BITS:
        raise TooLarge(f"a number of more than {MAX_BITS} bits")
    return value
