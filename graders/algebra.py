r"""What can be said about two formulas without any computer algebra: exact, bounded, in microseconds.

Three readings of a tree, each None where it cannot be had:

- `exact_value`: the rational number it stands for;
- `fingerprint`: its image in a finite field, where functions that are not rational are hashed. Equal fingerprints at
  random points mean equal formulas (Schwartz-Zippel: the chance of an accident is the degree over 2^125);
- `estimate`: its value in doubles with a bound of the rounding error, which refutes but never confirms.
"""

import cmath
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

from graders.expression import Node, TooLarge, names

MAX_BITS = 60_000  # of an exact number: 2006! has 19,000; arithmetic on this size stays under a millisecond
MAX_FACTORIAL = 5_000  # 5000! has 54,000 bits
MAX_EXACT_NODES = 4_000  # additions of fractions can double the size at each step

# The field of the fingerprints. PRIME - 1 is a multiple of 8 and of every odd prime up to 97, so each of -1, 2, 3, 5,
# ..., 97 has a square root in the field (quadratic reciprocity) and radicals of smooth integers are exact.
_SMALL_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
PRIME = 5 * 4 * math.prod(_SMALL_PRIMES) + 1

_POINTS = 3  # sample points of a formula: more find more that is defined, two already leave no doubt
_EPSILON = 4e-16  # relative rounding error of one operation on doubles, rounded up
_SAFETY = 1e3  # the error bound is first order, so two values must be this many bounds apart to be called different
_TRUSTED_SIZE = 1e100  # beyond it doubles are not asked


class Undefined(ArithmeticError):
    """The formula has no value at this point, or none that this reading can give."""


def exact_value(node: Node) -> Fraction | None:
    """The rational number a formula stands for; None if it holds names or irrational parts or has no value.

    Raises TooLarge when the number, or a step on the way, is over MAX_BITS.
    """
    try:
        return _exact(node)
    except (Undefined, ZeroDivisionError):
        return None


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
            result = _bounded(result * value)
        return result
    if op == "div":
        return _bounded(values[0] / values[1])
    if op == "pow":
        return _exact_power(values[0], values[1])
    if op == "fact":
        return Fraction(math.factorial(_natural(values[0], MAX_FACTORIAL)))
    return _exact_function(node.name, values)


def _total(values: list[Fraction]) -> Fraction:
    result = Fraction(0)
    for value in values:
        result = _bounded(result + value)
    return result


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
    return base ** int(exponent)


def _nothing() -> Fraction:
    raise Undefined


def _exact_root(value: Fraction, index: int) -> Fraction:
    """The rational root of a rational number that has one; odd roots of negative numbers are the real ones."""
    if value < 0 and index % 2 == 0:
        raise Undefined
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
    return int(value)


def _bounded(value: Fraction) -> Fraction:
    if value.numerator.bit_length() + value.denominator.bit_length() > MAX_BITS:
        raise TooLarge(f"a number of more than {MAX_BITS} bits")
    return value


def fingerprint(node: Node, seed: int) -> int | None:
    """Image of a formula in the field, at the random point that `seed` stands for; None where undefined."""
    try:
        return _image(node, seed)
    except (Undefined, TooLarge, ZeroDivisionError):
        return None


def _hashed(*parts: object) -> int:
    """A field element that depends on all parts: the value of a name, or of a function the field does not know."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=24).digest(), "big") % PRIME


def _image(node: Node, seed: int) -> int:
    op = node.op
    if op == "num":
        return node.value.numerator * _inverse(node.value.denominator) % PRIME
    if op == "name":
        return _square_root(PRIME - 1) if node.name == "i" else _hashed("name", node.name, seed)
    if op == "pow":
        return _image_power(node.children[0], node.children[1], seed)
    if op == "fn" and node.name == "root":
        return _image_power(node.children[0], Node("div", (Node("num", value=Fraction(1)), node.children[1])), seed)
    if op == "fact" or (op == "fn" and (value := exact_value(node)) is not None):
        value = exact_value(node)
        if value is not None:
            return value.numerator * _inverse(value.denominator) % PRIME
    images = [_image(child, seed) for child in node.children]
    if op == "add":
        return sum(images) % PRIME
    if op == "neg":
        return -images[0] % PRIME
    if op == "mul":
        product = 1
        for image in images:
            product = product * image % PRIME
        return product
    if op == "div":
        return images[0] * _inverse(images[1]) % PRIME
    return _hashed(op, node.name, images)


def _image_power(base: Node, exponent: Node, seed: int) -> int:
    """Integer powers are exact; square roots of smooth rationals too; the rest is hashed."""
    power = exact_value(exponent)
    if power is None:
        return _hashed("pow", _image(base, seed), _image(exponent, seed))
    if power.denominator == 1:
        return _field_power(_image(base, seed), power.numerator)
    radicand = exact_value(base)
    if power.denominator == 2 and radicand is not None:
        root = _image_square_root(radicand)
    else:
        root = _hashed("root", _image(base, seed), power.denominator)
    return _field_power(root, power.numerator)


def _field_power(base: int, exponent: int) -> int:
    if base == 0 and exponent <= 0:
        raise Undefined
    return pow(base, exponent, PRIME)


def _image_square_root(value: Fraction) -> int:
    """A square root that is multiplicative: the product of the roots of the primes, i for the sign."""
    if value == 0:
        return 0
    rest = abs(value.numerator) * value.denominator
    image = _inverse(value.denominator) * (_square_root(PRIME - 1) if value < 0 else 1)
    for prime in _SMALL_PRIMES:
        while rest % prime == 0:
            rest //= prime
            image = image * _square_root(prime) % PRIME
    whole = math.isqrt(rest)
    return image * (whole if whole * whole == rest else _hashed("root", rest, 2)) % PRIME


def _inverse(value: int) -> int:
    if value % PRIME == 0:
        raise Undefined
    return pow(value, -1, PRIME)


@lru_cache(maxsize=64)
def _square_root(value: int) -> int:
    """Square root in the field (Tonelli and Shanks); the value must have one."""
    odd, twos = PRIME - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    non_residue = next(n for n in range(2, 1000) if pow(n, (PRIME - 1) // 2, PRIME) == PRIME - 1)
    factor, power = pow(non_residue, odd, PRIME), pow(value, odd, PRIME)
    root = pow(value, (odd + 1) // 2, PRIME)
    while power != 1:
        order, square = 0, power
        while square != 1:
            square, order = square * square % PRIME, order + 1
        step = pow(factor, 1 << (twos - order - 1), PRIME)
        factor, twos = step * step % PRIME, order
        root, power = root * step % PRIME, power * factor % PRIME
    return root


Estimate = tuple[complex, float]  # a value and a first-order bound of its absolute error


def estimate(node: Node, point: Mapping[str, complex]) -> Estimate:
    """Value of a formula in doubles with a bound of its error. Raises Undefined where it has none."""
    try:
        return _estimated(node, point)
    except (ZeroDivisionError, OverflowError, ValueError) as error:
        raise Undefined from error


def _estimated(node: Node, point: Mapping[str, complex]) -> Estimate:
    if node.op == "num":
        value, error = complex(float(node.value)), 0.0
    elif node.op == "name":
        value, error = point[node.name], 0.0
    else:
        value, error = _estimated_operation(node, [_estimated(child, point) for child in node.children])
    if not abs(value) + error < _TRUSTED_SIZE:
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


def sample_point(variables: frozenset[str], seed: int) -> dict[str, complex]:
    """Real values for the variables, between 0.3 and 2.9 (seeds 4 and 5 of each six: ten times that) with either sign.

    The same name and seed give the same value on every machine. Seed 1 makes all of them negative.
    """
    point: dict[str, complex] = {"pi": math.pi, "e": math.e, "i": 1j}
    for name in variables - point.keys():
        share = _hashed("point", name, seed) / PRIME  # in [0, 1)
        negative = seed == 1 or (seed % 2 == 1 and _hashed("sign", name, seed) % 2 == 1)
        point[name] = (0.3 + 2.6 * share) * (10 if seed % 6 > 3 else 1) * (-1 if negative else 1)
    return point


def equal(gold: Node, answer: Node) -> bool | None:
    """Whether two formulas are equal; None where only the symbolic rung can tell. Raises TooLarge."""
    if gold == answer:
        return True
    left, right = exact_value(gold), exact_value(answer)
    if left is not None and right is not None:
        return left == right
    if _same_image(gold, answer):
        return True
    return False if _refuted(gold, answer) else None


def _same_image(gold: Node, answer: Node) -> bool:
    images = [(fingerprint(gold, seed), fingerprint(answer, seed)) for seed in range(_POINTS)]
    return all(left is not None and left == right for left, right in images)


def _refuted(gold: Node, answer: Node) -> bool:
    """Whether doubles show a difference at a point where both formulas are real, or that has no variables."""
    for (left, left_error), (right, right_error), is_real in _samples(gold, answer):
        far = abs(left - right) > _SAFETY * (left_error + right_error + _EPSILON * (abs(left) + abs(right)))
        if is_real and far:
            return True
    return False


def _samples(gold: Node, answer: Node) -> Iterator[tuple[Estimate, Estimate, bool]]:
    """Both estimates where both exist, and whether the point lies in the common real domain (constants: always)."""
    variables = names(gold) | names(answer)
    any_value = "i" in variables or not variables - {"pi", "e"}
    for seed in range(2 * _POINTS if variables - {"pi", "e", "i"} else 1):
        point = sample_point(variables, seed)
        try:
            left, right = estimate(gold, point), estimate(answer, point)
        except Undefined:
            continue
        yield left, right, any_value or not (left[0].imag or right[0].imag)


def proportional(gold: Node, answer: Node, positive: bool = False) -> bool | None:
    """Whether one formula is a non-zero (or positive) constant times the other, both not zero; None if open."""
    ratios = set()
    for seed in range(_POINTS):
        left, right = fingerprint(gold, seed), fingerprint(answer, seed)
        if left is None or right is None or left == 0 or right == 0:
            return False if (left == 0) != (right == 0) else None
        ratios.add(left * _inverse(right) % PRIME)
    samples = [
        (left / right, left_error / abs(left) + right_error / abs(right))
        for (left, left_error), (right, right_error), is_real in _samples(gold, answer)
        if is_real and left and right
    ]
    if len(ratios) == 1:
        signs = {ratio.real > 0 for ratio, _ in samples}
        return True if not positive else signs == {True}
    if any(abs(r - s) > _SAFETY * (e + f + _EPSILON) * (abs(r) + abs(s)) for (r, e), (s, f) in pairwise(samples)):
        return False
    return None


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
