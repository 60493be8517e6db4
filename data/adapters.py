"""Adapters: a JSON line or Arrow record with the column names of a family of data sets, as a row.

Everything here raises ValueError with a reason that can be counted: one bad row is no error of the data set.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from data.rows import Row, content_hash
from graders import gold_from_solution

# 2,048 tokens of 128 bytes each, the longest that vocabularies hold, are 262 kB: no longer row could ever be kept.
MAX_ROW_BYTES = 1 << 20
TOO_LONG = f"row longer than {MAX_ROW_BYTES >> 20} MB"
# Characters of a solution's end in which its answer is looked for: it is stated at the end.
LONGEST_ENDING = 10_000


def _messages(raw: dict[str, Any]) -> Row:
    turns = raw["messages"]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise ValueError(f"messages is {_kind(turns)}, not a list of turns")
    if [turn.get("role") for turn in turns] != ["user", "assistant"]:
        raise ValueError("messages are not one user turn and one assistant turn")
    problem, solution = (_text(turn, "content") for turn in turns)
    return {"problem": problem, "solution": solution, "answer": _optional(raw, "answer", "ground_truth")}


def _numinamath(raw: dict[str, Any]) -> Row:
    answer = _optional(raw, "answer", "expected_answer", "ground_truth")
    return {"problem": _text(raw, "problem"), "solution": _text(raw, "solution"), "answer": answer} | {
        "source": _optional(raw, "source")
    }


def _gsm8k(raw: dict[str, Any]) -> Row:
    solution = _text(raw, "answer")
    _, mark, answer = solution.rpartition("####")
    if not mark:
        raise ValueError("answer has no ####")
    return {"problem": _text(raw, "question"), "solution": solution, "answer": answer.strip().replace(",", "")}


def _metamath(raw: dict[str, Any]) -> Row:
    solution = _text(raw, "response")
    _, mark, answer = solution.rpartition("The answer is:")
    row = {"problem": _text(raw, "query"), "solution": solution, "answer": answer.strip() if mark else ""}
    return row | {"source": _optional(raw, "type")}


def _openmath(raw: dict[str, Any]) -> Row:
    problem = _text(raw, "problem" if "problem" in raw else "question")
    row = {"problem": problem, "solution": _text(raw, "generated_solution")}
    return row | {
        "answer": _optional(raw, "expected_answer"),
        "source": _optional(raw, "problem_source", "dataset"),
    }


# name -> columns that it needs, and the adapter; "auto" takes the first whose columns are there.
FORMATS: dict[str, tuple[tuple[str, ...], Callable[[dict[str, Any]], Row]]] = {
    "numinamath": (("problem", "solution"), _numinamath),
    "openmathinstruct": (("generated_solution",), _openmath),
    "metamath": (("query", "response"), _metamath),
    "gsm8k": (("question", "answer"), _gsm8k),
    "messages": (("messages",), _messages),
}


def adapt(raw: Any, name: str, format_: str, columns: dict[str, str], derive: bool) -> Row:
    """The row of source `name`, read as `format_` ("auto": the first whose columns are there) after renaming `columns`.

    Where the row states no answer, `derive` takes it out of the solution; without it, the answer is "".
    """
    if not isinstance(raw, dict):
        raise ValueError(f"the line is {_kind(raw)}, not an object")
    renamed = raw | {new: raw[column] for new, column in columns.items() if column in raw}
    chosen = _format_of(renamed, format_)
    row = FORMATS[chosen][1](renamed)
    row["subject"] = _optional(renamed, "subject", *(("type",) if chosen == "numinamath" else ()))
    row |= {"level": _optional(renamed, "level"), "difficulty": _optional(renamed, "difficulty")}
    for key, value in row.items():
        _check_text(key, value)
    row["answer"] = row["answer"].strip() or (derive and gold_from_solution(row["solution"][-LONGEST_ENDING:])) or ""
    subset = row.get("source", "") or ("" if "source" not in columns else _optional(renamed, "source"))
    row["source"] = f"{name}/{subset}" if subset else name
    row["hash"] = content_hash(row["problem"], row["solution"])
    row["id"] = _optional(renamed, "id") or f"{name}-{row['hash'][:12]}"
    return row


def _format_of(raw: dict[str, Any], format_: str) -> str:
    names = FORMATS if format_ == "auto" else (format_,)
    for name in names:
        if all(raw.get(column) is not None for column in FORMATS[name][0]):
            return name
    raise ValueError(f"no columns {' or '.join('+'.join(FORMATS[name][0]) for name in names)}")


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise ValueError(f"no {key}" if value is None else f"{key} is {_kind(value)}, not text")
    return value


def _optional(raw: dict[str, Any], *keys: str) -> str:
    for key in keys:
        value = raw.get(key)
        if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value if isinstance(value, str) else f"{value:.12g}" if isinstance(value, float) else str(value)
    return ""


def _kind(value: Any) -> str:
    names = {str: "text", bool: "true or false", type(None): "null", list: "a list", dict: "an object"}
    return names.get(type(value), "a number")


def _check_text(key: str, value: str) -> None:
    if len(value) > MAX_ROW_BYTES:  # Parquet and Arrow rows come whole
        raise ValueError(TOO_LONG)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{key} holds half a character") from None
    if "\0" in value:
        raise ValueError(f"{key} holds a null character")


def parse(line: bytes | int) -> Any:
    """The value of a JSON line; an int stands for a line of so many bytes, too long to keep."""
    if isinstance(line, int):
        raise ValueError(TOO_LONG)
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None
