"""Small files for people and programs: YAML mappings read with one sentence for what is wrong, JSON written whole or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from eval.records import UserError

NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
OTHER_NUMBER = re.compile(r"[-+]?(0[0-7_]*[1-7][0-7_]*|[0-9_]+:.*)")  # 00 is 0 all the same
MERGE = "tag:yaml.org,2002:merge"  # `<<`, which may occur more than once


def read_mapping(path: Path, advice: str = "name a file that is there") -> dict[str, Any]:
    """The YAML mapping in `path`. Raises UserError where there is none; `advice` says what to name where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        for key, first, again in _repeated_keys(root):
            raise UserError(
                f"{path}: {key!r} is in line {first} and again in line {again}; YAML would silently use the last one. "
                "Keep one of the two."
            )
        settings = yaml.safe_load(text)
        for number, line in _other_numbers(root):
            raise UserError(
                f"{path}: {number} in line {line} is {yaml.safe_load(number)} in YAML 1.1, which counts in eights after a 0 and "
                "in sixties around colons; write the number itself, or a text in quotes."
            )
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); {advice}.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}: {error.reason}); save it as UTF-8.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: an invalid date or number
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}; mend that line.") from None
    if not isinstance(settings, dict):
        raise UserError(f"{path} holds {type(settings).__name__}, not a mapping; write one `key: value` a line.")
    return settings


def _other_numbers(root: yaml.Node | None) -> Iterator[tuple[str, int]]:
    """(text, its line) for every value that YAML 1.1 takes for another number than a reader does: 010 for 8, 1:30 for 90."""
    ahead, seen = [root], set()
    while ahead:
        node = ahead.pop()
        if isinstance(node, yaml.ScalarNode) and node.tag in NUMBERS and OTHER_NUMBER.fullmatch(node.value):
            yield node.value, node.start_mark.line + 1
        if isinstance(node, yaml.CollectionNode) and id(node) not in seen:
            seen.add(id(node))
            ahead += node.value if isinstance(node, yaml.SequenceNode) else [value for _, value in node.value]


def _repeated_keys(root: yaml.Node | None) -> Iterator[tuple[str, int, int]]:
    """(key, its line, its second line) for every key that occurs twice in a mapping, at any depth."""
    ahead, seen = [root], set()
    while ahead:
        node = ahead.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))  # an alias is the same node object as its anchor
        if isinstance(node, yaml.SequenceNode):
            ahead += node.value
            continue
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            name, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if name in lines and key.tag != MERGE:
                yield name[1], lines[name], line
            lines[name] = line
            ahead += [key, value]


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes beside `path`, then renames: the file is there whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)
