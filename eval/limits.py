"""What a model can take: prompts and outputs within its context, and token ids within its vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from eval.records import Benchmark, Decoding, UserError

# The names under which architectures state their context; where several are there, the smallest holds, as for vLLM.
CONTEXT_KEYS = (
    *("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_seq_length", "max_sequence_length"),
    *("seq_length", "seq_len", "max_target_positions", "model_max_length"),
)
# Kinds of scaled positions whose `max_position_embeddings` is the unscaled length; all others state the scaled one.
STATED_UNSCALED = ("linear", "dynamic")


def context_tokens(config: Any) -> int | None:
    """The context by a model's config, in tokens; None where it has no limit of its own. A sliding window is no limit."""
    text = config.get_text_config(decoder=True)
    stated = [getattr(text, key, None) for key in CONTEXT_KEYS]
    limits = [value for value in stated if isinstance(value, int) and not isinstance(value, bool) and value > 0]
    return int(min(limits) * _scale(getattr(text, "rope_parameters", None))) if limits else None


def _scale(rope: Any) -> float:
    if isinstance(rope, dict) and rope.get("rope_type") in STATED_UNSCALED:
        factor = rope.get("factor")
        return float(factor) if isinstance(factor, int | float) and factor >= 1 else 1.0
    return 1.0


def check_context(
    folder: Path, config: Any, benchmark: Benchmark, ids: list[list[int]], decoding: Decoding, shots: bool = False
) -> None:
    """Raises UserError where the longest prompt, which may hold `shots`, and the budget exceed the model's context."""
    context, prompt = context_tokens(config), max(map(len, ids))
    if context is None or prompt + decoding.max_tokens <= context:
        return
    fix = f"pass --max-tokens {context - prompt} or less" if context > prompt else "take a model with more"
    fix += ", or fewer --shots" if shots else ""
    raise UserError(
        f"{folder}: its context of {context} tokens is too short for a prompt of {prompt} of {benchmark.name} "
        f"and --max-tokens {decoding.max_tokens}; {fix}."
    )


def check_vocabulary(
    folder: Path, config: Any, tokenizer: Any, benchmark: Benchmark, ids: list[list[int]], stops: Iterable[int]
) -> None:
    """Raises UserError (exit code 1) where the tokenizer gives ids that the model has no embedding for."""
    rows = getattr(config.get_text_config(decoder=True), "vocab_size", None)
    if not isinstance(rows, int):
        return
    used = [
        (f"problem {problem.id}", max(one, default=0)) for problem, one in zip(benchmark.problems, ids, strict=True)
    ]
    used += [("the end of an output", stop) for stop in stops]
    where, token = max(used, key=lambda one: one[1])
    if token >= rows:
        raise UserError(
            f"{folder}: its tokenizer writes token {token} ({tokenizer.convert_ids_to_tokens(token)!r}) for {where} of "
            f"{benchmark.name}, but the model has embeddings for {rows} tokens only, the tokenizer for {len(tokenizer)}; put "
            f"the tokenizer of these weights there, or train again after resize_token_embeddings({len(tokenizer)}).",
            exit_code=1,
        )
