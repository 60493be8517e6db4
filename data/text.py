r"""Problems as comparable texts: what two typings of the same problem share, and what two with other numbers share.

>>> normalised(r"Compute $\dfrac{1}{2} \cdot 1{,}000$.") == normalised(r"compute \frac12 * 1000")
True
>>> masked("Tom has 12 pens and buys seven more.")
'tom has 0 pens and buys 0 more'

Every step is one pass over the text, by expressions that never look back, so that a hostile row of 10 MB costs seconds.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Typography that stands for a sign of mathematics; the rest of Unicode is left as it is.
SIGNS = str.maketrans(
    {"−": "-", "–": "-", "—": " ", "×": "*", "·": "*", "⋅": "*", "÷": "/", "≤": "<=", "≥": ">=", "≠": "!="}
    | {"π": " pi ", "∞": " infty ", "√": " sqrt ", "°": " degrees ", "²": "^2", "³": "^3", "½": " 1/2 "}
    | {"’": "'", "‘": "'", "“": '"', "”": '"', "$": " ", "\0": " "}
)
# Commands that say how a formula looks, not what it is.
LAYOUT = "left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|quad|qquad|hspace|vspace|hfill|noindent|" + (
    "text(?:bf|it|rm|up|sf|tt|normal)?|math(?:rm|bf|it|sf|tt|up|cal|bb|frak|ord|op)|mbox|hbox|boldsymbol|bold|emph|underline|"
    "begin|end|overline|operatorname|phantom|rm|bf|it|large|small|item|label|tag|newline|par|medskip|smallskip|bigskip"
)
SAME = {"dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "cdot": "*", "times": "*", "ast": "*", "div": "/"} | {
    "leq": "<=", "le": "<=", "leqslant": "<=", "geq": ">=", "ge": ">=", "geqslant": ">=", "neq": "!=", "ne": "!=",
    "lt": "<", "gt": ">", "circ": "degrees", "degree": "degrees", "lbrace": "", "rbrace": "", "ldots": "...",
    "dots": "...", "cdots": "...", "mid": "|", "vert": "|", "lvert": "|", "rvert": "|", "to": "rightarrow",
}  # fmt: skip
# The commands above, spacing such as "\," and "\ ", and the escapes of signs that stand for themselves.
COMMAND = re.compile(
    rf"\\(?:(?P<layout>(?:{LAYOUT})(?![a-zA-Z]))|(?P<name>[a-zA-Z]+)|[,;:! \n()\[\]{{}}\\]|(?P<sign>[%$#&_|]))"
)
# 1,000 and 1{,}000, but neither the set {1,2} nor the point (1,2000).
THOUSANDS = re.compile(r"(?<=\d)(?:,|\{,\})(?=\d{3}(?!\d))")
# "\frac12" is one half: each digit is an argument of its own.
DIGIT_ARGUMENTS = re.compile(r"\bfrac ?(\d)(\d)(?!\d)")
# A word, a number, a comparison, or any other sign that changes the value of a formula. Punctuation is in none, nor is
# the apostrophe of "Tom's", which some sets write "Tom 's".
TOKEN = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?|\.\d+|[<>!]=|[-+*/^=<>|%!]")
# The hyphen of "two-digit" joins words; a minus has a number, a letter that stands alone, or a sign beside it.
HYPHEN = re.compile(r"(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")
NUMBERS_IN_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million half"
)
NUMBER_WORDS = frozenset(NUMBERS_IN_WORDS.split())


# A problem is normalised to be compared with benchmarks, with other problems, and to be its own key: the first time pays.
MAX_CACHED_CHARS = 4000


def normalised(text: str) -> str:
    """The text without what typing alone decides: case, punctuation, layout of LaTeX; one space between tokens.

    Signs of mathematics stay, so that x + 1 and x - 1 differ. "" where nothing but punctuation was there.
    """
    return _cached(text) if len(text) <= MAX_CACHED_CHARS else _joined(text)


def masked(text: str) -> str:
    """`normalised` with every number, in digits or in words, as 0: what problems made from one template share."""
    return masked_tokens(tokenized(text))


def masked_tokens(tokens: list[str]) -> str:
    """`masked` of a text whose `normalised` has these tokens."""
    return " ".join("0" if is_number(token) else token for token in tokens)


def is_number(token: str) -> bool:
    """Whether a token of `normalised` is a number, in digits or in words."""
    return token[0].isdigit() or token[0] == "." or token in NUMBER_WORDS


def _joined(text: str) -> str:
    return " ".join(tokenized(text))


_cached = lru_cache(maxsize=8192)(_joined)


def tokenized(text: str) -> list[str]:
    """The tokens of `normalised`, which nothing remembers."""
    text = text.translate(SIGNS) if not text.isascii() or "$" in text else text
    if "," in text:
        text = THOUSANDS.sub("", text)
    if "\\" in text:
        text = DIGIT_ARGUMENTS.sub(r"frac \1 \2", COMMAND.sub(_plain, text))
    text = text.replace("'(", " prime (").casefold()  # f'(x) is not f(x); every other apostrophe is typing
    if "-" in text:
        text = HYPHEN.sub(" ", text)
    return TOKEN.findall(text)


def _plain(command: re.Match[str]) -> str:
    name = command["name"]
    if name is None:
        return command["sign"] or " "
    return f" {SAME.get(name, name)} "
