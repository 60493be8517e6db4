"""What preflight says about token ids: where prompt and training text differ, and tokens outside the model's vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc
from datasets import Dataset

from eval import prompts
from training.records import Run

LOOKED_AT = 20  # faulty rows whose texts are compared
CONTEXT = 30  # characters shown before the place where two texts differ
CHUNK = 10_000  # rows

PARTED = (
    "the generation prompt reads {asked!r} where the training text reads {taught!r}, so the model would get a prompt that it "
    'never saw; the text of task="generation" must be the beginning of that of task="sft" (sft_utils.py)'
)
SPLIT = (
    "the text begins with the generation prompt, but its tokens do not: the prompt ends in {asked!r}, training has "
    '{taught!r}; end task="generation" without a space, and put the space before the solution (sft_utils.py)'
)


def boundary(run: Run, faulty: Sequence[tuple[str, int]]) -> str:
    """One sentence for each way in which a prompt is not the beginning of its training text: as text, or as tokens."""
    said: dict[str, str] = {}
    for split, index in faulty[:LOOKED_AT]:
        ids, prompt = prompts.rendered_ids(run.raw[split][index], run.tokenizer)[:2]
        asked, taught = (run.tokenizer.decode(part, clean_up_tokenization_spaces=False) for part in (prompt, ids))
        if taught.startswith(asked):
            same = common(prompt, ids)
            asked, taught = (run.tokenizer.decode(part[max(same - 2, 0) : same + 2]) for part in (prompt, ids))
            said.setdefault(SPLIT, SPLIT.format(asked=asked, taught=taught))
        else:
            begin = max(common(asked, taught) - CONTEXT, 0)
            asked, taught = (text[begin : begin + 2 * CONTEXT] for text in (asked, taught))
            said.setdefault(PARTED, PARTED.format(asked=asked, taught=taught))
    return "; ".join(said.values())


def common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """The length of the common beginning of two sequences."""
    return next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))


def beyond(run: Run, size: int) -> list[str]:
    """Every token of the rows, and the one that pads them, whose id is `size` or more, as "'<|pad|>' (id 49152)"."""
    found = {token for rows in run.rendered.values() for token in ids_from(rows, size)}
    if not run.arguments.packing and (run.tokenizer.pad_token_id or 0) >= size:
        found.add(run.tokenizer.pad_token_id)
    return [f"{run.tokenizer.convert_ids_to_tokens(token)!r} (id {token})" for token in sorted(found)]


def ids_from(rows: Dataset, size: int) -> set[int]:
    """The distinct ids of `input_ids` from `size` on, found without making lists of them all."""
    found: set[int] = set()
    for batch in rows.with_format("arrow").iter(CHUNK):
        ids = pc.list_flatten(batch["input_ids"])
        found |= set(pc.unique(ids.filter(pc.greater_equal(ids, size))).to_pylist())
    return found
