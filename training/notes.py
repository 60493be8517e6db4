"""What a run leaves beside its weights: where they came from, and only as much optimizer state as a restart needs."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from eval import adapters, checkpoints
from eval.files import write_json
from eval.provenance import git_commit, installed_versions
from eval.records import UserError
from training.card import write_card
from training.settings import ContractArguments

# What a restart needs beside the weights: DeepSpeed's shards, or a plain optimizer's file, and the random states.
STATE_FOLDERS, STATE_FILES = (
    "global_step*",
    ("optimizer*", "scheduler.pt", "rng_state*.pth", "latest", "zero_to_*.py"),
)
FINAL = "final"
SOURCE_CHARACTERS = 200
SOURCES_NAMED = 50  # of a data set with more, the largest; the others as one


def describe_data(contract: ContractArguments, splits: dict[str, Dataset], solution_only: bool) -> dict[str, Any]:
    """data.json: where the data came from, a digest of the token ids, and counts, also by source; the recipe's manifest."""
    manifest = Path(contract.dataset_name_or_path) / "manifest.json"
    described: dict[str, Any] = {"dataset": contract.dataset_name_or_path}
    for name, rows in splits.items():
        digest = hashlib.sha256()
        for ids in rows["input_ids"]:
            digest.update(json.dumps(ids).encode())
        tokens = sum(map(len, rows["input_ids"]))
        described[name] = {
            "rows": len(rows),
            "tokens": tokens,
            "supervised_tokens": sum(map(sum, rows["completion_mask"])) if solution_only else tokens,
            "token_ids_sha256": digest.hexdigest(),
        }
    described["sources"] = count_sources(splits["train"])
    if manifest.is_file():
        described["manifest"] = json.loads(manifest.read_text(encoding="utf-8"))
    return described


def refuse_other_rows(described: dict[str, Any]) -> None:
    """Raises UserError (exit code 1) where the processes of a launch have rendered different rows."""
    mine = [described[name]["token_ids_sha256"] for name in ("train", "validation")]
    if len({tuple(digests) for digests in gather_object([mine])}) > 1:
        raise UserError(
            "the processes of this run have rendered different rows; sft_utils.py, the files that it reads and the data must be "
            "the same for all of them, and a text must depend on its row alone.",
            1,
        )


def count_sources(rows: Dataset) -> dict[str, dict[str, int]]:
    """{source: {"rows", "tokens"}}, most tokens first; none where rows do not say where they are from."""
    rows_of, tokens_of = Counter[str](), Counter[str]()
    for source, ids in zip(rows["source"], rows["input_ids"], strict=True):
        rows_of[source[:SOURCE_CHARACTERS]] += 1
        tokens_of[source[:SOURCE_CHARACTERS]] += len(ids)
    if not any(rows_of):
        return {}
    largest = [source for source, _ in tokens_of.most_common(SOURCES_NAMED)]
    counted = {source: {"rows": rows_of.pop(source), "tokens": tokens_of.pop(source)} for source in largest}
    if rows_of:
        counted[f"{len(rows_of):,} others"] = {"rows": rows_of.total(), "tokens": tokens_of.total()}
    return counted


def describe_run(config_path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """run.json, but for the step: the config as read, versions, commit and command."""
    return {
        "config_file": str(config_path),
        "config": settings,
        "versions": installed_versions("torch", "transformers", "trl", "accelerate", "deepspeed", "datasets"),
        "git_commit": git_commit(),
        "command": shlex.join(sys.argv),
    }


def describe_engine(trainer: SFTTrainer) -> str:
    """What really runs: the DeepSpeed engine's own ZeRO stage, or plain PyTorch."""
    stage = None if trainer.deepspeed is None else trainer.deepspeed.zero_optimization_stage()
    return engine_words(stage, trainer.accelerator.num_processes)


def planned_engine(arguments: SFTConfig) -> dict[str, Any]:
    """{"engine", "precision", "packing"}: what will run, known before the model is loaded. An optimizer state fits no other."""
    plugin = arguments.deepspeed_plugin
    stage = plugin.deepspeed_config["zero_optimization"]["stage"] if plugin else None
    weights = "bfloat16" if arguments.bf16 else "float32"
    return {
        "engine": engine_words(stage, arguments.world_size),
        "precision": f"{weights} weights, mixed precision: {arguments.mixed_precision}",
        "packing": bool(arguments.packing),
    }


def engine_words(stage: int | None, processes: int) -> str:
    engine = "plain PyTorch without DeepSpeed" if stage is None else f"DeepSpeed ZeRO-{stage}"
    return f"{engine}, processes: {processes}"


class CheckpointNotes(TrainerCallback):
    """Checks every checkpoint as it is written, adds card and notes, run.json last, and removes old checkpoints and states."""

    def __init__(self, trainer: SFTTrainer, notes: dict[str, dict[str, Any]]) -> None:
        self.trainer, self.notes = trainer, notes
        # Hidden from transformers, which rotates by file time (pruning changes it) and before the new checkpoint is checked.
        self.limit, trainer.args.save_total_limit = trainer.args.save_total_limit, None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        state.compute_steps(
            args, state.max_steps
        )  # a resumed state carries the old intervals of saving, logging and evaluation

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.trainer.accelerator.wait_for_everyone()  # each process writes a part of the optimizer state
        if not state.is_world_process_zero:
            return
        folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
        if adapters.is_adapter(folder):
            adapters.check_adapter(folder)
        else:
            checkpoints.check_complete(folder, whole_shapes(self.trainer.accelerator.unwrap_model(self.trainer.model)))
        self.notes["run.json"] |= {
            "step": state.global_step,
            "epoch": state.epoch,
            "tokens_seen": state.num_input_tokens_seen,
            "engine": describe_engine(self.trainer),
        }
        write_card(folder, self.notes, adapters.is_adapter(folder))
        for name, note in self.notes.items():
            write_json(folder / name, note)
        prune_states(Path(args.output_dir), keep=folder)
        rotate(Path(args.output_dir), self.limit, state.best_global_step)


def whole_shapes(model: torch.nn.Module) -> checkpoints.Shapes:
    """Name -> shape of every parameter, tied ones once; under ZeRO-3 the shape before sharding."""
    return {name: tuple(getattr(weight, "ds_shape", weight.shape)) for name, weight in model.named_parameters()}


def has_state(folder: Path) -> bool:
    """Whether a checkpoint can be resumed from: complete, with its notes and optimizer state."""
    state = [*folder.glob(STATE_FOLDERS), *folder.glob("optimizer*")]
    return bool(state) and (folder / "run.json").is_file() and (folder / "trainer_state.json").is_file()


def prune_states(run: Path, keep: Path) -> None:
    """Removes the optimizer states of all checkpoints but `keep`, where that has one: they are six times the weights."""
    if not has_state(keep):
        return
    for folder in checkpoints.steps(run):
        if folder != keep:
            for state in folder.glob(STATE_FOLDERS):
                shutil.rmtree(state)
            for pattern in STATE_FILES:
                for file in folder.glob(pattern):
                    file.unlink()


def rotate(run: Path, limit: int | None, best: int | None) -> None:
    """Removes all checkpoints except the newest `limit` (by step; None or 0 keeps all) and the one of step `best`."""
    for folder in checkpoints.steps(run)[: -limit if limit and limit > 0 else 0]:
        if folder.name != f"checkpoint-{best}":
            shutil.rmtree(folder)


def finish(run: Path, steps: int, best: int | None = None) -> list[Path]:
    """Links a checkpoint's model as `run`/final, then marks the run as finished; returns its checkpoints.

    That is the last checkpoint, or the one of step `best` where it is given and exists.
    """
    saved = checkpoints.steps(run)
    if saved:
        chosen = next((folder for folder in saved if folder.name == f"checkpoint-{best}"), saved[-1])
        partial = run / f".{FINAL}.partial"
        for folder in (partial, run / FINAL):
            shutil.rmtree(folder, ignore_errors=True)
        partial.mkdir()
        for file in chosen.iterdir():
            if file.is_file() and not any(file.match(pattern) for pattern in STATE_FILES):
                _link(file, partial / file.name)
        partial.replace(run / FINAL)
    write_json(run / checkpoints.FINISHED, {"steps": steps, "checkpoints": [folder.name for folder in saved]})
    return saved


def _link(source: Path, target: Path) -> None:
    """A second name for the same bytes; a copy on file systems that have no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
