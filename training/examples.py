"""The data set: loaded, and rendered to token ids by the functions that also render evaluation's prompts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset, load_dataset
from rich.console import Console
from transformers import PreTrainedTokenizer

import sft_utils
from eval import prompts
from eval.console import progress
from eval.prompts import fault_of
from eval.records import UserError
from training import token_cache
from training.settings import ContractArguments

MOST_NAMED = 3  # things of a sequence


def load_splits(contract: ContractArguments) -> dict[str, Dataset]:
    """{"train", "validation"}. Raises UserError where they are missing, damaged or empty."""
    name = contract.dataset_name_or_path
    try:
        with nothing_cached_beside_the_data():
            if contract.dataset_mode == "local":
                given = sft_utils.load_datasets(name)
            else:
                given = tuple(load_dataset(name, split=split) for split in ("train", "test"))
    except (Exception, SystemExit) as error:  # `datasets` raises a type of its own for each kind of damage
        reason = (
            first_bad_line(Path(name))
            or missing_split(error)
            or unlike_columns(error)
            or " ".join(str(error.__cause__ or error).split())
            or type(error).__name__
        )
        raise UserError(f"dataset_name_or_path {name!r}: {reason}{other_mode(contract)}") from None
    splits = dict(zip(("train", "validation"), two_splits(given), strict=True))
    for split, rows in splits.items():
        if not len(rows):
            raise UserError(f"{name}: {split} has no rows; write some, each with `messages`.", 1)
        if "messages" not in rows.column_names:
            columns = ", ".join(rows.column_names)
            raise UserError(
                f"{name}: {split} has no column `messages` (but {columns}); see load_datasets in sft_utils.py.", 1
            )
    return splits


def two_splits(given: Any) -> tuple[Dataset, Dataset]:
    """What load_datasets gave, if it is a pair of data sets whose rows can be counted. Raises UserError for anything else."""
    parts = list(given) if isinstance(given, tuple | list) else []
    if len(parts) != 2 or not all(isinstance(part, Dataset) for part in parts):
        shown = ", ".join(type(part).__name__ for part in parts[:MOST_NAMED]) or type(given).__name__
        raise UserError(
            f"sft_utils.py: load_datasets gives {shown}; it must return (train, validation), two datasets.Dataset, whose rows "
            "can be counted."
        )
    return parts[0], parts[1]


def unlike_columns(error: BaseException) -> str | None:
    """A sentence where the files of the splits have other columns; None for any other error."""
    if "column names don't match" not in str(error.__cause__ or error):
        return None
    return (
        "its files have unlike columns or types, and `datasets` reads them as one; write the same columns in every row"
    )


def other_mode(contract: ContractArguments) -> str:
    """What to write where the name is one for the other dataset_mode, as the end of a sentence."""
    here = Path(contract.dataset_name_or_path).exists()
    if contract.dataset_mode == "online" and here:
        return (
            "; it is here, and dataset_mode is online: write dataset_mode: local for sft_utils.load_datasets to read it"
        )
    if contract.dataset_mode == "local" and not here:
        return "; for a hub id write dataset_mode: online"
    return ""


@contextlib.contextmanager
def nothing_cached_beside_the_data() -> Iterator[None]:
    """Results of map and filter in sft_utils.py go to a temporary folder, not to the data's, and are never reused.

    `datasets` keys its own cache by the function alone, not by the files that the function reads.
    """
    before = datasets.is_caching_enabled()
    datasets.disable_caching()
    try:
        yield
    finally:
        if before:
            datasets.enable_caching()


def missing_split(error: BaseException) -> str | None:
    """A sentence about a split that a folder of `save_to_disk` does not have; None for any other error."""
    if not isinstance(error, KeyError):
        return None
    return f"there is no split {error.args[0]!r}; write a DatasetDict with train and validation (or test)."


def first_bad_line(folder: Path) -> str | None:
    """A sentence about the first line of train.jsonl or validation.jsonl that is no row; None where all are."""
    for path in (folder / "train.jsonl", folder / "validation.jsonl"):
        for number, line in enumerate(path.read_bytes().split(b"\n") if path.is_file() else (), start=1):
            try:
                good = not line.strip() or "messages" in json.loads(line)
            except (ValueError, TypeError):
                good = False
            if not good:
                return f"{path}:{number}: {line[:40]!r}… is no JSON object with `messages`; write one a line."
        if path.is_file() and not path.stat().st_size:
            return f"{path} is empty; write one JSON object with `messages` a line."
    return None


def render(
    rows: Dataset, tokenizer: PreTrainedTokenizer, name: str, console: Console, append_eos: bool = False
) -> Dataset:
    """`input_ids`, `completion_mask` (1 on solution and EOS), `fault` (see `fault_of`; "" for none) and `source` of every row.

    Nothing is cut. `append_eos` is for packing, see `prompts.rendered_ids`. Rows whose texts were tokenized before by this
    tokenizer are taken from the cache. Raises UserError (exit code 1) where a row renders differently each time.
    """
    texts = token_cache.Texts()
    for row in rows:
        texts.add(rendered_texts(row, tokenizer))
    path = token_cache.place(texts.digest(), tokenizer, append_eos)

    def encode(row: dict[str, Any]) -> dict[str, Any]:
        return encode_row(row, tokenizer, append_eos)

    if path and (found := token_cache.read(path, rows, encode, name, console)) is not None:
        return found
    with progress(console, f"tokenise {name}", len(rows), "row") as advance:

        def attempt() -> Callable[[dict[str, Any], int], dict[str, Any]]:
            again = token_cache.Texts()

            def encode_next(row: dict[str, Any], index: int) -> dict[str, Any]:
                advance(index + 1)
                again.add(rendered_texts(row, tokenizer))
                if again.count == texts.count:
                    refuse_other_texts(texts, again, name)
                return encode(row)

            return encode_next

        return token_cache.write(path, rows, attempt, console)


def refuse_other_texts(texts: token_cache.Texts, again: token_cache.Texts, name: str) -> None:
    """Raises UserError (exit code 1) where the same rows render to different texts the second time."""
    if texts.digest() != again.digest():
        raise UserError(
            f"sft_utils.py: apply_chat_template gives different text for the same rows of {name} at a second "
            "call, so evaluation could not use the prompts of training; make it depend on the row alone.",
            1,
        )


def encode_row(row: dict[str, Any], tokenizer: PreTrainedTokenizer, append_eos: bool) -> dict[str, Any]:
    """What `render` gives for one row."""
    source = {"source": str(row.get("source") or "")}
    if not is_conversation(row.get("messages")):
        return {"input_ids": [], "completion_mask": [], "fault": "roles"} | source
    ids, prompt = prompts.rendered_ids(row, tokenizer, append_eos)
    mask = [0] * len(prompt) + [1] * (len(ids) - len(prompt))
    fault = fault_of(ids, prompt, tokenizer)
    return {"input_ids": ids, "completion_mask": mask[: len(ids)], "fault": fault} | source


def rendered_texts(row: dict[str, Any], tokenizer: PreTrainedTokenizer) -> list[str]:
    """All texts that decide the tokens of a row, and its source: the cache key covers them."""
    source = str(row.get("source") or "")
    if not is_conversation(row.get("messages")):
        return [source]
    return [source, *(prompts.render_text(row, tokenizer, task) for task in ("sft", "generation"))]


def is_conversation(messages: Any) -> bool:
    """Whether `messages` is a user's turn and an assistant's, both with text."""
    try:
        roles = [turn["role"] for turn in messages]
        return roles == ["user", "assistant"] and all(turn["content"].strip() for turn in messages)
    except (KeyError, TypeError, AttributeError):
        return False
