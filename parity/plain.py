"""The control: a training loop that anyone can check by reading it. PyTorch alone, no trainer, no DeepSpeed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM, get_scheduler

IGNORED = -100

Weights = dict[str, torch.Tensor]
Batch = dict[str, Any]


def train(base: Path, batches: list[list[Batch]], settings: dict[str, Any]) -> tuple[list[float], Weights]:
    """(loss of each step, final weights) of AdamW on `batches`: one list per step, one batch per process."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    optimizer = torch.optim.AdamW(
        groups(model, settings["weight_decay"]),
        lr=settings["learning_rate"],
        betas=(settings["adam_beta1"], settings["adam_beta2"]),
        eps=settings["adam_epsilon"],
    )
    schedule = get_scheduler(
        settings["lr_scheduler_type"], optimizer, settings["warmup_steps"], len(batches),
        scheduler_specific_kwargs=settings["lr_scheduler_kwargs"] or {},
    )  # fmt: skip
    model.train()
    losses = []
    for step in batches:
        loss = mean_loss(model, step)
        torch.autograd.backward(loss)
        if settings["max_grad_norm"] > 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings["max_grad_norm"])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, {name: weight.detach() for name, weight in model.named_parameters()}


def groups(model: torch.nn.Module, decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices only, as in transformers' Trainer: not on norms and biases."""
    decayed = [weight for weight in model.parameters() if weight.dim() > 1]
    others = [weight for weight in model.parameters() if weight.dim() == 1]
    return [{"params": decayed, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def mean_loss(model: Any, step: list[Batch]) -> torch.Tensor:
    """Cross entropy per learnt token, over the batches of all processes.

    Each example has its own row, padded at the end. Causal attention never sees the padding, so no mask is needed that
    could be wrong.
    """
    found = [example for batch in step for example in examples(batch)]
    ids = pad_sequence([ids for ids, _ in found], batch_first=True)
    labels = pad_sequence([labels for _, labels in found], batch_first=True, padding_value=IGNORED)
    logits = model(input_ids=ids).logits[:, :-1].float()
    return cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED)


def examples(batch: Batch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(ids, labels) of each example: without padding, and a packed row split where positions start at 0 again."""
    found = []
    for row, (ids, labels) in enumerate(zip(batch["input_ids"], batch["labels"], strict=True)):
        if "position_ids" in batch:
            starts = (batch["position_ids"][row] == 0).nonzero().flatten().tolist()
            ends = [*starts[1:], len(ids)]
            found += [(ids[start:end], labels[start:end]) for start, end in zip(starts, ends, strict=True)]
        else:
            length = int(batch["attention_mask"][row].sum()) if "attention_mask" in batch else len(ids)
            found.append((ids[:length], labels[:length]))
    return found
