"""How tokens are drawn at a temperature: the same way in every engine, whatever else is decoded beside a sample.

Each sample has a stream of noise of its own, which depends on the decoding's seed, the problem's id, the number of the
sample and the position, and on nothing else. So samples of different problems are independent, and a sample does not
change with its batch, with an interruption or with the engine's own generators. The noise is a hash of these numbers, as
in counter-based generators (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). The token is the argmax
of log p + Gumbel noise, which is distributed as p (Maddison et al. 2014, arXiv:1411.0030, section 2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from eval.records import Decoding

if TYPE_CHECKING:
    import torch

# Part of the key of every evaluation at a temperature: change it with the rule.
RULE = "one stream per problem and sample, 1"
ROWS_AT_A_TIME = 64  # noise for 64 rows of 128,256 logits takes about 0.2 GiB
# Two rounds of a 32-bit mixer (Wellons, "Prospecting for hash functions", 2018: lowbias32).
MIXER = ((16, 0x7FEB352D), (15, 0x846CA68B))
LAST_SHIFT = 16
MASK = 0xFFFFFFFF


class Draw(NamedTuple):
    """One sample's way to draw: temperature above 0, top_p from 0 to 1, and the 64-bit key of its noise."""

    temperature: float
    top_p: float
    key: int


def make_key(seed: int, problem: str, sample: int) -> int:
    """The 64-bit key of the noise of one sample of the problem with this id."""
    name = f"{seed}\0{sample}\0{problem}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "little")


def list_draws(decoding: Decoding, problem: str) -> list[Draw]:
    """The draw of every sample of a problem."""
    keys = (make_key(decoding.seed, problem, sample) for sample in range(decoding.n_samples))
    return [Draw(decoding.temperature, decoding.top_p, key) for key in keys]


def draw_tokens(logits: torch.Tensor, draws: Sequence[Draw], positions: Sequence[int]) -> torch.Tensor:
    """Logits (rows, vocabulary) that are -inf but at the token drawn for each row, where they are 0.

    `positions` are the numbers of tokens that each sample has so far.
    """
    import torch

    chosen = torch.full_like(logits, float("-inf"))
    for start in range(0, len(draws), ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        scores = _scaled(logits[rows], draws[rows])
        scores -= _exponential_noise(scores, draws[rows], positions[rows]).log_()
        chosen[rows].scatter_(1, scores.argmax(dim=1, keepdim=True), 0.0)
    return chosen


def _scaled(logits: torch.Tensor, draws: Sequence[Draw]) -> torch.Tensor:
    """log p up to a constant: divided by the temperature, -inf outside the nucleus (Holtzman et al. 2020)."""
    import torch

    temperatures = torch.tensor([draw.temperature for draw in draws], device=logits.device)
    scores = logits.to(torch.float32) / temperatures[:, None]
    if all(draw.top_p >= 1 for draw in draws):
        return scores
    nucleus = torch.tensor([draw.top_p for draw in draws], device=logits.device)
    ordered, order = scores.sort(dim=1, descending=True)
    shares = ordered.softmax(dim=1)
    before = shares.cumsum(dim=1) - shares
    outside = before >= nucleus[:, None]
    outside[:, 0] = False  # the likeliest token always stays
    return scores.masked_fill_(torch.zeros_like(outside).scatter_(1, order, outside), float("-inf"))


def _exponential_noise(like: torch.Tensor, draws: Sequence[Draw], positions: Sequence[int]) -> torch.Tensor:
    """Exponential noise (rows, vocabulary), each row of its sample's key and position; -log of it is Gumbel noise."""
    import torch

    # The key's halves enter apart, so that two samples never share a part of their noise at another position or token.
    low = [_mixed((draw.key & MASK) ^ _mixed(position)) for draw, position in zip(draws, positions, strict=True)]
    high = [_mixed((draw.key >> 32) + low_half & MASK) for draw, low_half in zip(draws, low, strict=True)]
    tokens = torch.arange(like.shape[1], dtype=torch.int64, device=like.device)
    first = torch.tensor(low, dtype=torch.int64, device=like.device)[:, None]
    second = torch.tensor(high, dtype=torch.int64, device=like.device)[:, None]
    bits = _mix(_mix(tokens ^ first) ^ second)
    # Small noise decides who wins; log1p of a small number keeps its precision, which log of one near 1 would not.
    return bits.to(torch.float32).add_(0.5).mul_(2.0**-32).clamp_(max=1 - 2.0**-24).neg_().log1p_().neg_()


def _mix(values: torch.Tensor) -> torch.Tensor:
    """A bijection of 32-bit numbers, held in int64, in which each bit depends on all others."""
    for shift, factor in MIXER:
        values = (values ^ (values >> shift)).mul_(factor).bitwise_and_(MASK)
    return values ^ (values >> LAST_SHIFT)


def _mixed(value: int) -> int:
    """`_mix` of one number."""
    for shift, factor in MIXER:
        value = (value ^ (value >> shift)) * factor & MASK
    return value ^ (value >> LAST_SHIFT)
