r"""What may stand on the left of `x = 5`: names of variables, functions, segments, angles, probabilities, quantities."""

import re

from graders.words import is_prose, word_set

_SUBSCRIPT = r"(?:_(?:\d{1,6}|\w|\\[A-Za-z]+|\{[^{}]{0,60}\}))?"
_ACCENT = (
    r"\\(?:bar|dot|ddot|tilde|overline|widehat|overrightarrow|vec|hat|widetilde)\s*(?:\{ ?[A-Za-z]{1,4} ?\}|[A-Za-z])"
)
# Atomic, because a list of names that could each be read in two ways would cost twice as much for every one.
_LETTERS = rf"(?>(?>\\angle ?[A-Z]{{1,3}}(?![A-Za-z])|{_ACCENT}|\\?[A-Za-z]++)'*+{_SUBSCRIPT})"
# A name, a function of names such as `f^{-1}(x)`, a tuple of names, or a function at a number.
_LONE_NAME = re.compile(
    rf"(?:{_LETTERS})(?:(?:\^\{{-1\}})?\((?:{_LETTERS})(?:,{_LETTERS})*+\))?|\((?:{_LETTERS})(?:,{_LETTERS})++\)"
    rf"|[A-DF-Za-df-hj-wZ]'*{_SUBSCRIPT}(?:\^\{{-1\}})?\(-?\d+(?:\.\d+)?\)"
)
_CALL = re.compile(rf"((?:{_LETTERS})(?:\^\{{-1\}})?)\(({_LETTERS}(?:,{_LETTERS})*+)\)|([a-zA-Z])_([ijkmn])")
_TUPLE = re.compile(rf"\(({_LETTERS}(?:,{_LETTERS})+)\)")
# Compound names: `\Delta p`, `|AB|`, `m\angle ABC`, `P(X=2)`, `S_{\triangle ABC}`, `[ABC]`, `\frac{dy}{dx}`.
_COMPOUND = re.compile(
    r"\\(?:Delta|delta|nabla|mathbb\{[A-Z]\}) ?[A-Za-z]'*"
    + _SUBSCRIPT
    + r"|\\sigma(?:_\w)?\^2|d ?[A-Z]|\|[A-Z]{2}\||\|[abuvwzABCF]\||\|\|?[A-Z]{2}\|?\|"
    r"|(?:m ?)?\\(?:angle|triangle|measuredangle) ?[A-Z]{1,3}(?:_\w)?'*|[A-Z]_\{?\\triangle ?[A-Z]{1,3}\}?|\[[A-Z]{3,6}\]"
    r"|(?:P|Pr|E|Var|Cov|SD|\\Pr|\\mathbb\{[PE]\}|n|N)[(\[][^()\[\]]{1,60}(?:\([^()]{0,40}\)[^()\[\]]{0,40})?[)\]]"
    r"|\\frac\{d ?[a-zA-Z]?\}\{d ?[a-z]\}(?:\(?[a-zA-Z]\)?(?:\([a-z]\))?)?|(?:arc)?length ?[A-Z]{2}|\\ell_?\w?"
    r"|(?:\\sin|\\cos|\\tan|\\cot) ?(?:\\angle ?)?(?:[A-Z]{1,3}|\([A-Z]\))|(?:\\?(?:det|arg|rank|dim|deg|Re|Im|tr)) ?\(?[A-Za-z]\)?|pH"
    r"|[a-z]\([a-z]\(-?\d+\)\)|\([a-z]\\circ ?[a-z]\)\(-?\d+\)|\\(?:lim|int|sum|prod|iint|oint)_(?:\{[^{}]{1,30}\}|\w)[^=<>]{1,100}"
    r"|\\(?:overset|stackrel)\{\\(?:frown|rightarrow)\}\{[A-Z]{1,3}\}"
    r"|\\(?:max|min|sup|inf)(?:_\{[^{}]{0,30}\})? ?\\?[a-zA-Z](?:\([^()]{1,20}\))?"
)
_PHRASE = re.compile(r"[A-Za-z]++(?:[ -][A-Za-z]++){0,7}|[\u4e00-\u9fff]{1,12}")
_NO_PHRASE = word_set(
    "incorrect untrue isnt no not or and wrong false isn never neither nor up least most half twice less more than over under"
    " almost maybe possibly other anything but cannot impossible negative except excluding rejected root reciprocal minus"
    " opposite between to from not-equal unequal sin cos tan log ln lim exp"
)
_CONSTANTS = frozenset(["e", "i", "\\pi", "\\infty"])
_GREEK = word_set(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau upsilon phi"
    " varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega ell hbar triangle angle"
)
# The commands that a name may be or begin with.
_COMMANDS = _GREEK | word_set("bar dot ddot tilde overline widehat overrightarrow vec hat widetilde")
_MATRIX_NAME = re.compile(r"[A-Z]_?\d?(?:\^(?:\{-1\}|\{?[T2]\}?|-1))?|\\?[A-Za-z]+|(?:\\?det|adj|rref)\(?[A-Z]\)?")


def is_name(text: str) -> bool:
    """Whether a text is the name of a variable, a point, a segment, a function or a quantity, as in `x = 5`."""
    if text in _CONSTANTS or len(text) > 120 or text.lower() in _NO_PHRASE:
        return False
    if _LONE_NAME.fullmatch(text) and not _is_product(text):
        return True
    return bool(_COMPOUND.fullmatch(text)) or is_phrase(text)


def _is_product(text: str) -> bool:
    """`xy` is a product, and `sum` a command; `AB`, `x_1`, `max`, `Total` and anything with brackets is not."""
    head = re.split(r"[(_^']", text, maxsplit=1)[0]
    if head.startswith("\\"):
        return head[1:].split("{")[0].split()[0] not in _COMMANDS
    if text.startswith("(") or len(head) < 2:
        return False
    if head.isupper() or is_prose(head):
        return len(head) > 5 and not is_prose(head)
    return not (head[0].isupper() and len(head) > 2) and head.lower() not in ("arg", "deg", "det", "rank")


def is_phrase(text: str) -> bool:
    """Whether a text is words that name a quantity: `Total cost`."""
    if len(text) > 60 or not _PHRASE.fullmatch(text):
        return False
    if not text.isascii():
        return not re.search("[不非错误否]", text)
    words = text.replace("-", " ").split()
    return not _NO_PHRASE & {word.lower() for word in words} and any(map(is_prose, words))


def is_variable(text: str) -> bool:
    """Whether a text is the name of one quantity that may have a range, as `x` and `f(x)`: no tuple, no phrase."""
    if not is_name(text) or "[" in text or text.startswith("|") or is_phrase(text):
        return False
    return "(" not in text or parse_call(text) is not None


def is_matrix_name(text: str) -> bool:
    """Whether a text may name a matrix, with its inverse and transpose: `B^{-1}`."""
    return bool(_MATRIX_NAME.fullmatch(text))


def strip_decoration(text: str) -> str:
    r"""A name without marks that do not distinguish it: `m\angle ABC` is `\angle ABC`, `|AB|` and `\overline{AB}` are `AB`."""
    text = re.sub(r"^m ?(?=\\angle|\\measuredangle)", "", text.replace(" ", ""))
    points = _POINTS.fullmatch(text)
    if points:
        return points[1] + min(points[2], points[2][::-1])
    return re.sub(r"^\|([A-Z]{2})\||^\\overline\{([A-Z]{2})\}", lambda found: found[1] or found[2], text)


_POINTS = re.compile(r"(\\angle|)([A-Z]{2,3})")


def parse_call(text: str) -> tuple[str, tuple[str, ...]] | None:
    """The function and the names it is applied to: `f(x,y)` is ("f", ("x", "y")); None for anything else."""
    found = _CALL.fullmatch(text)
    if found is None:
        return None
    return (found[3], (found[4],)) if found[3] else (found[1], tuple(found[2].split(",")))


def tuple_names(text: str) -> tuple[str, ...] | None:
    """The names of `(x,y)`; None for anything else."""
    found = _TUPLE.fullmatch(text)
    return tuple(found[1].split(",")) if found else None


_LETTER_RUN = re.compile(r"\\[A-Za-z]+|[A-Za-z]+")
_WORDS = word_set(
    "sin cos tan cot sec csc ln log lg exp sqrt pi min max gcd lcm abs floor ceil and or arcsin arccos arctan"
                   " sinh cosh tanh theta alpha beta gamma"
)  # fmt: skip


def find_letters(text: str) -> frozenset[str]:
    r"""The single letters and Greek commands that a normalized text uses as names."""
    found: set[str] = set()
    for run in _LETTER_RUN.findall(text):
        found |= {run} if run.startswith("\\") else set() if run in _WORDS else set(run)
    return frozenset(found)


def rename(text: str, names: dict[str, str]) -> str:
    """A normalized text with names (single letters or Greek commands) replaced, all at once."""

    def replaced(found: re.Match[str]) -> str:
        run = found.group()
        if run.startswith("\\") or run in _WORDS:
            return names.get(run, run)
        return "".join(names.get(letter, letter) for letter in run)

    return _LETTER_RUN.sub(replaced, text)
