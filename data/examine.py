"""What one batch of rows shows: figures of each row, and the numbers of those that an audit will want to see again."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import sft_utils
from data import decontaminate, dedup
from data.adapters import MARKED
from data.placeholders import is_never_an_answer, word_of
from data.rows import Drop, Row
from data.sources import Batch, Source, read
from data.text import normalised
from eval import prompts
from eval.records import Problem, UserError, first_line
from graders import extract_boxed
from graders.boxed import box_starts, unclosed_content

# The form of an answer: the first pattern that it matches as a whole; what matches none is an expression.
ANSWER_TYPES = {
    "none stated": r"",
    "choice": r"(?:\\text(?:bf)?\{)?\(?[A-F]\)?\}?",
    "integer": r"-?\d{1,3}(?:(?:,|\{,\}|,\\!)\d{3})+|-?\d+",
    "decimal": r"-?\d*\.\d+",
    "fraction": r"-?(?:\\[dt]?frac ?(?:\{-?\d+\}|\d)(?:\{\d+\}|\d)|\d+/\d+)",
    "percent or money": r"\\?\$ ?[\d.,]+|[\d.,]+ ?\\?%",
    "with a unit": r"[\d.,/]+ ?(?:\\[,; ])?(?:\\(?:text|mathrm|mbox)\{[^{}]*\}|\^?\{?\\circ\}?|[a-zA-Z ]{2,})",
    "words": r"\\text\{[^{}]*\}|[A-Za-z][A-Za-z' -]+",
    "matrix": r".*\\begin\{.?(?:matrix|array)\}.*",
    "equation or inequality": r".*(?:=|<|>|\\(?:l|g|n)eq?(?![a-z])).*",
    "tuple, set or interval": r".*(?:[^{],[^\\!]|\\cup).*",
}
FORMS = {name: re.compile(pattern, re.DOTALL) for name, pattern in ANSWER_TYPES.items()}
LONGEST_FORM = 300  # a longer answer is an expression unread


@dataclass(frozen=True)
class Instruments:
    """What looking takes besides rows; the costly ones are made on first use, in whatever process asks first."""

    tokenizer_name: str | None = None
    problems: tuple[Problem, ...] = ()

    @cached_property
    def tokenizer(self) -> Any:
        """None where no name was given; UserError where it can't be had."""
        if self.tokenizer_name is None:
            return None
        try:
            return sft_utils.get_tokenizer(self.tokenizer_name)
        except Exception as error:  # the hub's client raises a dozen unrelated types for "not to be had"
            raise UserError(
                f"--tokenizer {self.tokenizer_name}: no tokenizer could be had ({first_line(error)}); name a model's folder or a hub id."
            ) from None

    @cached_property
    def index(self) -> decontaminate.Index:
        return decontaminate.build(self.problems)


@dataclass
class Seen:
    """What was seen of some rows, which are numbered from 0 here; `add` puts another batch's behind them.

    `tokens` holds -1 where none were counted. `same` counts boxes that are the stated answer letter for letter, `other`
    holds (row, last box, stated answer) of the rest that have both. `placeholders` counts words that stand where an
    answer belongs, `marked` rows that their data set calls wrong, which are no rows here.
    """

    rows: int = 0
    read_bytes: int = 0
    tokens: list[int] = field(default_factory=list)
    sources: Counter[str] = field(default_factory=Counter)
    source_tokens: Counter[str] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    boxes: Counter[str] = field(default_factory=Counter)
    no_box: list[int] = field(default_factory=list)
    same: int = 0
    other: list[tuple[int, str, str]] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)
    signatures: list[dedup.Signatures] = field(default_factory=list)
    leaks: dict[int, list[decontaminate.Leak]] = field(default_factory=dict)
    placeholders: Counter[str] = field(default_factory=Counter)
    placeholder_boxes: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    marked: Counter[str] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    unreadable_examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, part: Seen) -> None:
        """Puts another batch behind this one; its row numbers move up."""
        self.no_box += [self.rows + number for number in part.no_box]
        self.placeholder_boxes += [self.rows + number for number in part.placeholder_boxes]
        self.other += [(self.rows + number, box, answer) for number, box, answer in part.other]
        self.leaks |= {self.rows + number: leaks for number, leaks in part.leaks.items()}
        for name in ("rows", "read_bytes", "tokens", "same", "keys", "signatures", "unreadable_examples"):
            setattr(self, name, getattr(self, name) + getattr(part, name))
        for name in ("sources", "source_tokens", "types", "boxes", "placeholders", "left_out", "marked", "unreadable"):
            getattr(self, name).update(getattr(part, name))


def examine(batch: Batch, source: Source, instruments: Instruments) -> Seen:
    """What the rows of a batch show."""
    seen = Seen(read_bytes=batch.size)
    rows: list[Row] = []
    for item in read(batch, source, derive=False):
        if isinstance(item, Drop) and item.reason.startswith(MARKED):
            seen.marked[item.reason.removeprefix(MARKED)] += 1
        elif isinstance(item, Drop):
            seen.unreadable[item.reason] += 1
            seen.unreadable_examples += [{"reason": item.reason} | item.detail] if not seen.unreadable_examples else []
        else:
            rows.append(item)
    seen.rows, seen.tokens = len(rows), token_counts(rows, instruments.tokenizer)
    problems = [row["problem"] for row in rows]
    seen.signatures.append(dedup.signatures(problems))
    for number, row in enumerate(rows):
        _look_at(seen, number, row, source, instruments)
    return seen


def _look_at(seen: Seen, number: int, row: Row, source: Source, instruments: Instruments) -> None:
    plain = normalised(row["problem"])
    # Problems without any word are no duplicates of each other.
    seen.keys.append(hashlib.blake2b((plain or row["problem"]).encode("utf-8", "replace"), digest_size=12).digest())
    name = row["source"].removeprefix(f"{source.name}/")
    seen.sources[name] += 1
    seen.source_tokens[name] += max(seen.tokens[number], 0)
    answer, box = row["answer"].strip(), extract_boxed(row["solution"])
    seen.types[answer_type(answer)] += 1
    seen.boxes[box_kind(row["solution"], box)] += 1
    if "left_out" in row:
        seen.left_out[row["left_out"]] += 1
    if "placeholder" in row:
        seen.placeholders[word_of(row["placeholder"]) or row["placeholder"]] += 1
    if box is None:
        seen.no_box.append(number)
    elif is_never_an_answer(box):
        seen.placeholder_boxes.append(number)
    elif answer and box == answer:
        seen.same += 1
    elif answer:
        seen.other.append((number, box, answer))
    if instruments.problems and (leaks := instruments.index.find_all(row["problem"])):
        seen.leaks[number] = leaks


def box_kind(solution: str, box: str | None) -> str:
    """How many boxes a solution has by the grader's rule, or why the grader reads none (`box`)."""
    count = len(box_starts(solution))
    if box is None and count:
        return "empty" if unclosed_content(solution) is None else "never closed"
    return {0: "none", 1: "one"}.get(count, "several")


def answer_type(answer: str) -> str:
    """The form of an answer, of ANSWER_TYPES or "expression"."""
    if len(answer) > LONGEST_FORM:
        return "expression"
    return next((name for name, form in FORMS.items() if form.fullmatch(answer)), "expression")


def token_counts(rows: Sequence[Row], tokenizer: Any) -> list[int]:
    """Tokens of each row as training sees it: rendered by `sft_utils`, BOS and EOS included; -1 without a tokenizer."""
    if tokenizer is None:
        return [-1] * len(rows)
    examples = [prompts.example_of(row["problem"], row["solution"]) for row in rows]
    texts = [prompts.render_text(example, tokenizer, "sft") for example in examples]
    return [len(ids) for ids in tokenizer(texts, return_attention_mask=False).input_ids] if texts else []
