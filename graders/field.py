"""Images of formulas in a finite field, where functions that are not rational are hashed.

Equal images at random points mean equal formulas (Schwartz-Zippel: the chance of an accident is the degree over
2^125). Different images say nothing, because hashed functions know no identities.
"""

import hashlib
import math
from fractions import Fraction
from functools import lru_cache

from graders.exact import Undefined, exact_value
from graders.expression import Node, TooLarge

# The field of the fingerprints. PRIME - 1 is a multiple of 8 and of every odd prime up to 97, so each of -1, 2, 3, 5,
# ..., 97 has a square root in the field (quadratic reciprocity) and radicals of smooth integers are exact.
_SMALL_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
PRIME = 5 * 4 * math.prod(_SMALL_PRIMES) + 1

MAX_FACTORED_BITS = 2_000  # of a radicand whose small primes are taken out one by one


def fingerprint(node: Node, seed: int) -> int | None:
    """Image of a formula in the field, at the random point that `seed` stands for; None where undefined."""
    try:
        return _image(node, seed)
    except (Undefined, TooLarge, ZeroDivisionError):
        return None


def hashed(*parts: object) -> int:
    """A field element that depends on all parts: the value of a name, or of a function the field does not know."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=24).digest(), "big") % PRIME


def _image(node: Node, seed: int) -> int:
    op = node.op
    if op == "num":
        return node.value.numerator * inverse(node.value.denominator) % PRIME
    if op == "name":
        return _square_root(PRIME - 1) if node.name == "i" else hashed("name", node.name, seed)
    if op == "pow":
        return _image_power(node.children[0], node.children[1], seed)
    if op == "fn" and node.name == "root":
        return _image_power(node.children[0], Node("div", (Node("num", value=Fraction(1)), node.children[1])), seed)
    if op in ("fact", "fact2") or (op == "fn" and (value := exact_value(node)) is not None):
        value = exact_value(node)
        if value is not None:
            return value.numerator * inverse(value.denominator) % PRIME
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
        return images[0] * inverse(images[1]) % PRIME
    if op == "call":
        return hashed(op, node.name, images, seed)  # an unknown function is another one at each point
    return hashed(op, node.name, images)


def _image_power(base: Node, exponent: Node, seed: int) -> int:
    """Integer powers are exact; square roots of smooth rationals too; the rest is hashed."""
    power = exact_value(exponent)
    if power is None:
        return hashed("pow", _image(base, seed), _image(exponent, seed))
    if power.denominator == 1:
        return _field_power(_image(base, seed), power.numerator)
    radicand = exact_value(base)
    if power.denominator == 2 and radicand is not None:
        root = _image_square_root(radicand)
    else:
        # The odd root of a negative number is that of its absolute value with the sign.
        sign = -1 if radicand is not None and radicand < 0 and power.denominator % 2 else 1
        root = sign * hashed("root", sign * _image(base, seed) % PRIME, power.denominator) % PRIME
    return _field_power(root, power.numerator)


def _field_power(base: int, exponent: int) -> int:
    if base == 0:
        return 0 if exponent > 0 else _undefined()
    return pow(base, exponent % (PRIME - 1), PRIME)  # Fermat's little theorem, for a base that is not 0


def _undefined() -> int:
    raise Undefined


def _image_square_root(value: Fraction) -> int:
    """A square root that is multiplicative: the product of the roots of the primes, i for the sign."""
    if value == 0:
        return 0
    rest = abs(value.numerator) * value.denominator
    if rest.bit_length() > MAX_FACTORED_BITS:
        return hashed("root", value.numerator % PRIME, value.denominator % PRIME, 2)
    image = inverse(value.denominator) * (_square_root(PRIME - 1) if value < 0 else 1)
    for prime in _SMALL_PRIMES:
        while rest % prime == 0:
            rest //= prime
            image = image * _square_root(prime) % PRIME
    whole = math.isqrt(rest)
    return image * (whole if whole * whole == rest else hashed("root", rest, 2)) % PRIME


def inverse(value: int) -> int:
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
