"""What an engine is: weights that can be exchanged, and token ids in, token ids out. No text, no grading."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


class Prompt(NamedTuple):
    """What is asked: the id of its problem, from which the draws of its samples follow, and its token ids."""

    problem: str
    token_ids: list[int]


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

    def generate(self, prompts: Sequence[Prompt], decoding: Decoding, stops: Stops) -> Iterator[Finished]:
        """Yields (index into `prompts`, its `n_samples` completions) as they finish, in any order.

        Decoding is what `decoding` says, whatever the model's own generation_config.json wishes; tokens are drawn by
        `eval.engines.draws`, so that a sample is the same in every engine but for the last bits of its logits.
        """
        ...

    def close(self) -> None:
        """Frees the model's memory and stops the engine's processes."""
        ...
