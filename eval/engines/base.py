"""What an engine is: weights that can be exchanged, and token ids in, token ids out. No text, no grading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from eval.records import Completion, Decoding


class Loaded(NamedTuple):
    """Seconds that `load` took: `start_s` where it started the engine, `swap_s` where it exchanged the weights, else 0."""

    start_s: float
    swap_s: float


class Engine(Protocol):
    """A resident decoder. `name` and `version` are part of every prediction's key."""

    name: str
    version: str
    max_model_tokens: int
    """Longest prompt plus its output that will be asked for; set before the first `load`."""

    def load(self, folder: Path) -> Loaded:
        """Makes `folder` the model that `generate` uses, and verifies that it is."""
        ...

    def generate(
        self, prompts: list[list[int]], decoding: Decoding, stop_token_ids: list[int]
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yields (index into `prompts`, its `n_samples` completions) as they finish, in any order."""
        ...

    def close(self) -> None:
        """Frees the model's memory and stops the engine's processes."""
        ...
