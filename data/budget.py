"""The same number of training tokens for every arm: rows are counted as training will see them, and steps follow."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from data.arms import Arm
from data.content import data_files, digest_of, digest_of_one, key_of, read_json, slug
from eval.console import progress
from eval.files import write_json
from eval.records import UserError, first_line

MAX_TOKENS = 2048  # the contract's; longer rows are not trained on
TOKENIZER_BATCH = 500
CACHE = Path("ablations/tokens")


def with_budget(
    arm: Arm, folder: Path, settings: dict[str, Any], budget: int, processes: int, root: Path, console: Console
) -> dict[str, Any]:
    """The settings, with the `max_steps` that see so many training tokens: prompts, solutions and EOS, as training counts them."""
    if "max_steps" in arm.settings or "num_train_epochs" in arm.settings:
        raise UserError(f"arm {arm.name} sets its own length of training; leave that out, or --budget.")
    rows, tokens = count_tokens(arm, folder, settings, root, console)
    a_step = settings.get("per_device_train_batch_size", 8) * settings.get("gradient_accumulation_steps", 1) * processes
    a_row = settings.get("max_length") or MAX_TOKENS if settings.get("packing", True) else tokens / rows
    return settings | {"max_steps": max(1, round(budget / (a_step * a_row)))}


def count_tokens(arm: Arm, folder: Path, settings: Mapping[str, Any], root: Path, console: Console) -> tuple[int, int]:
    """(rows, tokens) of train that training will use, rendered by the arm's own sft_utils.py; counted once for a content."""
    utils, model = root / (arm.sft_utils or "sft_utils.py"), str(settings["model_name_or_path"])
    limit = settings.get("max_length") or MAX_TOKENS
    content = {
        "data": digest_of(data_files(root / folder)),
        "sft_utils": digest_of_one(utils),
        "model": model,
        "limit": limit,
    }
    path = root / CACHE / f"{key_of(content)}.json"
    if (known := read_json(path)) and known.get("rows"):
        return int(known["rows"]), int(known["tokens"])
    module = load_module(utils)
    rows = tokens = 0
    try:
        tokenizer = module.get_tokenizer(str(root / model) if (root / model).is_dir() else model)
        train = module.load_datasets(str(root / folder))[0]
        with progress(console, f"count tokens of {arm.name}", len(train), "row") as advance:
            for start in range(0, len(train), TOKENIZER_BATCH):
                batch = train.select(range(start, min(start + TOKENIZER_BATCH, len(train))))
                texts = [module.apply_chat_template(dict(row), tokenizer, "sft")["text"] for row in batch]
                counts = [len(ids) for ids in tokenizer(texts).input_ids if 0 < len(ids) <= limit]
                rows, tokens = rows + len(counts), tokens + sum(counts)
                advance(min(start + TOKENIZER_BATCH, len(train)))
    except (
        Exception
    ) as error:  # the arm's own code, and `datasets`, which raises a type of its own for each kind of damage
        raise UserError(
            f"arm {arm.name}: {folder} cannot be counted with {utils.name} ({first_line(error)})."
        ) from None
    if not rows:
        raise UserError(f"arm {arm.name}: {folder} has no row of at most {limit:,} tokens.", 1)
    write_json(path, {"rows": rows, "tokens": tokens})
    return rows, tokens


def load_module(path: Path) -> Any:
    """A Python file as a module under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"arm_{slug(path.stem)}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # somebody's own code
        raise UserError(f"{path} cannot be imported ({type(error).__name__}: {first_line(error)}); mend it.") from None
    return module
