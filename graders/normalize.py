r"""Formatting rules: what two strings may differ in and still be the same answer as a string.

`RULES` is an ordered table of small named rules. Each has a reason and examples, and the examples are its tests. All
are linear in the length of the text and none of them knows any mathematics. What comes out is the notation that the
other modules read: no spacing macros, `\frac{a}{b}` with braces, `*` for products, `\unit{cm}` for a unit.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from graders import macros, quantities, separators, unicode
from graders.units import same_unit

MAX_CACHED_CHARS = 300  # longer texts are rare and would only fill the cache


@dataclass(frozen=True, slots=True)
class Rule:
    """One named string rule: a pure function, why it exists, and pairs (before, after) that hold for it alone."""

    name: str
    apply: Callable[[str], str]
    reason: str
    examples: tuple[tuple[str, str], ...]


def _replacer(table: dict[str, str]) -> Callable[[str], str]:
    """A rule that replaces the keys of a table, longest first, by their values."""
    compiled = re.compile("|".join(re.escape(key) for key in sorted(table, key=len, reverse=True)))
    return lambda text: compiled.sub(lambda found: table[found.group()], text)


def _sub(pattern: str, replacement: str | Callable[[re.Match[str]], str]) -> Callable[[str], str]:
    compiled = re.compile(pattern)
    return lambda text: compiled.sub(replacement, text)


# What JSON made of a backslash and a letter, and the rest of the commands that begin with that letter.
_SWALLOWED = {
    "\f": ("f", "rac orall lat loor"),
    "\b": ("b", "egin inom eta ar oxed ot mod oldsymbol bf ig igl igr igcup ullet mathbb ackslash"),
    "\t": ("t", "ext extbf extit extrm imes heta an au ilde o frac riangle binom herefore"),
    "\r": ("r", "ight ightarrow ho angle floor ceil vert brace brack m"),
    "\n": ("n", "eq abla otin eg ot mid parallel e(?=\\s*[-\\d\\\\])"),
    "\v": ("v", "ec arnothing arphi ert ee"),
    "\a": ("a", "lpha pprox ngle rcsin rccos rctan st"),
}
_SWALLOWED_ESCAPE = re.compile(
    "|".join(f"{sign}(?:{'|'.join(rest.split())})(?![a-zA-Z])" for sign, (_, rest) in _SWALLOWED.items())
)


def _restore_escapes(text: str) -> str:
    return _SWALLOWED_ESCAPE.sub(lambda found: f"\\{_SWALLOWED[found[0][0]][0]}{found[0][1:]}", text)


_SYNONYMS = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac", r"\dbinom": r"\binom", r"\tbinom": r"\binom",
    r"\le": r"\leq ", r"\leq": r"\leq ", r"\leqslant": r"\leq ", r"\ge": r"\geq ", r"\geq": r"\geq ",
    r"\leqq": r"\leq ", r"\geqq": r"\geq ",
    r"\geqslant": r"\geq ", r"\lt": "<", r"\gt": ">", r"\ne": r"\neq ", r"\neq": r"\neq ", r"\cdot": "*",
    r"\times": "*", r"\ast": "*", r"\div": "/", r"\lbrace": r"\{", r"\rbrace": r"\}", r"\langle": "(",
    r"\rangle": ")", r"\lvert": "|", r"\rvert": "|", r"\vert": "|", r"\mid": "|", r"\lVert": "|", r"\rVert": "|",
    r"\varnothing": r"\emptyset ", r"\O": r"\emptyset ", r"\oslash": r"\emptyset ", r"\infin": r"\infty ",
    r"\bigcup": r"\cup ", r"\bigcap": r"\cap ", r"\backslash": r"\setminus ",
    r"\colon": ":", r"\dots": r"\ldots ", r"\cdots": r"\ldots ", r"\dotsc": r"\ldots ", r"\wedge": r"\land ",
    r"\vee": r"\lor ", r"\lbrack": "[", r"\rbrack": "]", r"\lparen": "(",
    r"\rparen": ")", r"\operatorname": "", r"\epsilon": r"\varepsilon ", r"\rightarrow": r"\to ",
    r"\longrightarrow": r"\to ", r"\simeq": r"\approx ", r"\thickapprox": r"\approx ", r"\degree": r"^\circ ",
    r"\percent": "%", r"\reals": r"\mathbb{R}", r"\R": r"\mathbb{R}", r"\Z": r"\mathbb{Z}", r"\prime": "'",
}  # fmt: skip
_CONSTANT = re.compile(r"\+ *+const(?:ant|\.)?(?![A-Za-z])")
_NEGATED = re.compile(r"\\not\s*+(=|\\in(?![A-Za-z]))")
_COMMAND = re.compile(r"\\[A-Za-z]++ ?")


def _synonyms(text: str) -> str:
    text = _CONSTANT.sub("+C", text)
    text = _NEGATED.sub(lambda found: "\\neq " if found[1] == "=" else "\\notin ", text)
    return _COMMAND.sub(lambda found: _SYNONYMS.get(found.group().rstrip(), found.group()), text)


_BIG = r"\\(?:left|right|middle|[bB]ig{1,2}[lrm]?)(?![A-Za-z])\s*+"
_SIZES = (
    "displaystyle textstyle scriptstyle tiny scriptsize footnotesize small normalsize large Large LARGE huge Huge limits"
    " nolimits boldmath unboldmath bf rm it sf tt em nonumber notag mathstrut strut quad qquad thinspace medspace"
    " enspace negthinspace hfill centering"
)
_SPACING = re.compile(
    r"\\\\|(?:\\[,;:!> \n]|~|\s|&nbsp;|\\[hv]space\*?\{[^{}]{0,20}\}"
    rf"|\\(?:{'|'.join(_SIZES.split())})(?![A-Za-z]))++"
)


def _spacing(text: str) -> str:
    return _SPACING.sub(lambda found: found.group() if found.group() == "\\\\" else " ", text)


# Markdown round the whole, and row breaks, signs and words before or after an answer that say nothing about it.
_EMPHASIS = re.compile(r"(\*\*|\*|__|`)(?!\s)([\s\S]*)(?<!\s)\1")
_TEXT_OR_NOT = r"(?:\\(?:text|mathrm|mbox)\s*\{)?\s*"
_ANNOUNCED = (
    r"(?:so|thus|hence|therefore|then),?\s|(?:the\s)?(?:(?:final|correct)\s)?(?:answer|solution|value|root|result)s?"
    r"(?:\sof\s[a-z])?(?:\s(?:is|are))?\s*:?(?![A-Za-z])|(?:approximately|approx\.|about|roughly)\s"
)
_CHINESE_LEAD = (
    r"[a-zA-Z]?的?(?:值|取值范围|解集|最大值|最小值)(?:为|是)|(?:故|所以|因此|综上)?[,，]?(?:答案|答|解|应选|选择|选)(?:为|是)?\s*:?"
    r"|等于|约为|约(?=\d)|故|共(?=\d)"
)
_LEADING = re.compile(
    r"(?:\s|\\[,;:! ]|=(?!=)|\\(?:approx|simeq|sim|therefore|Rightarrow|implies|quad)(?![A-Za-z])|∴"
    rf"|{_TEXT_OR_NOT}(?:{_ANNOUNCED})(?:\s*\}})?|{_CHINESE_LEAD})++",
    re.IGNORECASE,
)
_TRAILING = re.compile(r"(?:\\\\|\\[,;:! ]|~|\s)++$|\\text\s*\{?\s*\(approx[a-z.]*\)\s*\}?$|\s\(approx[a-z.]*\)$")


def _outside(text: str) -> str:
    text = text.strip()
    for _ in range(2):
        found = _EMPHASIS.fullmatch(text)
        text = found[2] if found and found[1] not in found[2] else text
    lead = _LEADING.match(text)
    text = text[lead.end() :] if lead and lead.end() < len(text) else text
    return text[: len(text) - len(text[-80:]) + _end_of(text[-80:])]


def _end_of(text: str) -> int:
    """Where a text ends without spaces, a remark that it is approximate, and a full stop."""
    found = _TRAILING.search(text)
    end = len(text[: found.start()].rstrip()) if found else len(text)
    return end - 1 if end > 1 and text[end - 1] == "." and text[end - 2] != "." else end


def _ends(text: str) -> str:
    text = text.rstrip(" \\")
    return text[:-1].rstrip(" \\") if text.endswith((".", ",", ";", ":")) else text


# After nothing that could run into the next sign; before a sign; between a closed group and a letter or command.
_IDLE_SPACE = re.compile(
    r"(?<![A-Za-z0-9.)}\]]) | (?![A-Za-z0-9\\])|(?<=[0-9)}\]]) (?=[A-Za-z\\])|(?<=[A-Za-z.)}\]]) (?=\\)"
)


def _squeeze(text: str) -> str:
    r"""Spaces stay only where they separate: between letters, between digits, after a command before a letter."""
    return _IDLE_SPACE.sub("", " ".join(text.split()))


RULES: tuple[Rule, ...] = (
    Rule(
        "swallowed-escapes",
        _restore_escapes,
        "JSON written by hand turns `\\frac` into a form feed and `rac`, `\\text` into a tab and `ext`",
        (("\frac{1}{2}", r"\frac{1}{2}"), ("\text{5}", r"\text{5}"), ("3\times 4", r"3\times 4"), ("1\n2", "1\n2")),
    ),
    Rule(
        "unicode",
        unicode.spell_in_ascii,
        "models copy signs from text: minus, roots, fractions, full-width digits",
        (("−5", "-5"), ("2√3", r"2\sqrt{3}"), ("½", r"\frac{1}{2}"), ("x²", "x^{2}"), ("90°", r"90^\circ "),
         ("０．５", "0.5"), ("x⁻¹", "x^{-1}"), ("x₁", "x_{1}"), ("1∶2", "1:2")),
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
        "math-delimiters",
        _sub(r"(?<!\\)(?:\$|\\[()\[\]])", ""),
        "the box is already math; dollars inside it delimit nothing",
        (("$5$", "5"), (r"\(x+1\)", "x+1"), ("$1$ and $2$", "1 and 2"), (r"1\\[1ex]2", r"1\\[1ex]2"), (r"\$5", r"\$5")),
    ),
    Rule(
        "colour",
        _sub(r"\\(?:(?:text)?color|[hv]?phantom)\s*+\{[^{}]*+\}", ""),
        "colour and blind text do not change an answer; the coloured group keeps its braces",
        ((r"\color{blue}{19}", "{19}"), (r"\textcolor{red}{x}", "{x}"), (r"\phantom{0}5", "5")),
    ),
    Rule(
        "outside",
        _outside,
        "emphasis round an answer, `=` or `\\approx` before it, and words that announce it",
        (("**73**", "73"), ("=5", "5"), (r"\approx 8.24", "8.24"), ("The answer is: 5", "5"), ("答案:5", "5"),
         (r"\text{The solutions are } 1, 2", "1, 2"), ("选A", "A"), (r"8.24 \text{ (approximately)}", "8.24")),
    ),
    Rule(
        "whole-groups",
        macros.unwrap_whole,
        "braces or a font round all of the answer",
        ((r"\boldsymbol{\frac{3}{5}}", r"\frac{3}{5}"), ("{5 cm}", "5 cm"), (r"\text{75,000}", "75,000"),
         (r"\text{a}+\text{b}", r"\text{a}+\text{b}")),
    ),
    Rule(
        "scale-words",
        quantities.spell_scales,
        "a million is a power of ten",
        ((r"5\text{ million}", r"5*10^{6}"), ("1.2 billion", "1.2*10^{9}"), ("million", "million")),
    ),
    Rule(
        "currency",
        quantities.mark_currency,
        "a currency sign in front is a unit",
        ((r"\$5", r"5\unit{dollar}"), (r"\$1,000", r"1,000\unit{dollar}")),
    ),
    Rule(
        "digit-groups",
        separators.join_digit_groups,
        "thousands separators, where commas can be nothing else",
        (("1,234", "1234"), ("1{,}000{,}000", "1000000"), (r"11,\! 111", "11111"), (r"1\,234", "1234"),
         ("1 000", "1000"), (r"12,000\text{ m}", r"12000\text{ m}"), ("1,23", "1,23"), ("(100,200)", "(100,200)"),
         (r"3,\ 100", r"3,\ 100"), ("1,234, 5,678", "1234, 5678"), (r"\frac{75,000}{7}", r"\frac{75000}{7}")),
    ),
    Rule(
        "decimal-comma",
        _sub(r"(?<=\d)\{,\}(?=\d{1,2}(?!\d))", "."),
        "a comma in braces before one or two digits separates no thousands",
        (("0{,}5", "0.5"), ("12{,}75", "12.75"), ("1{,}234", "1{,}234")),
    ),
    Rule(
        "e-notation",
        _sub(r"(?<![\w.}])(\d++(?:\.\d++)?)[eE]([+-]?\d++)(?![\w.])", r"\1*10^{\2}"),
        "calculators and programs write powers of ten so; `3e - 2` with spaces is Euler's number",
        (("5e-1", "5*10^{-1}"), ("1.23E4", "1.23*10^{4}"), ("3e - 2", "3e - 2")),
    ),
    Rule(
        "ordinals",
        macros.drop_ordinals,
        "the ending of an ordinal number is no part of the number",
        ((r"12^{\text{th}}", "12"), ("21st", "21"), (r"3\text{rd}", "3"), ("2nd place", "2 place")),
    ),
    Rule(
        "units-as-text",
        quantities.mark_text_units,
        "a unit set as text after a quantity is marked, from a vocabulary; any other text stays",
        ((r"5\text{ cm}", r"5\unit{cm}"), (r"15\mbox{ cm}^2", r"15\unit{cm^2}"), (r"5\text{ is}", r"5\text{ is}"),
         (r"\frac{1}{2\mathrm{g}}", r"\frac{1}{2\mathrm{g}}"), (r"9\mathrm{~m}/\mathrm{s}", r"9\unit{m*s^-1}"),
         (r"a_{\text{min}}=3", r"a_{\text{min}}=3")),
    ),
    Rule(
        "spacing",
        _spacing,
        "spacing macros and sizes are typography; a row break is not",
        ((r"a\,b", "a b"), (r"a\quad b", "a b"), (r"a\\b", r"a\\b"), (r"\Large 5", " 5")),
    ),
    Rule(
        "bracket-size",
        _sub(rf"\\(?:left|right)\s*+\.|{_BIG}", ""),
        "the size of a bracket is typography",
        ((r"\left(1\right)", "(1)"), (r"\bigl[0,1\bigr)", "[0,1)"), (r"\left\{1\right\}", r"\{1\}")),
    ),
    Rule(
        "lost-row-break",
        lambda text: re.sub(r"(?<!\\)\\(?=[-\d])", r"\\\\", text) if "matrix}" in text else text,
        "data sets lose one of the two backslashes of a row break; `\\1` and `\\-` mean nothing in a matrix",
        ((r"\begin{pmatrix}3\7\end{pmatrix}", r"\begin{pmatrix}3\\7\end{pmatrix}"),
         (r"\begin{bmatrix}0\-1\end{bmatrix}", r"\begin{bmatrix}0\\-1\end{bmatrix}")),
    ),
    Rule(
        "fonts",
        macros.drop_fonts,
        "fonts, and the arrows of vectors, do not change an answer; a bold or double R is the set of real numbers",
        ((r"\text{Even}", " Even "), (r"\mathrm{e}", " e "), (r"\textbf{\text{A}}", " A "),
         (r"\vec{a}", " a "), (r"\mathbf R", r"\mathbb{R}"), (r"\mathbb R", r"\mathbb{R}")),
    ),
    Rule(
        "synonyms",
        _synonyms,
        "one spelling for each sign",
        ((r"\dfrac{1}{2}", r"\frac{1}{2}"), (r"2\cdot 3", "2*3"), (r"x\le 1", r"x\leq 1")),
    ),
    Rule(
        "plain-signs",
        _replacer({"<=": r"\leq ", ">=": r"\geq ", "!=": r"\neq ", "**": "^", "...": r"\ldots ", '"': "", "{:}": ":",
                   "比": ":", "per cent": "percent"}),
        "the same signs as programs and keyboards write them",
        (("x<=1", r"x\leq 1"), ("x**2", "x^2"), ("0.3...", r"0.3\ldots ")),
    ),
    Rule(
        "bases",
        macros.spell_bases,
        "the base of a numeral, as a number in its index",
        (("1021_{(3)}", "1021_{3}"), ("11010 base 2", "11010_{2}"), ("5_{ six }", "5_{6}"), ("a_{n}", "a_{n}")),
    ),
    Rule(
        "infinity",
        _sub(r"(?<![A-Za-z\\])(?:infinity|inf|oo)(?![A-Za-z])", r"\\infty "),
        "infinity in words",
        (("(-infinity,5)", r"(-\infty ,5)"), ("oo", r"\infty ")),
    ),
    Rule(
        "degrees",
        quantities.mark_degrees,
        "the degree sign is a unit, and so are minutes and seconds after it",
        ((r"90^\circ", r"90\unit{degree}"), (r"45^{\circ}", r"45\unit{degree}"), ("30^o", r"30\unit{degree}"),
         (r"22^\circ 30'", r"22\unit{degree}30\unit{arcminute}")),
    ),
    Rule(
        "percent",
        _sub(r"(?<!\s)\s*+\\?%", r"\\unit{percent}"),
        "the percent sign is a unit; whether it scales is decided by the numeric rung",
        ((r"50\%", r"50\unit{percent}"), ("50 %", r"50\unit{percent}")),
    ),
    Rule(
        "units-as-words",
        quantities.mark_plain_units,
        "a unit in plain words at the end of a number",
        (("10 weeks", r"10\unit{week}"), ("5 cm^2", r"5\unit{cm^2}"), ("5m", "5m"), ("5 is wrong", "5 is wrong"),
         ("9.8 m/s^2", r"9.8\unit{m*s^-2}"), ("60 miles per hour", r"60\unit{h^-1*mile}")),
    ),
    Rule(
        "divided-groups",
        macros.spell_over,
        "the quotients and binomials of plain TeX",
        ((r"{3\sqrt{10} \over 10}", r"\frac{3\sqrt{10}}{10}"), (r"{5 \choose 2}", r"\binom{5}{2}"),
         (r"\overline{3}", r"\overline{3}")),
    ),
    Rule(
        "macro-arguments",
        macros.brace_arguments,
        "braces that LaTeX allows to be left out",
        ((r"\frac12", r"\frac{1}{2}"), (r"\frac3{4}", r"\frac{3}{4}"), (r"\sqrt2", r"\sqrt{2}"),
         (r"\frac{\sqrt{3}}2", r"\frac{\sqrt{3}}{2}"), (r"\frac34i", r"\frac{3}{4}i")),
    ),
    Rule(
        "modulo",
        macros.spell_modulo,
        "one spelling of the modulus of a congruence",
        ((r"\pmod 5", r"\pmod{5}"), (r"3 (mod 7)", r"3 \pmod{7}")),
    ),
    Rule(
        "trailing-signs",
        _ends,
        "a full stop or comma ends the sentence, not the answer",
        (("5.", "5"), ("12 ,", "12"), ("185\\ ", "185"), (r"5\\", "5")),
    ),
    Rule(
        "one-sign-scripts",
        _sub(r"([\^_])\{(\w)\}(?!\d)", r"\1\2"),
        "braces round a single sign",
        (("x^{2}", "x^2"), ("a_{1}", "a_1"), ("x^{10}", "x^{10}"), (r"\log_{2}8", r"\log_{2}8")),
    ),
    Rule(
        "spaces",
        _squeeze,
        "spaces that separate nothing",
        (("x + 1", "x+1"), ("1 1/2", "1 1/2"), (r"\pi r", r"\pi r"), ("( 1 , 2 )", "(1,2)"), ("2 x", "2x")),
    ),
    Rule(
        "list-commas",
        lambda text: re.sub(r"(?<=\d),(?=\d{3}(?!\d))", ", ", text),
        "a comma that is still between digits separates a list; with a space it can be taken for nothing else",
        (("(3,100)", "(3, 100)"), ("0,100,200", "0, 100, 200"), ("1,2", "1,2")),
    ),
    Rule(
        "combinations",
        macros.spell_combinations,
        "the number of combinations and of arrangements, as schools of several countries write them",
        (("C_5^2", r"\binom{5}{2}"), ("C^2_5", r"\binom{5}{2}"), ("A_5^2", "20"), ("C_1", "C_1")),
    ),
)  # fmt: skip

_PLAIN = re.compile(r"-?(?:0|[1-9]\d{0,17})")
_UNIT = re.compile(r"\\unit\{([^{}]*)\}")
_IN_RADIANS = re.compile(r"\\pi|sin|cos|tan|cot|sec|csc")  # without a degree sign these mean something else
_UNIT_BEFORE_DIGIT = re.compile(r"\\unit\{[^{}]*\}\s*(?=[\d.])")


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
    r"""Whether two normalized texts are one answer as strings: equal but for units that one of them leaves out.

    A degree sign is not left out of a formula with `\pi` or of a sine, which would be in radians without it.
    """
    if gold == answer:
        return True
    (gold_text, gold_units), (answer_text, answer_units) = without_units(gold), without_units(answer)
    if gold_text != answer_text or not gold_text:
        return False
    if not gold_units or not answer_units:
        return "degree" not in gold_units + answer_units or not _IN_RADIANS.search(gold_text)
    return len(gold_units) == len(answer_units) and all(map(same_unit, gold_units, answer_units))
