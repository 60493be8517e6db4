"""A training example on its way through a recipe, and the lines in which it comes and goes."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple

# id, source, problem, solution, answer, subject, level, difficulty, and `hash` of problem and solution as they were read:
# all text, "" for what a data set does not say.
Row = dict[str, str]
OPTIONAL = ("subject", "level", "difficulty", "damage")


class Drop(NamedTuple):
    """Why a row goes: a reason that can be counted, and what the reader of dropped.jsonl wants to know beyond it."""

    reason: str
    detail: dict[str, Any] = {}  # noqa: RUF012 (a NamedTuple's defaults are shared, and nobody writes to it)


def content_hash(problem: str, solution: str) -> str:
    """32 hex digits of what a row says, as it was read: rewriting it later changes no sample that is drawn by it."""
    return hashlib.blake2b(f"{problem}\0{solution}".encode(), digest_size=16).hexdigest()


def draw(label: str, row: Row) -> int:
    """64 bits for a row under a label: which rows stand around it plays no part, so another source reshuffles nothing."""
    return int.from_bytes(hashlib.blake2b(f"{label}\0{row['hash']}".encode(), digest_size=8).digest(), "big")


def to_line(value: dict[str, Any]) -> bytes:
    """One JSON line. Raises UnicodeEncodeError for half a character, which JSON can escape and UTF-8 cannot hold."""
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def training_row(row: Row, optional: tuple[str, ...]) -> dict[str, Any]:
    """The line of train.jsonl: `messages`, and of the optional fields those that any row of the recipe has.

    The same keys with the same types in every line, because `datasets` infers types from the first ones.
    """
    turns = [{"role": "user", "content": row["problem"]}, {"role": "assistant", "content": row["solution"]}]
    stated = {key: row[key] for key in ("id", "source", "answer")}
    return stated | {key: row.get(key, "") for key in optional} | {"messages": turns}
