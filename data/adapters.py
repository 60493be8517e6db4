"""Adapters: a JSON line or Arrow record with the column names of a family of data sets, as a row.

Everything here raises ValueError with a reason that can be counted: one bad row is no error of the data set.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from data.conversations import exchange, is_turns, kind, turns_in
from data.marks import is_bare, marked_answer, plain_answer, stated_answer
from data.placeholders import LONGEST_ENDING, is_never_an_answer, is_placeholder
from data.rows import Row, content_hash
from graders import gold_from_solution

# 2,048 tokens of 128 bytes each, the longest that vocabularies hold, are 262 kB: no longer row could ever be kept.
MAX_ROW_BYTES = 1 << 20
TOO_LONG = f"row longer than {MAX_ROW_BYTES >> 20} MB"
# Where a data set states the answer of a row; `answer` beside a question can be the solution itself.
ANSWERS = ("answer", "expected_answer", "ground_truth", "final_answer", "reference_answer")
PROBLEMS = ("problem", "question", "query", "instruction", "prompt", "input")
SOLUTIONS = ("solution", "generated_solution", "response", "completion", "output")
CONVERSATIONS = ("conversations", "conversation")
# Where the work stands beside an answer, or before a response that is complete without it.
REASONING = (
    "rationale", "cot", "chain_of_thought", "reasoning", "reasoning_content", "reasoning_trace", "reasoning_steps",
    "thinking", "thought", "thoughts", "explanation",
)  # fmt: skip
# Columns in which NuminaMath-1.5 says whether a row is any good, and the values that say yes.
VALIDITY, VALID = ("problem_is_valid", "solution_is_valid"), ("", "yes", "true", "1")
MARKED = "marked by its data set: "
SHOWN_COLUMNS, SHOWN_NAME = 12, 40


def _messages(raw: dict[str, Any]) -> Row:
    problem, solution = exchange(raw["messages"], "messages")
    return {"problem": problem, "solution": solution, "answer": _optional(raw, *ANSWERS)}


def _sharegpt(raw: dict[str, Any]) -> Row:
    column = _first(raw, CONVERSATIONS)
    problem, solution = exchange(raw[column], column)
    return {"problem": problem, "solution": solution} | _stated(raw)


def _numinamath(raw: dict[str, Any]) -> Row:
    return {"problem": _text(raw, "problem"), "solution": _text(raw, "solution")} | _stated(raw)


def _gsm8k(raw: dict[str, Any]) -> Row:
    solution = _text(raw, "answer")
    marked = marked_answer(solution)
    if marked is None:
        raise ValueError("answer has no #### in its last line")
    return {"problem": _text(raw, "question"), "solution": solution, "answer": marked[1]}


def _metamath(raw: dict[str, Any]) -> Row:
    solution = _text(raw, "response")
    answer = stated_answer(solution) or _optional(raw, *ANSWERS)
    row = {"problem": _text(raw, "query"), "solution": solution, "answer": answer}
    return row | {"source": _optional(raw, "type", "source")}


def _openmath(raw: dict[str, Any]) -> Row:
    problem = _text(raw, "problem" if "problem" in raw else "question")
    row = {"problem": problem, "solution": _text(raw, "generated_solution")}
    return row | {
        "answer": _optional(raw, "expected_answer", *ANSWERS),
        "source": _optional(raw, "problem_source", "dataset"),
    }


def _pair(raw: dict[str, Any]) -> Row:
    """Any of PROBLEMS with any of SOLUTIONS; Alpaca's `input` belongs to its instruction."""
    asked, told = _first(raw, PROBLEMS), _first(raw, SOLUTIONS)
    if raw.get("history"):
        raise ValueError(f"{asked} has a history: more than one question")
    if is_turns(raw[asked]) or is_turns(raw[told]):  # as TRL has them
        turns = [*_as_turns(raw[asked], "user"), *_as_turns(raw[told], "assistant")]
        problem, solution = exchange(turns, f"{asked} and {told}")
    else:
        problem, solution = _text(raw, asked), _text(raw, told)
    more = _optional(raw, "input") if asked == "instruction" else ""
    return {"problem": "\n".join(filter(str.strip, (problem, more))), "solution": solution} | _stated(raw)


def _as_turns(value: Any, role: str) -> Any:
    return value if is_turns(value) else [{"role": role, "content": value}]


def _question_answer(raw: dict[str, Any]) -> Row:
    """A question whose `answer` is all that is said, worked out or not."""
    answer, problem = raw["answer"], _text(raw, _first(raw, PROBLEMS[1:]))
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        return {"problem": problem, "solution": _optional(raw, "answer")} | _stated(raw)
    stated = _optional(raw, *ANSWERS[1:])
    return {"problem": problem, "solution": _text(raw, "answer")} | _stated(raw) | {"answer": stated}


def _reasoned(raw: dict[str, Any]) -> Row:
    """A problem with an answer alone, whose work stands in a column of its own (`_with_reasoning`)."""
    return {"problem": _text(raw, "problem"), "solution": _optional(raw, "answer")} | _stated(raw)


def _with_reasoning(row: Row, raw: dict[str, Any]) -> Row:
    """The row with its reasoning as the solution where nothing else but an answer is said.

    Beside a full response the reasoning is left out, and `left_out` names its column.
    """
    column, reasoning = _reasoning(raw)
    if not column or reasoning.strip() in row["solution"]:
        return row
    if not is_bare(row["solution"]):
        return row | {"left_out": column}
    return row | {"solution": reasoning, "answer": row["answer"] or plain_answer(row["solution"])}


def _reasoning(raw: dict[str, Any]) -> tuple[str, str]:
    """(column, text) of the reasoning that a row or one of its turns states; ("", "") for none."""
    turns = [turn for name in ("messages", *CONVERSATIONS, *SOLUTIONS) for turn in turns_in(raw.get(name))]
    for place in (raw, *turns):
        for column in REASONING:
            value = place.get(column)
            text = "\n".join(value) if isinstance(value, list) and all(isinstance(x, str) for x in value) else value
            if isinstance(text, str) and text.strip():
                return column, text
    return "", ""


def _stated(raw: dict[str, Any]) -> Row:
    return {"answer": _optional(raw, *ANSWERS), "source": _optional(raw, "source")}


def _pairs(problems: Iterable[str], solutions: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    return tuple((problem, solution) for problem in problems for solution in solutions)


# name -> columns that it needs, any one of these tuples, and the adapter; "auto" takes the first that has its columns.
FORMATS: dict[str, tuple[tuple[tuple[str, ...], ...], Callable[[dict[str, Any]], Row]]] = {
    "numinamath": ((("problem", "solution"),), _numinamath),
    "openmathinstruct": (_pairs(("problem", "question"), ("generated_solution",)), _openmath),
    "metamath": ((("query", "response"),), _metamath),
    "gsm8k": ((("question", "answer"),), _gsm8k),
    "messages": ((("messages",),), _messages),
    "sharegpt": (tuple((column,) for column in CONVERSATIONS), _sharegpt),
    "pair": (_pairs(PROBLEMS, SOLUTIONS), _pair),
    "question-answer": (_pairs(PROBLEMS[1:], ("answer",)), _question_answer),
    "reasoning-answer": (tuple(("problem", column, "answer") for column in REASONING), _reasoned),
}
COLUMNS = ("messages", *PROBLEMS, *SOLUTIONS, *CONVERSATIONS, *ANSWERS)
UNKNOWN = "no columns problem+solution, question+answer, messages or others that are known"
OTHER_CELLS = "the row has another number of cells than the header"  # how `data.values` hands one on
PREFERENCE = "no solution, but a pair of chosen and rejected answers"


def adapt(raw: Any, name: str, format_: str, columns: dict[str, str], derive: bool) -> Row:
    """The row of source `name`, read as `format_` ("auto": the first whose columns are there) after renaming `columns`.

    Where the row states no answer, `derive` takes it out of the solution; without it, the answer is "".
    `left_out` names a column of reasoning that stands beside a full solution and is no part of the row.
    `placeholder` holds what stands in the place of an answer and is none.
    """
    if isinstance(raw, dict) and OTHER_CELLS in raw:
        raise ValueError(f"{OTHER_CELLS}: quote the cells that hold commas or quotes")
    if not isinstance(raw, dict):
        raise ValueError(f"the line is {kind(raw)}, not an object")
    renamed = _renamed(raw, columns)
    _check_marks(renamed)
    chosen = _format_of(renamed, "messages" if "messages" in columns and format_ == "auto" else format_)
    row = _with_reasoning(FORMATS[chosen][1](renamed), renamed)
    row["subject"] = _optional(renamed, "subject", *(("type",) if chosen == "numinamath" else ()))
    row |= {"level": _optional(renamed, "level"), "difficulty": _optional(renamed, "difficulty")}
    for key, value in row.items():
        _check_text(key, value)
    row |= _answer(row["answer"].strip(), row["solution"], derive)
    subset = row.get("source", "") or ("" if "source" not in columns else _optional(renamed, "source"))
    row["source"] = f"{name}/{subset}" if subset else name
    row["hash"] = content_hash(row["problem"], row["solution"])
    row["id"] = _optional(renamed, "id") or f"{name}-{row['hash'][:12]}"
    return row


def _renamed(raw: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    """The row under names in lower case, `Problem` as `problem`, and then under those of `columns`."""
    folded = {folded_name(key): value for key, value in raw.items()} | raw
    old = {new: column if column in folded else folded_name(column) for new, column in columns.items()}
    return folded | {new: folded[column] for new, column in old.items() if column in folded}


@lru_cache(4096)
def folded_name(column: str) -> str:
    return str(column).strip(" \ufeff").casefold().replace(" ", "_").replace("-", "_")


def _answer(stated: str, solution: str, derive: bool) -> Row:
    """The answer of a row, "" for none, and the placeholder where one was stated."""
    if stated and not is_placeholder(stated, solution):
        return {"answer": stated}
    boxed = (derive and gold_from_solution(solution[-LONGEST_ENDING:])) or ""
    answer = {"answer": "" if is_never_an_answer(boxed) else boxed}
    return answer | {"placeholder": stated} if stated else answer


def _check_marks(raw: dict[str, Any]) -> None:
    """Raises ValueError where the data set itself says that problem or solution are no good."""
    for column in VALIDITY:
        value = raw.get(column)
        said = "" if value is None else "no" if value is False else str(value).strip()
        if said.casefold() not in VALID:
            known = len(said) <= SHOWN_NAME and said.replace(" ", "").isalpha()
            raise ValueError(f"{MARKED}{column} {said.capitalize() if known else 'has another value than Yes'}")


def _format_of(raw: dict[str, Any], format_: str) -> str:
    for name in FORMATS if format_ == "auto" else (format_,):
        if any(all(raw.get(column) is not None for column in need) for need in FORMATS[name][0]) and (
            format_ != "auto" or name != "gsm8k" or marked_answer(str(raw["answer"]))
        ):
            return name
    if format_ != "auto":
        raise ValueError(f"no columns {' or '.join('+'.join(need) for need in FORMATS[format_][0])}")
    raise ValueError(PREFERENCE if raw.get("chosen") is not None and "rejected" in raw else UNKNOWN)


def describe_columns(columns: Iterable[str]) -> str:
    """About a row of whose columns none is known: which are there, and how to name them."""
    names = [str(name)[:SHOWN_NAME] for name in columns][:SHOWN_COLUMNS]
    pairs = ((known, name) for known in ("problem", "solution", "messages") for name in nearest(known, names))
    near = [(known, name) for known, name in pairs if folded_name(name) != known]
    guess = ",".join(f"{known}={name}" for known, name in near)
    there = f"the columns there are {', '.join(map(repr, names)) or 'none'}"
    return f"{there}; " + (
        f"did you mean --columns {guess}?"
        if guess
        else "say which is which by --columns problem=…,solution=…,answer=…, in a recipe by `columns`"
    )


def nearest(word: str, names: Iterable[str]) -> list[str]:
    """The one of `names` that is most like `word`, in a list that is empty where none is."""
    folded = {folded_name(name): name for name in names}
    return [folded[name] for name in difflib.get_close_matches(folded_name(word), folded, n=1, cutoff=0.7)]


def _first(raw: dict[str, Any], columns: Iterable[str]) -> str:
    return next(column for column in columns if raw.get(column) is not None)


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    if isinstance(value, list) and value:  # one solution in a list of solutions
        if len(value) > 1 and all(isinstance(one, str) for one in value):
            raise ValueError(f"{key} is a list of several texts, not one")
        value = value[0] if isinstance(value[0], str) else value
    if not isinstance(value, str):
        raise ValueError(f"no {key}" if value is None else f"{key} is {kind(value)}, not text")
    return value


def _optional(raw: dict[str, Any], *keys: str) -> str:
    for key in keys:
        value = raw.get(key)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"{value:.12g}" if isinstance(value, float) else str(value)
    return ""


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
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    try:
        return json.loads(text, object_pairs_hook=_object)
    except LookupError as error:
        raise ValueError(error.args[0]) from None
    except (ValueError, RecursionError):
        raise ValueError("not JSON") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # which one is meant is not said
        raise LookupError("a key comes twice")
    return found
