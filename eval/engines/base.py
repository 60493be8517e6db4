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


class Stops(NamedTuple):
    """What ends an output: one of the token ids, or the text in which the template begins the next problem ("" for none)."""

    token_ids: tuple[int, ...]
    next_problem: str = ""


# What both engines say where a model's weights are numbers but what it computes from them is not.
NAN_LOGITS = (
    "the model computes NaN instead of a score for each token, so its outputs would be noise; its weights are too large for "
    "the precision, or damaged: evaluate an earlier checkpoint"
)

Finished = tuple[int, list[Completion]]


class Engine(Protocol):
    """A resident decoder. `name` and `version` are part of every prediction's key."""

    name: str
    version: str
    max_model_tokens: int
    """Longest prompt plus its output that will be asked for; set before `load`, which makes room for it."""

    def load(self, folder: Path) -> Loaded:
        """Makes `folder` the model that `generate` uses, and verifies that it is."""
        ...

    def generate(self, prompts: list[list[int]], decoding: Decoding, stops: Stops) -> Iterator[Finished]:
        """Yields (index into `prompts`, its `n_samples` completions) as they finish, in any order."""
        ...

    def close(self) -> None:
        """Frees the model's memory and stops the engine's processes."""
        ...
