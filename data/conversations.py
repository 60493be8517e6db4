"""Conversations of chat sets as one problem and one solution: `messages`, ShareGPT, part lists.

A system turn is left out: the training prompt has no place for it, and evaluation never shows one.
A conversation with a second question is refused: which of its answers would be the solution is
not said, and a later one means nothing without those before it.
"""

from __future__ import annotations

import json
from typing import Any

ROLES = {"user": "user", "human": "user", "prompter": "user", "question": "user"} | {
    "assistant": "assistant", "gpt": "assistant", "model": "assistant", "bot": "assistant",
    "chatgpt": "assistant", "answer": "assistant", "system": "system", "developer": "system",
}  # fmt: skip
ROLE_KEYS, TEXT_KEYS = ("role", "from", "speaker"), ("content", "value", "text")


def exchange(value: Any, column: str) -> tuple[str, str]:
    """(problem, solution) of a conversation in `column`. Raises ValueError for any other shape."""
    turns = _turns(value, column)
    said = [(_role(turn, column), turn) for turn in turns]
    spoken = [(role, turn) for role, turn in said if role != "system"]
    if [role for role, _ in spoken] == ["user", "assistant"]:
        return text_of(spoken[0][1]), text_of(spoken[1][1])
    if sum(role == "user" for role, _ in spoken) > 1:
        raise ValueError(f"{column} contain more than one question")
    raise ValueError(f"{column} are not one user turn and one assistant turn")


def text_of(turn: dict[str, Any]) -> str:
    """The text of a turn; of a list of parts, those of text. Raises ValueError for an image."""
    key = _key(turn, TEXT_KEYS)
    value = turn.get(key)
    if isinstance(value, list) and value:
        return "\n".join(_part(part, key) for part in value)
    if not isinstance(value, str):
        raise ValueError(f"no {key}" if value is None else f"{key} is {kind(value)}, not text")
    return value


def kind(value: Any) -> str:
    """What a JSON value is, in words."""
    names = {str: "text", bool: "true or false", type(None): "null", list: "a list"}
    return (names | {dict: "an object"}).get(type(value), "a number")


def is_turns(value: Any) -> bool:
    """Whether a value is a list of turns, whatever they say."""
    return isinstance(value, list) and bool(value) and all(isinstance(turn, dict) for turn in value)


def turns_in(value: Any) -> list[dict[str, Any]]:
    """The turns of a conversation in any of its shapes; [] for another value."""
    found = _decoded(value) if isinstance(value, str) else value
    found = _transposed(found) if isinstance(found, dict) else found
    return found if is_turns(found) else []


def _turns(value: Any, column: str) -> list[dict[str, Any]]:
    found = _decoded(value) if isinstance(value, str) else value
    if isinstance(found, dict):  # how `datasets` once stored a list of objects: an object of lists
        found = _transposed(found)
    if not isinstance(found, list) or not all(isinstance(turn, dict) for turn in found):
        raise ValueError(f"{column} is {kind(value)}, not a list of turns")
    return found


def _decoded(text: str) -> Any:
    """A conversation that was written as JSON inside a text; the text where it is none."""
    try:
        return json.loads(text) if text.lstrip()[:1] == "[" else text
    except (ValueError, RecursionError):
        return text


def _transposed(columns: dict[str, Any]) -> Any:
    values = list(columns.values())
    if not values or not all(isinstance(one, list) and len(one) == len(values[0]) for one in values):
        return columns
    return [dict(zip(columns, turn, strict=True)) for turn in zip(*values, strict=True)]


def _role(turn: dict[str, Any], column: str) -> str:
    role = turn.get(_key(turn, ROLE_KEYS))
    known = ROLES.get(role.strip().casefold()) if isinstance(role, str) else None
    if known is None:
        raise ValueError(f"{column} have a turn of neither user, assistant nor system")
    return known


def _part(part: Any, key: str) -> str:
    text = part if isinstance(part, str) else part.get("text") if isinstance(part, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"{key} has a part that is no text")
    return text


def _key(turn: dict[str, Any], keys: tuple[str, ...]) -> str:
    return next((key for key in keys if turn.get(key) is not None), keys[0])
