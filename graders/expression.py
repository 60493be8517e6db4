r"""Formulas as trees of a few kinds of node. `grammar` reads them from text."""

from dataclasses import dataclass
from fractions import Fraction


class Unreadable(ValueError):
    """The text is not a formula of the grammar; `str(error)` is the reason."""


class TooLarge(Unreadable):
    """The text, or a number it stands for, is over a size limit: nothing was decided."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node of a formula. `op` is num, name, add, mul, div, neg, pow, fn, call, fact, fact2; `name`, `value` as fit."""

    op: str
    children: tuple["Node", ...] = ()
    name: str = ""
    value: Fraction = Fraction(0)


def number(value: int | Fraction) -> Node:
    """A leaf that holds an exact rational."""
    return Node("num", value=Fraction(value))


def function(name: str, *arguments: Node) -> Node:
    """A known function applied to its arguments; reciprocal functions are spelled out so that few remain."""
    reciprocal = {"sec": "cos", "csc": "sin"}.get(name)
    if reciprocal:
        return Node("div", (number(1), function(reciprocal, *arguments)))
    if name == "tan":
        return Node("div", (function("sin", *arguments), function("cos", *arguments)))
    if name == "cot":
        return Node("div", (function("cos", *arguments), function("sin", *arguments)))
    if name == "exp":
        return Node("pow", (Node("name", name="e"), *arguments))
    if name == "sqrt":
        return Node("fn", (*arguments, number(2)), name="root")
    if name == "cbrt":
        return Node("fn", (*arguments, number(3)), name="root")
    if name == "log10":
        return Node("div", (function("ln", *arguments), function("ln", number(10))))
    return Node("fn", arguments, name=name)


# What a logarithm without a base may mean.
LOG_BASES = (Node("name", name="e"), number(10))


def with_log_base(node: Node, base: Node) -> Node:
    """The formula with every logarithm that has no base taken to this one."""
    children = tuple(with_log_base(child, base) for child in node.children)
    if node.op == "fn" and node.name == "log":
        logarithm = function("ln", *children)
        return logarithm if base.name == "e" else Node("div", (logarithm, function("ln", base)))
    return Node(node.op, children, node.name, node.value)


def names(node: Node) -> frozenset[str]:
    """Names of the variables and constants in a formula."""
    found, stack = set(), [node]
    while stack:
        current = stack.pop()
        if current.op in ("name", "call"):
            found.add(current.name)
        stack.extend(current.children)
    return frozenset(found)


def unknown_functions(node: Node) -> frozenset[str]:
    """Names of the functions in a formula of which nothing is known, as f in `f(1)`."""
    inner = frozenset(name for child in node.children for name in unknown_functions(child))
    return inner | {node.name} if node.op == "call" else inner
