"""Sample points of formulas: fixed points, and points beyond every constant and on both sides of every kink."""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise

from graders.exact import Undefined, exact_value
from graders.expression import Node, TooLarge, names
from graders.field import PRIME, hashed

SMALL_SEED = 12  # of sample points: from here on the values are small
BASE_RANGE = 2.9  # the fixed points of the lower seeds lie within it
MAX_CONSTANTS = 6  # constants of one formula pair that are straddled, the largest ones
MAX_KINKS = 6  # of one variable
MAX_SIZE = 1e15  # of a sample value
_KINKED = frozenset(["abs", "min", "max", "root"])

Point = dict[str, complex]


def sample_point(variables: frozenset[str], seed: int) -> Point:
    """Real values for the variables, between 0.3 and 2.9 (seeds 4 and 5 of each six: ten times that) with either sign.

    From SMALL_SEED on a tenth of that, inside the domain of roots such as sqrt(1-4x^2) and of inverse functions.

    The same name and seed give the same value on every machine. Even seeds make all of them positive, seed 1 all of them
    negative, and the odd seeds from 3 on go through the other signs.
    """
    point: Point = {"pi": math.pi, "e": math.e, "i": 1j}
    for index, name in enumerate(sorted(variables - point.keys())):
        share = hashed("point", name, seed) / PRIME  # in [0, 1)
        scale = 0.1 if seed >= SMALL_SEED else 10 if seed % 6 > 3 else 1
        negative = seed == 1 or (seed % 2 == 1 and seed >> 1 >> index & 1 == 1)
        point[name] = (0.3 + 2.6 * share) * scale * (-1 if negative else 1)
    return point


def far_points(gold: Node, answer: Node) -> Iterator[Point]:
    """Points on both sides of every constant and kink of two formulas, and beyond all of them; none for small formulas.

    Without them `|x-100|` and `100-x` agree at every fixed point.
    """
    variables = names(gold) | names(answer)
    free = sorted(variables - {"pi", "e", "i"})
    if not free or len(free) > 4:
        return
    base = sample_point(variables, 0)
    large = sorted({size for node in (gold, answer) for size in _sizes(node) if size > BASE_RANGE})
    values = _around(large[-MAX_CONSTANTS:])
    for value in values:
        yield base | {name: value * (1 + 0.137 * at) for at, name in enumerate(free)}
    for name in free:
        kinks = sorted({kink for node in (gold, answer) for kink in _kinks(node, name, base)})[:MAX_KINKS]
        for value in [*_between(kinks), *(values if len(free) > 1 else ())]:
            yield base | {name: value}


def _around(constants: list[float]) -> list[float]:
    """Values between positive constants and beyond them and their product, with both signs."""
    if not constants:
        return []
    beyond = min(1.37 * math.prod(constants), MAX_SIZE)
    inside = [0.58 * (low + high) for low, high in pairwise(constants)]
    return [sign * value for value in (*inside, 1.37 * constants[-1], beyond) for sign in (1, -1) if value <= MAX_SIZE]


def step_points(gold: Node, answer: Node) -> Iterator[Point]:
    """Whole numbers at and before multiples of the constants, where floors and ceilings jump."""
    variables = names(gold) | names(answer)
    sizes = sorted({round(size) for node in (gold, answer) for size in _sizes(node) if 1 < size < MAX_SIZE})
    base = sample_point(variables, 0)
    for size in sizes[-MAX_CONSTANTS:]:
        for value in (size, size - 1, 2 * size, 2 * size - 1, 5 * size, 5 * size - 1):
            yield base | dict.fromkeys(variables - {"pi", "e", "i"}, complex(value))


def _between(kinks: list[float]) -> list[float]:
    if not kinks:
        return []
    inside = [0.45 * low + 0.55 * high for low, high in pairwise(kinks)]
    reach = 1 + abs(kinks[-1]) + abs(kinks[0])
    return [kinks[0] - 0.71 * reach, *inside, kinks[-1] + 0.71 * reach]


def _sizes(node: Node) -> Iterator[float]:
    """Sizes of the constants of a formula; for a factor below 1, the size of its inverse: 100 for `n/100`."""
    for constant in _constants(node):
        yield abs(constant) if abs(constant) >= 1 or not constant else 1 / abs(constant)


def _constants(node: Node) -> Iterator[float]:
    """Values of the largest parts of a formula that hold no names; exponents are skipped, since they mark no position on the axis."""
    if not names(node):
        try:
            value = exact_value(node)
        except TooLarge:
            return
        if value is not None and abs(value) < MAX_SIZE:
            yield float(value)
        return
    for child in node.children[:1] if node.op == "pow" else node.children:
        yield from _constants(child)


def _kinks(node: Node, name: str, base: Mapping[str, complex]) -> Iterator[float]:
    """Where an absolute value, a root, a minimum or a maximum that is linear in one variable changes its piece."""
    for child in node.children:
        yield from _kinks(child, name, base)
    if node.op != "fn" or node.name not in _KINKED or name not in names(node):
        return
    first, rest = node.children[0], node.children[1:]
    differences = [first] if node.name in ("abs", "root") else [Node("add", (first, Node("neg", (c,)))) for c in rest]
    for difference in differences:
        inner = difference.children[0] if node.name == "root" and difference.op == "pow" else difference
        zero = _linear_zero(inner, name, base)
        if zero is not None:
            yield zero


def _linear_zero(node: Node, name: str, base: Mapping[str, complex]) -> float | None:
    """The zero of a formula that is linear in one variable, the others as in `base`; None for any other formula."""
    from graders.algebra import estimate  # algebra samples at these points, so it cannot be imported above

    try:
        at = [estimate(node, {**base, name: complex(value)})[0] for value in (1, 2, 4)]
    except Undefined:
        return None
    slope = at[1] - at[0]
    if any(value.imag for value in at) or abs(at[2] - at[1] - 2 * slope) > 1e-9 * (1 + abs(at[2])) or not slope:
        return None
    zero = 1 - (at[0] / slope).real
    return zero if abs(zero) < MAX_SIZE else None
