"""The records of preflight: its input, and the result of a check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from datasets import Dataset
from transformers import PreTrainedTokenizer
from trl import SFTConfig

from training.settings import ContractArguments


@dataclass(frozen=True)
class Check:
    """One check: whether it holds, what was found, and what to do where it does not hold."""

    name: str
    ok: bool
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Run:
    """All input of the checks. `rendered` is what `examples.render` gave for `raw`, split by split."""

    contract: ContractArguments
    arguments: SFTConfig
    tokenizer: PreTrainedTokenizer
    raw: Mapping[str, Dataset]
    rendered: Mapping[str, Dataset]
    parameters: int | None
    processes: int
