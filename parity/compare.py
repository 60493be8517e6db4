"""How far two trainings differ: in the loss of each step, and in the final weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

TOLERANCE = 1e-5  # of a loss and of a weight: sums in float32 are added in another order


@dataclass(frozen=True)
class Difference:
    """`first` is the first step whose losses differ by more than TOLERANCE, counted from 1; None where none does."""

    loss: float
    weight: float
    first: int | None

    @property
    def equal(self) -> bool:
        return self.loss <= TOLERANCE and self.weight <= TOLERANCE


def compare(
    losses: Sequence[float], weights: dict[str, torch.Tensor],
    other_losses: Sequence[float], other_weights: dict[str, torch.Tensor],
) -> Difference:  # fmt: skip
    """The largest differences of two trainings. Raises ValueError where their steps or the names of their weights differ."""
    if weights.keys() != other_weights.keys():
        raise ValueError(f"the names of the weights differ: {sorted(weights.keys() ^ other_weights.keys())[:3]}")
    apart = [abs(a - b) for a, b in zip(losses, other_losses, strict=True)]
    first = next((step for step, size in enumerate(apart, start=1) if not size <= TOLERANCE), None)
    weight = torch.stack([(weights[name] - other_weights[name]).abs().max() for name in weights])
    # torch's max keeps a NaN, Python's may not.
    return Difference(torch.tensor(apart).max().item(), weight.max().item(), first)
