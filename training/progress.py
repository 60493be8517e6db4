"""Numbers while it runs: tokens a second, how much of the hardware they are, memory, time left, next checkpoint."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import torch
from rich.console import Console
from transformers import PreTrainedModel, TrainerCallback

from eval.console import progress
from training.notes import describe_engine


class ProgressLine(TrainerCallback):
    """Says what runs and how much of it, then a bar with the numbers of the last log step, until `bar` is closed."""

    def __init__(self, trainer: Any, console: Console, bar: contextlib.ExitStack) -> None:
        self.trainer, self.console, self.bar, self.note = trainer, console, bar, ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.console.print(f"{describe_engine(self.trainer)}; {state.max_steps} steps")
        self.trainer.meter.start(int(state.num_input_tokens_seen))
        self.advance = self.bar.enter_context(progress(self.console, "train", state.max_steps, "step"))
        if state.global_step:
            self.console.print(f"resumed behind step {state.global_step}")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.note = " ".join(describe(logs)) + next_save(args, state)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.advance(state.global_step, self.note)


def describe(logs: dict[str, float]) -> list[str]:
    """The numbers of one log step, for people."""
    words = [f"loss {float(logs['loss']):.3f}"]
    if "grad_norm" in logs:
        words.append(f"grad {float(logs['grad_norm']):.2f}")
    if "learning_rate" in logs:
        words.append(f"lr {float(logs['learning_rate']):.1e}")
    if "tokens_per_second" in logs:
        words.append(f"{logs['tokens_per_second']:,.0f} tokens/s")
    if "mfu" in logs:
        words.append(f"MFU {100 * logs['mfu']:.0f} %")
    if "memory_gib" in logs:
        words.append(f"{logs['memory_gib']:.1f} GiB")
    return words


def next_save(args: Any, state: Any) -> str:
    """Where the next checkpoint comes; "" where none does."""
    every = state.save_steps or 0
    if args.save_strategy.value != "steps" or every < 1:
        return ""
    return f" save at {min(math.floor(state.global_step / every + 1) * every, state.max_steps):.0f}"


class Meter:
    """Tokens a second since the last reading, and what share of the device's matrix rate their arithmetic is (MFU)."""

    def __init__(self, model: PreTrainedModel, mean_context: float, processes: int) -> None:
        # Under ZeRO-3 a parameter's own numel is that of its shard, which may be empty.
        sizes = [(getattr(weight, "ds_numel", weight.numel()), weight.requires_grad) for weight in model.parameters()]
        parameters, trained = sum(size for size, _ in sizes), sum(size for size, gradient in sizes if gradient)
        self.flops = flops_per_token(model.config, parameters, trained, mean_context)
        self.rate = processes * matrix_rate(model.device, model.dtype)
        self.device = model.device
        self.start(0)

    def start(self, tokens: int) -> None:
        """Begins to measure, `tokens` having been seen before."""
        self.seen, self.since = tokens, time.monotonic()

    def read(self, tokens: int) -> dict[str, float]:
        """The numbers since the last call, given all `tokens` seen so far."""
        now = time.monotonic()
        speed = (tokens - self.seen) / max(now - self.since, 1e-9)
        self.start(tokens)
        numbers = {"tokens_per_second": speed, "mfu": speed * self.flops / self.rate}
        if self.device.type == "cuda":
            numbers["memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        return numbers


def flops_per_token(config: Any, parameters: int, trained: int, mean_context: float) -> float:
    """Floating-point operations of forward and backward for one token: 4 N + 2 T + 6 L d c.

    N counts the parameters that are multiplied with (all but the input embedding, where it is not tied to the output), T
    those of them that are trained (all but under LoRA, where frozen ones pass gradients on and get none), L layers, d their
    width, c the mean length of an example, of which causal attention sees half on average: 12 L d c / 2.
    Chowdhery et al. (2022), "PaLM", arXiv:2204.02311, appendix B, with causality counted. Recomputation by gradient
    checkpointing is not counted: MFU is about useful work.
    """
    multiplied = parameters - (0 if config.tie_word_embeddings else config.vocab_size * config.hidden_size)
    attention = 6 * config.num_hidden_layers * config.hidden_size * mean_context
    return 4 * multiplied + 2 * min(trained, multiplied) + attention


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of one large matrix product on this device, measured: the best of a few."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = math.inf
    for _ in range(5):
        began = time.perf_counter()
        (a @ b)[0, 0].item()  # reading it waits for the device
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best
