"""Resuming a run from its newest checkpoint with optimizer state, where the rows and what is learnt stay the same."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trl import SFTConfig

from eval import adapters, checkpoints
from eval.console import printable
from eval.records import UserError
from training.lora import LoraArguments
from training.notes import has_state
from training.settings import ContractArguments

# Settings that do not change what is learnt: output, logging, evaluation, memory and speed. Rows are compared by the digest
# of their tokens, so their folder may have moved.
FREE = {
    "output_dir", "run_name", "project", "dataset_name_or_path", "dataset_mode", "do_train", "do_eval", "do_predict",
    "report_to", "disable_tqdm", "gradient_checkpointing", "gradient_checkpointing_kwargs", "activation_offloading",
    "torch_empty_cache_steps", "use_cache", "per_device_eval_batch_size", "batch_eval_metrics", "prediction_loss_only",
    "bf16_full_eval", "fp16_full_eval", "load_best_model_at_end", "metric_for_best_model", "greater_is_better",
    "include_num_input_tokens_seen", "skip_memory_metrics", "overwrite_output_dir", "ddp_timeout", "benchmarks", "quants",
}  # fmt: skip
FREE_BEGINNINGS = ("eval_", "evaluation_", "logging_", "log_", "save_", "hub_", "push_to_hub", "wandb_", "trackio_")
FREE_BEGINNINGS += (
    "dataloader_num_",
    "dataloader_pin_",
    "dataloader_persistent_",
    "dataloader_prefetch_",
    "overwrite_hub_",
)
BATCH, ACCUMULATION, TOTAL = (
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    ("max_steps", "num_train_epochs"),
)
# Schedules whose rate at a step does not depend on the length of the run.
ENDLESS = ("constant", "constant_with_warmup", "inverse_sqrt")

SHOWN = 60  # characters of a value

NEEDED = ("trainer_state.json", "scheduler.pt", "rng_state*.pth")  # beside weights and optimizer

Settings = dict[str, Any]
Say = Callable[[str], None]


def checkpoint(run: Path, wanted: bool, notes: dict[str, Settings], say: Say = print) -> str | None:
    """The checkpoint to resume from; None for a new run. Raises UserError where the run can neither start nor resume.

    `notes` are those of this run. Where the checkpoint's own notes differ, that is an error if it changes what is learnt;
    else `say` gets one line about it.
    """
    found = checkpoints.steps(run)
    if not wanted:
        if found:
            raise UserError(
                f"{run} holds {len(found)} checkpoints of an earlier training ({found[0].name}, …), and reports would take both "
                "for one run; go on with it (make train RESUME=1), set another run_name, or remove that folder."
            )
        return None
    able = [folder for folder in found if has_state(folder)]
    if (run / checkpoints.FINISHED).is_file() and not (able and is_longer(run, able[-1], notes)):
        raise UserError(f"{run} has finished, there is nothing to resume; set another run_name to train again.")
    if not able:
        raise UserError(
            f"{run} has no checkpoint with optimizer state, so it cannot be resumed; set another run_name, or "
            "remove that folder, and train with save_only_model: false."
        )
    refuse_other(able[-1], notes, say)
    return str(able[-1])


def refuse_damaged(folder: Path) -> None:
    """Raises UserError (exit code 1) where a checkpoint lacks a part that a restart needs, or where one is cut short.

    Without the schedule's file transformers would begin Adam anew, and without the random states draw others, both in silence.
    """
    lacking = [pattern for pattern in NEEDED if not any(folder.glob(pattern))]
    lacking += [] if adapters.is_adapter(folder) or checkpoints.stored_shapes(folder) else ["*.safetensors"]
    broken = lacking or [str(file.relative_to(folder)) for file in archives(folder) if not zipfile.is_zipfile(file)]
    if broken:
        problem = "lacks" if lacking else "has a damaged"
        raise UserError(
            f"{folder} {problem} {broken[0]}, so the run cannot go on from it as it was; set another run_name to train anew.",
            1,
        )
    read_note(folder, "trainer_state.json")


def archives(folder: Path) -> list[Path]:
    """The files of a checkpoint's state, each of which torch wrote as a zip."""
    return sorted(file for file in folder.rglob("*.pt*") if file.suffix in (".pt", ".pth"))


def is_done(folder: Path, notes: dict[str, Settings]) -> bool:
    """Whether a checkpoint is the run's last: the run was stopped behind it, before it could say that it has finished.

    transformers would take one step more.
    """
    state = read_note(folder, "trainer_state.json")
    return bool(state.get("global_step", 0) >= state.get("max_steps", 0) > 0) and not is_longer(
        folder.parent, folder, notes
    )


def clear(run: Path, resumed: str | None) -> None:
    """Removes the mark of a finished run, and the unfinished checkpoints after `resumed`."""
    (run / checkpoints.FINISHED).unlink(missing_ok=True)
    for folder in checkpoints.steps(run) if resumed else ():
        if step_of(folder) > step_of(Path(str(resumed))) and not (folder / "run.json").is_file():
            shutil.rmtree(folder)


def step_of(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def refuse_other(folder: Path, notes: dict[str, Settings], say: Say = print) -> None:
    """Raises UserError (exit code 1) with the differences, where resuming would change what is learnt."""
    run, data = read_note(folder, "run.json", "config"), read_note(folder, "data.json", "train", "validation")
    then, now = with_defaults(run["config"]), with_defaults(notes["run.json"]["config"])
    for note, settings in ((run, then), (notes["run.json"], now)):
        # What a left-out `packing` means depends on the version.
        settings["packing"] = note.get("packing", settings["packing"])
    changed = _changed(then, now)
    free = {key for key in changed if is_free(key)} | same_batch(then, now) | same_rates(then, now, step_of(folder))
    differences = _differences(then, now, "", changed - free)
    for key in ("engine", "precision"):
        if key in run and key in notes["run.json"]:
            differences += _differences(run, notes["run.json"], "", {key} & _changed(run, notes["run.json"]))
    for split in ("train", "validation"):
        parts = data[split], notes["data.json"][split]
        differences += _differences(*parts, f"{split} ", _changed(*parts))
    if differences:
        raise UserError(
            f"{folder} was trained with other settings or data ({'; '.join(differences)}){reason(then, now, changed - free)}; "
            "restore them to resume, or set another run_name to start a new run.",
            1,
        )
    if free:
        told = "; ".join(_differences(then, now, "", free))
        say(f"resumed with other settings, which do not change what is learnt: {told}{fine_print(now, free, notes)}")


def read_note(folder: Path, name: str, *parts: str) -> Settings:
    """A note that training wrote into a checkpoint: an object with these parts. Raises UserError (exit code 1) for anything else."""
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(found.get(part), dict) for part in parts):
        raise UserError(
            f"{folder / name} is missing or damaged; remove {folder} to resume from an earlier checkpoint.", 1
        )
    return found


def with_defaults(config: Settings) -> Settings:
    """The settings, completed by defaults: stating a default is not a change."""
    fields = (field for record in (SFTConfig, ContractArguments, LoraArguments) for field in dataclasses.fields(record))
    return {field.name: default_of(field) for field in fields} | config


def default_of(field: dataclasses.Field[Any]) -> Any:
    """The default of a field; None where it has none."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def is_free(key: str) -> bool:
    """Whether a setting does not change what is learnt."""
    return key in FREE or key.startswith(FREE_BEGINNINGS)


def same_batch(then: Settings, now: Settings) -> set[str]:
    """The changed keys of the batch, where its size is the same and it is only split differently: a step sees the same rows."""
    sizes = {one[BATCH] * one[ACCUMULATION] for one in (then, now)}
    ordered = now.get("train_sampling_strategy", "random") != "random"  # by length: sorted within groups of batches
    if len(sizes) > 1 or now.get("dataloader_drop_last") or ordered or now.get("group_by_length"):
        return set()
    return {key for key in (BATCH, ACCUMULATION) if then[key] != now[key]}


def same_rates(then: Settings, now: Settings, step: int) -> set[str]:
    """The changed keys of the run's length, where they do not change the learning rate of any step up to `step`."""
    if total(then) == total(now):
        return {key for key in TOTAL if then[key] != now[key]}  # with max_steps, epochs have no effect
    share = 0 < (now.get("warmup_steps") or 0) < 1 or now.get("warmup_ratio")
    if now["lr_scheduler_type"] not in ENDLESS or share or 0 < now["max_steps"] <= step:
        return set()
    return {key for key in TOTAL if then[key] != now[key]}


def total(settings: Settings) -> tuple[str, float]:
    """The key that decides the length of a run, and its value."""
    key = "max_steps" if settings["max_steps"] > 0 else "num_train_epochs"
    return key, settings[key]


def is_longer(run: Path, newest: Path, notes: dict[str, Settings]) -> bool:
    """Whether the settings ask for more training than the finished run has done."""
    then, now = (with_defaults(note["config"]) for note in (read_note(newest, "run.json", "config"), notes["run.json"]))
    if now["max_steps"] > 0:
        return bool(now["max_steps"] > step_of(newest))
    return bool(then["max_steps"] <= 0 and now["num_train_epochs"] > then["num_train_epochs"])


def fine_print(now: Settings, free: set[str], notes: dict[str, Settings]) -> str:
    """What is not exactly the same where the batch is split differently; "" where everything is."""
    if not free & {BATCH, ACCUMULATION}:
        return ""
    found = []
    if not str(notes["run.json"].get("engine", "")).endswith("processes: 1"):
        found.append("the last step of an epoch may be filled up with other rows")
    if now.get("neftune_noise_alpha") or now.get("lora_dropout"):
        found.append("noise is drawn differently")
    return f" ({' and '.join(found)})" if found else ""


def reason(then: Settings, now: Settings, refused: set[str]) -> str:
    """Why a change that looks harmless is not; "" for all other changes."""
    if refused & {BATCH, ACCUMULATION}:
        sizes = [f"{one[BATCH]} x {one[ACCUMULATION]}" for one in (then, now)]
        return f"; a step would not see the same rows ({' -> '.join(sizes)} rows per process)"
    if refused & set(TOTAL):
        return f"; the learning rates so far ({now['lr_scheduler_type']}) depend on the length of the run"
    return ""


def _changed(then: Settings, now: Settings) -> set[str]:
    return {key for key in then | now if then.get(key) != now.get(key)}


def _differences(then: Settings, now: Settings, prefix: str, keys: set[str]) -> list[str]:
    """ "key: then -> now" for `keys`, shortened, and safe for a terminal: the notes may come from elsewhere."""
    values = {key: [printable(str(one.get(key)))[:SHOWN] for one in (then, now)] for key in sorted(keys)}
    return [f"{prefix}{printable(key)}: {' -> '.join(both)}" for key, both in values.items()]
