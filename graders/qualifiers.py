r"""What is said after an answer about its names: `for all real x`, `k\in\mathbb{Z}`, `where C is a constant`.

Such a tail, made of a fixed vocabulary, does not matter. It binds the names it speaks of, which may be renamed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from graders.names import find_letters, rename
from graders.words import word_set

_LIMIT = re.compile(
    r"positive|negative|nonnegative|nonzero|non zero|(?:\\neq|\\geq|>) ?\d+|(?<=\})\^?[+*]|_\{?[+>][\d ]*"
)
MAX_TAIL_CHARS = 140  # "where k_1 is an arbitrary non-negative integer" has 45
_DOMAINS = {
    "Z": r"\\mathbb\{Z\}(?:\^?[+*]|_\{?[+>][\d ]*\}?)?|\bintegers?|\bwhole|(?<=\\in)\s*Z\b",
    "N": r"\\mathbb\{N\}(?:\^?[+*]|_\d)?|\bnaturals?|(?<=\\in)\s*N\b",
    "Q": r"\\mathbb\{Q\}|\brationals?",
    "R": r"\\mathbb\{R\}(?:\^?[+*])?|\breals?|(?<=\\in)\s*R\b",
    "C": r"\\mathbb\{C\}|\bcomplex",
    "constant": r"\bconstants?",
}
_DOMAIN = {name: re.compile(pattern) for name, pattern in _DOMAINS.items()}
_VOCABULARY = word_set(
    "for all any every each some where with and is are an be being as integers integer reals real numbers number"
    " natural naturals rational positive negative nonnegative nonzero non zero arbitrary constants constant values"
    " value of in the over that can whole complex denotes represents parameter free if given both"
)
_WORD = "|".join(sorted(_VOCABULARY, key=len, reverse=True))
_NAME = r"\\(?:alpha|beta|gamma|theta|lambda|mu|phi|omega)(?![A-Za-z])(?:_\w)?|[A-Za-z](?:_\w)?(?![A-Za-z])"
_DOMAIN_TOKEN = "|".join(_DOMAINS[name] for name in "ZNQRC")
_TOKEN = re.compile(
    rf"\s*+(?:{_DOMAIN_TOKEN}|\\forall|\\in(?![A-Za-z])|(?P<word>a(?= [a-z])|(?:{_WORD})(?![A-Za-z]))|(?P<name>{_NAME})"
    r"|(?:\\neq|\\geq|>|=)\s*+[01](?!\d)|[,-])"
)
_START = re.compile(r"[,;]\s*|\(|(?<![A-Za-z\\])(?:for|where|with|\\forall)(?![A-Za-z])|\\forall")


@dataclass(frozen=True, slots=True)
class Qualified:
    """An answer without its tail, the names that the tail binds, where they come from (or ""), and which are left out."""

    core: str
    names: tuple[str, ...] = ()
    domain: str = ""
    limits: frozenset[str] = frozenset()  # what it leaves out: signs, and values


def split_qualifier(text: str) -> Qualified:
    """A normalized text cut where its qualifier begins; all of it where it has none."""
    if not re.search(r"\\in|for|where|with|constant|integer|real|\\forall", text):
        return Qualified(text)
    for start in _START.finditer(text, max(1, len(text) - MAX_TAIL_CHARS)):
        core, tail = text[: start.start()].rstrip(" ,;"), text[start.start() :]
        if start.group() == "(":
            if not tail.endswith(")"):
                continue
            tail = tail[1:-1]
        names = _bound_names(tail.lstrip(" ,;"))
        if names is not None and core and core.count("(") == core.count(")"):
            domains = [name for name, pattern in _DOMAIN.items() if pattern.search(tail)]
            limits = frozenset(found.replace(" ", "") for found in _LIMIT.findall(tail.replace("non-", "non")))
            return Qualified(core, names, domains[0] if domains else "", limits)
    return Qualified(text)


def _bound_names(tail: str) -> tuple[str, ...] | None:
    """The names that a tail speaks of; None where it is no qualifier."""
    names: list[str] = []
    pos = 0
    while pos < len(tail):
        found = _TOKEN.match(tail, pos)
        if found is None:
            return None
        if found["name"]:
            names.append(found["name"])
        pos = found.end()
    says = any(pattern.search(tail) for pattern in _DOMAIN.values())
    quantified = re.search(r"\b(?:all|any|every|each|arbitrary)\b|\\forall", tail) is not None
    return tuple(dict.fromkeys(names)) if says or (quantified and names) else None


# Letters that stand for a whole number or a constant, where nothing says what they are.
_PARAMETERS = frozenset("knmljtsc")


def renamings(gold: Qualified, answer: Qualified) -> Iterator[str]:
    """Yield the core of the answer unchanged, then with its bound names replaced by those of the gold."""
    yield answer.core
    theirs, ours = _find_unshared_names(gold, answer)
    if not theirs or len(theirs) != len(ours) or len(theirs) > 2 or ours & find_letters(answer.core):
        return
    for order in permutations(sorted(ours)):
        yield rename(answer.core, dict(zip(sorted(theirs), order, strict=True)))


def _find_unshared_names(gold: Qualified, answer: Qualified) -> tuple[frozenset[str], frozenset[str]]:
    """The bound names that only the answer has, and those that only the gold has.

    If one side binds none, its unbound parameters take their place.
    """
    given, expected = find_letters(answer.core), find_letters(gold.core)
    theirs, ours = given & frozenset(answer.names), expected & frozenset(gold.names)
    if gold.names and not answer.names:
        return (given - expected) & _PARAMETERS, ours - given
    if answer.names and not gold.names:
        return theirs - expected, (expected - given) & _PARAMETERS
    return theirs - ours, ours - theirs


def domains_differ(gold: Qualified, answer: Qualified) -> bool:
    """Whether two qualifiers give their names different domains: whole numbers are not real numbers."""
    if gold.names and answer.names:
        speaks = [bool(set(side.names) & find_letters(side.core)) for side in (gold, answer)]
        if speaks[0] != speaks[1]:
            return True  # `k\\pi, n\\in\\mathbb{Z}` does not say what k is
        return (bool(gold.domain and answer.domain) and gold.domain != answer.domain) or gold.limits != answer.limits
    # The whole numbers of a range are not the range.
    whole = [side.domain in ("Z", "N") and bool(re.search(r"[<>]|\\[lg]eq", side.core)) for side in (gold, answer)]
    return whole[0] != whole[1]
