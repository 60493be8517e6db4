"""The differences between the contract's trainer and this project's, in the order in which they are removed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Rung:
    """The contract's trainer without the differences of this rung and of the rungs before it.

    `one_eos`: packing appends no second EOS. `batches`: "" its own, "rows" the recorded rows as one text each, "examples"
    the same with each example's own positions and attention, "predicted" with the first token of a row not counted.
    """

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    one_eos: bool = False
    batches: str = ""


def ladder(packing: bool, settings: dict[str, Any]) -> list[Rung]:
    """The rungs; `settings` are the optimizer's values of this project's run, which the second one states."""
    stated = {name: value for name, value in settings.items() if value is not None and name != "optim"}
    first = [Rung("as it is"), Rung("the optimizer's settings stated", stated)]
    if not packing:
        return [
            *first,
            Rung("the same batches", stated, batches="rows"),
            Rung("loss averaged over predicted tokens only", stated, batches="predicted"),
        ]
    return [
        *first,
        Rung("one EOS per example", stated, one_eos=True),
        Rung("the same rows: whole examples, in the same order", stated, batches="rows"),
        Rung("attention and positions within each example", stated, batches="examples"),
    ]
