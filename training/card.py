"""The model card (README.md) of a checkpoint: its base, its data, its settings and its prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from eval.console import printable

# Where transformers keeps what it got from the hub: …/models--owner--name/snapshots/<commit>
HUB_FOLDER = re.compile(r"(?:models|datasets)--([^/]+)/snapshots/")
PATHS = ("model_name_or_path", "dataset_name_or_path", "output_dir", "run_name")


def public_name(name: str) -> str:
    """A hub id as it is. A folder by its hub id where it is from the hub's cache, else by its name: paths mean nothing elsewhere."""
    path = Path(name)
    if not path.exists():
        return name
    whole = path.resolve()
    if hub := HUB_FOLDER.search(f"{whole}/"):
        return hub[1].replace("--", "/")
    # A checkpoint: its step means nothing without the name of its run.
    return "/".join(whole.parts[-2:]) if whole.name.startswith(("checkpoint-", "final")) else whole.name


def write_card(folder: Path, notes: Mapping[str, Mapping[str, Any]], adapter: bool) -> None:
    """Writes README.md into a checkpoint, from its own notes."""
    (folder / "README.md").write_text(card(notes, adapter), encoding="utf-8")


def card(notes: Mapping[str, Mapping[str, Any]], adapter: bool) -> str:
    """The text of the card: metadata in YAML, then the same for people."""
    config, run, data = notes["run.json"]["config"], notes["run.json"], notes["data.json"]
    base, dataset = (public_name(str(config[key])) for key in ("model_name_or_path", "dataset_name_or_path"))
    metadata = {
        "base_model": base,
        "base_model_relation": "adapter" if adapter else "finetune",
        "datasets": [dataset],
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["sft", "trl", "math"],
    }
    rows = [
        f"- {name}: {data[name]['rows']:,} rows, {data[name]['tokens']:,} tokens" for name in ("train", "validation")
    ]
    made = "A LoRA adapter for" if adapter else "All weights, fine-tuned from"
    parts = [
        f"---\n{as_yaml(metadata)}---",
        f"# {code(str(config.get('run_name') or base))}, step {run.get('step')}",
        f"{made} {code(base)}, by supervised fine-tuning on {code(dataset)}; epoch {run.get('epoch') or 0:.2f}.",
        "## Data",
        "\n".join(rows),
        "## Prompt",
        "The format of the training texts; prompt with its beginning, up to the solution:",
        fenced(str(notes["prompt.json"]["template"])),
        "## Settings",
        fenced(as_yaml({key: value for key, value in config.items() if key not in PATHS}), "yaml"),
        f"{run.get('engine', '')}; " + ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def as_yaml(value: Mapping[str, Any]) -> str:
    """YAML; every text that could be read as another type is quoted."""
    return yaml.safe_dump(dict(value), sort_keys=False, allow_unicode=False, width=1_000_000)


def code(text: str) -> str:
    """A name as a code span on one line, whatever characters it has."""
    return f"`{printable(text).replace('`', chr(39))}`"


def fenced(text: str, language: str = "") -> str:
    """A fenced block; its fence is longer than every run of backticks in the text."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
