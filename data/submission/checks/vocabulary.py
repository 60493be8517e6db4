"""Tokens beyond the model's vocabulary: the contract's trainer never resizes it, so such an id has no embedding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.submission.checks.findings import Finding, shown

NAME, CONFIG = "sft_utils.py", "config.json"
# The contract's model, where its config.json is not here. Its tokenizer fills the vocabulary to the last id.
LLAMA, LLAMA_SIZE = re.compile(r"llama-3(\.[0-9])?-", re.IGNORECASE), 128_256
LLAMAS_OWN = re.compile(
    r"<\|(begin_of_text|end_of_text|reserved_special_token_\d+|finetune_right_pad_id|step_id"
    r"|start_header_id|end_header_id|eom_id|eot_id|python_tag)\|>"
)
FIX = "use a token of the model's vocabulary, as PAD_CANDIDATES in this project's sft_utils.py does"


def size_of(model: str) -> int | None:
    """The vocab_size of a model: a folder, a hub id that was downloaded before, or a Llama 3; None where it is unknown."""
    folder = Path(model)
    path: Any = folder / CONFIG
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            path = try_to_load_from_cache(model, CONFIG)
        except HFValidationError:
            path = None
    size = read_size(Path(path)) if isinstance(path, str | Path) else None
    return size or (LLAMA_SIZE if LLAMA.search(folder.name) else None)


def read_size(path: Path) -> int | None:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        size = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    except (OSError, ValueError, AttributeError):
        return None
    return size if isinstance(size, int) else None


def findings(told: dict[str, Any], size: int | None, stand_in: bool) -> Iterator[Finding]:
    """Findings where the probe's `vocabulary` and `largest_id` do not fit a model with embeddings for `size` ids.

    With `stand_in` the ids are those of another tokenizer, so only tokens that the model cannot have count.
    """
    added = [(number, token) for number, token in told.get("vocabulary", {}).get("added", ())]
    count = told.get("vocabulary", {}).get("added_count", 0)
    if size is None or (stand_in and size != LLAMA_SIZE):
        if added:
            problem = f"get_tokenizer adds {named(added, count)}; whether the model has embeddings for them is unknown"
            yield Finding("vocabulary", NAME, problem, f"check vocab_size in its config.json, or {FIX}", False)
        return
    beyond = [each for each in added if (not LLAMAS_OWN.fullmatch(each[1]) if stand_in else each[0] >= size)]
    if beyond:
        problem = f"get_tokenizer adds {named(beyond, count if beyond == added else len(beyond))}"
        if told.get("used_beyond", True):
            yield Finding("vocabulary", NAME, f"{problem}; {without(size)}", FIX)
            return
        problem += f", which no row uses; the model's vocab_size is {size:,}, so it raises where it is asked with that"
        yield Finding("vocabulary", NAME, problem, "leave it out", False)
    elif not stand_in and told.get("largest_id", 0) >= size:
        problem = f"the rows hold the id {told['largest_id']:,}; {without(size)}"
        yield Finding("vocabulary", NAME, problem, "the model's own tokenizer")


def without(size: int) -> str:
    return f"the model's vocab_size is {size:,}, and the contract's trainer never resizes: the embedding raises"


def named(added: list[tuple[int, str]], count: int) -> str:
    """ "the token '<pad>' (id 128,256)", and how many more."""
    number, token = added[-1]
    more = f" and {count - 1:,} more" if count > 1 else ""
    return f"the token {shown(token)} (id {number:,}){more}"
