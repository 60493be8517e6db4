"""make bench: speeds as ratios within one run, on the demo's model and problems; docs/benchmarks.md keeps the results."""

from __future__ import annotations

import statistics
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

from rich.table import Table

from data.synthetic import BENCHMARK, LARGEST, generate
from eval import benchmarks, prompts
from eval.console import quiet
from eval.engines.base import Engine, Stops
from eval.engines.hf import HuggingFace
from eval.engines.vllm import Vllm
from eval.plan import choose_device
from eval.records import Decoding
from graders import grade_many
from sft_utils import get_tokenizer

BASE, RUN, DATA = Path("models/smollm2-135m"), Path("checkpoints/demo"), Path("data/built/demo")
DECODING = Decoding(max_tokens=160)
ROUNDS = 2  # of each engine in turn: the second one is reported, the first warms caches up


def main() -> int:
    """Measures and prints; returns 1 where `make demo` has not made what is measured."""
    trained = sorted(RUN.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))
    if not trained:
        print(f"error: {RUN} holds no checkpoints; run `make demo` first.", file=sys.stderr)
        return 1
    table = Table("what", "measured", "beside", "ratio")
    with quiet(Path("reports/bench.log")) as console:
        for row in (*engine_rows(trained[-1]), grader_row()):
            table.add_row(*row)
        console.print(table)
    return 0


def engine_rows(checkpoint: Path) -> list[tuple[str, str, str, str]]:
    """Start against swap, and decoding against transformers on the same prompts."""
    tokenizer = get_tokenizer(str(checkpoint))
    problems = benchmarks.load(BENCHMARK, DATA).problems
    ids = prompts.prompt_ids(problems, tokenizer, prompts.describe(tokenizer))
    stops = Stops((tokenizer.eos_token_id,))

    device = choose_device("auto")
    engine = Vllm(device)
    engine.max_model_tokens = max(map(len, ids)) + DECODING.max_tokens
    start = engine.load(BASE).start_s
    swap = statistics.median(
        [engine.load(folder).swap_s for folder in (checkpoint, BASE, checkpoint, BASE, checkpoint)]
    )
    fast, tokens = [tokens_a_second(engine, ids, stops) for _ in range(ROUNDS)][-1]
    engine.close()
    beside = HuggingFace(device)
    beside.load(checkpoint)
    slow, _ = [tokens_a_second(beside, ids, stops) for _ in range(ROUNDS)][-1]
    beside.close()
    return [
        ("swap of weights, verified, median of 5", f"{swap:.2f} s", f"cold start {start:.1f} s", f"{start / swap:.0f}"),
        (
            f"decode {len(ids)} problems, {tokens:,} tokens, vLLM",
            f"{fast:.0f} tokens/s",
            f"transformers {slow:.0f} tokens/s",
            f"{fast / slow:.2f}",
        ),
    ]


def tokens_a_second(engine: Engine, ids: list[list[int]], stops: Stops) -> tuple[float, int]:
    """(output tokens a second, output tokens) over all prompts."""
    began = time.perf_counter()
    tokens = sum(len(sample.token_ids) for _, samples in engine.generate(ids, DECODING, stops) for sample in samples)
    return tokens / (time.perf_counter() - began), tokens


def grader_row() -> tuple[str, str, str, str]:
    """Outputs graded a second against Math-Verify given the last box only, its best case, on the same outputs."""
    from math_verify import parse, verify

    pairs = [(item.solution, item.answer) for item in islice(generate(0, tuple(LARGEST)), 2000)]
    ours = timed(lambda: grade_many(pairs, workers=1))
    theirs = timed(lambda: [verify(parse(f"${gold}$"), parse(f"\\boxed{{{gold}}}")) for _, gold in pairs])
    return (
        "grade 2,000 easy outputs",
        f"{len(pairs) / ours:,.0f}/s",
        f"Math-Verify {len(pairs) / theirs:,.0f}/s",
        f"{theirs / ours:.0f}",
    )


def timed(work: Any) -> float:
    """Seconds that `work()` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
