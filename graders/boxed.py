"""Reading the answer out of a solution text. Every scan here is linear in the text's length."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_BOX = re.compile(r"\\boxed(?![A-Za-z])\s*\{")
# Inside a box an escaped character (`\{`, `\}`, `\\`) is one unit, so its brace is literal.
_BRACE = re.compile(r"\\[\s\S]|[{}]")
SOLUTION_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])\s*")
_BARE_ARGUMENT = re.compile(r"(?:(?!\\(?:boxed|fbox)(?![A-Za-z]))[^\s$])+")
_BLANK = re.compile(r"(?:\s|\\[,;:! ]|~|\$|\\q?quad(?![A-Za-z]))*")


@dataclass(frozen=True, slots=True)
class Box:
    """A complete box of a text: `text[start:end]` is the command with its argument.

    The content is cut out when it is asked for: nested boxes hold each other's text, so that
    copies of all contents would be quadratic in the length of the text.
    """

    text: str = field(repr=False, compare=False)
    start: int
    end: int
    inner_start: int
    inner_end: int

    @property
    def content(self) -> str:
        """What the box holds, outer spaces trimmed."""
        return self.text[self.inner_start : self.inner_end].strip()

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing, or only spaces of some kind: such a box is no answer."""
        return _BLANK.fullmatch(self.content) is not None


def extract_boxed(output: str) -> str | None:
    r"""Content of the last box of a model's output, outer spaces trimmed; None if it has no answer.

    The rule: take the last `\boxed` that has a brace argument (spaces before the brace are
    allowed), with braces balanced and `\{ \}` literal. If that last box never closes, there is no
    answer, even if an earlier box was complete: the model had not finished. An empty box is no
    answer. `\fbox`, an unbraced `\boxed 5` and the bare word "boxed" are not boxes. A later box
    overrides an earlier one; of nested boxes the inner one begins last, so it is the answer. Prose
    is never searched. Time is linear in the length of the output.
    """
    box = find_box(output)
    return None if box is None else box.content


def find_box(output: str) -> Box | None:
    """The box that `extract_boxed` reads, with its place in the output; None if it reads none."""
    opener = _last_opener(output)
    closing = None if opener is None else closing_brace(output, opener.end())
    if opener is None or closing is None:
        return None
    box = Box(output, opener.start(), closing + 1, opener.end(), closing)
    return None if box.is_empty else box


def unclosed_content(output: str) -> str | None:
    """What follows the brace of the last box if that box never closes; None in every other case."""
    opener = _last_opener(output)
    if opener is None or closing_brace(output, opener.end()) is not None:
        return None
    return output[opener.end() :]


def box_starts(text: str) -> list[int]:
    r"""Where each `\boxed` with a brace argument begins, whether or not it closes, in order."""
    return [opener.start() for opener in _BOX.finditer(text)]


def closed_boxes(text: str) -> list[Box]:
    r"""Every `\boxed{}` that closes, nested and empty ones too, in the order of their ends."""
    return _closed(text, {opener.end() - 1: opener.start() for opener in _BOX.finditer(text)})


def solution_boxes(solution: str) -> list[Box]:
    r"""Every box of a dataset's solution, nested and empty ones too, in the order of their starts.

    Besides `\boxed{5}` these are `\fbox{5}` and the unbraced `\boxed 5`. An unbraced argument ends
    at a space, a dollar sign, the next box, or the brace that closes a group around it.
    """
    braced: dict[int, int] = {}
    found: list[Box] = []
    for opener in SOLUTION_BOX.finditer(solution):
        if solution.startswith("{", opener.end()):
            braced[opener.end()] = opener.start()
        elif (box := _unbraced(opener)) is not None:
            found.append(box)
    return sorted([*found, *_closed(solution, braced)], key=lambda box: box.start)


def gold_from_solution(solution: str) -> str | None:
    r"""Reference answer of a dataset's solution text, outer spaces trimmed; None if it has none.

    Solutions of datasets also write `\fbox{5}` and `\boxed 5$`. Those are accepted here, and only
    here. The last box with content wins, even if a later one never closes.
    """
    boxes = reversed(solution_boxes(solution))
    return next((box.content for box in boxes if not box.is_empty), None)


def brace_depth(text: str) -> int:
    r"""Opening braces minus closing ones; `\{` and `\}` do not count."""
    marks = [token.group() for token in _BRACE.finditer(text)]
    return marks.count("{") - marks.count("}")


def _last_opener(text: str) -> re.Match[str] | None:
    return max(_BOX.finditer(text), key=re.Match.start, default=None)


def closing_brace(text: str, start: int, stop: int | None = None) -> int | None:
    """Place of the brace that closes the group in which `start` stands, if it is before `stop`."""
    depth = 1
    for token in _BRACE.finditer(text, start, len(text) if stop is None else stop):
        mark = token.group()
        depth += (mark == "{") - (mark == "}")
        if depth == 0:
            return token.start()
    return None


def _closed(text: str, openers: Mapping[int, int]) -> list[Box]:
    """The boxes that close, in the order of their ends. `openers`: a box's brace -> its start.

    One pass with a stack of open braces, so that boxes that never close cost no more than others.
    The brace of a box is never escaped, and counting from it or from the beginning of the text
    pairs it with the same closing brace, so this agrees with `find_box`.
    """
    found: list[Box] = []
    opened: list[int] = []
    for place, mark in _braces(text):
        if mark == "{":
            opened.append(place)
        elif opened and (brace := opened.pop()) in openers:
            found.append(Box(text, openers[brace], place + 1, brace + 1, place))
    return found


def _braces(text: str) -> Iterable[tuple[int, str]]:
    """Place and mark of each brace that is not escaped."""
    tokens = ((token.start(), token.group()) for token in _BRACE.finditer(text))
    return ((place, mark) for place, mark in tokens if len(mark) == 1)


def _unbraced(opener: re.Match[str]) -> Box | None:
    r"""The box of a `\boxed 5` without braces; None where nothing follows it."""
    text, start = opener.string, opener.end()
    run = _BARE_ARGUMENT.match(text, start)
    end = run.end() if run else start
    outer = closing_brace(text, start, end)
    content = text[start : end if outer is None else outer].rstrip(".,;")
    end = start + len(content)
    return Box(text, opener.start(), end, start, end) if content else None
