r"""Short problems that stand in a row as a whole, and whether what stands around them is a wrapper or another problem.

Runs of tokens say nothing about a problem of a few tokens: "Simplify $2x$" is in "Simplify $2x + 3$". So the row is cut
into pieces (lines, sentences, labels), and a problem counts where whole pieces are its tokens and the rest adds no
mathematics: no numbers, variables or formulas before or behind it, and behind it no further question or operation.
No wrapper is listed; a label that opens the problem's turn ("Question:", "<|user|>") sets apart what stands before it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from data.notes import parted, unpacked
from data.operations import applies, changes
from data.text import COMMAND, NUMBER_WORDS, is_number, tokenized

# Of these only longer problems are told from prose such as "Find the area".
ENOUGH_WORDS = 6
# Problems are filed under so many of their first tokens.
HEAD = 3
LABEL_TOKENS, LABEL_CHARS = 4, 80
# As givens; "one problem" and "one at a time" are prose.
COUNTS = NUMBER_WORDS - {"one", "zero"}
# Scripts without spaces between words.
EAST = "\u2e80-\u9fff\uac00-\ud7af"
BORDER = re.compile(rf"(?<=[^{EAST}])(?=[{EAST}])|(?<=[{EAST}])(?=[^{EAST}\W]|[$\\])")
# A formula is never cut. Pieces end at markup and bold type; at a line, a list's mark, a sentence, a colon; before a
# bracket, a capital or a common opener; and where the script changes.
CUT = re.compile(
    r"(?P<formula>\$\$.{1,600}?\$\$|\$(?![\s$])[^$\n]{0,600}?(?<![\s\\])\$(?!\d)"
    r"|\\\[.{1,600}?\\\]|\\\(.{1,600}?\\\))"
    r"|(?P<markup><\|[^|\n<>]{1,40}\|>|<</?[A-Z]{2,9}>>|\[/?[A-Z]{2,9}\]"
    r"|</?[A-Za-z][\w-]{0,30}(?:\s[\w:-]{1,30}=(?:\"[^\"<>]{0,60}\"|'[^'<>]{0,60}'|[^\s\"'<>=]{1,60})){0,9}\s?/?>"
    r"|<!\[CDATA\[|\]\]>"
    r"|\\(?:begin|end)\{(?:problem|question|exercise|example|task|quote|center|enumerate|itemize|document)\})"
    r"|(?P<bold>\*\*)"
    r"|(?P<edge>\n\s*|(?<![^\n])[ \t]*(?:[-*+•>]|\(?[a-zA-Z]{1,4}[.)]|\([^()\n]{1,30}\))\s+"
    r"|(?<=\d)[.)\]:]+\s+|[.?!:;][\"”’')\]},]*(?:\s+|\Z)|[。?!:;]\s*"
    r"|(?<!\s)\s++(?=[\[(/]|[\"“‘'(\[{*_]*[^\W\d_a-z]|(?:please|let['’]?s|think|show|explain)\b)"
    rf"|{BORDER.pattern})",
    re.DOTALL,
)


def _any_of(words: str) -> str:
    return rf"\b(?:{'|'.join(words.split())})\b"


# Labels of a turn. Those of few-shot examples are known by coming again, in any language.
QUESTION = re.compile(
    r"\W*(?:(?:the|my|new|current|math|maths|word) )?(?:questions?|problems?|q|exercise|example|task|instructions?|"
    r"input|prompt|query|user|human|student|request|test|aufgabe|frage|problème|exercice|pregunta|problema|ejercicio|"
    r"domanda|pergunta|задача|вопрос|问题|题目|用户|問題|문제)\W*(?:no\W*)?\d{0,4}(?:\.\d+)*\W*"
)
ANSWER = re.compile(
    r"\W*(?:(?:the|your|final|model|detailed|step by step) )*(?:answer|a|solution|response|assistant|output|"
    r"reasoning|explanation|gpt|bot|antwort|lösung|réponse|solución|respuesta|soluzione|resposta|решение|ответ|"
    r"答案|解答|回答|답)\W*\d{0,2}\W*"
)
# What is no mathematics although it looks like it: the box to be filled, a list's mark, [AIME 2024], "(5 points)".
HARMLESS = re.compile(
    r"\\?boxed\s*\{(?:[^{}]|\{[^{}]*\})*\}|\A[\s#*>(§-]*\d{1,4}(?:\.\d+)*\\?[.):\]*_]+(?=\s|\Z)|\A[\s>#*=+-]+"
    r"|e\.g\.|i\.e\.|\[[^\]\n=+$\\]{0,60}\]|\([^)\n=+$\\]{0,40}[A-Z]{2}[^)\n=+$\\]{0,40}\)|[-=]>|[=+]{3,}"
    r"|\b(?:[A-Z]{3,}|(?i:problem|question|exercise|example|task|homework|assignment|chapter|section|lesson|unit|"
    r"week|day|level|grade|part|page|exam|quiz|item|source))[ -]?#?\d+(?:\.\d+)*"
    r"|\b\d+ ?(?:points?|pts|marks?|st|nd|rd|th)\b|\b[A-Za-z]{2,}\d+\b"
)
COMMANDS = frozenset(("boxed", "fbox", "section", "subsection", "paragraph", "problem", "question", "answer"))
# Relations, names of points, and variables; "e", "o", "y" and others are words in some language.
GIVEN = re.compile(r"[=<>+^]|\$ ?[A-Z]{1,4}'? ?\$|(?<![\w'’.])[bcfghjkmnpqrtuvwxz](?![\w'’])")
ABOUT_THE_ANSWER = re.compile(
    _any_of(
        "answers? problems? questions? steps? boxed box reason(?:ing)? think explain explanation format response "
        "respond tags? working carefully instructions? assistant you your i me us"
    )
)
# With numbers, these say how to write an answer: decimals, an integer from 0 to 999.
FORMAT = re.compile(
    _any_of(
        "decimals? significant digits? integers? round(?:ed)? places? words? sentences? steps? points? minutes? "
        "tokens? lines? attempts? times"
    )
)
TASK = re.compile(
    _any_of(
        "find compute determine evaluate simplify calculate solve factor convert draw sketch graph plot integrate "
        "differentiate repeat replace substitute assume suppose given hence what use\\s(?:it|this|that|your)"
    )
)
ANOTHER_TASK = re.compile(r"\b(?:how (?:many|much|far|fast|long|old)|(?:dis)?prove)\b")
OPERATION = re.compile(
    _any_of(
        "sum product quotient difference remainder ratio roots? squared? cubed? times\\sthe multipl\\w+ add(?:ed|ing)? "
        "subtract\\w* divid\\w+ divisib\\w+ doubled?(?![\\s-]check) tripled? (?<!check\\sit\\s)twice "
        "thrice percent\\w* binary base modulo mod "
        "reciprocal inverse derivative integral largest smallest larger smaller greatest least maximum minimum "
        "primes? th(?:is|at)\\s(?:result|number|value)"
    )
)
# "As a positive integer" says how to answer, "the positive root" what to find.
SIGN = re.compile(_any_of("positive negative even odd"))
# How exactly, and in which form.
ROUNDING = re.compile(
    r"\b(?:round(?:ed)?|correct|accurate|answers?|result|it)\b[\w\s-]{0,40}\b(?:to|with|at) (?:at least )?(?:the nearest [a-z]+"
    r"|(?:\d+|[a-z]+) (?:d\.?p|s\.?f|(?:(?:decimal|significant|sig)\.? ?)?(?:place|digit|figure|decimal|fig)s?)\b)",
    re.IGNORECASE,
)
FORM = re.compile(r"\banswers?\b.{0,40}\b(?:as an? (?:\w+ )?(?:fraction|ratio)|(?:in|of) (?:the|this) form)\b")
# Words of one letter in Slavic languages stand before another word; in Western ones a letter is a variable.
SMALL_WORD = re.compile(r"(?<![^\s(])[ksuvwz](?= [^\W\d_]{3})")
WESTERN = re.compile(
    _any_of(
        "the an of is be let find with for and if that are in soit est le la les un une des sea sean es el los las que "
        "sei seien ist der die das ein eine sia è il di che seja é os um uma do da zij het een per en et und"
    )
)
# As the name of an entry, or in a sentence that only looks like a label.
QUANTITY = re.compile(
    _any_of(
        "radius radii length width height depth base side sides area perimeter circumference volume angle speed rate distance "
        "price cost weight mass diameter total mean median average sum count number\\sof value temperature population "
        "is are was were be has have had equals? plus minus gets? costs? there given assume let suppose"
    )
    + r"|\d ?(?:cm|mm|km|m|kg|g|ft|in|inches|feet|miles|dollars|cents|degrees|%|hours|apples)\b|[€£%°]|\$"
)
# "n° 5", "p. 12", "id=412".
NUMBER_SIGN = re.compile(r"\b[npqvcNPQVC][°º.]?(?=[ .]?\d)|(?<=\w\w)=(?=\w)")
INVITATION = re.compile(
    r"\W*(?:please |now |kindly )?[a-z]+ (?:this|these|it|the (?:following|next|task|expression|exercise)\w*)(?: \w+)?\W*"
)
RESULT = re.compile(_any_of("answers? results? solutions? following"))

Heads = dict[tuple[str, ...], list[tuple[list[str], int]]]


class Piece(NamedTuple):
    """A piece of a row, its tokens, and whether it is part of a note; markup has no tokens."""

    text: str
    tokens: list[str]
    note: bool = False


def add(heads: Heads, tokens: Sequence[str], number: int) -> None:
    """Files a problem under its first tokens, where it says enough to be that problem and not a common phrase."""
    exact = any(is_number(token) or len(token) == 1 for token in tokens)
    if len(tokens) >= (HEAD if exact else ENOUGH_WORDS):
        heads.setdefault(tuple(tokens[:HEAD]), []).append((list(tokens), number))


def find_wrapped(text: str, tokens: Sequence[str], heads: Heads) -> set[int]:
    """Numbers of the problems that are all of `text`, which `normalised` makes `tokens` of, but for a wrapper."""
    if (plain := unpacked(text)) != text:
        text, tokens = plain, tokenized(plain)
    if not text.isascii() and (spaced := BORDER.sub(" ", text)) != text:
        tokens = tokenized(spaced)
    if not _is_in(tokens, heads):
        return set()
    pieces = cut(text)
    labels = _repeated_labels(pieces)
    may_begin, may_end = _may_begin(pieces, labels), _may_end(pieces, labels)
    return {number for number, first, end in _standing(pieces, heads) if may_begin[first] and may_end[end]}


def _is_in(tokens: Sequence[str], heads: Heads) -> bool:
    begun = enumerate(zip(*(tokens[start:] for start in range(HEAD)), strict=False))
    return any(head in heads and any(_starting(tokens, start, heads)) for start, head in begun)


def cut(text: str) -> list[Piece]:
    """The pieces of a row, in order; their tokens one after another are the row's, but for markup."""
    found: list[Piece] = []
    for part, note in parted(text):
        harmless = note and _is_harmless(part)
        found += (piece._replace(note=harmless) for piece in _cut(part))
    return found


def _cut(text: str) -> Iterator[Piece]:
    start = 0
    for match in CUT.finditer(text):
        kind = match.lastgroup
        if kind == "formula":
            continue
        yield from _piece(text[start : match.end() if kind == "edge" else match.start()])
        if kind == "markup":
            yield Piece(match[0], [])
        start = match.end()
    yield from _piece(text[start:])


def _piece(text: str) -> Iterator[Piece]:
    if tokens := tokenized(text):
        yield Piece(text, tokens)


def _is_harmless(note: str) -> bool:
    """Whether a note says nothing about the problem beside it: neither a quantity nor something to do."""
    note = NUMBER_SIGN.sub(" ", note)
    plain = note.casefold()
    return not (GIVEN.search(note) or QUANTITY.search(plain) or _goes_on(plain))


def _standing(pieces: list[Piece], heads: Heads) -> Iterator[tuple[int, int, int]]:
    """(problem, its first piece, the piece behind its last) of every problem that is whole pieces."""
    tokens: list[str] = []
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for number, piece in enumerate(pieces):
        if piece.tokens:
            starts[len(tokens)] = number
            tokens += piece.tokens
            ends[len(tokens)] = number + 1
    for start, first in starts.items():
        for problem, length in _starting(tokens, start, heads):
            if (end := ends.get(start + length)) is not None:
                yield problem, first, end


def _starting(tokens: Sequence[str], start: int, heads: Heads) -> Iterator[tuple[int, int]]:
    """(problem, its length) of every problem whose tokens stand at `start`."""
    for wanted, number in heads.get(tuple(tokens[start : start + HEAD]), ()):
        if tokens[start : start + len(wanted)] == wanted:
            yield number, len(wanted)


def _may_begin(pieces: list[Piece], labels: set[str]) -> list[bool]:
    """For each piece, whether a wrapper stands before it: something that ends in a question's label, or adds nothing."""
    found, clean = [True], True
    for piece in pieces:
        clean = clean and (
            piece.note or not (piece.tokens and (_gives(piece.text) or _leads_to(piece.text.casefold())))
        )
        found.append(clean or _is_label(piece, QUESTION, labels))
    return found


def _may_end(pieces: list[Piece], labels: set[str]) -> list[bool]:
    """For each piece, whether it and what follows are a wrapper, up to the label of an answer or of another question."""
    found = [True]
    for piece in reversed(pieces):
        closes = _is_label(piece, QUESTION, labels) or _is_label(piece, ANSWER, labels)
        found.append(closes or (found[-1] and (piece.note or not _adds(piece.text))))
    return found[::-1]


def _adds(text: str) -> bool:
    return _gives(text) or _goes_on(text.casefold())


def _is_label(piece: Piece, form: re.Pattern[str], repeated: set[str]) -> bool:
    """Whether a piece is markup, a label of this form, or one that comes again."""
    if not piece.tokens or len(piece.text) > LABEL_CHARS:
        return not piece.tokens
    return form.fullmatch(piece.text.casefold()) is not None or _label(piece) in repeated


def _repeated_labels(pieces: list[Piece]) -> set[str]:
    """Short pieces that end in a colon and come again, but for numbers."""
    labels = (_label(piece) for piece in pieces if len(piece.tokens) <= LABEL_TOKENS and len(piece.text) <= LABEL_CHARS)
    return {label for label, count in Counter(labels).items() if count > 1 and label.endswith((":", ":"))}


def _label(piece: Piece) -> str:
    return re.sub(r"\d+", "0", piece.text.strip(" \n*#_>").casefold())


def _gives(text: str) -> bool:
    """Whether a piece says something mathematical; the format of an answer is none."""
    bare = _without_small_words(ROUNDING.sub(" ", HARMLESS.sub(" ", text)))
    plain = bare.casefold()
    if FORM.search(plain) and not TASK.search(plain):
        return False
    if GIVEN.search(bare) or any(name not in COMMANDS for name in _commands(bare)):
        return True
    if not any(token[0].isdigit() or token in COUNTS for token in tokenized(bare)):
        return False
    return not (ABOUT_THE_ANSWER.search(plain) and FORMAT.search(plain))


def _without_small_words(text: str) -> str:
    """Without the letters that are words: "Odpowiedź podaj w ramce"; not where the sentence is Western or has signs."""
    western = WESTERN.search(text.casefold()) or re.search(r"[=<>+^$\\\d]", text)
    return text if western else SMALL_WORD.sub(" ", text)


def _commands(text: str) -> Iterator[str]:
    return (match["name"] for match in COMMAND.finditer(text) if match["name"])


def _asks(plain: str) -> bool:
    """Whether a piece asks for something, other than how to answer; an invitation such as "Solve:" asks what follows."""
    task = "?" in plain or (TASK.search(plain) and not plain.rstrip().endswith((":", ":")))
    return ANOTHER_TASK.search(plain) is not None or (bool(task) and not ABOUT_THE_ANSWER.search(plain))


def _goes_on(plain: str) -> bool:
    """Whether a piece behind a problem goes on with its mathematics."""
    return bool(
        OPERATION.search(plain) or changes(plain) or (SIGN.search(plain) and not FORMAT.search(plain)) or _asks(plain)
    )


def _leads_to(plain: str) -> bool:
    """Whether a piece before a problem asks another one, or says what becomes of the answer ("the square of the answer to")."""
    operation = RESULT.search(plain) and (OPERATION.search(plain) or changes(plain))
    return bool(operation) or applies(plain) or (_asks(plain) and not INVITATION.fullmatch(plain))
