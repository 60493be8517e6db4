"""Checks of single config values: types, choices, ranges, and the run's folder."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import json
import math
import os
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from trl import SFTConfig

from eval.records import UserError
from training.spelling import nearest

FIELDS = {field.name: field for field in dataclasses.fields(SFTConfig)}
LARGEST = 2**31 - 1  # of counts; above it torch and numpy raise their own errors
LARGEST_SEED = 2**32 - 1  # numpy's
RESERVED = re.compile(r"checkpoint-\d+|final")  # evaluation would take such a run for a checkpoint
LONGEST_NAME = 255  # bytes, on the usual file systems

# Keys by the range of their numbers. Left out or null, the default applies.
COUNTS = (
    "dataset_num_proc", "dataloader_prefetch_factor", "eval_accumulation_steps", "gradient_accumulation_steps", "lora_alpha",
    "lora_r", "pad_to_multiple_of", "per_device_eval_batch_size", "per_device_train_batch_size", "per_gpu_eval_batch_size",
    "per_gpu_train_batch_size", "save_total_limit", "torch_empty_cache_steps",
)  # fmt: skip
ABOVE_ZERO = (
    "ddp_timeout", "eval_steps", "learning_rate", "logging_steps", "neftune_noise_alpha", "num_train_epochs", "save_steps",
)  # fmt: skip
NOT_NEGATIVE = (
    "adam_epsilon", "data_seed", "dataloader_num_workers", "eval_delay", "max_grad_norm", "seed", "warmup_steps",
    "weight_decay",
)  # fmt: skip
BELOW_ONE = ("adam_beta1", "adam_beta2", "label_smoothing_factor", "lora_dropout")
# Below 1 a share of the run, from 1 on a number of steps.
SHARES = ("eval_steps", "logging_steps", "save_steps", "warmup_steps")


def check_type(path: Path, key: str, value: Any, hint: Any) -> None:
    """Raises UserError where a YAML value is not of the annotated type, or is not among the choices of its key."""
    if not fits(value, hint):
        raise UserError(f"{path}: {key} is {value!r}, {describe_mismatch(value, hint)}")
    if key.endswith("_kwargs") and value is not None and not mapping(value) and value != {}:
        raise UserError(f"{path}: {key} is {value!r}, which is not a mapping; write {key}: {{name: value}}.")
    allowed = choices(key, hint)
    if value is False and "no" in allowed:
        raise UserError(f'{path}: {key} is False, as YAML 1.1 reads no without quotes; write {key}: "no".')
    if allowed and not fits(value, without_enums(hint)):
        raise UserError(f"{path}: {key} is {value!r}; it must be one of {', '.join(allowed)}.")
    if allowed and isinstance(value, str) and value not in allowed:
        near = nearest(value, allowed)
        advice = f"did you mean {near!r}?" if near else f"it must be one of {', '.join(allowed)}."
        raise UserError(f"{path}: {key} is {value!r}; {advice}")


def check_numbers(path: Path, settings: dict[str, Any]) -> None:
    """Raises UserError for the first number that is not finite (NaN, infinity) or out of range."""
    for key, value in settings.items():
        if not_finite(value):
            raise UserError(f"{path}: {key} is {str(value)[:40]}; numbers must be finite.")
        if isinstance(value, int | float) and not isinstance(value, bool):
            wanted = next(complaints(key, value), None)
            if wanted:
                raise UserError(f"{path}: {key} is {str(value)[:40]}; it must be {wanted}{left_out(key)}.")


def complaints(key: str, value: float) -> Iterator[str]:
    """The range of this key, where the value is outside it."""
    largest = LARGEST_SEED if key.endswith("seed") else LARGEST
    if key in COUNTS and value < 1:
        yield "1 or more"
    if key in ABOVE_ZERO and value <= 0:
        yield "above 0"
    if key in NOT_NEGATIVE and value < 0:
        yield "0 or more"
    if key in BELOW_ONE and not 0 <= value < 1:
        yield "0 or more, and below 1"
    if key in SHARES and value > 1 and value != int(value):
        yield "a whole number of steps, or a share of the run below 1"
    if key == "warmup_ratio" and not 0 <= value < 1:
        yield "0 or more, and below 1, because it is a share of the run"
    if key == "max_steps" and (value == 0 or value < -1):
        yield "1 or more, or -1 for num_train_epochs to decide"
    if isinstance(value, int) and abs(value) > largest:
        yield f"at most {largest:,}"


def left_out(key: str) -> str:
    """The default of a key, as the end of a sentence."""
    field = FIELDS.get(key)
    known = field is not None and field.default is not dataclasses.MISSING and field.default is not None
    return f"; left out it is {field.default}" if field is not None and known else ""


def not_finite(value: Any) -> bool:
    """Whether a number in `value` is NaN, infinite or beyond what a float can hold, at any depth."""
    if isinstance(value, dict | list):
        return any(map(not_finite, value.values() if isinstance(value, dict) else value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return not math.isfinite(float(value))
    except OverflowError:
        return True


def choices(key: str, hint: Any) -> list[str]:
    """The allowed texts of a key, by its type or its library; [] where any text is allowed."""
    kinds = typing.get_args(hint) or (hint,)
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, enum.Enum) and key != "debug":
            return [str(one.value) for one in kind]
    return [str(one) for one in (FIELDS[key].metadata.get("choices") or ())] if key in FIELDS else []


def without_enums(hint: Any) -> Any:
    """The annotated type without those that YAML cannot express."""
    kinds = [kind for kind in (typing.get_args(hint) or (hint,)) if kind in (bool, int, float, str, type(None))]
    return typing.Union[tuple(kinds)] if kinds else str  # noqa: UP007 - made at run time


def fits(value: Any, hint: Any) -> bool:
    """Whether a YAML value is of the annotated type; annotations YAML cannot express accept anything."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(fits(value, option) for option in typing.get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (bool, str, type(None)):
        return isinstance(value, hint)
    container = typing.get_origin(hint) or hint
    if container is list and typing.get_args(hint) == (str,):
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    return isinstance(value, container) if container in (list, dict) else True


def describe_mismatch(value: Any, hint: Any) -> str:
    """The second half of the sentence about a value of the wrong type, with the fix."""
    if isinstance(value, str) and fits(1.0, hint):
        with contextlib.suppress(ValueError):
            if math.isfinite(number := float(value)):
                if "." in value and isinstance(yaml.safe_load(value), float):
                    return f"a string, because it is quoted; write {number:.1e} without quotes."
                return f"a string, because YAML 1.1 needs a dot in such a number; write {number:.1e}."
    return f"which is {type(value).__name__}; it must be {getattr(hint, '__name__', str(hint))}."


def mapping(value: Any) -> dict[str, Any]:
    """The mapping that a key holds, as YAML or as JSON text; an empty one where it is neither."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    return value if isinstance(value, dict) else {}


def check_places(path: Path, settings: dict[str, Any]) -> None:
    """Raises UserError where the run's folder would be outside output_dir, or cannot be written."""
    name, output = settings.get("run_name"), settings["output_dir"]
    for key, text in (("run_name", name), ("output_dir", output)):
        if text is not None and (not text.strip() or any(not sign.isprintable() for sign in text)):
            raise UserError(f"{path}: {key} is {text!r}; write a name of letters, digits, - and _.")
    parts = Path(name or "x").parts
    long = [part for part in (*Path(output).parts, *parts) if len(os.fsencode(part)) > LONGEST_NAME]
    if long:
        raise UserError(f"{path}: {long[0][:40]}… is longer than a file name can be; shorten run_name or output_dir.")
    if name is not None and (Path(name).is_absolute() or ".." in parts or not parts or "\\" in name):
        raise UserError(f"{path}: run_name is {name!r}, which is not a folder inside {output}; write a plain name.")
    if parts and name and RESERVED.fullmatch(parts[-1]):
        raise UserError(
            f"{path}: run_name is {name!r}, which is the name of a checkpoint within a run; write another one."
        )
    folder = Path(output, name or "")
    try:
        folder = folder.expanduser()
        there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        usable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path}: {folder} cannot be a folder ({error}); set another output_dir or run_name.") from None
    if not usable:
        problem = "cannot be written to" if there.is_dir() else "is not a folder"
        raise UserError(f"{path}: checkpoints would go to {folder}, but {there} {problem}; set another output_dir.")
