"""Evaluations that an earlier version of this project may have got wrong: they stay, and reports name them.

Three faults are known. An engine that was swapped to a model of equal shapes kept the config.json of the model that it
had started with. The engine hf obeyed the model's generation_config.json. Samples of all problems shared one random stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from eval import store
from eval.engines.draws import RULE

Manifest = Mapping[str, Any]

# What an engine compares before it exchanges weights only. Manifests without this are of engines that left out the config.
SWAP_CHECKS = ["shapes", "config", "tokenizer"]
# Of generation_config.json, what the engine hf has always set itself, or what changes no token.
HARMLESS = {
    *("bos_token_id", "eos_token_id", "pad_token_id", "do_sample", "temperature", "top_p", "top_k"),
    *("transformers_version", "_from_model_config", "max_length", "max_new_tokens", "use_cache"),
}
WHOLE, HALF_A_MS = 0.99, 0.0005  # of an evaluation's tokens, decoded in one call; seconds are stored to the millisecond


def doubts(reports: Path, evaluations: Iterable[tuple[Manifest, Mapping[str, Any]]]) -> list[str]:
    """The reason for which each (manifest, summary) may be wrong; "" for none."""
    rows = list(evaluations)
    unmarked = any("swap_checks" not in manifest for manifest, _ in rows)
    places = places_by_command(reports) if unmarked else {}
    return [_stream(manifest) or _wishes(manifest) or _swapped(manifest, summary, places) for manifest, summary in rows]


def set_apart(manifest: dict[str, Any], reports: Path) -> dict[str, Any]:
    """The manifest, under another key where its predictions are stored but may be those of another model."""
    folder = reports / str(manifest["key"])
    if not (folder / "predictions.jsonl").is_file():
        return manifest
    stored = store.read_object(folder / "manifest.json")
    finished = (folder / "DONE").is_file()
    summary = store.read_object(folder / "summary.json") if finished else {}
    if "swap_checks" in stored or not _swapped(stored, summary, places_by_command(reports)):
        return manifest
    inputs = manifest["inputs"] | {"swap_checks": SWAP_CHECKS}
    return manifest | {"inputs": inputs, "key": store.key_of(inputs)}


def places_by_command(reports: Path) -> dict[str, set[str]]:
    """The folders of runs, or of single models, that each command has evaluated."""
    places: dict[str, set[str]] = {}
    for path in reports.glob("*/manifest.json"):
        manifest = store.read_object(path)
        places.setdefault(str(manifest.get("command")), set()).add(_place(manifest))
    return places


def _place(manifest: Manifest) -> str:
    """Where all models have one config.json: the run's folder, or the model's own."""
    path, step = Path(manifest["checkpoint"]["path"]), manifest["checkpoint"]["step"]
    return str(path if step is None else path.parent)


def _stream(manifest: Manifest) -> str:
    decoding = manifest["decoding"]
    if not decoding.get("temperature") or decoding.get("draws") == RULE:
        return ""
    return "samples of all problems shared one random stream, so the interval is too narrow"


def _wishes(manifest: Manifest) -> str:
    engine = manifest["engine"]
    if engine["name"] != "hf" or engine["version"].endswith("+explicit"):
        return ""
    path = Path(manifest["checkpoint"]["path"]) / "generation_config.json"
    try:
        wished = sorted(set(json.loads(path.read_text(encoding="utf-8"))) - HARMLESS)
    except (OSError, ValueError, TypeError):
        return "it obeyed the model's generation_config.json, which is not there any more"
    return f"it obeyed the model's generation_config.json, which sets {', '.join(wished)}" if wished else ""


def _swapped(manifest: Manifest, summary: Mapping[str, Any], places: Mapping[str, set[str]]) -> str:
    if manifest["engine"]["name"] not in ("vllm", "ray") or "swap_checks" in manifest:
        return ""
    if len(places.get(str(manifest.get("command")), ())) < 2 or _started_with(summary):
        return ""
    return "the engine may have kept the config.json of another model that the same command scored"


def _started_with(summary: Mapping[str, Any]) -> bool:
    """Whether one call decoded everything, in an engine that had started with this very model."""
    decoded = (summary.get("decode_s", 0) + HALF_A_MS) * summary.get("tokens_s", 0)
    return bool(summary.get("start_s")) and decoded >= WHOLE * summary["output_tokens"]
