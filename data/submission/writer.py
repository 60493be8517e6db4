"""Writes the folder that travels: the two files, the rows, and a manifest that says what they are and what they promise."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from data.submission import archive, forms
from data.submission.checks import code, config, stored
from data.submission.checks.files import NEEDED, SPLITS
from data.submission.lint import DATASET, NOT_RUN, Report
from eval.provenance import git_commit, installed_versions
from eval.records import UserError

MANIFEST, FORMAT = "manifest.json", 1
Form = Callable[[Path, Path], None]  # writes the rows of a source into a new folder
# Keys that a submission always sets; none of them changes what is learnt here. Without do_train the contract's trainer
# trains nothing.
FOR_THE_WAY = {"dataset_name_or_path": DATASET, "report_to": "none", "do_train": True, "do_eval": True}
# What is stated where the config leaves it out.
STATED = {"packing": True, "dataset_mode": "local"}


def stage(
    config_path: Path, sft_utils: Path, dataset: Path | None, folder: Path, model: str | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Writes the two files and the rows into the new `folder`; returns (settings as trained here, keys left out).

    `model` is what model_name_or_path travels as, where it is a folder of this machine here.

    Raises UserError where something is missing, or the config cannot be read.
    """
    text = read_text(config_path)
    settings, _, broken = config.read(text)
    if broken and not settings:
        raise UserError(f"{config_path}: {broken[0].problem}; {broken[0].fix}.")
    source = dataset or Path(str(settings.get("dataset_name_or_path") or ""))
    left_out = local_only(settings)
    folder.mkdir(parents=True)
    changed = set_for_the_way(settings) | ({"model_name_or_path": model} if model else {})
    (folder / NEEDED[0]).write_text(adapted(text, set(left_out), changed), encoding="utf-8")
    (folder / NEEDED[1]).write_text(read_text(sft_utils), encoding="utf-8")
    place_rows(source, folder)
    return settings, left_out


def set_for_the_way(settings: dict[str, Any]) -> dict[str, Any]:
    """key -> its value in the config that travels, for the keys that are set or stated there."""
    return FOR_THE_WAY | {key: value for key, value in STATED.items() if key not in settings}


def read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name another one.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from None


def local_only(settings: dict[str, Any]) -> dict[str, Any]:
    """The keys of this project's stack that the contract's parser would refuse the whole config for.

    Known ones only: what may be a slip of the pen stays, and is refused by name.
    """
    return {key: settings[key] for key in sorted(settings.keys() & config.NEWER.keys() - config.STOCK.keys())}


def adapted(text: str, left_out: set[str], changed: dict[str, Any]) -> str:
    """The config's text with some keys commented out and some set; every other line, comments too, as it was."""
    lines = text.splitlines()
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    missing = dict(changed)
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        first, last = key.start_mark.line, max(value.end_mark.line - (value.end_mark.column == 0), key.start_mark.line)
        if key.value in left_out:
            for number in range(first, last + 1):
                lines[number] = f"# left out, unknown to the contract's parser: {lines[number]}"
        elif key.value in changed:
            lines[first : last + 1] = [line_of(key.value, changed[key.value])] + [""] * (last - first)
            missing.pop(key.value, None)
    return "\n".join([*lines, *(line_of(key, value) for key, value in missing.items())]) + "\n"


def line_of(key: str, value: str | bool) -> str:
    return f"{key}: {value if isinstance(value, str) else str(value).lower()}"


def meaning(key: str) -> str:
    """What the contract's trainer does without a key of ours."""
    return config.NEWER[key]


def place_rows(source: Path, folder: Path) -> None:
    """Writes the rows of `source` into the submission in `folder`, in the first form in which its own load_datasets gives
    the rows that it gives here: JSON Lines, the files as they are, or what `load_from_disk` of old and new reads.

    Where no form does, the first one that can be written is used, and the linter reports what fails. Raises UserError where
    none can be written.
    """
    is_run = not {finding.check for finding in code.findings(read_text(folder / NEEDED[1]))} & (NOT_RUN | {"syntax"})
    copied = all((source / f"{split}.jsonl").is_file() for split in SPLITS)  # byte for byte: the rows are the same
    wanted = forms.loaded(folder, source.absolute()) if is_run and not copied and source.exists() else None
    errors, usable = list[UserError](), list[Form]()
    possible: list[Form] = [copy_rows, partial(write_stored, "test"), partial(write_stored, "validation")]
    if not copied or not forms.holds_only(source, SPLITS):
        possible.insert(1, forms.copy_data)
    for form in possible:
        if error := written(form, source, folder):
            errors.append(error)
            continue
        there = forms.loaded(folder, Path(DATASET)) if is_run else {}
        if there is not None and (not there or wanted in (None, {}, there)):
            return
        usable.append(form)
    if not usable or (error := written(usable[0], source, folder)):
        raise errors[0]


def written(form: Form, source: Path, folder: Path) -> UserError | None:
    """Writes the rows in one form, replacing earlier ones; returns the error where that fails."""
    shutil.rmtree(folder / DATASET, ignore_errors=True)
    (folder / DATASET).mkdir()
    try:
        form(source, folder / DATASET)
    except UserError as error:
        return error
    except (OSError, ValueError, RuntimeError) as error:
        return UserError(
            f"{source}: {' '.join(str(error).split())[:300]}; write it again, or name another: --dataset FOLDER."
        )
    return None


def write_stored(second: str, source: Path, target: Path) -> None:
    """The splits of what `save_to_disk` wrote, or two files of JSON Lines as `train` and `second`. Raises UserError."""
    from datasets import load_dataset, load_from_disk

    paths = {split: source / f"{split}.jsonl" for split in SPLITS}
    if (source / stored.SPLITS).is_file():
        splits = dict(load_from_disk(str(source)))
    elif all(path.is_file() for path in paths.values()):
        with tempfile.TemporaryDirectory(prefix="submission-cache-") as cache:
            both = load_dataset("json", data_files={split: str(path) for split, path in paths.items()}, cache_dir=cache)
            forms.write_stored({"train": both["train"], second: both["validation"]}, target)
        return
    else:
        raise UserError(f"{source} has no rows that can be converted; name the dataset: --dataset FOLDER.")
    forms.write_stored(splits, target)


def copy_rows(source: Path, target: Path) -> None:
    """train.jsonl and validation.jsonl byte for byte; from any other form, as JSON Lines of what load_datasets gives."""
    paths = {split: source / f"{split}.jsonl" for split in SPLITS}
    if all(path.is_file() for path in paths.values()):
        for split, path in paths.items():
            shutil.copyfile(path, target / f"{split}.jsonl")
    elif (source / "dataset_dict.json").is_file():
        from datasets import load_from_disk

        splits = load_from_disk(str(source))
        for split, name in (("train", "train"), ("validation", "validation" if "validation" in splits else "test")):
            if name not in splits or "messages" not in splits[name].column_names:
                raise UserError(f"{source}: {name} {_lacks(name, splits)}; write train and validation with `messages`.")
            write_rows(splits[name], target / f"{split}.jsonl")
    else:
        raise UserError(
            f"{source} has no {' and '.join(f'{split}.jsonl' for split in SPLITS)}, nor what `save_to_disk` writes; name the "
            "dataset: --dataset FOLDER."
        )


def _lacks(name: str, splits: Any) -> str:
    if name not in splits:
        return f"is no split of it, but {', '.join(splits)}"
    return f"has no column `messages`, but {', '.join(splits[name].column_names)}"


def write_rows(rows: Any, path: Path) -> None:
    with path.open("w", encoding="utf-8") as target:
        for row in rows:
            turns = [{"role": turn["role"], "content": turn["content"]} for turn in row["messages"]]
            target.write(json.dumps({"messages": turns}, ensure_ascii=False) + "\n")


def manifest(
    folder: Path,
    report: Report,
    left_out: dict[str, Any],
    recipe: Any,
    accuracy: list[dict[str, Any]],
    rehearsal: dict[str, Any] | None,
) -> dict[str, Any]:
    """Everything that can be said of the files in `folder`; no times, so that the same submission is the same archive."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    told = report.told
    return {
        "format": FORMAT,
        "files": {
            path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": archive.sha256(path)}
            for path in files
        },
        "rows": told.get("rows"),
        "rows_sha256": told.get("digests"),
        "tokens": told.get("tokens"),
        "token_ids_sha256": told.get("token_ids_sha256"),
        "longest": told.get("longest"),
        "tokenizer": report.stand_in or report.settings.get("model_name_or_path"),
        "left_out": left_out,
        "set_for_the_way": FOR_THE_WAY,
        "to_know": [f"{finding.check}: {finding.problem}" for finding in report.findings],
        "recipe": recipe,
        "accuracy": accuracy,
        "rehearsal": without_times(rehearsal),
        "made_with": installed_versions("datasets", "transformers", "trl", "torch"),
        "git_commit": git_commit(),
    }


def write_manifest(folder: Path, described: dict[str, Any]) -> None:
    """Writes what `manifest` gave."""
    text = json.dumps(described, indent=1, ensure_ascii=False) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def without_times(rehearsal: dict[str, Any] | None) -> dict[str, Any] | None:
    if rehearsal is None:
        return None
    return {
        side: {key: value for key, value in told.items() if key != "seconds"} if isinstance(told, dict) else told
        for side, told in rehearsal.items()
    }


def recipe_of(dataset: Path) -> Any:
    """The manifest that the dataset was built with; None where it has none."""
    path = dataset / MANIFEST
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise UserError(f"{path} is not JSON; build the dataset again, or delete it.") from None


def replace_folder(partial: Path, out: Path) -> None:
    """Puts a finished folder in the place of the one before. Raises UserError where `out` is something else."""
    if out.exists() and not (out / MANIFEST).is_file() and any(out.iterdir() if out.is_dir() else [out]):
        raise UserError(f"{out} is there and is no submission; name another folder: --out FOLDER.")
    if out.exists():
        shutil.rmtree(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(out)
