r"""The answer in what a benchmark states as one: a whole solution, a list in quotes, or nothing.

What the grader reads as it stands is left alone, `\boxed{5}` and `$5$` too. Read out of a longer
text is the last box, else the last of these: what follows `####`, what the text announces ("The
answer is 5."), and what `<answer>` encloses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from eval.benchmark_choices import NOTHING, QUOTED, QUOTED_LIST
from eval.benchmark_rows import Stated
from eval.records import Reading
from graders import gold_from_solution
from graders.boxed import SOLUTION_BOX, brace_depth, solution_boxes
from graders.ladder import is_usable_gold

# Where so many of a benchmark's answers are sentences, it states solutions. Of College Math's 8 %
# are sentences, which answer a question in words; of 17 other sets hardly any.
WORKED_SHARE = 0.1
SENTENCE = "a sentence"  # how an answer is read that is one, and stays as it is
# Of a text in which marks and words are looked for: the time of some patterns is quadratic.
LONGEST_CHARS = 10_000
MARK = re.compile(r"(?<!#)####(?!#)")
ANNOUNCED = re.compile(
    r"\bans(?:wers?)?(?:\s+(?:to|of|for)\s[^.\n:=]{1,80}?)?(?:\*\*)?\s*"
    r"(?:\b(?:is|are|equals|would be|will be)\b\s*:?|[:=])",
    re.IGNORECASE,
)
# What the grader reads past itself, at the beginning of an answer.
LEAD = re.compile(
    r"(?:(?:so|thus|hence|therefore|then),?\s)?(?:the\s)?(?:(?:final|correct)\s)?"
    r"(?:answer|solution|value|root|result)s?(?:\s(?:is|are)\b|\s*:)\s*:?",
    re.IGNORECASE,
)
# What stands before an announced answer, and what takes it back.
THEREFORE = re.compile(r"(?:(?:so|thus|hence|therefore|then)\b,?\s*)+", re.IGNORECASE)
DENIED = re.compile(r"(?:not|never|neither|no longer|nothing but|isn't)\b", re.IGNORECASE)
CONTRAST = re.compile(r"(?:,\s*(?:and\s|but\s)?|(?<=[\d$)}])\s+(?:and\s|but\s)?)(?:not|rather than|instead of)\s")
# What Excel writes where the comma is the decimal sign: 3,5 and 1.234,5. 1,234 may be 1234.
DECIMAL_COMMA = re.compile(r"([+\u2212-]?(?:\d+|\d{1,3}(?:\.\d{3})+)),(\d+)(\s?\\?%)?")
ENGLISH_THOUSANDS = re.compile(r"[+\u2212-]?[1-9]\d{0,2}(?:,\d{3})+(?:\s?\\?%)?")
NUMBER_LIST = re.compile(r"[+\u2212-]?\d+(?:,\s?[+\u2212-]?\d+){2,}")
ENCLOSED = re.compile(r"<answer>(?P<answer>.*?)</answer>", re.DOTALL | re.IGNORECASE)
HOPE = re.compile(r"I hope (?:it|this) is correct\.?\s*$", re.IGNORECASE)
SENTENCE_END = re.compile(r"(?<=[^\s.])[.!](?=\s+[A-Z])")
THOUSANDS = re.compile(r"\$?-?\d{1,3}(?:,\d{3})+(?:\.\d+)?")

ENVIRONMENT = re.compile(r"\\(?:begin|end)\{[^}]*\}(?:\{[^}]*\})?|\\(?:text|mathrm|textbf|textit|mbox|operatorname)\b")
WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
VERBS = re.compile(
    r"\b(?:is|are|was|were|has|have|had|do|does|gets?|gives?|makes?|needs?|takes?|costs?|will|can|must|should|would"
    r"|equals|means|we|there|because|since|therefore|thus|hence|so|then)\b"
)
FEW_WORDS, MANY_WORDS = 3, 12
BLOCK = re.compile(r"\$\$.*?\$\$|\\\[.*?\\\]|\\begin\{(\w+\*?)\}.*?\\end\{\1\}", re.DOTALL)


def read_golds(rows: Sequence[Stated], ids: Sequence[str]) -> tuple[list[str], list[Reading]]:
    """The reference answers of a benchmark, and a Reading for each that is not what the row states.

    An answer that cannot be read is "", which the grader does not judge: it never counts as wrong.
    """
    chosen = [_choose(row) for row in rows]
    worked = [answer is not None and is_worked(answer) for answer, _, _ in chosen]
    solutions = sum(worked) >= WORKED_SHARE * len(rows)
    golds, readings = [], []
    for id_, (answer, how, stated), sentence in zip(ids, chosen, worked, strict=True):
        if sentence and solutions:
            answer, how = None, "it reads like a solution, and no box, #### or 'the answer is' marks its answer"
        elif sentence:
            how = how or SENTENCE
        if how:
            readings.append(Reading(id_, stated, answer, how))
        golds.append(_kept(answer, stated))
    return golds, readings


def read_decimal_commas(
    golds: Sequence[str], readings: Sequence[Reading], ids: Sequence[str]
) -> tuple[list[str], list[Reading]]:
    """The answers of a table with semicolons, "3,5" as "3.5" and "1.234,5" as "1234.5", and the readings.

    Where nothing but 1,234 has a comma, it may be 1234 or 1.234, and is not read; nor is 1,2 where
    others are lists as 1,2,3.
    """
    matches = [DECIMAL_COMMA.fullmatch(gold.strip()) for gold in golds]
    lists = any(NUMBER_LIST.fullmatch(gold.strip()) and not ENGLISH_THOUSANDS.fullmatch(gold.strip()) for gold in golds)
    certain = not lists and any(match and not ENGLISH_THOUSANDS.fullmatch(match[0]) for match in matches)
    read, said = list(golds), list(readings)
    for place, match in enumerate(matches):
        if not match:
            continue
        number = f"{match[1].replace('.', '')}.{match[2]}{match[3] or ''}"
        how = "a number with a decimal comma" if certain else "its comma may part decimals, thousands or a list"
        read[place] = number if certain else ""
        said.append(Reading(ids[place], golds[place], number if certain else None, how))
    return read, said


def read_gold(stated: str) -> tuple[str | None, str]:
    """(the answer, where it was found); (stated, "") as it stands, (None, why) for nothing to read."""
    text = stated.strip()
    if text in NOTHING:
        return None, "it stands for a missing value"
    if QUOTED_LIST.fullmatch(text):
        items = [re.sub(r"\\([\\'\"])", r"\1", item[1:-1]) for item in re.findall(QUOTED, text)]
        return read_gold(", ".join(items))[0], "the items of the list"
    if _boxed_in_text(text):
        return gold_from_solution(text), "the last box"
    for answer, how in _marked(text[-LONGEST_CHARS:]):
        if answer and not DENIED.match(answer) and not is_worked(answer) and brace_depth(answer) == 0:
            return answer, how
    if SOLUTION_BOX.search(text) and not is_usable_gold(text):
        return None, "its box never closes, or is empty"
    if MARK.search(text):
        return None, "nothing that can be read follows its ####"
    return stated, ""


def is_worked(text: str) -> bool:
    """Whether a text reads like a solution: several lines, or a long sentence or one with figures."""
    text = text.strip()[:LONGEST_CHARS]
    if announced := LEAD.match(text):
        text = text[announced.end() :].strip()
    if "\n" in (outside := BLOCK.sub(" ", text)).strip() and brace_depth(outside.split("\n")[0]) == 0:
        return True
    words = [word.lower() for word in WORD.findall(ENVIRONMENT.sub(" ", text))]
    says = len(words) >= FEW_WORDS and VERBS.search(" ".join(words)) is not None
    return says and (len(words) >= MANY_WORDS or any(sign.isdigit() or sign in "$\\" for sign in text))


def _choose(row: Stated) -> tuple[str | None, str, str]:
    """(answer, how, stated) by the first column out of which an answer can be read."""
    first, first_stated = None, row.answers[0][1]
    if row.position is not None:
        return first_stated, f"the position of a choice, counted from {row.base}", row.position
    for place, (column, stated) in enumerate(row.answers):
        answer, how = read_gold(stated)
        how = how or ("the items of the list" if row.joined and place == 0 else "")
        if place and answer is not None:
            how = f"{how} of its column {column!r}" if how else f"its column {column!r}"
        found = (answer, how, first_stated)
        first = first or found
        if answer is not None and answer.strip() and not is_worked(answer):
            return found
    return first or (None, "nothing is stated", first_stated)


def _kept(answer: str | None, stated: str) -> str:
    """The reference answer to grade by; what the grader does not judge anyhow stays as it is."""
    if answer is not None:
        return answer
    return "" if is_usable_gold(stated) else stated


def _boxed_in_text(text: str) -> bool:
    """Whether a box with content stands in prose; several boxes with few words are a list."""
    boxes = [box for box in solution_boxes(text) if not box.is_empty]
    if not boxes:
        return False
    pieces = re.split("\0", _without(text, [(box.start, box.end) for box in boxes]))
    prose = " ".join(pieces)[:LONGEST_CHARS]
    words = [word for word in WORD.findall(ENVIRONMENT.sub(" ", prose)) if word.lower() not in ("and", "or")]
    if len(boxes) == 1:
        return bool(words) or "\n" in prose.strip()
    return len(words) > FEW_WORDS or "\n" in prose.strip() or any(re.search(r"\.\s", piece) for piece in pieces)


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with a null character for each span; of nested ones the outer one counts."""
    found, place = [], 0
    for start, end in spans:
        if start >= place:
            found += [text[place:start], "\0"]
            place = end
    return "".join([*found, text[place:]])


def _marked(text: str) -> Iterator[tuple[str, str]]:
    """(answer, how) for every mark of an answer, the last one in the text first."""
    found = [(match.start(), text[match.end() :], "what it announces") for match in ANNOUNCED.finditer(text)]
    found += [(match.start(), match["answer"], "what <answer> encloses") for match in ENCLOSED.finditer(text)]
    for match in MARK.finditer(text):
        if "\n" not in (rest := text[match.end() :].strip()):  # else it is a heading
            found.append((match.start(), rest, "what follows ####"))
    for _, answer, how in sorted(found, reverse=True):
        yield _trimmed(answer), how


def _trimmed(answer: str) -> str:
    """An announced answer without what follows it: a line, a sentence, a full stop, emphasis."""
    answer = answer.replace("**", " ").strip().split("\n")[0]
    answer = SENTENCE_END.split(HOPE.sub("", answer).strip())[0].strip(" *_")
    answer = CONTRAST.split(THEREFORE.sub("", answer, count=1) if THEREFORE.match(answer) else answer)[0]
    if answer.endswith(".") and not answer.endswith(".."):
        answer = answer[:-1].strip()
    return without_thousands(answer)


def without_thousands(answer: str) -> str:
    """`1234` for `1,234` and `$1,234`; a list such as `3, 4` as it is."""
    return answer.replace(",", "").removeprefix("$") if THOUSANDS.fullmatch(answer) else answer
