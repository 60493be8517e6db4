"""Where a run goes on: from its newest checkpoint with optimizer state, under the same config, on the same data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eval import checkpoints
from eval.records import UserError
from training.notes import has_state


def checkpoint(run: Path, wanted: bool, notes: dict[str, dict[str, Any]]) -> str | None:
    """The checkpoint to resume from, None for a run that begins. Raises UserError where neither can be.

    `notes` are those of this run; what a checkpoint's own say differently is named, because the result would be of neither.
    """
    found = checkpoints.steps(run)
    if not wanted:
        if found:
            raise UserError(
                f"{run} holds {len(found)} checkpoints of an earlier training ({found[0].name}, …), and reports would take both "
                "for one run; go on with it (make train RESUME=1), set another run_name, or remove that folder."
            )
        return None
    if (run / checkpoints.FINISHED).is_file():
        raise UserError(f"{run} has finished, there is nothing to resume; set another run_name to train anew.")
    able = [folder for folder in found if has_state(folder)]
    if not able:
        raise UserError(
            f"{run} holds no checkpoint with optimizer state to resume from; train with save_only_model: false, or begin anew."
        )
    refuse_other(able[-1], notes)
    return str(able[-1])


def refuse_other(folder: Path, notes: dict[str, dict[str, Any]]) -> None:
    """Raises UserError (exit code 1) with the differences where a checkpoint is of another config or other data."""
    then = {name: json.loads((folder / name).read_text(encoding="utf-8")) for name in ("run.json", "data.json")}
    differences = _differences(then["run.json"]["config"], notes["run.json"]["config"], "")
    for split in ("train", "validation"):
        differences += _differences(then["data.json"][split], notes["data.json"][split], f"{split} ")
    if differences:
        raise UserError(
            f"{folder} was trained with other settings or data ({'; '.join(differences)}); restore them to resume, or set another "
            "run_name to train anew.",
            1,
        )


def _differences(then: dict[str, Any], now: dict[str, Any], prefix: str) -> list[str]:
    """ "key: then -> now" for every key whose value differs, short enough for a sentence."""
    keys = [key for key in then | now if then.get(key) != now.get(key)]
    return [f"{prefix}{key}: {str(then.get(key))[:40]} -> {str(now.get(key))[:40]}" for key in keys]
