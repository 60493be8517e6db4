r"""The symbolic rung: formulas that the exact find_meanings leave open, evaluated with many digits at several points.

Runs only inside a worker (see `worker`), whose CPU time and memory are limited by the kernel. Trees come from our own
parser; nothing here turns text into code. Formulas are equal if they agree at every sample point where both are real
(constants, and formulas with `i`: as complex numbers), to a precision chosen so that it can see a difference: digits
are added for the largest and the smallest number met on the way.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain

import mpmath

from graders.expression import Node, TooLarge, names
from graders.logic import Question
from graders.points import far_points, sample_point, step_points

BASE_DIGITS = 60  # digits beyond those that the sizes of the numbers take up
MAX_DIGITS = 4_000  # a tower or factorial that needs more is refused
GUARD_DIGITS = 25  # digits given to rounding errors when two values are called equal
MAX_ARGUMENT = 10_000  # of factorials and hyperbolic functions, whose values grow at least exponentially
POINTS = 16  # sample points for formulas with variables, some of them negative, some beyond 10
STEP_POINTS = 40  # whole numbers up to 600 at which formulas with floor or ceiling are compared too
MIN_POINTS = 2  # agreeing points without which nothing is concluded
_CONSTANTS = frozenset(["pi", "e", "i"])


class _NoValue(ArithmeticError):
    """The formula has no value at this point."""


@dataclass(slots=True)
class _Evaluation:
    """One evaluation: the point, the decimal exponents of the numbers met, and whether all of them were real."""

    point: Mapping[str, Fraction]
    exponents: list[int] = field(default_factory=lambda: [0])
    real: bool = True


def judge(gold: Node, answer: Node, question: Question) -> bool | None:
    """Answer a question about two formulas; None if they share no point of definition. Raises TooLarge."""
    if question in ("rounds", "near", "less"):
        return False  # decided by the cheap rung, where it can be decided at all
    pairs = _values(gold, answer, question)
    if question == "equal":
        return _all_equal(pairs)
    return _steady_ratio(pairs, question == "positive")


@dataclass(frozen=True, slots=True)
class _Pair:
    gold: mpmath.mpc
    answer: mpmath.mpc
    digits: int
    noise: int  # decimal exponent below which a value is a rounding error of zero
    real: bool  # and so was every value on the way: the point lies in the real domain of both formulas
    differ: bool = False  # seen to differ by more than any rounding error


def _values(gold: Node, answer: Node, question: Question) -> list[_Pair]:
    """Values of both formulas at the sample points where both are defined, real ones if there are enough."""
    variables = names(gold) | names(answer)
    constant = not variables - _CONSTANTS
    stepwise = not constant and (_has_steps(gold) or _has_steps(answer))
    found: list[_Pair] = []
    refused: TooLarge | None = None
    beyond = chain(far_points(gold, answer), step_points(gold, answer) if stepwise else ())
    far = ({name: Fraction(value.real) for name, value in point.items()} for point in beyond)
    for point in chain(_points(variables, 1 if constant else POINTS, STEP_POINTS if stepwise else 0), far):
        try:
            found.append(_value_pair(gold, answer, point, question))
        except TooLarge as error:
            refused = error
        except (_NoValue, ZeroDivisionError, ValueError, OverflowError):
            continue
    if refused is not None and len(found) < (1 if constant else MIN_POINTS):
        raise refused
    real = [pair for pair in found if pair.real]
    return real if len(real) >= MIN_POINTS and "i" not in variables else found


def _points(variables: frozenset[str], count: int, whole: int) -> Iterator[dict[str, Fraction]]:
    """So many sample points of any kind, then so many of whole numbers."""
    for seed in range(count):
        yield {name: Fraction(value.real) for name, value in sample_point(variables, seed).items()}
    for seed in range(whole):
        yield {name: Fraction(round(20 * value.real)) for name, value in sample_point(variables, seed).items()}


def _has_steps(node: Node) -> bool:
    """Whether a formula is constant between jumps, so that a few points may all lie on equal steps."""
    return node.name in ("floor", "ceil") or any(map(_has_steps, node.children))


def _value_pair(gold: Node, answer: Node, point: Mapping[str, Fraction], question: Question) -> _Pair:
    """Both values at one point, with enough digits for the question.

    Two values that do not change from 60 to 120 digits and differ are different, whatever sizes came up on the way.
    Only to call them equal are the digits needed that those sizes ask for.
    """
    rough, _ = _evaluated(gold, answer, point, BASE_DIGITS)
    pair, wanted = _evaluated(gold, answer, point, 2 * BASE_DIGITS)
    steady = _agree(rough.gold, pair.gold) and _agree(rough.answer, pair.answer)
    if question == "equal" and steady and not _agree(pair.gold, pair.answer):
        return replace(pair, differ=True)
    if wanted > MAX_DIGITS:
        raise TooLarge(f"more than {MAX_DIGITS} digits are needed")
    return pair if wanted <= pair.digits else _evaluated(gold, answer, point, wanted)[0]


def _evaluated(gold: Node, answer: Node, point: Mapping[str, Fraction], digits: int) -> tuple[_Pair, int]:
    """Both values with so many digits, and the number of digits that the sizes met on the way ask for."""
    evaluation = _Evaluation(point)
    with mpmath.workdps(digits):
        left, right = (mpmath.mpc(_evaluate(node, evaluation)) for node in (gold, answer))
    wanted = BASE_DIGITS + 2 * (max(evaluation.exponents) - min(evaluation.exponents))
    noise = max(evaluation.exponents) + GUARD_DIGITS - digits
    return _Pair(left, right, digits, noise, evaluation.real), wanted


def _agree(left: mpmath.mpc, right: mpmath.mpc) -> bool:
    """Whether two values share GUARD_DIGITS digits."""
    with mpmath.workdps(BASE_DIGITS):
        return bool(abs(left - right) <= mpmath.mpf(10) ** -GUARD_DIGITS * max(abs(left), abs(right)))


def _all_equal(pairs: list[_Pair]) -> bool | None:
    if not pairs:
        return None
    return all(not pair.differ and _is_close(pair.gold, pair.answer, pair.digits, pair.noise) for pair in pairs)


def _steady_ratio(pairs: list[_Pair], positive: bool) -> bool | None:
    zeros = [(_is_zero(pair.gold, pair.noise), _is_zero(pair.answer, pair.noise)) for pair in pairs]
    if any(left != right for left, right in zeros):
        return False
    ratios = [(_quotient(pair), pair.digits) for pair, (zero, _) in zip(pairs, zeros, strict=True) if not zero]
    if len(ratios) < MIN_POINTS:
        return None
    first = ratios[0][0]
    steady = all(_is_close(ratio, first, digits, -digits) for ratio, digits in ratios)
    return steady and (not positive or first.real > 0)


def _quotient(pair: _Pair) -> mpmath.mpc:
    with mpmath.workdps(pair.digits):  # at mpmath's 15 digits, y+10^9 would be a multiple of y+10^9+1
        return pair.gold / pair.answer


def _is_close(left: mpmath.mpc, right: mpmath.mpc, digits: int, noise: int) -> bool:
    with mpmath.workdps(digits):
        scale = mpmath.mpf(10) ** (GUARD_DIGITS - digits) * max(abs(left), abs(right))
        return bool(abs(left - right) <= max(scale, mpmath.mpf(10) ** noise))


def _is_zero(value: mpmath.mpc, noise: int) -> bool:
    return bool(abs(value) <= mpmath.mpf(10) ** noise)


def _evaluate(node: Node, evaluation: _Evaluation) -> mpmath.mpc:
    if node.op == "num":
        value = mpmath.mpf(node.value.numerator) / node.value.denominator
    elif node.op == "name":
        value = _named(node.name, evaluation.point)
    else:
        value = _operation(node, [_evaluate(child, evaluation) for child in node.children])
    if value and not mpmath.isfinite(value):
        raise _NoValue
    if mpmath.im(value):
        evaluation.real = False
    if value:
        exponent = int(mpmath.mag(value) * 0.30103)
        # A difference that cancels to rounding noise must not ask for more digits: noise is not a size.
        if exponent > GUARD_DIGITS - mpmath.mp.dps:
            evaluation.exponents.append(exponent)
    return value


def _named(name: str, point: Mapping[str, Fraction]) -> mpmath.mpc:
    if name == "pi":
        return +mpmath.pi
    if name == "e":
        return +mpmath.e
    if name == "i":
        return mpmath.mpc(0, 1)
    return mpmath.mpf(point[name].numerator) / point[name].denominator


def _operation(node: Node, values: list[mpmath.mpc]) -> mpmath.mpc:
    op = node.op
    if op == "add":
        return mpmath.fsum(values)
    if op == "neg":
        return -values[0]
    if op == "mul":
        return mpmath.fprod(values)
    if op == "div":
        if abs(values[1]) < mpmath.mpf(10) ** (GUARD_DIGITS - mpmath.mp.dps):
            raise _NoValue  # a zero up to rounding
        return values[0] / values[1]
    if op == "pow":
        return _power(values[0], values[1])
    if op == "fact":
        return mpmath.factorial(_limited(values[0]))
    if op == "fact2":
        return mpmath.fac2(_limited(values[0]))
    if op == "fn":
        return _function(node.name, values)
    raise _NoValue  # a function that is not known has no value


def _power(base: mpmath.mpc, exponent: mpmath.mpc) -> mpmath.mpc:
    if base == 0:
        if mpmath.re(exponent) > 0:
            return mpmath.mpf(0)
        raise _NoValue
    if exponent and abs(exponent) * abs(mpmath.log(base)) > 2.4 * MAX_DIGITS:  # ln 10 = 2.3: digits of the result
        raise TooLarge(f"a power of more than {MAX_DIGITS} digits")
    return mpmath.power(base, exponent)


def _root(base: mpmath.mpc, index: mpmath.mpc) -> mpmath.mpc:
    """Real roots of odd index for negative numbers, principal ones otherwise."""
    negative = mpmath.im(base) == 0 and mpmath.re(base) < 0
    if negative and mpmath.isint(index) and int(index.real) % 2:
        return -_power(-base, 1 / index)
    return _power(base, 1 / index)


def _limited(value: mpmath.mpc) -> mpmath.mpc:
    if abs(value) > MAX_ARGUMENT:
        raise TooLarge(f"a function of an argument over {MAX_ARGUMENT}")
    return value


def _real(value: mpmath.mpc) -> mpmath.mpf:
    if mpmath.im(value):
        raise _NoValue
    return mpmath.re(value)


_ELEMENTARY = {
    "sin": mpmath.sin, "cos": mpmath.cos, "arcsin": mpmath.asin, "arccos": mpmath.acos, "arctan": mpmath.atan,
    "sinh": mpmath.sinh, "cosh": mpmath.cosh, "tanh": mpmath.tanh, "abs": abs,
}  # fmt: skip


def _function(name: str, values: list[mpmath.mpc]) -> mpmath.mpc:
    if name in _ELEMENTARY and len(values) == 1:
        return _ELEMENTARY[name](_limited(values[0]) if mpmath.im(values[0]) or name.endswith("h") else values[0])
    if name in ("ln", "log") and len(values) == 1 and values[0]:
        return mpmath.log(values[0])
    if name == "root" and len(values) == 2:
        return _root(*values)
    if name in ("floor", "ceil"):
        return mpmath.floor(_real(values[0])) if name == "floor" else mpmath.ceil(_real(values[0]))
    if name in ("min", "max"):
        return (min if name == "min" else max)(_real(value) for value in values)
    if name == "binom" and len(values) == 2:
        return mpmath.binomial(_limited(values[0]), _limited(values[1]))
    raise _NoValue
