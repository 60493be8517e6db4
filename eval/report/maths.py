r"""Formulas inside texts, from LaTeX to MathML: `$…$`, `$$…$$`, `\(…\)`, `\[…\]`, and a graded box wherever it stands.

latex2mathml parses; this module bounds what it is given and what comes out. A formula that is too long, malformed or too
deep stays its own source. Trees go to the pages as data, `[tag, attributes or 0, *children]`, so that a page builds
elements and never parses markup that a model wrote.
"""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, pairwise
from typing import Any

from latex2mathml.converter import convert_to_element
from markupsafe import Markup, escape

from graders.boxed import Box, closed_boxes

Tree = list[Any]  # [tag, {attribute: value} or 0, *(tree or text)]
# A text in pieces: plain text; [source, tree] for a formula; [before, box, after, tree or 0] for what holds the graded box.
Pieces = list[Any]
Span = tuple[int, int, Tree | int]  # where a formula begins and ends, and its tree or 0

LONGEST_FORMULA = 1_000  # characters; parsing one takes about 10 ms at most
DEEPEST, MOST_NODES = 40, 1_500
MOST_FORMULAS = 80  # a text; what follows them stays source

FORMULA = re.compile(
    r"\$\$(?P<dollars>[^$]{1,1000}?)\$\$"
    r"|\\\[(?P<brackets>(?:(?!\\\[).){1,1000}?)\\\]"
    r"|\\\((?P<parentheses>(?:(?!\\\().){1,1000}?)\\\)"
    # A price is no formula: after the first dollar and before the last no space, after the last no digit.
    r"|(?<![\\$])\$(?P<dollar>(?![\s$])(?:\\.|[^$\\]){0,1000}?(?<!\s))\$(?!\d)",
    re.DOTALL,
)
_TAGS = (
    "math mrow mi mn mo ms mtext mspace mfrac msqrt mroot msup msub msubsup munder mover munderover mtable mtr mtd "
    "mstyle mpadded mphantom mmultiscripts mprescripts"
)
_ATTRIBUTES = (
    "display displaystyle scriptlevel stretchy fence form accent accentunder movablelimits linethickness minsize maxsize "
    "width height depth lspace rspace mathvariant"
)
TAGS, ATTRIBUTES = frozenset(_TAGS.split()), frozenset(_ATTRIBUTES.split())
CLOSING = (")", "]", "}", "|", "!", "′", "%", "°")
VALUE = re.compile(r"-?[\w.%]{1,20}")
# Definitions could grow exponentially; the others reach out of the formula.
REFUSED = re.compile(r"\\(?:newcommand|renewcommand|def|let|href|url|includegraphics|require|html\w*)(?![A-Za-z])")


class _TooLarge(Exception):
    pass


def pieces(text: str, box: tuple[int, int] | None = None, formulas: bool = True) -> Pieces:
    """`text` cut into pieces that join to it. `box` is where the graded box begins and ends; without `formulas` none is parsed."""
    spans: list[Span] = list(_formulas(text)) if formulas else []
    if box and not any(start <= box[0] and box[1] <= end for start, end, _ in spans):
        apart = [span for span in spans if span[1] <= box[0] or box[1] <= span[0]]
        tree = formula_tree(text[slice(*box)]) if formulas else None
        spans = sorted([*apart, (*box, tree or 0)], key=lambda span: span[0])
    found: Pieces = []
    at = 0
    for start, end, drawn in spans:
        found.append(text[at:start])
        if box and start <= box[0] and box[1] <= end:
            found.append([text[start : box[0]], text[slice(*box)], text[box[1] : end], drawn])
        else:
            found.append([text[start:end], drawn])
        at = end
    return [piece for piece in (*found, text[at:]) if piece]


def to_markup(text: str) -> Markup:
    """`text` for a page that a template makes: formulas as MathML, all else escaped."""
    return Markup("").join(escape(p) if isinstance(p, str) else _markup(p[-1]) for p in pieces(text))


@lru_cache(maxsize=50_000)
def formula_tree(source: str, block: bool = False) -> Tree | None:
    """The MathML tree of a formula without its delimiters; None where it has none and must be shown as it is written."""
    if len(source) > LONGEST_FORMULA or REFUSED.search(source) or not _is_balanced(source):
        return None
    try:
        element = convert_to_element(source, display="block" if block else "inline")
        budget = [MOST_NODES]
        return _tree(element, budget, DEEPEST)
    except Exception:  # the parser raises whatever it stumbles over; the source is always a true answer
        return None


def _formulas(text: str) -> Iterator[Span]:
    for start, end, source, block in islice(_candidates(text), MOST_FORMULAS):
        if source and "\n\n" not in source:
            tree = formula_tree(source, block)
            if tree is not None:
                yield start, end, tree


def _candidates(text: str) -> Iterator[tuple[int, int, str, bool]]:
    """(start, end, source, whether it is a block) of what stands in delimiters, and of other boxes."""
    found, at = FORMULA.search(text), 0
    for box in [*_short_boxes(text), None]:
        while found and (box is None or found.start() < box.start):
            kind = str(found.lastgroup)
            at = found.end()
            yield found.start(), at, found[kind].strip(), kind in ("dollars", "brackets")
            found = FORMULA.search(text, at)
        if box is not None and box.start >= at:
            at = box.end
            yield box.start, at, text[box.start : at], False
            if found and found.start() < at:
                found = FORMULA.search(text, at)


def _short_boxes(text: str) -> list[Box]:
    """The boxes that are short enough for a formula, in the order of their starts."""
    short = (box for box in closed_boxes(text) if box.end - box.start <= LONGEST_FORMULA)
    return sorted(short, key=lambda box: box.start)


def _is_balanced(source: str) -> bool:
    depth = deepest = 0
    for mark in re.findall(r"\\[\s\S]|[{}]", source):
        depth += (mark == "{") - (mark == "}")
        deepest = max(deepest, depth)
        if depth < 0:
            return False
    return depth == 0 and deepest <= DEEPEST


def _tree(element: ET.Element, budget: list[int], depth: int) -> Tree:
    budget[0] -= 1
    if depth == 0 or budget[0] < 0:
        raise _TooLarge
    tag, attributes = element.tag, {k: v for k, v in element.attrib.items() if k in ATTRIBUTES and VALUE.fullmatch(v)}
    if tag == "menclose":  # no browser but Firefox draws it
        tag, attributes = "mrow", {"class": "boxed"} if element.get("notation") == "box" else {}
    if tag not in TAGS:
        tag = "mrow"
    children: list[Any] = [html.unescape(element.text)] if element.text else []
    children += [_tree(child, budget, depth - 1) for child in element]
    _mark_signs(children)
    if tag == "mrow" and not attributes and len(children) == 1 and isinstance(children[0], list):
        return list(children[0])
    return [tag, attributes or 0, *children]


def _mark_signs(siblings: list[Any]) -> None:
    """Tells the sign of a number from the operator between two: after another operator it stands close to its number."""
    for before, after in pairwise(siblings):
        sign = after[0] == "mo" and after[2:] and after[2] in "-−+±" and isinstance(before, list)
        if sign and before[0] == "mo" and before[2:] and before[2] not in CLOSING:
            after[1] = {**(after[1] or {}), "form": "prefix"}


def _markup(tree: Tree) -> Markup:
    """The tree as MathML text."""
    tag, attributes, *children = tree
    opened = Markup("").join(Markup(' {}="{}"').format(*pair) for pair in (attributes or {}).items())
    inside = Markup("").join(escape(child) if isinstance(child, str) else _markup(child) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(tag), opened, inside)
