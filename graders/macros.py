r"""LaTeX macros in one spelling: arguments with braces, one way to write a quotient, fonts that do not matter."""

import math
import re

from graders.boxed import closing_brace
from graders.separators import join_digit_groups

_TEXT_COMMAND = (
    r"\\(?:text(?:bf|it|rm|sf|tt|sc|normal|up|sl)?|mbox|hbox|math(?:rm|bf|it|sf|tt|cal|normal|frak|scr|bb)|boldsymbol|bm"
    r"|operatorname\*?|emph|boxed|fbox|underline|bold|pmb|vec|overrightarrow|hat|widehat|textcolor\{[^{}]{0,30}\})"
    r"(?![A-Za-z])"
)
_FONT_OR_BRACE = re.compile(rf"({_TEXT_COMMAND}\s*+\{{)|\\[\s\S]|[{{}}]")
_FONT_BEFORE_LETTER = re.compile(r"\\(?:math(?:rm|bf|it|sf|cal)|boldsymbol|bm)(?:\s++(?=[A-Za-z\d])|(?=\d))")
_MEMBER_OF = re.compile(r"\\in\s*+([RZNQ])(?![A-Za-z'_(])")
_VECTOR = re.compile(r"\\(?:vec|overrightarrow)\s*+\{\s*+([A-Z])\s*+([A-Z])\s*+\}")
_NUMBER_SET = re.compile(
    r"\\math(?:bf\s*+(?:\{\s*+([RZNQ])\s*+\}|([RZNQ]))|bb\s*+(?:\{\s*+([A-Z])\s*+\}|([A-Z])))(?![A-Za-z])"
)


def mark_number_sets(text: str) -> str:
    r"""`\mathbf R` and `\mathbb R` as `\mathbb{R}`."""
    return _NUMBER_SET.sub(lambda found: f"\\mathbb<{next(filter(None, found.groups()))}>", text)


def drop_fonts(text: str) -> str:
    r"""`\text{Even}` as ` Even `: fonts, and the arrows of vectors, do not change an answer."""
    if "\\" not in text:
        return text
    text = _VECTOR.sub(r"\\mathvec<\1\2>", mark_number_sets(text))
    text = _FONT_BEFORE_LETTER.sub(" ", _unwrapped(text))
    text = _MEMBER_OF.sub(r"\\in \\mathbb<\1>", re.sub(r" {2,}", " ", text))
    return re.sub(
        r"\\math(bb|vec)<([A-Z]+)>", lambda found: f"\\{'mathbb' if found[1] == 'bb' else 'vec'}{{{found[2]}}}", text
    )


def _unwrapped(text: str) -> str:
    """The text without font commands and their braces, whatever stands inside; one that never closes stays."""
    pieces: list[str] = []
    opened: list[int] = []  # of each open brace the piece that a font command is, or -1
    pos = 0
    for mark in _FONT_OR_BRACE.finditer(text):
        sign = mark.group()
        if mark[1] or sign == "{":
            pieces += [text[pos : mark.start()], sign]
            opened.append(len(pieces) - 1 if mark[1] else -1)
        elif sign == "}" and opened:
            font = opened.pop()
            pieces += [text[pos : mark.start()], sign if font < 0 else " "]
            if font >= 0:
                pieces[font] = " "
        else:
            continue
        pos = mark.end()
    return "".join([*pieces, text[pos:]])


_WHOLE = re.compile(rf"(?:{_TEXT_COMMAND}\s*+)?\{{")
_LISTS = re.compile(r"(?<!\\),")
_BUILDER = re.compile(r"\\?[A-Za-z]{1,6}\s*+(?:\||:|\\mid)")


def unwrap_whole(text: str) -> str:
    """The text without braces, or a font with its braces, that hold all of it."""
    for _ in range(3):
        opener = _WHOLE.match(text)
        if (
            opener is None
            or _VECTOR.match(text)
            or _NUMBER_SET.match(text)
            or not text.endswith("}")
            or closing_brace(text, opener.end()) != len(text) - 1
        ):
            return text
        inner = text[opener.end() : -1].strip()
        if _BUILDER.match(inner) or (
            text.startswith("{") and _LISTS.search(join_digit_groups(inner))
        ):  # a set, written without its backslashes
            return text
        text = inner
    return text


_NUMERALS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORD = "|".join([*_NUMERALS, "sixteen"])
_BASE = re.compile(
    rf"_\s*+\{{\s*+\(?(?:base\s)?\s*+(\d{{1,2}}|{_WORD})\s*+\)?\s*+\}}"
    rf"|(?<=[0-9A-F])\s*+\(?\s*+base[\s-]\s*+(\d{{1,2}}|{_WORD})\s*+\)?"
)


def spell_bases(text: str) -> str:
    r"""`1021_{(3)}`, `1021_{three}` and `1021 (base 3)` as `1021_{3}`."""
    if "_" not in text and "base" not in text:
        return text
    return _BASE.sub(lambda found: f"_{{{_numeral(found[1] or found[2])}}}", text)


def _numeral(text: str) -> str:
    if text.isdigit():
        return text
    return "16" if text == "sixteen" else str(_NUMERALS.index(text))


_DIVIDER = re.compile(r"\\[\s\S]?|[{}]")
_OVER = re.compile(r"\\(over|choose)(?![A-Za-z])")


def spell_over(text: str) -> str:
    r"""`{a \over b}` as `\frac{a}{b}` and `{n \choose k}` as `\binom{n}{k}`, whatever braces stand inside."""
    if "\\over" not in text and "\\choose" not in text:
        return text
    # One list of pieces an open brace; a divider keeps what stood before it and the name of the macro.
    stack: list[tuple[list[str], str, list[str]]] = [([], "", [])]
    pos = 0
    for mark in _DIVIDER.finditer(text):
        if mark.start() < pos:
            continue
        stack[-1][2].append(text[pos : mark.start()])
        pos = mark.end()
        divider = _OVER.match(text, mark.start())
        if divider and not stack[-1][1]:
            stack[-1] = (stack[-1][2], "frac" if divider[1] == "over" else "binom", [])
            pos = divider.end()
        elif mark.group() == "{":
            stack.append(([], "", []))
        elif mark.group() == "}" and len(stack) > 1:
            closed = _grouped(*stack.pop())
            stack[-1][2].append(closed)
        else:
            stack[-1][2].append(mark.group())
    stack[-1][2].append(text[pos:])
    return "{".join(_undivided(*each) for each in stack)


def _grouped(above: list[str], macro: str, below: list[str]) -> str:
    if macro:
        return f"\\{macro}{{{''.join(above).strip()}}}{{{''.join(below).strip()}}}"
    return f"{{{''.join(below)}}}"


def _undivided(above: list[str], macro: str, below: list[str]) -> str:
    """A group that never closed, or the whole text: `a \\over b` without braces divides all of it."""
    return _grouped(above, macro, below) if macro else "".join(below)


_ONE_TOKEN = r"(?:\d|[A-Za-z](?![A-Za-z])|\\(?!frac|sqrt|binom)[A-Za-z]++)"
_FRAC_FIRST = re.compile(rf"\\(frac|binom)\s*+({_ONE_TOKEN}|[A-Za-z])")
_FRAC_SECOND = re.compile(rf"(\\(?:frac|binom)\s*+\{{[^{{}}]*+\}})\s*+({_ONE_TOKEN}|[A-Za-z])")
_FRAC_AFTER_GROUP = re.compile(r"\}\s*+(\d|[A-Za-z](?![A-Za-z]))")
_ROOT_ARGUMENT = re.compile(r"\\sqrt\s*+(\[[^\[\]]*+\])?\s*+(\d++|[A-Za-z])")


def brace_arguments(text: str) -> str:
    r"""The braces that LaTeX lets one leave out: `\frac12`, `\frac{\sqrt{3}}2`, `\sqrt2`."""
    if "\\" not in text:
        return text
    text = _FRAC_FIRST.sub(r"\\\1{\2}", text)
    text = _brace_second(_FRAC_SECOND.sub(r"\1{\2}", text))
    return _ROOT_ARGUMENT.sub(lambda found: f"\\sqrt{found[1] or ''}{{{found[2]}}}", text)


_FRACTION = re.compile(r"\\(?:frac|binom)\s*+(?=\{)|\\[\s\S]|[{}]")


def _brace_second(text: str) -> str:
    r"""The second argument of a `\frac` whose first one has braces inside: one pass with a stack of open braces."""
    pieces, kept = [], 0
    opened: list[bool] = []  # of each open brace, whether it is the first argument of a fraction
    first = False
    for mark in _FRACTION.finditer(text):
        sign = mark.group()
        if sign == "{":
            opened.append(first)
        elif sign == "}" and opened and opened.pop():
            bare = _FRAC_AFTER_GROUP.match(text, mark.start())
            if bare:
                pieces += [text[kept : mark.end()], f"{{{bare[1]}}}"]
                kept = bare.end()
        first = sign.startswith(("\\frac", "\\binom"))
    return "".join([*pieces, text[kept:]]) if pieces else text


_MODULO = re.compile(
    r"\(?\s*+(?:\\(?:pmod|bmod|mod)|(?<![A-Za-z\\])mod)(?![A-Za-z])\s*+(?:\{([^{}]{1,20})\}|(\w{1,20}))\s*+\)?"
)


def spell_modulo(text: str) -> str:
    r"""`\pmod 5`, `(\bmod 5)` and `(mod 5)` as `\pmod{5}`."""
    if "mod" not in text:
        return text
    return _MODULO.sub(lambda found: f"\\pmod{{{(found[1] or found[2]).strip()}}}", text)


_ORDINAL = re.compile(
    r"(?<=\d)\s*+(?:\^\s*+)?(?:\{\s*+)?(?:\\(?:text|mathrm|textrm|mbox|textsuperscript)\s*+\{?\s*+)?(?:st|nd|rd|th)\b(?:\s*+\})*+"
)


def drop_ordinals(text: str) -> str:
    r"""`12^{\text{th}}` and `12th` as 12."""
    if not re.search("st|nd|rd|th", text):
        return text
    return _ORDINAL.sub(_balanced_ending, text)


def _balanced_ending(found: re.Match[str]) -> str:
    """Nothing, but for braces that the ending of a number did not open."""
    extra = found.group().count("}") - found.group().count("{")
    return "}" * max(0, extra)


_BELOW, _ABOVE = r"_(?:\{(\d{1,3})\}|(\d))", r"\^(?:\{(\d{1,3})\}|(\d))"
_CHOOSE = re.compile(
    rf"(?:\{{\}})?(?:\{{([CAP])\}}|(?<![A-Za-z\\}}_^])([CAP])) ?(?:{_BELOW}{_ABOVE}|{_ABOVE}{_BELOW})(?!\d)"
    r"|(?:\{\})?(?<![A-Za-z\d)}])(?:\{\})?[_^](?:\{(\d{1,3})\}|(\d)) ?([CP]) ?"
    rf"{_BELOW}(?!\d)"
)


def spell_combinations(text: str) -> str:
    r"""`C_5^2` and `{}_5C_2` as `\binom{5}{2}`; arrangements `A_5^2`, `P_5^2` as what they count."""
    if "_" not in text or not re.search("[CAP]", text):
        return text
    return _CHOOSE.sub(_combination, text)


def _combination(found: re.Match[str]) -> str:
    kind = next(filter(None, (found[1], found[2], found[13])))
    below, above, raised, lowered, before, after = (found[at] or found[at + 1] for at in (3, 5, 7, 9, 11, 14))
    n, k = int(below or lowered or before), int(above or raised or after)
    if k > n or (kind != "C" and n < 3):
        return found.group()
    return f"\\binom{{{n}}}{{{k}}}" if kind == "C" else str(math.perm(n, k))
