r"""What can be said about two formulas without any computer algebra: exact, bounded, in microseconds.

Three readings of a tree, each None where it cannot be had:

- `exact_value`: the rational number it stands for;
- `fingerprint`: its image in a finite field, which confirms but never refutes;
- `estimate`: its value in doubles with a bound of the rounding error, which refutes but never confirms.
"""

import cmath
import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import chain, pairwise

from graders.exact import Undefined, exact_value
from graders.expression import Node, names, unknown_functions
from graders.field import PRIME, fingerprint, inverse
from graders.points import SMALL_SEED, far_points, sample_point

_POINTS = 3  # sample points of a formula: more find more that is defined, two already leave no doubt
_EPSILON = 4e-16  # relative rounding error of one operation on doubles, rounded up
_SAFETY = 1e3  # the error bound is first order, so two values must be this many bounds apart to be called different
_TRUSTED_SIZE = 1e100  # beyond it doubles are not asked

Estimate = tuple[complex, float]  # a value and a first-order bound of its absolute error


def estimate(node: Node, point: Mapping[str, complex], real: bool = False) -> Estimate:
    """Value of a formula in doubles with a bound of its error.

    Raises Undefined where it has none, and with `real` where some value on the way is not real.
    """
    try:
        return _estimated(node, point, real)
    except (ZeroDivisionError, OverflowError, ValueError) as error:
        raise Undefined from error


def _estimated(node: Node, point: Mapping[str, complex], real: bool) -> Estimate:
    if node.op == "num":
        value, error = complex(float(node.value)), 0.0
    elif node.op == "name":
        value, error = point[node.name], 0.0
    else:
        value, error = _estimated_operation(node, [_estimated(child, point, real) for child in node.children])
    if not abs(value) + error < _TRUSTED_SIZE or (real and value.imag):
        raise Undefined
    return value, error + _EPSILON * abs(value)


def _estimated_operation(node: Node, parts: list[Estimate]) -> Estimate:
    op = node.op
    if op == "add":
        return sum(value for value, _ in parts), sum(error for _, error in parts)
    if op == "mul":
        product: Estimate = (1.0, 0.0)
        for value, error in parts:
            product = product[0] * value, abs(product[0]) * error + abs(value) * product[1] + error * product[1]
        return product
    (value, error), rest = parts[0], parts[1:]
    if op == "neg":
        return -value, error
    if op == "div":
        below, below_error = rest[0]
        if abs(below) <= 2 * below_error:
            raise Undefined  # the denominator may be zero
        quotient = value / below
        return quotient, 2 * (error + abs(quotient) * below_error) / abs(below)
    if op == "pow":
        return _estimated_power(parts[0], rest[0])
    if op == "fact":
        return _moved(lambda z: math.gamma(_real(z) + 1), value, error)
    if op == "fn":
        return _estimated_function(node.name, parts)
    raise Undefined  # an unknown function


def _estimated_power(base: Estimate, exponent: Estimate) -> Estimate:
    (value, error), (power, power_error) = base, exponent
    if power == 0 and power_error == 0:
        return 1.0, 0.0
    if abs(value) <= 2 * error or value == 0:
        if value == 0 and error == 0 and power.real > 0:
            return 0.0, 0.0
        raise Undefined
    result = value.real**power.real if value.imag == 0 == power.imag else value**power
    return result, abs(result) * 2 * (abs(power) * error / abs(value) + abs(cmath.log(value)) * power_error)


def _real(value: complex) -> float:
    if value.imag:
        raise Undefined
    return value.real


def _moved(apply: Callable[[complex], complex], value: complex, error: float) -> Estimate:
    """A function's value, and how far it moves when its argument moves by the argument's error."""
    result = apply(value)
    return result, 4 * max(abs(apply(value + error) - result), abs(apply(value - error) - result))


_ONE_ARGUMENT: Mapping[str, Callable[[complex], complex]] = {
    "sin": cmath.sin, "cos": cmath.cos, "arcsin": cmath.asin, "arccos": cmath.acos, "arctan": cmath.atan,
    "sinh": cmath.sinh, "cosh": cmath.cosh, "tanh": cmath.tanh, "ln": cmath.log, "log": cmath.log, "abs": abs,
    "floor": lambda z: math.floor(_real(z)), "ceil": lambda z: math.ceil(_real(z)),
}  # fmt: skip


def _estimated_function(name: str, parts: list[Estimate]) -> Estimate:
    value, error = parts[0]
    if name in _ONE_ARGUMENT and len(parts) == 1:
        return _moved(_ONE_ARGUMENT[name], value, error)
    if name == "root" and len(parts) == 2:
        index = parts[1][0]
        if value.imag == 0 and value.real < 0 and index.imag == 0 and index.real % 2 == 1:
            root, root_error = _estimated_power((-value, error), (1 / index, 0.0))
            return -root, root_error
        return _estimated_power(parts[0], (1 / index, 0.0))
    if name in ("min", "max"):
        best = (min if name == "min" else max)(_real(value) for value, _ in parts)
        return best, max(error for _, error in parts)
    raise Undefined


def equal(gold: Node, answer: Node) -> bool | None:
    """Whether two formulas are equal; None where only the symbolic rung can tell. Raises TooLarge."""
    if gold == answer:
        return True
    left, right = exact_value(gold), exact_value(answer)
    if left is not None and right is not None:
        return left == right
    if _same_image(gold, answer):
        return True
    if unknown_functions(gold) != unknown_functions(answer):
        return False  # nothing but a function itself makes up for it, and then the images are equal
    return False if _refuted(gold, answer) else None


def _same_image(gold: Node, answer: Node) -> bool:
    return all(_meet(gold, answer, seed) for seed in range(_POINTS))


def _meet(gold: Node, answer: Node, seed: int) -> bool:
    image = fingerprint(gold, seed)
    return image is not None and image == fingerprint(answer, seed)


def _refuted(gold: Node, answer: Node) -> bool:
    """Whether doubles show a difference at a point where both formulas are real, or that has no variables."""
    for (left, left_error), (right, right_error) in _samples(gold, answer):
        if abs(left - right) > _SAFETY * (left_error + right_error + _EPSILON * (abs(left) + abs(right))):
            return True
    return False


def _samples(gold: Node, answer: Node) -> Iterator[tuple[Estimate, Estimate]]:
    """Both estimates at points of the common real domain; of constants, and with `i`, the complex ones."""
    variables = names(gold) | names(answer)
    real = "i" not in variables and bool(variables - {"pi", "e"})
    seeds = (*range(2 * _POINTS), SMALL_SEED, SMALL_SEED + 1)
    constant = not variables - {"pi", "e", "i"}
    fixed = (sample_point(variables, seed) for seed in (seeds[:1] if constant else seeds))
    for point in chain(fixed, far_points(gold, answer)):
        try:
            yield estimate(gold, point, real), estimate(answer, point, real)
        except Undefined:
            continue


def proportional(gold: Node, answer: Node, positive: bool = False) -> bool | None:
    """Whether one formula is a non-zero (or positive) constant times the other, both not zero; None if open.

    Numbers are all multiples of each other, so without a variable nothing is proportional.
    """
    if not (names(gold) | names(answer)) - {"pi", "e", "i"}:
        return False
    ratios = set()
    for seed in range(_POINTS):
        left, right = fingerprint(gold, seed), fingerprint(answer, seed)
        if left is None or right is None or left == 0 or right == 0:
            return False if (left == 0) != (right == 0) else None
        ratios.add(left * inverse(right) % PRIME)
    samples = (
        (left / right, left_error / abs(left) + right_error / abs(right))
        for (left, left_error), (right, right_error) in _samples(gold, answer)
        if left and right
    )
    if len(ratios) == 1:
        return True if not positive else {ratio.real > 0 for ratio, _ in samples} == {True}
    differ = (abs(r - s) > _SAFETY * (e + f + _EPSILON) * (abs(r) + abs(s)) for (r, e), (s, f) in pairwise(samples))
    return False if any(differ) else None


def rounds_to(answer: Node, gold: Fraction, places: int) -> bool:
    """Whether a real irrational constant rounds to a decimal of so many places; False for anything else."""
    if names(answer) - {"pi", "e"} or exact_value(answer) is not None:
        return False
    try:
        value, error = estimate(answer, sample_point(frozenset(), 0))
    except Undefined:
        return False
    half = 0.5 * 10.0**-places
    return not value.imag and abs(value.real - float(gold)) <= half + error + _EPSILON * abs(value)


def is_near(exact: Node, decimal: Node, places: int) -> bool:
    """Whether a decimal with so many places is a real constant rounded, or the constant itself."""
    value = exact_value(decimal)
    if value is None or names(exact) - {"pi", "e"}:
        return False
    half = 0.5 * 10.0**-places
    known = exact_value(exact)
    if known is not None:
        return abs(known - value) <= Fraction(half)
    try:
        found, error = estimate(exact, sample_point(frozenset(), 0))
    except Undefined:
        return False
    return not found.imag and abs(found.real - float(value)) <= half + error + _EPSILON * abs(found)


def is_less(left: Node, right: Node) -> bool | None:
    """Whether one real constant is smaller than another; None where they are too close to tell, or no constants."""
    if (names(left) | names(right)) - {"pi", "e"}:
        return None
    exact = exact_value(left), exact_value(right)
    if exact[0] is not None and exact[1] is not None:
        return exact[0] < exact[1] if exact[0] != exact[1] else None
    try:
        (low, error), (high, other) = (estimate(node, sample_point(frozenset(), 0)) for node in (left, right))
    except Undefined:
        return None
    clear = abs(low - high) > _SAFETY * (error + other + _EPSILON * (abs(low) + abs(high)))
    return low.real < high.real if clear and not low.imag and not high.imag else None
