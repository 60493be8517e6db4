r"""Formatting rules: what two strings may differ in and still be the same answer as a string.

`RULES` is an ordered table of small named rules. Each has a reason and examples, and the examples are its tests. All
are linear in the length of the text and none of them knows any mathematics. What comes out is the notation that the
other modules read: no spacing macros, `\frac{a}{b}` with braces, `*` for products, `\unit{cm}` for a unit.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from graders.units import canonical_unit, compatible

MAX_CACHED_CHARS = 300  # longer texts are rare and would only fill the cache


@dataclass(frozen=True, slots=True)
class Rule:
    """One named string rule: a pure function, why it exists, and pairs (before, after) that hold for it alone."""

    name: str
    apply: Callable[[str], str]
    reason: str
    examples: tuple[tuple[str, str], ...]


def _replacer(table: dict[str, str], pattern: str | None = None) -> Callable[[str], str]:
    """A rule that replaces the keys of a table, longest first, by their values."""
    keys = pattern or "|".join(re.escape(key) for key in sorted(table, key=len, reverse=True))
    compiled = re.compile(keys)
    return lambda text: compiled.sub(lambda found: table[found.group()], text)


def _sub(pattern: str, replacement: str | Callable[[re.Match[str]], str]) -> Callable[[str], str]:
    compiled = re.compile(pattern)
    return lambda text: compiled.sub(replacement, text)


_UNICODE = {
    "−": "-", "–": "-", "—": "-", "﹣": "-", "‐": "-", "×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "∕": "/",
    "⁄": "/", "≤": r"\leq ", "⩽": r"\leq ", "≥": r"\geq ", "⩾": r"\geq ", "≠": r"\neq ", "≈": r"\approx ",
    "∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "∓": r"\mp ", "∅": r"\emptyset ",
    "π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "μ": r"\mu ",
    "φ": r"\phi ", "ω": r"\omega ", "Δ": r"\Delta ", "σ": r"\sigma ", "ρ": r"\rho ", "ε": r"\epsilon ",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}",
    "°": r"^\circ ", "º": r"^\circ ", "˚": r"^\circ ", "…": r"\ldots ", "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}",
    "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}", "⅛": r"\frac{1}{8}",
    "⅜": r"\frac{3}{8}", "⅝": r"\frac{5}{8}", "⅞": r"\frac{7}{8}", "⅙": r"\frac{1}{6}", "⅚": r"\frac{5}{6}",
    "²": "^{2}", "³": "^{3}", "¹": "^{1}", "⁰": "^{0}", "⁴": "^{4}", "⁵": "^{5}", "⁶": "^{6}", "⁷": "^{7}",
    "⁸": "^{8}", "⁹": "^{9}", "€": r"\euro ", "£": r"\pounds ", "，": ",", "（": "(", "）": ")", "：": ":", "；": ";",
    "。": ".", "％": "%", "＝": "=", "＋": "+", "～": "~", "′": "'", "’": "'", "\u200b": "", "\ufeff": "", "⟨": "(",
    "⟩": ")", "¢": r"\text{ cents}", "∨": r"\lor ", "∧": r"\land ", "→": r"\to ",
}  # fmt: skip
_UNICODE |= {chr(0xFF10 + digit): str(digit) for digit in range(10)}  # full-width digits
_UNICODE |= {chr(0xFEE0 + code): chr(code) for code in (*range(0x41, 0x5B), *range(0x61, 0x7B))}
_UNICODE_RADICAL = re.compile(r"√\s*(\d+(?:\.\d+)?|[A-Za-z])?")

_SYNONYMS = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\dbinom": r"\binom", r"\tbinom": r"\binom",
    r"\le": r"\leq ", r"\leq": r"\leq ", r"\leqslant": r"\leq ", r"\ge": r"\geq ", r"\geq": r"\geq ",
    r"\geqslant": r"\geq ", r"\lt": "<", r"\gt": ">", r"\ne": r"\neq ", r"\neq": r"\neq ", r"\cdot": "*",
    r"\times": "*", r"\ast": "*", r"\div": "/", r"\lbrace": r"\{", r"\rbrace": r"\}", r"\langle": "(",
    r"\rangle": ")", r"\lvert": "|", r"\rvert": "|", r"\vert": "|", r"\mid": "|", r"\lVert": "|", r"\rVert": "|",
    r"\varnothing": r"\emptyset ", r"\O": r"\emptyset ", r"\infin": r"\infty ", r"\bigcup": r"\cup ",
    r"\colon": ":", r"\dots": r"\ldots ", r"\cdots": r"\ldots ", r"\dotsc": r"\ldots ", r"\wedge": " and ",
    r"\land": " and ", r"\lor": " or ", r"\vee": " or ", r"\lbrack": "[", r"\rbrack": "]", r"\lparen": "(",
    r"\rparen": ")", r"\operatorname": "", r"\epsilon": r"\varepsilon ", r"\rightarrow": r"\to ",
    r"\longrightarrow": r"\to ", r"\simeq": r"\approx ", r"\degree": r"^\circ ", r"\percent": "%",
}  # fmt: skip
_COMMAND = re.compile(r"\\[A-Za-z]+ ?")


def _synonyms(text: str) -> str:
    return _COMMAND.sub(lambda found: _SYNONYMS.get(found.group().rstrip(), found.group()), text)


_BIG = r"\\(?:left|right|[bB]ig{1,2}[lrm]?)(?![A-Za-z])\s*"
_TEXT_COMMAND = (
    r"\\(?:text(?:bf|it|rm|sf|tt|sc|normal|up)?|mbox|hbox|math(?:rm|bf|it|sf|tt|cal|normal|frak)|boldsymbol|bm"
    r"|operatorname\*?|emph|boxed|underline|bold|vec|overrightarrow|hat)(?![A-Za-z])"
)
_TEXT_GROUP = re.compile(_TEXT_COMMAND + r"\s*\{([^{}]*)\}")
_UNIT_GROUP = re.compile(r"\\(?:text(?:rm|bf|it)?|mbox|mathrm|hbox)\s*\{([^{}]{1,40})\}(\s*\^(?:\{[23]\}|[23]))?")
_PLAIN_UNIT = re.compile(
    r"(?<=[0-9})])(\s*)([A-Za-z.米厘元度]+(?:[ /][A-Za-z.]+){0,3})(\s*\^(?:\{[23]\}|[23]))?"
    r"(?=\s*(?:$|[,;]|\band\b|\bor\b))"
)
_CURRENCY = re.compile(r"(\\\$|\\euro|\\pounds|¥)\s*(-?[\d.,]*\d)")
_CURRENCY_NAME = {r"\$": "dollar", r"\euro": "euro", r"\pounds": "pound-sterling", "¥": "yen"}


def _text_groups(text: str) -> str:
    for _ in range(3):  # nesting such as \textbf{\text{A}}
        replaced = _TEXT_GROUP.sub(lambda found: f" {found[1]} ", text)
        if replaced == text:
            break
        text = replaced
    return text


def _text_units(text: str) -> str:
    def marked(found: re.Match[str]) -> str:
        unit = canonical_unit(found[1] + re.sub(r"[\s{}]", "", found[2] or ""))
        return f"\\unit{{{unit}}}" if unit else found.group()

    return _UNIT_GROUP.sub(marked, text)


def _plain_units(text: str) -> str:
    def marked(found: re.Match[str]) -> str:
        # One letter after a number is a variable unless it is set as text.
        is_word = len(found[2]) > 1 or not found[2].isascii()
        unit = canonical_unit(found[2] + re.sub(r"[\s{}]", "", found[3] or "")) if is_word else None
        return f"\\unit{{{unit}}}" if unit else found.group()

    return _PLAIN_UNIT.sub(marked, text)


def _currency(text: str) -> str:
    marked = _CURRENCY.sub(lambda found: f"{found[2]}\\unit{{{_CURRENCY_NAME[found[1]]}}}", text)
    return re.sub(r"(?:\\unit\{dollar\}\s*)+", r"\\unit{dollar}", marked).replace("\\$", "")


_SPACING = re.compile(
    r"\\\\|(?:\\[,;:!> \n]|~|\s|&nbsp;|\\hspace\*?\{[^{}]*\}"
    r"|\\(?:q?quad|thinspace|medspace|enspace|displaystyle|limits|nolimits)(?![A-Za-z]))+"
)
_THOUSANDS_COMMA = re.compile(r"[^,]*?(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d])[^,]*")
_COMMA_OF_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3})")
_DIGIT_GROUPS = re.compile(r"(?<![\d.])(\d{1,3})((?:(?:\{,\}|,?\\[,!:; ]\s*| )\d{3})+)(?!\d)")


def _spacing(text: str) -> str:
    return _SPACING.sub(lambda found: found.group() if found.group() == "\\\\" else " ", text)


def _digit_groups(text: str) -> str:
    text = _DIGIT_GROUPS.sub(lambda found: found[1] + re.sub(r"\D", "", found[2]), text)
    bare = _TEXT_GROUP.sub("", text)  # a unit in braces does not make a list of the number before it
    if "," in bare and not re.search(r"[(\[{;]|, ", bare) and _THOUSANDS_COMMA.fullmatch(bare):
        return _COMMA_OF_THOUSANDS.sub("", text)
    return text


_ONE_TOKEN = r"(?:\d|[A-Za-z](?![A-Za-z])|\\(?!frac|sqrt|binom)[A-Za-z]+)"
_FRAC_FIRST = re.compile(rf"\\(frac|binom)\s*({_ONE_TOKEN}|[A-Za-z])")
_FRAC_SECOND = re.compile(rf"(\\(?:frac|binom)\s*\{{[^{{}}]*\}})\s*({_ONE_TOKEN}|[A-Za-z])")
_ROOT_ARGUMENT = re.compile(r"\\sqrt\s*(\[[^\[\]]*\])?\s*(\d+|[A-Za-z])")
_OVER = re.compile(r"\{([^{}]*)\\(over|choose)(?![A-Za-z])([^{}]*)\}")
_SCRIPT = re.compile(r"([\^_])\{(\w|-?\d)\}")


def _macro_arguments(text: str) -> str:
    text = _OVER.sub(lambda found: f"\\{'frac' if found[2] == 'over' else 'binom'}{{{found[1]}}}{{{found[3]}}}", text)
    text = _FRAC_SECOND.sub(r"\1{\2}", _FRAC_FIRST.sub(r"\\\1{\2}", text))
    return _ROOT_ARGUMENT.sub(lambda found: f"\\sqrt{found[1] or ''}{{{found[2]}}}", text)


# After nothing that could run into the next sign; before a sign; between a closed group and a letter or command.
_IDLE_SPACE = re.compile(
    r"(?<![A-Za-z0-9.)}\]]) | (?![A-Za-z0-9\\])|(?<=[0-9)}\]]) (?=[A-Za-z\\])|(?<=[A-Za-z.)}\]]) (?=\\)"
)


def _squeeze(text: str) -> str:
    r"""Spaces stay only where they separate: between letters, between digits, after a command before a letter."""
    text = re.sub(r"\s+", " ", text.strip())
    return _IDLE_SPACE.sub("", text)


def _ends(text: str) -> str:
    text = text.strip().removesuffix("\\").rstrip()
    return text[:-1].rstrip() if text.endswith((".", ",", ";", ":")) else text


RULES: tuple[Rule, ...] = (
    Rule(
        "unicode",
        lambda text: text if text.isascii() else _UNICODE_RADICAL.sub(_unicode_radical, _unicode(text)),
        "models copy signs from text: minus, roots, fractions, full-width digits",
        (("−５", "-5"), ("2√3", r"2\sqrt{3}"), ("½", r"\frac{1}{2}"), ("x²", "x^{2}"), ("90°", r"90^\circ ")),
    ),
    Rule(
        "white-space",
        lambda text: " ".join(text.split()),
        "a line break in a box is a space; one space is enough, and it keeps the later rules linear",
        (("1\n+  2", "1 + 2"), ("\t5 ", "5")),
    ),
    Rule(
        "escaped-twice",
        lambda text: text if "\\begin" in text else re.sub(r"\\\\(?=[A-Za-z]{2})", r"\\", text),
        "JSON written by hand doubles backslashes; outside an environment a row break has no meaning",
        ((r"\\frac{1}{2}", r"\frac{1}{2}"), (r"\\sqrt{2}", r"\sqrt{2}")),
    ),
    Rule(
        "digit-groups",
        _digit_groups,
        "thousands separators, where commas can be nothing else",
        (("1,234", "1234"), ("1{,}000{,}000", "1000000"), (r"11,\! 111", "11111"), (r"1\,234", "1234"),
         ("1 000", "1000"), (r"12,000\text{ m}", r"12000\text{ m}"), ("1,23", "1,23"), ("(100,200)", "(100,200)")),
    ),
    Rule(
        "decimal-comma",
        _sub(r"(?<=\d)\{,\}(?=\d{1,2}(?!\d))", "."),
        "a comma in braces before one or two digits separates no thousands",
        (("0{,}5", "0.5"), ("12{,}75", "12.75"), ("1{,}234", "1{,}234")),
    ),
    Rule(
        "currency",
        _currency,
        "a currency sign in front is a unit",
        ((r"\$5", r"5\unit{dollar}"), (r"\$1,000", r"1,000\unit{dollar}")),
    ),
    Rule(
        "math-delimiters",
        _sub(r"\$|\\[()]|\\\[(?![^\\]*pt\])|\\\]", ""),
        "the box is already math; dollars inside it delimit nothing",
        (("$5$", "5"), (r"\(x+1\)", "x+1"), ("$1$ and $2$", "1 and 2")),
    ),
    Rule(
        "e-notation",
        _sub(r"(?<![\w.}])(\d+(?:\.\d+)?)[eE]([+-]?\d+)(?![\w.])", r"\1*10^{\2}"),
        "calculators and programs write powers of ten so; `3e - 2` with spaces is Euler's number",
        (("5e-1", "5*10^{-1}"), ("1.23E4", "1.23*10^{4}"), ("3e - 2", "3e - 2")),
    ),
    Rule(
        "spacing",
        _spacing,
        "spacing macros are typography; a row break is not",
        ((r"a\,b", "a b"), (r"a\quad b", "a b"), (r"a\\b", r"a\\b")),
    ),
    Rule(
        "bracket-size",
        _sub(rf"\\(?:left|right)\s*\.|{_BIG}", ""),
        "the size of a bracket is typography",
        ((r"\left(1\right)", "(1)"), (r"\bigl[0,1\bigr)", "[0,1)"), (r"\left\{1\right\}", r"\{1\}")),
    ),
    Rule(
        "units-as-text",
        _text_units,
        "a unit set as text is marked, from a vocabulary; any other text stays",
        ((r"5\text{ cm}", r"5\unit{cm}"), (r"15\mbox{ cm}^2", r"15\unit{cm^2}"), (r"5\text{ is}", r"5\text{ is}")),
    ),
    Rule(
        "lost-row-break",
        lambda text: re.sub(r"(?<!\\)\\(?=[-\d])", r"\\\\", text) if "matrix}" in text else text,
        "data sets lose one of the two backslashes of a row break; `\\1` and `\\-` mean nothing in a matrix",
        ((r"\begin{pmatrix}3\7\end{pmatrix}", r"\begin{pmatrix}3\\7\end{pmatrix}"),
         (r"\begin{bmatrix}0\-1\end{bmatrix}", r"\begin{bmatrix}0\\-1\end{bmatrix}")),
    ),
    Rule(
        "colour",
        _sub(r"\\(?:text)?color\s*\{[^{}]*\}", ""),
        "colour does not change an answer; the coloured group keeps its braces",
        ((r"\color{blue}{19}", "{19}"), (r"\textcolor{red}{x}", "{x}")),
    ),
    Rule(
        "text-commands",
        _text_groups,
        "fonts, and the arrows of vectors, do not change an answer",
        ((r"\text{Even}", " Even "), (r"\mathrm{e}", " e "), (r"\textbf{\text{A}}", "  A  "),
         (r"\vec{a}", " a ")),
    ),
    Rule(
        "synonyms",
        _synonyms,
        "one spelling for each sign",
        ((r"\dfrac{1}{2}", r"\frac{1}{2}"), (r"2\cdot 3", "2*3"), (r"x\le 1", r"x\leq 1")),
    ),
    Rule(
        "plain-signs",
        _replacer({"<=": r"\leq ", ">=": r"\geq ", "!=": r"\neq ", "**": "^", "...": r"\ldots "}),
        "the same signs as programs and keyboards write them",
        (("x<=1", r"x\leq 1"), ("x**2", "x^2"), ("0.3...", r"0.3\ldots ")),
    ),
    Rule(
        "infinity",
        _sub(r"(?<![A-Za-z\\])(?:infinity|inf|oo)(?![A-Za-z])", r"\\infty "),
        "infinity in words",
        (("(-infinity,5)", r"(-\infty ,5)"), ("oo", r"\infty ")),
    ),
    Rule(
        "degrees",
        _sub(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)\s*", r"\\unit{degree}"),
        "the degree sign is a unit",
        ((r"90^\circ", r"90\unit{degree}"), (r"45^{\circ}", r"45\unit{degree}")),
    ),
    Rule(
        "percent",
        _sub(r"\s*\\?%", r"\\unit{percent}"),
        "the percent sign is a unit; whether it scales is decided by the numeric rung",
        ((r"50\%", r"50\unit{percent}"), ("50 %", r"50\unit{percent}")),
    ),
    Rule(
        "units-as-words",
        _plain_units,
        "a unit in plain words at the end of a number",
        (("10 weeks", r"10\unit{week}"), ("5 cm^2", r"5\unit{cm^2}"), ("5m", "5m"), ("5 is wrong", "5 is wrong")),
    ),
    Rule(
        "macro-arguments",
        _macro_arguments,
        "braces that LaTeX allows to be left out",
        ((r"\frac12", r"\frac{1}{2}"), (r"\frac3{4}", r"\frac{3}{4}"), (r"\sqrt2", r"\sqrt{2}"),
         (r"{5 \choose 2}", r"\binom{5 }{ 2}"), (r"\frac34i", r"\frac{3}{4}i")),
    ),
    Rule(
        "trailing-signs",
        _ends,
        "a full stop or comma ends the sentence, not the answer",
        (("5.", "5"), ("12 ,", "12"), ("185\\ ", "185")),
    ),
    Rule(
        "one-sign-scripts",
        _sub(r"([\^_])\{(\w)\}", r"\1\2"),
        "braces round a single sign",
        (("x^{2}", "x^2"), ("a_{1}", "a_1"), ("x^{10}", "x^{10}")),
    ),
    Rule(
        "spaces",
        _squeeze,
        "spaces that separate nothing",
        (("x + 1", "x+1"), ("1 1/2", "1 1/2"), (r"\pi r", r"\pi r"), ("( 1 , 2 )", "(1,2)"), ("2 x", "2x")),
    ),
)  # fmt: skip

_UNICODE_TABLE = str.maketrans(_UNICODE)
_PLAIN = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_UNIT = re.compile(r"\\unit\{([^{}]*)\}")
_UNIT_BEFORE_DIGIT = re.compile(r"\\unit\{[^{}]*\}\s*(?=[\d.])")


def _unicode(text: str) -> str:
    return text.translate(_UNICODE_TABLE)


def _unicode_radical(found: re.Match[str]) -> str:
    return rf"\sqrt{{{found[1]}}}" if found[1] else r"\sqrt "


def normalize(text: str) -> str:
    """The text after all rules, in order. A plain integer is returned as it is."""
    if _PLAIN.fullmatch(text):
        return text
    return _cached(text) if len(text) <= MAX_CACHED_CHARS else _apply_all(text)


def _apply_all(text: str) -> str:
    for rule in RULES:
        text = rule.apply(text)
    return text


_cached = lru_cache(maxsize=20_000)(_apply_all)


def without_units(text: str) -> tuple[str, tuple[str, ...]]:
    """A normalized text with its unit markers taken out, and the units that were marked, in order."""
    if "\\unit" not in text:
        return text, ()
    return drop_units(text), tuple(_UNIT.findall(text))


def drop_units(text: str) -> str:
    """A normalized text without its unit markers; digits on both sides of one do not become a number."""
    return _UNIT.sub("", _UNIT_BEFORE_DIGIT.sub(" ", text))


def same_format(gold: str, answer: str) -> bool:
    """Whether two normalized texts are one answer as strings: equal but for units that one of them leaves out."""
    if gold == answer:
        return True
    (gold_text, gold_units), (answer_text, answer_units) = without_units(gold), without_units(answer)
    if gold_text != answer_text or not gold_text:
        return False
    if not gold_units or not answer_units:
        return True
    return len(gold_units) == len(answer_units) and all(map(compatible, gold_units, answer_units))
