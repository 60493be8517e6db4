r"""Units inside a text, marked as `\unit{…}`: where a word is the unit of a quantity, and where it is a name.

A unit needs a quantity before it. A roman letter inside a formula, in a script or on the left of `=` is a name.
"""

import re

from graders.units import NEVER_ALONE, canonical_unit
from graders.words import word_set

_GROUP = r"\\(?:text(?:rm|bf|it|normal)?|mbox|mathrm|hbox|operatorname|rm)\s*+\{([^{}]{1,60})\}"
_POWER = r"\s*+\^\s*+(?:\{\s*+-?\s*+\d\s*+\}|\d)"
_JOIN = r"\s*+(?:/\s*\(?|\*|\\cdot(?![A-Za-z])|\\times(?![A-Za-z])|-)?\s*+(?:\\[,;: ]|~)?\s*+"
_PART = rf"(?:\\mu(?![A-Za-z])\s*+)?(?:{_GROUP}|\\Omega(?![A-Za-z]))(?:{_POWER})?(?:\s*\))?"
_CHAIN = re.compile(rf"{_PART}(?:{_JOIN}{_PART}){{0,6}}")
_FIRST = re.compile(_PART)
_NAMED = re.compile(r"\{[\s~]*+(?:[A-Za-zμΩ\u4e00-\u9fff]|\\mu)|\\Omega")
_GROUPS = re.compile(_GROUP)
# Where a group may begin, and what opens or closes a macro's argument, inside which a roman letter is a name.
_SCAN = re.compile(r"\\(?:text|mbox|mathrm|hbox|operatorname|rm|mu|Omega)[^\\{}]{0,8}(?=\{|\\|\s|$)|\\[\s\S]|[{}]")
_SCRIPT_OR_EMPTY = re.compile(r"(?:^|[_^{(\[=<>,;:*/+-]|\\(?!pi|theta|alpha|beta|infty|%|\$)[A-Za-z]+)\s*+$")
_SPACE_BEFORE = re.compile(r"(?:\s|~|\\[,;: ])++$")
_TEMPERATURE = re.compile(
    r"\^\s*+(?:\{\s*+\\circ\s*+\}|\\circ)(?:\s|~|\\[,;: ])*+(?:\\(?:text|mathrm|mbox|textrm)\s*+\{[\s~]*([CF])\.?\s*\})"
)
_UNIT_FRACTION = re.compile(
    rf"\\[dt]?frac\s*+\{{\s*+({_GROUP}(?:{_POWER})?)\s*+\}}\s*+\{{\s*+({_GROUP}(?:{_POWER})?)\s*+\}}".replace(
        "([^{}]{1,60})", "[^{}]{1,60}"
    )
)
_PER = re.compile(
    r"\\unit\{(\w+)\}\s*+(?:\\(?:text|mathrm)\s*+\{\s*+(?:per|/)\s([a-z ]{1,20})\}|(?:per|/)\s([a-z]{1,20})$)"
)
# A number, a root of numbers or a multiple of pi: what a lone letter may be the unit of.
_NUMBER = re.compile(r"(?:^|[,;:(\[=<>&]|\\approx|and |or |\\leq |\\geq |\\times )\s*+[-+]?([^,;:(\[=<>&A-Za-z+-]*+)$")
_AFTER_LETTER = re.compile(
    r"\s*+(?:$|\d|[,;:)\]&<>|]|and\b|or\b|\\(?:text|mathrm|times|cup|leq?|geq?|approx|quad|\\|[,; ]))"
)


def mark_text_units(text: str) -> str:
    r"""The text with units that are set as text marked: `9\mathrm{~m}/\mathrm{s}` is `9\unit{m*s^-1}`."""
    if "\\" not in text:
        return text
    text = _UNIT_FRACTION.sub(_unit_fraction, text)
    text = _TEMPERATURE.sub(lambda found: f"\\unit{{{'celsius' if 'C' in found.groups() else 'fahrenheit'}}}", text)
    pieces, depth, pos, kept = [], 0, 0, 0
    while (found := _SCAN.search(text, pos)) is not None:
        mark, pos = found.group(), found.end()
        if mark in "{}":
            depth += 1 if mark == "{" else -1
            continue
        chain = _CHAIN.match(text, found.start()) if len(mark) > 2 else None
        if chain is None:
            continue
        end, unit = _unit_of(text, found.start(), chain, depth)
        if unit:
            pieces += [_SPACE_BEFORE.sub("", text[kept : found.start()]), f"\\unit{{{unit}}}"]
            kept = end
        pos = max(end, pos)
    return "".join([*pieces, text[kept:]]) if kept else text


def _unit_fraction(found: re.Match[str]) -> str:
    """A fraction of units as a quotient; a fraction of names stays."""
    before = found.string[max(0, found.start() - 20) : found.start()]
    quantity = _SPACE_BEFORE.sub("", before)[-1:]
    units = quantity.isdigit() and all(canonical_unit(_plain(found[at])) for at in (1, 2))
    return f"{found[1]}/{found[2]}" if units else found.group()


def _unit_of(text: str, start: int, chain: re.Match[str], depth: int) -> tuple[int, str]:
    """The end of the longest part of a chain of groups that is a unit, and the unit; the end of the chain and "" if none."""
    if not _NAMED.search(chain.group()):
        return chain.end(), ""
    first = _FIRST.match(text, start)
    if first and not canonical_unit(_plain(first.group())) and "\\Omega" not in chain.group():
        return first.end(), ""  # what follows cannot make a unit of it
    before = text[max(0, start - 80) : start]
    for found in (chain, first):
        plain = _plain(found.group()) if found else ""
        unit = canonical_unit(plain) if plain.count("(") == plain.count(")") else None
        if unit and found and _is_quantity_with_unit(text, before, start, found, depth):
            return found.end(), unit
    return (first or chain).end(), ""


def _plain(chain: str) -> str:
    """A chain of groups as a unit in plain letters: `m s^{-2}`."""
    chain = re.sub(r"\\(?:cdot|times)(?![A-Za-z])", "*", chain)
    chain = _GROUPS.sub(lambda found: f" {found[1]} ", chain)
    chain = re.sub(r"\\mu\s*", "μ", chain.replace("\\Omega", "Ω")).replace("μ ", "μ")
    chain = re.sub(r"\s+|\\[,;: ]", " ", chain.replace("~", " ")).replace(" ^", "^").replace("- ", "-")
    return re.sub(r"(?<![A-Za-z])([kMGm]) (?=Ω)", r"\1", chain)


def _is_quantity_with_unit(text: str, before: str, start: int, found: re.Match[str], depth: int) -> bool:
    quantity = _SPACE_BEFORE.sub("", before)
    if depth > 0 or not quantity or _SCRIPT_OR_EMPTY.search(quantity):
        return False
    after = text[found.end() : found.end() + 20].lstrip()
    if after.startswith(("^", "_")):
        return False
    word = _plain(found.group()).strip().strip(".")
    symbol = re.split(r"[\^ ]", word, maxsplit=1)[0]
    spaced = bool(re.match(r"\\\w+\s*\{\s*[~ ]", found.group())) or before.endswith(("~", "\\,", "\\ ", "\\;"))
    if len(word) > 2 and len(symbol) > 1 and symbol not in NEVER_ALONE:
        return not after.startswith("=") or spaced
    number = _NUMBER.search(_without_commands(before))
    alone = number is not None and any(map(str.isdigit, number[1]))
    if not spaced and (symbol in NEVER_ALONE or ("^" in word and symbol != "m")):
        return False
    return alone and bool(_AFTER_LETTER.match(after))


def _without_commands(before: str) -> str:
    r"""A left context without the commands that numbers are made of, and without brackets that are closed."""
    before = re.sub(r"\\(?:d?frac|sqrt|pi|cdot|times|left|right|,|;|!|:| )(?![A-Za-z])", "", before)
    return re.sub(r"\([-+\d.*/^{}\s]*\)|\[\d+\]|\{[-+\d.*/\s]*\}", "1", before)


_DEGREES = re.compile(
    r"\^\s*+(?:\{\s*+\\circ\s*+\}|\\circ(?![A-Za-z]))\s*+"
    r"|(?<=[\d)}])\s*+\^\s*+(?:\{\s*+(?:\\(?:mathrm|text)\s*+\{)?\s*+o\s*+\}?\s*+\}|o(?![A-Za-z]))"
)
_MINUTES = re.compile(
    r"(?<=\\unit\{degree\})(\d{1,2}(?:\.\d+)?)\s*+(?:'(?!')|\^\s*+\{?\s*+(?:\\prime|')\s*+(?!\s*\\prime)\}?)"
)
_SECONDS = re.compile(r"(?<=\\unit\{arcminute\})(\d{1,2}(?:\.\d+)?)\s*+(?:''|\^\s*+\{?\s*+(?:\\prime\s*+){2}\}?)")


def mark_degrees(text: str) -> str:
    """Degrees with their minutes and seconds as quantities with units."""
    if "^" not in text:
        return text
    text = _DEGREES.sub(r"\\unit{degree}", text)
    return _SECONDS.sub(r"\1\\unit{arcsecond}", _MINUTES.sub(r"\1\\unit{arcminute}", text))


# A scale word after a number is a power of ten.
_SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12, "万": 4, "亿": 8}
_SCALE = re.compile(
    r"(?<=\d)(?:\s|~|\\[,;: ])*+(?:(\\(?:text|mathrm|mbox)\s*+\{)\s*+)?(hundred|thousand|[mb]illion|trillion|万|亿)s?(?![A-Za-z])",
    re.IGNORECASE,
)


def spell_scales(text: str) -> str:
    r"""`5\text{ million}` as `5*10^{6}`; any other text is kept: `5\text{ million dollars}`."""
    if not re.search("hundred|thousand|illion|万|亿", text, re.IGNORECASE):
        return text
    text = _SCALE.sub(lambda found: f"*10^{{{_SCALES[found[2].lower()]}}}{found[1] or ''}", text)
    return re.sub(r"\\(?:text|mathrm|mbox)\s*+\{\s*+\}", "", text)


_CURRENCY = re.compile(
    r"(?<![\d.])(\\\$|\\euro|\\pounds|\\rupee|¥)\s*+(-?\d(?:(?:[.,]|\{,\}|,?\\[!,]|[ ~](?=\d{3}))?\d)*+(?:\*10\^\{\d{1,2}\})?)"
)
_CURRENCY_AFTER = re.compile(r"(?<=\d)\s*+(\\euro|\\pounds|\\rupee|¥)(?![A-Za-z])\s*+")
_CURRENCY_NAME = {r"\rupee": "rupee", r"\$": "dollar", r"\euro": "euro", r"\pounds": "pound-sterling", "¥": "yen"}


def mark_currency(text: str) -> str:
    r"""`\$5` as `5\unit{dollar}`; a dollar sign without a number is removed."""
    if "\\" not in text and "¥" not in text:
        return text
    marked = _CURRENCY.sub(lambda found: f"{found[2]}\\unit{{{_CURRENCY_NAME[found[1]]}}}", text)
    marked = _CURRENCY_AFTER.sub(lambda found: f"\\unit{{{_CURRENCY_NAME[found[1]]}}}", marked)
    marked = re.sub(r"(?:\\unit\{dollar\}\s*)+", r"\\unit{dollar}", marked).replace("\\$", "")
    return _PER.sub(_rate, marked)


def _rate(found: re.Match[str]) -> str:
    """`\\unit{dollar} per hour` as one unit."""
    unit = canonical_unit(f"{found[1]} per {found[2] or found[3]}")
    return f"\\unit{{{unit}}}" if unit else found.group()


_WORDS = r"[A-Za-zμΩ℃.]++(?:-years?)?"
_PLAIN_UNIT = re.compile(
    rf"(?:(?<=[0-9}})\]])|(?<=\\pi)|(?<=\\pi ))(\s*+)((?:{_WORDS}|[\u4e00-\u9fff]{{1,4}})(?:\^(?:\{{-?\d\}}|-?\d))?"
    rf"(?:(?: per | ?[/*-] ?| )\(?(?:{_WORDS}|[\u4e00-\u9fff]{{1,3}})\)?(?:\^(?:\{{-?\d\}}|-?\d))?){{0,4}})"
    r"(?=\s*+(?:$|[,;)\]]|\band\b|\bor\b|\\times|\d))"
)


def mark_plain_units(text: str) -> str:
    r"""`10 weeks` and `9.8 m/s^2` with the unit marked. One letter alone stays a name: `5m` may be a formula."""

    def marked(found: re.Match[str]) -> str:
        words = found[2]
        is_word = len(re.sub(r"\^.*", "", words)) > 1 or not words.isascii()
        short = len(words) == 2 and words.islower() and words not in (_SPACED if found[1] else _ATTACHED)
        unit = canonical_unit(words) if is_word and not short and words not in NEVER_ALONE else None
        return f"\\unit{{{unit}}}" if unit else found.group()

    return _PLAIN_UNIT.sub(marked, text)


# Two small letters after a number are a product of names unless they are one of these.
_ATTACHED = word_set("cm mm km kg mg ml ft in hr lb oz yd mi")
_SPACED = _ATTACHED | word_set("nm ms dm cl dl")
_LETTER_UNIT = re.compile(r"(-?[^A-Za-z\\]*(?:\\(?:sqrt|frac|pi) ?[^A-Za-z\\]*)*?) ?([a-zA-Z](?:\^[23])?)")
# Letters that stand for a unit after a bare number too, where the number is too large for a coefficient.
_COMMON_LETTERS = "mgshLNJWVK"
MIN_QUANTITY = 10
MAX_LETTER_UNIT_CHARS = 80


def letter_unit(text: str) -> tuple[str, str, bool] | None:
    """(number, unit, whether it is most likely a unit) of `40m`; None for anything else."""
    if len(text) > MAX_LETTER_UNIT_CHARS:
        return None
    found = _LETTER_UNIT.fullmatch(text)
    unit = canonical_unit(found[2]) if found else None
    if found is None or unit is None or found[2] in NEVER_ALONE or not any(map(str.isdigit, found[1])):
        return None
    number = found[1].lstrip("-")
    large = number.isdigit() and (len(number) > 9 or int(number) >= MIN_QUANTITY)
    return found[1], unit, found[2] in _COMMON_LETTERS and (large or "." in number or "\\sqrt" in number)
