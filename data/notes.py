r"""What stands around problems in files and books and is not part of them: labels, metadata, dates, cells and JSON.

>>> [text for text, note in parted("Übung 5: Simplify $2x$.") if note]
['Übung 5: ']
>>> unpacked('{"problem": "Simplify $2x$."}')
'\nproblem:\nSimplify $2x$.\n'
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

# A word of any script; combining marks are no letters, so what is excluded is named.
WORD = r"(?:[^\W\d_][^\s\d$\\=<>+*/^|:.,;()\[\]{}\"“”«»?!、。，：]{0,24}+)"
COUNT = r"\d{1,6}(?:[./-]\d{1,6}){0,2}"
OF = rf"(?: ?/ ?\d{{1,6}}| {WORD} \d{{1,6}})?"
# "Übung 5:", "Exercice n° 3 :", "第3题:", "№ 12.", "## 5", "Question 5 of 20", "Q1/10:", "5、".
LABEL = (
    rf"(?<![^\n])[ \t>#*_\"]*(?:(?:{WORD}[.]? ?){{0,3}}(?:[#№] ?|[n№]?[°º.] ?)?{COUNT}{OF} ?[^\W\d_\s]{{0,2}}[*_\"]{{0,2}} ?"
    r"(?:[:.)）、。．：](?!\d)[*_]{0,2}[ \t]*|\n|\Z)|[#№] ?\d{1,6}[ \t]+|[\u2e80-\u9fff\uac00-\ud7af]{1,4} ?\d{1,6}"
    r" ?[\u2e80-\u9fff\uac00-\ud7af]{0,2}[ \t]+)"
)
# "Level: 5", "ID: 4123", "Source: AoPS 2015, p. 12".
ENTRY = rf"{WORD}(?:[ _-]{WORD}){{0,2}} ?[:：=] ?[^\n$\\=<>+^()\[\]{{}}?!\"]{{1,40}}"
MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
DATE = (
    r"(?<!\S)(?:\d{4}[-./]\d\d?[-./]\d\d?|\d\d?[./]\d\d?[./]\d{4}"
    rf"|(?i:{MONTH} \d\d?,? \d{{4}}|\d\d? {MONTH} \d{{4}}))(?:[ T]\d\d?:\d\d(?::\d\d)?)?(?!\S*\d):?(?!\S)\s*"
)
# As a line, in brackets, and a line of hyphens or a number alone.
NOTE = re.compile(
    rf"{LABEL}|(?<![^\n])[ \t>*_-]*{ENTRY}(?:\n|\Z)|(?<!\S)[(\[{{]{ENTRY}[)\]}}](?!\S)\s*|{DATE}"
    r"|(?<!\S)\[[A-Z][^\[\]\n=+$\\]{1,60}\](?!\S)\s*|(?<!\S)\([A-Z](?=[^()\n]{0,60}\b(?:19|20)\d\d\b)[^()\n=+$\\]{1,60}\)(?!\S)\s*"
    r"|<!--[^\n]{0,200}?-->|(?<![^\n])[-:| \t]{3,60}(?:\n|\Z)"
)
ROW = re.compile(r"(?<![^\n])[ \t]*\|[^\n]{1,4000}\|[ \t]*(?=\n|\Z)")
CELL = re.compile(r"(?:(?<=\s)|^)\|(?=\s|\Z)")
CSV = re.compile(r"(?<![^\n])(?:\"[^\n]{0,4000}\"|[^\n\",]{1,60},\"[^\n]{0,4000}),?[^\n\",]{0,60}(?=\n|\Z)")
COMMA = re.compile(r"\",(?=[^\s])|(?<=[^\s\\]),\"(?=\S)")
# Objects tried, so that a hostile row ends.
MOST_OBJECTS = 8


def parted(text: str) -> Iterator[tuple[str, bool]]:
    """The text in parts, in order, with whether each is a note."""
    start = 0
    for match in NOTE.finditer(text):
        if match.end() > match.start():
            yield text[start : match.start()], False
            yield match[0], True
            start = match.end()
    yield text[start:], False


def unpacked(text: str) -> str:
    """The text with the cells of its tables and the strings of its JSON as lines of their own; itself without any."""
    if '{"' in text or "{\n" in text:
        text = _without_json(text)
    if "|" in text:
        text = ROW.sub(lambda row: CELL.sub("\n", row[0]), text)
    if '",' in text or ',"' in text:
        text = CSV.sub(lambda row: COMMA.sub("\n", row[0]).replace('""', '"'), text)
    return text


def _without_json(text: str) -> str:
    parts, start = [], 0
    for _ in range(MOST_OBJECTS):
        begin = re.compile(r'\{\s{0,9}"').search(text, start)
        if begin is None:
            break
        try:
            value, end = json.JSONDecoder(strict=False).raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            end, value = begin.end(), None
        if value is None:
            parts.append(text[start:end])
        else:
            parts += [text[start : begin.start()], "\n", *_lines(value)]
        start = end
    return "".join((*parts, text[start:]))


def _lines(value: object, depth: int = 4) -> Iterator[str]:
    """Each key before its value; a short one is in the same line."""
    if isinstance(value, str):
        yield f"{value}\n"
    elif isinstance(value, dict) and depth:
        for key, inner in value.items():
            if isinstance(inner, (int, float)):
                yield f"{key}: {inner}\n"
            else:
                yield f"{key}:\n"
                yield from _lines(inner, depth - 1)
    elif isinstance(value, list) and depth:
        for inner in value:
            yield from _lines(inner, depth - 1)
