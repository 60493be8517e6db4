"""A recipe: a YAML file with sources and ordered steps, read and checked key by key before anything is loaded.

    # python -m data build data/recipes/gsm8k-math.yaml
    name: gsm8k-math
    tokenizer: meta-llama/Llama-3.2-1B
    sources:
      - {name: gsm8k, hub: openai/gsm8k, config: main, revision: e53f048856ff4f594e959d75785d2c2d37b678ee}
    steps:
      - gsm8k_ending
      - length: {max_tokens: 2048}
      - validation: {rows: 100}

What a step may say is the keyword parameters of its function in FILTERS, BATCH_FILTERS, REWRITES, BATCH_REWRITES or WHOLE.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.adapters import COLUMNS, FORMATS
from data.damage import BATCH_REWRITES
from data.filters import FILTERS, FUNCTION_WORDS
from data.mix import WHOLE
from data.rewrite import REWRITES
from data.sources import Source
from data.tools import BATCH_FILTERS
from eval.files import read_mapping
from eval.records import UserError

STEPS: dict[str, Callable[..., Any]] = {
    **FILTERS,
    **BATCH_FILTERS,
    **REWRITES,
    **BATCH_REWRITES,
    **{name: decide for name, (decide, _) in WHOLE.items()},
}
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
# Beyond its type, what a value must be: (least, most) or the words it may be.
BOUNDS: dict[str, tuple[float, float]] = {
    "rows": (1, 100_100), "near": (0.5, 1), "solutions": (1, 1000), "unboxed": (0, 1), "wrong_answers": (0, 1),
    "bad_rows": (0, 1), "max_tokens": (16, 2048), "min_tokens": (0, 2048), "times": (1, 1000), "compression": (2, 1000),
    "other_script": (0, 1), "function_words": (0, 1), "words": (1, 10_000), "synthetic": (0, 1_000_000), "skip": (0, 10**9),
}  # fmt: skip
WORDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("language", "keep"): tuple(FUNCTION_WORDS),
    ("style", "keep"): ("short", "long"),
    ("mix", "if_short"): ("error", "shrink"),
    ("source", "format"): ("auto", *FORMATS),
}
CAPPED = ("source", "subject", "level", "difficulty")
ADAPTED = ("messages", "problem", "solution", "answer", "source", "subject", "level", "difficulty", "id")
MAPPED = (*ADAPTED, *(name for name in COLUMNS if name not in ADAPTED))


@dataclass(frozen=True)
class Step:
    """One step of a recipe, with every parameter it has, defaults included."""

    name: str
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """What a file asks for; `path` is where it was read."""

    path: Path
    name: str
    tokenizer: str
    sources: tuple[Source, ...]
    steps: tuple[Step, ...]
    seed: int = 0
    about: str = ""

    def content(self) -> dict[str, Any]:
        """Everything that decides which rows come out, as plain values; comments, order of keys and places do not."""
        steps = [{step.name: step.parameters} for step in self.steps]
        sources = [source.name for source in self.sources]
        return {"name": self.name, "seed": self.seed, "sources": sources, "steps": steps}


def read_recipe(
    path: Path,
    copies: Mapping[str, str] | None = None,
    tokenizer: str | None = None,
    columns: Mapping[str, Mapping[str, str]] | None = None,
) -> Recipe:
    """The checked recipe; `copies` says for names of sources where a copy lies, `columns` how its columns are called.

    Raises UserError for whatever is wrong.
    """
    settings = read_mapping(path, "name a recipe, such as those in data/recipes")
    known = {field.name: None for field in dataclasses.fields(Recipe) if field.name != "path"}
    _check_known(settings, known, str(path))
    for key in ("name", "tokenizer", "sources", "steps"):
        if not settings.get(key):
            raise UserError(f"{path}: {key} is missing or empty; add it (see data/recipes).")
    for key, kind in (("name", str), ("tokenizer", str), ("about", str), ("seed", int)):
        _check_type(settings.get(key, kind()), kind, f"{path}: {key}")
    if not NAME.fullmatch(settings["name"]):
        raise UserError(f"{path}: name {settings['name']!r} must be letters, digits, dots, dashes: it names a folder.")
    sources = tuple(_source(entry, f"{path}: source {number}") for number, entry in _entries(settings, "sources", path))
    steps = tuple(_step(entry, f"{path}: step {number}") for number, entry in _entries(settings, "steps", path))
    _check_order(steps, path)
    return Recipe(
        path,
        settings["name"],
        tokenizer or settings["tokenizer"],
        _with_columns(_with_copies(sources, copies or {}, path), columns or {}, path),
        steps,
        settings.get("seed", 0),
        settings.get("about", ""),
    )


def _entries(settings: dict[str, Any], key: str, path: Path) -> typing.Iterator[tuple[int, Any]]:
    if not isinstance(settings[key], list):
        raise UserError(f"{path}: {key} is {settings[key]!r:.60}; write a list, one `- …` a line.")
    return iter(enumerate(settings[key], start=1))


def _source(entry: Any, place: str) -> Source:
    if not isinstance(entry, dict):
        raise UserError(f"{place} is {entry!r:.60}; write a mapping with `name` and one of hub, path, synthetic.")
    hints = typing.get_type_hints(Source)
    _check_known(entry, hints, place)
    _check_values("source", entry, hints, place)
    if not NAME.fullmatch(entry.get("name", "")):
        raise UserError(f"{place}: name {entry.get('name')!r} must be letters, digits, dots, dashes.")
    given = [key for key in ("hub", "path", "synthetic") if entry.get(key)]
    if len(given) != 1:
        raise UserError(
            f"{place} ({entry['name']}): give exactly one of hub, path and synthetic, not {given or 'none'}."
        )
    if given == ["hub"] and not re.fullmatch(r"[0-9a-f]{40}", entry.get("revision", "")):
        raise UserError(
            f"{place} ({entry['name']}): revision is {entry.get('revision')!r}; a data set of the hub may change, so name the "
            "commit, 40 hex digits, as its page shows it under Files."
        )
    check_columns(entry.get("columns", {}), place)
    return Source(**entry)


def check_columns(columns: Mapping[str, str], place: str) -> None:
    """Raises UserError for a name on the left of `columns` that no adapter reads."""
    for name in columns:
        if name not in MAPPED:
            raise UserError(f"{place}: columns names {name!r}{_nearest(name, ADAPTED)}")


def _step(entry: Any, place: str) -> Step:
    """`- name` or `- name: {parameter: value}`."""
    name, given = (
        (entry, {}) if isinstance(entry, str) else next(iter(entry.items())) if _is_single(entry) else ("", None)
    )
    given = {} if given is None and name else given
    if not isinstance(given, dict) or not isinstance(name, str):
        raise UserError(f"{place} is {entry!r:.60}; write `- name` or `- name: {{parameter: value}}`.")
    _check_known({name: given}, STEPS, place, "step")
    parameters = {
        key: parameter.default
        for key, parameter in inspect.signature(STEPS[name]).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    place = f"{place} ({name})"
    _check_known(given, parameters, place)
    _check_values(name, given, typing.get_type_hints(STEPS[name]), place)
    if name == "mix":
        _check_known(given.get("caps") or {}, dict.fromkeys(CAPPED), f"{place}: caps")
        if any(weight <= 0 for weight in (given.get("weights") or {}).values()):
            raise UserError(f"{place}: weights are {given['weights']}; each must be above 0.")
    return Step(name, parameters | given)


def _is_single(entry: Any) -> bool:
    return isinstance(entry, dict) and len(entry) == 1


def _check_order(steps: tuple[Step, ...], path: Path) -> None:
    names = [step.name for step in steps]
    if names.count("validation") != 1 or names[-1] != "validation":
        raise UserError(
            f"{path}: the last step must be `- validation: {{rows: 100}}`, once: training reads validation.jsonl."
        )
    if names.count("mix") > 1:
        raise UserError(f"{path}: mix comes twice; write one with all weights and caps.")


def _with_copies(sources: tuple[Source, ...], copies: Mapping[str, str], path: Path) -> tuple[Source, ...]:
    names = [source.name for source in sources]
    if len(set(names)) < len(names):
        raise UserError(f"{path}: two sources are called {max(names, key=names.count)!r}; names must differ.")
    for name in copies:
        if name not in names:
            raise UserError(f"--source {name}=…: {path} has no such source{_nearest(name, names)}")
    return tuple(
        dataclasses.replace(source, path=copies[source.name], hub="", revision="", synthetic=0)
        if source.name in copies
        else source
        for source in sources
    )


def _with_columns(
    sources: tuple[Source, ...], columns: Mapping[str, Mapping[str, str]], path: Path
) -> tuple[Source, ...]:
    names = [source.name for source in sources]
    for name, named in columns.items():
        if name not in names:
            raise UserError(f"--columns {name}:…: {path} has no such source{_nearest(name, names)}")
        check_columns(named, f"--columns {name}")
    return tuple(
        dataclasses.replace(source, columns={**source.columns, **columns[source.name]})
        if source.name in columns
        else source
        for source in sources
    )


# Checks of keys and values


def _check_known(given: Any, known: Mapping[str, Any], place: str, what: str = "key") -> None:
    if not isinstance(given, dict):
        raise UserError(f"{place} is {given!r:.60}; it must be a mapping.")
    for key in given:
        if key not in known:
            raise UserError(f"{place}: unknown {what} {key!r}{_nearest(str(key), list(known))}")


def _check_values(owner: str, given: dict[str, Any], hints: Mapping[str, Any], place: str) -> None:
    for key, value in given.items():
        _check_type(value, hints[key], f"{place}: {key}")
        words = WORDS.get((owner, key))
        if words and value not in words:
            raise UserError(f"{place}: {key} is {value!r}{_nearest(str(value), words)}")
        least, most = BOUNDS.get(key, (0, float("inf")))
        if isinstance(value, int | float) and not least <= value <= most:
            raise UserError(f"{place}: {key} is {value}; it must be from {least:,} to {most:,}.")


def _check_type(value: Any, hint: Any, place: str) -> None:
    if not _fits(value, hint):
        hint_name = getattr(hint, "__name__", str(hint)) if not typing.get_args(hint) else str(hint)
        raise UserError(f"{place} is {value!r:.60}, which is {type(value).__name__}; it must be {hint_name}.")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a YAML value is of the annotated type: a plain one, a list, a dict, or one of these or None."""
    container, parts = typing.get_origin(hint), typing.get_args(hint)
    if container is types.UnionType:
        return any(_fits(value, part) for part in parts)
    if container is dict:
        return isinstance(value, dict) and all(
            _fits(*pair) for item in value.items() for pair in zip(item, parts, strict=True)
        )
    if container is list:
        return isinstance(value, list) and all(_fits(item, parts[0]) for item in value)
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, int | float) and value == value
    return isinstance(value, hint)


def _nearest(word: str, known: typing.Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are: {', '.join(known)}."
