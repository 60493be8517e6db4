"""How many tokens a checkpoint had seen in training, from the manifest or from what training wrote beside the weights."""

from __future__ import annotations

from collections.abc import Iterable

from eval import provenance
from eval.report.load import Evaluation, weights_folder


def tokens_seen(evaluation: Evaluation) -> int | None:
    """Training tokens up to the checkpoint; None where nobody wrote them down, or the folder holds another step by now."""
    checkpoint = evaluation.manifest["checkpoint"]
    if isinstance(checkpoint.get("tokens_seen"), int):
        return int(checkpoint["tokens_seen"])
    return provenance.tokens_seen(weights_folder(evaluation), checkpoint["step"])


def tokens_by_key(evaluations: Iterable[Evaluation]) -> dict[str, int]:
    """{key: training tokens} of the evaluations where they are known."""
    found = {str(evaluation.summary["key"]): tokens_seen(evaluation) for evaluation in evaluations}
    return {key: tokens for key, tokens in found.items() if tokens is not None}
