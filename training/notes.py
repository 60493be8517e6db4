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
from datasets import Dataset
from transformers import TrainerCallback
from trl import SFTTrainer

from eval import adapters, checkpoints
from eval.files import write_json
from eval.provenance import git_commit, installed_versions
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
    processes = trainer.accelerator.num_processes
    if trainer.deepspeed is None:
        return f"plain PyTorch without DeepSpeed, processes: {processes}"
    return f"DeepSpeed ZeRO-{trainer.deepspeed.zero_optimization_stage()}, processes: {processes}"


class CheckpointNotes(TrainerCallback):
    """Checks every checkpoint as it is written, adds the notes, run.json last, and prunes older optimizer states."""

    def __init__(self, trainer: SFTTrainer, notes: dict[str, dict[str, Any]]) -> None:
        self.trainer, self.notes = trainer, notes

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
        for name, note in self.notes.items():
            write_json(folder / name, note)
        prune_states(Path(args.output_dir), keep=folder)


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


def finish(run: Path, steps: int) -> list[Path]:
    """Links the last checkpoint's model as `run`/final, then marks the run as finished; returns its checkpoints."""
    saved = checkpoints.steps(run)
    if saved:
        partial = run / f".{FINAL}.partial"
        for folder in (partial, run / FINAL):
            shutil.rmtree(folder, ignore_errors=True)
        partial.mkdir()
        for file in saved[-1].iterdir():
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
