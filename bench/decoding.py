"""Start against swap; decoding through the engine against bare vLLM and against transformers, on the same prompts."""

from __future__ import annotations

from statistics import median

from bench.measure import BASE, DATA, Row, seconds, trained_checkpoints
from data.synthetic import BENCHMARK
from eval import benchmarks, prompts
from eval.engines.base import Engine, Prompt, Stops
from eval.engines.hf import HuggingFace
from eval.engines.vllm import Vllm
from eval.plan import choose_device
from eval.records import Decoding
from sft_utils import get_tokenizer

DECODING = Decoding(max_tokens=160)
ROUNDS = 4  # in turn; the first of each warms caches up and is left out


def rows() -> list[Row]:
    """One row a comparison."""
    checkpoint, device = trained_checkpoints()[-1], choose_device("auto")
    tokenizer = get_tokenizer(str(checkpoint))
    prompt = prompts.describe(tokenizer)
    ids = prompts.prompt_ids(benchmarks.load(BENCHMARK, DATA).problems, tokenizer, prompt)
    stops = Stops(tuple(prompt["stop_token_ids"]), prompt["next_problem"])

    engine = Vllm(device)
    engine.max_model_tokens = max(map(len, ids)) + DECODING.max_tokens
    start = engine.load(BASE).start_s
    swap = median([engine.load(folder).swap_s for folder in (checkpoint, BASE, checkpoint, BASE, checkpoint)])
    rounds = [
        (seconds(lambda: decode(engine, ids, stops)), seconds(lambda: bare(engine, ids, stops))) for _ in range(ROUNDS)
    ]
    ours, theirs = (median(times) for times in zip(*rounds[1:], strict=True))
    tokens = decode(engine, ids, stops)
    engine.close()

    beside = HuggingFace(device)
    beside.load(checkpoint)
    slow = min(seconds(lambda: decode(beside, ids, stops)) for _ in range(2))
    beside.close()
    return [
        ("swap of weights, verified, median of 5", f"{swap:.2f} s", f"cold start {start:.1f} s", f"{start / swap:.0f}"),
        (
            f"decode {len(ids)} problems, {tokens:,} tokens",
            f"{tokens / ours:.0f} tokens/s",
            f"bare LLM.generate {tokens / theirs:.0f} tokens/s",
            f"{theirs / ours:.2f}",
        ),
        (
            "the same",
            f"{tokens / ours:.0f} tokens/s",
            f"transformers {tokens / slow:.0f} tokens/s",
            f"{slow / ours:.2f}",
        ),
    ]


def decode(engine: Engine, ids: list[list[int]], stops: Stops) -> int:
    """Decodes all prompts; returns the number of output tokens."""
    asked = [Prompt(str(number), one) for number, one in enumerate(ids)]
    return sum(len(sample.token_ids) for _, samples in engine.generate(asked, DECODING, stops) for sample in samples)


def bare(engine: Vllm, ids: list[list[int]], stops: Stops) -> None:
    """The same prompts through vLLM's own front door."""
    from vllm import SamplingParams

    parameters = SamplingParams(
        temperature=0, max_tokens=DECODING.max_tokens, stop_token_ids=list(stops.token_ids), stop=stops.next_problem
    )
    engine._llm.generate([{"prompt_token_ids": one} for one in ids], parameters, use_tqdm=False)
