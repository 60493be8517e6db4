r"""Commas and spaces between digits: thousands in one number, or the separators of a list."""

import re

# Signs that only ever group the digits of one number, and a single space or thin space. A comma before a space
# separates a list, whatever kind of space it is.
_GROUPS = re.compile(r"(?<![\d.])([1-9]\d{0,2})((?:(?:\{,\}(?:\\!)?|,\\! ?|\\[!,:; ]|[ ~])\d{3})++)(?!\d| ?/)")
_MARK = re.compile(r"\\[\s\S]|[()\[\]{}]|,(\s|~|\\[,;: ]|\\quad|$)?|;")
_RUN = re.compile(r"(?<![\d.,])\d++(?:,\d++)++(?!,?\d)")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})++")
_LIST_OPENERS = frozenset(["(", "[", "\\{"])
_CLOSERS = frozenset([")", "]", "}", "\\}"])


def join_digit_groups(text: str) -> str:
    r"""The text without thousands separators: `1\,234`, `1{,}234` and `1,234` are 1234; `3,\ 100` is a list.

    Bare commas are thousands if every number of their bracket could be one, and if they cannot be a list: at the top, in
    the argument of a macro, or beside commas with a space, which are then the separators of the list.
    """
    text = _GROUPS.sub(lambda found: found[1] + re.sub(r"\D", "", found[2]), text)
    if "," not in text:
        return text
    scopes = _comma_scopes(text)
    return _RUN.sub(lambda found: _joined(found, scopes), text) if scopes else text


def _joined(found: re.Match[str], scopes: dict[int, bool]) -> str:
    run = found.group()
    joins = _THOUSANDS.fullmatch(run) and scopes.get(found.start() + run.index(","), False)
    return run.replace(",", "") if joins else run


def _comma_scopes(text: str) -> dict[int, bool]:
    """For each bare comma between digits whether the commas of its bracket are thousands."""
    found: dict[int, bool] = {}
    stack: list[tuple[bool, list[int], list[int]]] = [(False, [], [])]  # (a list's bracket?, bare commas, spaced ones)
    for mark in _MARK.finditer(text):
        sign = mark.group()
        if sign in _LIST_OPENERS or sign == "{":
            stack.append((_opens_list(text, mark.start(), sign), [], []))
        elif sign in _CLOSERS and len(stack) > 1:
            found |= _classify_commas(text, *stack.pop())
        elif sign.startswith(","):
            _, bare, spaced = stack[-1]
            (bare if mark[1] is None else spaced).append(mark.start())
        elif sign == ";":
            stack[-1][2].append(mark.start())
    for scope in stack:
        found |= _classify_commas(text, *scope)
    return found


def _opens_list(text: str, start: int, sign: str) -> bool:
    """Whether a bracket may hold a list: a brace does so only where it is no macro's argument."""
    return sign != "{" or not (text[:start][-1:].isalpha() or text[:start][-1:] in ("}", "^", "_", "]"))


def _classify_commas(text: str, is_list: bool, bare: list[int], spaced: list[int]) -> dict[int, bool]:
    """The bare commas of one bracket: they group thousands only if every one is in a valid position."""
    thousands = (not is_list or bool(spaced)) and all(
        text[at + 1 : at + 4].isdigit() and not text[at + 4 : at + 5].isdigit() and text[at - 1 : at].isdigit()
        for at in bare
    )
    return dict.fromkeys(bare, thousands)


_NUMBER_IN_BRACKETS = re.compile(r"(?:\\left)?\((-?[1-9]\d{0,2}(?:,\d{3})++(?:\.\d++)?)(?:\\right)?\)")


def number_in_brackets(text: str) -> str | None:
    """The number that `(75,000)` is where one number is wanted; None for any other text."""
    found = _NUMBER_IN_BRACKETS.fullmatch(text)
    return found[1].replace(",", "") if found else None
