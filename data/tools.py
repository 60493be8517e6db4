"""What filters need beyond a row: the tokenizer of the model that the recipe is for, and the index of benchmarks.

Both are costly to load, so each worker process loads them once, and only for a recipe that asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import sft_utils
from data.decontaminate import Index
from data.decontaminate import build as build_index
from data.placeholders import is_placeholder
from data.rows import Drop, Row
from eval import benchmarks, prompts
from eval.records import Problem, UserError, first_line
from graders import extract_boxed, grade_answers

# Texts that a tokenizer takes at once: enough to be fast, few enough that a chunk of 10 MB rows fits.
TOKENIZER_BATCH = 500
# The contract's.
MAX_TOKENS, MAX_ROWS = 2048, {"train": 100_000, "validation": 100}


@dataclass(frozen=True)
class Tools:
    """Loaded on first use, in whatever process asks first."""

    tokenizer_name: str
    benchmarks_dir: Path | None = None
    benchmark_names: tuple[str, ...] = ()

    @cached_property
    def tokenizer(self) -> Any:
        """Raises UserError where it cannot be had."""
        try:
            return sft_utils.get_tokenizer(self.tokenizer_name)
        except Exception as error:  # the hub's client raises a dozen unrelated types for "not to be had"
            raise UserError(
                f"tokenizer {self.tokenizer_name!r} could not be had ({first_line(error)}); name a model's folder or a hub id "
                "in the recipe's `tokenizer`, or pass --tokenizer."
            ) from None

    @cached_property
    def template_faults(self) -> list[str]:
        """What today's template does to every row alike, for which no row is dropped."""
        return prompts.faults_today(self.tokenizer)

    @cached_property
    def bytes_bound_tokens(self) -> bool:
        """Whether a token stands for at least one byte of the text as it is, as in byte-level BPE without a normalizer."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        return backend is not None and backend.normalizer is None and type(backend.decoder).__name__ == "ByteLevel"

    @cached_property
    def template_bytes(self) -> int:
        """What the template adds to a text, with two tokens that the tokenizer may put round it."""
        example = prompts.example_of("x", "x")
        return len(prompts.render_text(example, self.tokenizer, "sft").encode()) + 2

    @cached_property
    def index(self) -> Index:
        """Of the problems of `benchmark_names`."""
        return build_index(problem for name in self.benchmark_names for problem in self.problems(name))

    def problems(self, name: str) -> tuple[Problem, ...]:
        """Of a benchmark by name."""
        return benchmarks.load(name, self.benchmarks_dir).problems

    def token_counts(self, rows: list[Row]) -> list[int]:
        """Tokens of each row as training sees it: template, BOS and EOS included."""
        return [len(ids) for ids in self.encode(rows, "sft")]

    def encode(self, rows: list[Row], task: str) -> list[list[int]]:
        """Token ids of each row, rendered by `sft_utils` for "sft" or "generation"."""
        found: list[list[int]] = []
        for start in range(0, len(rows), TOKENIZER_BATCH):
            batch = rows[start : start + TOKENIZER_BATCH]
            examples = [prompts.example_of(row["problem"], row["solution"]) for row in batch]
            texts = [prompts.render_text(example, self.tokenizer, task) for example in examples]
            found += self._ids(texts)
        return found

    def _ids(self, texts: list[str]) -> list[list[int]]:
        """What `tokenizer(texts)` gives; a fast tokenizer is asked directly, without offsets that nobody reads."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if backend is None:
            return list(self.tokenizer(texts).input_ids)
        return [encoding.ids for encoding in backend.encode_batch_fast(texts)]


def length(rows: list[Row], tools: Tools, *, max_tokens: int = 2048, min_tokens: int = 0) -> list[Drop | None]:
    """Rendered tokens within the limits. A text of fewer bytes than `max_tokens` is not tokenized for it."""
    unsure = [
        index
        for index, row in enumerate(rows)
        if min_tokens
        or not tools.bytes_bound_tokens
        or len((row["problem"] + row["solution"]).encode("utf-8", "replace")) + tools.template_bytes > max_tokens
    ]
    found: list[Drop | None] = [None] * len(rows)
    for index, tokens in zip(unsure, tools.token_counts([rows[index] for index in unsure]), strict=True):
        if tokens > max_tokens:
            found[index] = Drop(f"longer than {max_tokens:,} tokens", {"tokens": tokens})
        elif tokens < min_tokens:
            found[index] = Drop(f"shorter than {min_tokens:,} tokens", {"tokens": tokens})
    return found


def answer_matches(rows: list[Row], tools: Tools, *, require: bool = False) -> list[Drop | None]:
    """The last box equals the stated answer, as the grader sees it; `require: true` drops rows that state none."""
    boxes = [extract_boxed(row["solution"]) for row in rows]
    stated = [index for index, row in enumerate(rows) if not is_placeholder(row["answer"], row["solution"])]
    verdicts = grade_answers([(boxes[index], rows[index]["answer"]) for index in stated], workers=1)
    found: list[Drop | None] = [Drop("states no answer") if require else None] * len(rows)
    for index, verdict in zip(stated, verdicts, strict=True):
        found[index] = None
        if not verdict.correct:
            reason = (
                "box differs from the stated answer" if verdict.status == "wrong" else f"not graded: {verdict.status}"
            )
            found[index] = Drop(reason, {"box": boxes[index], "answer": rows[index]["answer"], "rule": verdict.rule})
    return found


def decontaminate(rows: list[Row], tools: Tools, *, benchmarks: list[str] | None = None) -> list[Drop | None]:
    """No problem of a benchmark that is reported on: not its text, not most of its 13-grams, not its template.

    `benchmarks` names them; without it, all that `--benchmarks-dir` holds, or the hub's table.
    """
    leaks = [tools.index.find(row["problem"]) for row in rows]
    return [
        None
        if leak is None
        else Drop(
            f"{leak.reason} of {leak.benchmark}",
            {"benchmark": leak.benchmark, "id": leak.id, "share": round(leak.share, 3), "text": leak.problem},
        )
        for leak in leaks
    ]


def contract(rows: list[Row], tools: Tools) -> list[Drop | None]:
    """What training's preflight would stop at, whatever the recipe asked for; rows that pass learn their `tokens`.

    What the template does to every row alike is no fault of a row. No recipe names this step: it stands before the split of every one.
    """
    found: list[Drop | None] = []
    wholes, beginnings = tools.encode(rows, "sft"), tools.encode(rows, "generation")
    for row, whole, prompt in zip(rows, wholes, beginnings, strict=True):
        fault, ids = prompts.fault_of_row(whole, prompt, tools.tokenizer, tools.template_faults)
        if not (row["problem"].strip() and row["solution"].strip()):
            fault = "roles"
        if fault:
            found.append(Drop(f"preflight: {fault}"))
        elif len(ids) > MAX_TOKENS:
            found.append(Drop(f"longer than {MAX_TOKENS:,} tokens", {"tokens": len(ids)}))
        else:
            row["tokens"] = str(len(ids))
            found.append(None)
    return found


CONTRACT = "contract"
BATCH_FILTERS: dict[str, Callable[..., list[Drop | None]]] = {
    "length": length,
    "answer_matches": answer_matches,
    "decontaminate": decontaminate,
}
