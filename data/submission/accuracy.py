"""The accuracy that a submission may promise: one that was measured, on weights that these very tokens trained.

The chain has no gap: reports/<key> names the weights by their digest; the checkpoint with that digest has a data.json
with the digest of the token ids it was trained on; the submission's rows, rendered by its own template, give those ids.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.submission.lint import Report
from eval import checkpoints
from eval.records import UserError
from eval.report.load import Evaluation, load_evaluations
from eval.report.ranking import changed_prompt
from eval.store import read_object

FIGURES = ("benchmark", "n", "strict", "normalized", "equivalent", "ci95", "truncated", "no_box", "grader")
# Keys that decide where and when, not what is learnt.
ELSEWHERE = {
    "dataset_name_or_path",
    "output_dir",
    "run_name",
    "report_to",
    "logging_dir",
    "logging_steps",
    "eval_strategy",
}
ELSEWHERE |= {
    "eval_steps",
    "save_strategy",
    "save_steps",
    "save_total_limit",
    "save_only_model",
    "per_device_eval_batch_size",
}
ELSEWHERE |= {"do_train", "do_eval"}  # our trainer does both by default
ELSEWHERE |= {"dataset_mode", "logging_strategy", "logging_first_step", "include_num_input_tokens_seen", "disable_tqdm"}


def stated(wanted: str, reports: Path, report: Report) -> list[dict[str, Any]]:
    """The figures with their band, one entry a benchmark, for `wanted`: a key of `reports` or a checkpoint's folder.

    Each entry says how the run differed from the submission. Raises UserError (exit code 1) where the measured model was
    not trained on what is submitted.
    """
    chosen = [each for each in load_evaluations(reports) if is_meant(each, wanted)]
    # A folder stands for the weights that it has now; what was measured before it was trained again does not count.
    chosen = [each for each in chosen if holds_its_weights(each)] or chosen
    if not chosen:
        raise UserError(
            f"--accuracy {wanted}: {reports} has no finished evaluation of that; run make eval CKPT=… first."
        )
    return [of_evaluation(each, report) for each in chosen]


def is_meant(evaluation: Evaluation, wanted: str) -> bool:
    manifest, summary = evaluation.manifest, evaluation.summary
    usual = not summary.get("repeat") and not changed_prompt(summary) and summary.get("limit") is None
    known = {Path(place.folder) for place in evaluation.places if not place.hub}
    if not all(place.certain for place in evaluation.places):  # an earlier version stored the path as it was typed
        known.add(Path(str(manifest["checkpoint"]["path"])).resolve())
    return evaluation.folder.name == wanted or (usual and Path(wanted).resolve() in known)


def folder_of(evaluation: Evaluation) -> Path:
    """Where its weights are: the first known place with the notes of training, else the first of all."""
    typed = Path(str(evaluation.manifest["checkpoint"]["path"]))
    places = [*(Path(place.folder) for place in evaluation.places), typed]
    return next((folder for folder in places if (folder / "data.json").is_file()), places[0])


def holds_its_weights(evaluation: Evaluation) -> bool:
    folder = folder_of(evaluation)
    wanted = evaluation.manifest["checkpoint"]["weights_sha"]
    return (folder / "config.json").is_file() and checkpoints.weights_sha(folder) == wanted


def of_evaluation(evaluation: Evaluation, report: Report) -> dict[str, Any]:
    folder = folder_of(evaluation)
    key = evaluation.folder.name
    if not (folder / "data.json").is_file() or not (folder / "run.json").is_file():
        raise UserError(
            f"--accuracy {key}: {folder} has no data.json and run.json that say what it was trained on; retrain it.", 1
        )
    run = read_object(folder / "run.json")
    if run.get("config", {}).get("use_peft"):
        raise UserError(
            f"--accuracy {key}: {folder} is an adapter, which the contract's trainer cannot make; train all weights.", 1
        )
    if checkpoints.weights_sha(folder) != evaluation.manifest["checkpoint"]["weights_sha"]:
        raise UserError(f"--accuracy {key}: {folder} was trained again since; evaluate it again.", 1)
    check_same_tokens(key, read_object(folder / "data.json"), report)
    figures = {name: evaluation.summary.get(name) for name in FIGURES}
    return figures | {
        "key": key,
        "step": run.get("step"),
        "last_step": last_step(folder),
        "decoding": evaluation.manifest["decoding"],
        "trained_differently": differences(run.get("config", {}), report.settings),
        "rows_sha256": report.told["digests"],
        "token_ids_sha256": report.told["token_ids_sha256"],
    }


def check_same_tokens(key: str, data: dict[str, Any], report: Report) -> None:
    """Raises UserError unless the submitted training rows, rendered, are those of `data` (a checkpoint's data.json)."""
    if report.stand_in:
        raise UserError(f"--accuracy {key}: {report.stand_in}; the tokens cannot be compared.", 1)
    there, here = data.get("train", {}), report.told.get("token_ids_sha256", {}).get("train")
    if there.get("token_ids_sha256") != here:
        raise UserError(
            f"--accuracy {key}: that model was trained on {data.get('dataset')} ({there.get('rows'):,} rows, tokens "
            f"{str(there.get('token_ids_sha256'))[:12]}…), the submission holds {report.told['rows']['train']:,} rows "
            f"({str(here)[:12]}…); submit that dataset and template, or evaluate a model trained on this one.",
            1,
        )


def differences(there: dict[str, Any], here: dict[str, Any]) -> dict[str, list[Any]]:
    """key -> [in the measured run, in the submission] for settings that decide what is learnt."""
    keys = (there.keys() | here.keys()) - ELSEWHERE
    return {key: [there.get(key), here.get(key)] for key in sorted(keys) if there.get(key) != here.get(key)}


def last_step(folder: Path) -> int | None:
    """The last step of the checkpoint's run, which is what a retrained model will have."""
    finished = folder.parent / checkpoints.FINISHED
    return int(read_object(finished)["steps"]) if finished.is_file() else None


def describe(entry: dict[str, Any]) -> list[str]:
    """A line with the band, and one for each thing that may keep it from being reached."""
    band = f"strict {entry['strict']:.1%}, normalized {entry['normalized']:.1%}, equivalent {entry['equivalent']:.1%}"
    low, high = entry["ci95"]
    lines = [f"expected on {entry['benchmark']} ({entry['n']} problems): {band}; 95 % interval {low:.1%} to {high:.1%}"]
    for key, (there, here) in entry["trained_differently"].items():
        lines.append(f"  measured with {key}: {there}, submitted with {here}: the figure need not transfer")
    if entry["last_step"] and entry["step"] != entry["last_step"]:
        lines.append(f"  measured at step {entry['step']} of {entry['last_step']}; whoever retrains keeps the last one")
    return lines
