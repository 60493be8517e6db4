"""What a trainer really learns from, read off its batches: the same figures for the stock stack and for the project's own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

IGNORED = -100  # the label of a token that is not learnt
MAX_ROWS = 1000


def token_truth(loader: Iterable[Any], bos: int | None, eos: int, packed: bool) -> dict[str, Any]:
    """Shares and counts over the first MAX_ROWS rows of `loader`.

    eos_supervised: examples whose end of text is a label, of all; eos_per_example, bos_per_example: how often each
    stands there; supervised: labels of all tokens; unfinished: rows that end within an example.
    """
    count = dict.fromkeys(("examples", "rows", "tokens", "labels", "eos", "eos_learnt", "bos", "unfinished"), 0)
    for batch in loader:
        if count["rows"] >= MAX_ROWS:
            break
        for ids, labels, starts in rows_of(batch):
            ends = end_positions(ids, eos)
            count["rows"] += 1
            count["tokens"] += len(ids)
            count["labels"] += sum(label != IGNORED for label in labels)
            count["eos"] += ids.count(eos)
            count["bos"] += ids.count(bos) if bos is not None and bos != eos else 0
            count["examples"] += len(starts) if starts else max(len(ends), 1) if packed else 1
            learnt = sum(labels[end] == eos for end in ends)
            count["eos_learnt"] += learnt if packed else min(learnt, 1)
            count["unfinished"] += ids[-1:] != [eos]
    each = max(count["examples"], 1)
    return {
        "examples": count["examples"],
        "eos_supervised": count["eos_learnt"] / each,
        "eos_per_example": count["eos"] / each,
        "bos_per_example": count["bos"] / each,
        "supervised": count["labels"] / max(count["tokens"], 1),
        "unfinished": count["unfinished"] / max(count["rows"], 1),
    }


def rows_of(batch: Any) -> Iterable[tuple[list[int], list[int], list[int]]]:
    """(ids, labels, where examples begin) of each row without its padding; no beginnings where the batch names none."""
    positions = batch.get("position_ids")
    for row in range(len(batch["input_ids"])):
        mask = batch["attention_mask"][row].bool() if batch.get("attention_mask") is not None else None
        ids, labels = batch["input_ids"][row], batch["labels"][row]
        if mask is not None and mask.dim() == 1:
            ids, labels = ids[mask], labels[mask]
        starts = (positions[row] == 0).nonzero().flatten().tolist() if positions is not None else []
        yield ids.tolist(), labels.tolist(), starts


def end_positions(ids: list[int], eos: int) -> list[int]:
    """The first EOS of each run of them."""
    return [index for index, token in enumerate(ids) if token == eos and ids[index - 1 : index] != [eos]]


def attends_across(model: Any, loader: Iterable[Any], eos: int) -> bool | None:
    """Whether the first token of a packed row changes what the model computes in the row's second example.

    None where no row holds two examples. Measured on the model, with the very batch that training would give it.
    """
    for batch in loader:
        ids = batch["input_ids"]
        ends = end_positions(ids[0].tolist(), eos)
        if not ends or ends[0] + 3 >= ids.shape[1]:
            continue
        second = ends[0] + 2  # past a second EOS, if there is one
        inputs = {name: value for name, value in batch.items() if name != "labels"}
        changed = ids.clone()
        changed[0, 0] = (ids[0, 0] + 1) % model.config.vocab_size
        model.eval()
        with torch.no_grad():
            before = model.model(**inputs).last_hidden_state[0, second]
            after = model.model(**(inputs | {"input_ids": changed})).last_hidden_state[0, second]
        model.train()
        return not torch.allclose(before, after, atol=1e-5)
    return None


def sample(rows: Any, most: int) -> Any:
    """At most `most` rows of a data set, evenly spaced."""
    return rows if len(rows) <= most else rows.select(range(0, len(rows), math.ceil(len(rows) / most)))


def settings_truth(arguments: Any) -> dict[str, Any]:
    """What the config amounts to with this stack's own defaults; the batch is that of one process."""
    return {
        "effective_batch": arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps,
        "max_grad_norm": arguments.max_grad_norm,
        "learning_rate": arguments.learning_rate,
        "learning_rate_type": type(arguments.learning_rate).__name__,
        "scheduler": arguments.lr_scheduler_type.value,
        "optimizer": str(getattr(arguments.optim, "value", arguments.optim)),
    }


def steps(rows: float, arguments: Any) -> int:
    """Optimizer steps of a whole run over `rows` (packed) rows in one process."""
    if arguments.max_steps > 0:
        return int(arguments.max_steps)
    batches = math.ceil(math.ceil(rows) / int(arguments.per_device_train_batch_size))
    an_epoch: int = max(batches // int(arguments.gradient_accumulation_steps), 1)
    return math.ceil(an_epoch * float(arguments.num_train_epochs))
