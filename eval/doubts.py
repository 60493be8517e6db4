"""Evaluations that an earlier version of this project may have got wrong: they stay, and reports name them.

Three faults are known. An engine that was swapped to a model of equal shapes kept the config.json of the model that it
had started with. The engine hf obeyed the model's generation_config.json. Samples of all problems shared one random stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from eval import store
from eval.checkpoints import without_labels
from eval.engines.draws import RULE
from eval.places import places_of
from eval.records import UserError

Manifest = Mapping[str, Any]

# What an engine compares before it exchanges weights only. Manifests without this are of engines that left out the config.
SWAP_CHECKS = ["shapes", "config", "tokenizer"]
# What `generate` would take from a model's own files, with the values that change no token; None, False and empty never do.
WISHES: dict[str, float] = {
    **dict.fromkeys(("repetition_penalty", "encoder_repetition_penalty", "length_penalty", "typical_p"), 1.0),
    **dict.fromkeys(("num_beams", "num_beam_groups", "num_return_sequences"), 1),
    **dict.fromkeys(("no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "min_length", "min_new_tokens"), 0),
    **dict.fromkeys(("diversity_penalty", "epsilon_cutoff", "eta_cutoff", "min_p", "top_h"), 0),
    **dict.fromkeys(("bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "sequence_bias"), 0),
    **dict.fromkeys(("forced_bos_token_id", "forced_eos_token_id", "forced_decoder_ids"), 0),
    **dict.fromkeys(("exponential_decay_length_penalty", "renormalize_logits", "remove_invalid_values"), 0),
    **dict.fromkeys(("stop_strings", "max_time", "watermarking_config", "penalty_alpha"), 0),
    **dict.fromkeys(("prompt_lookup_num_tokens", "dola_layers", "early_stopping", "guidance_scale"), 1),
}
NOTHING: tuple[object, ...] = (None, False, "", [], {})
WHOLE, HALF_A_MS = 0.99, 0.0005  # of an evaluation's tokens, decoded in one call; seconds are stored to the millisecond


def doubts(reports: Path, evaluations: Iterable[tuple[Manifest, Mapping[str, Any]]]) -> list[str]:
    """The reason for which each (manifest, summary) may be wrong; "" for none."""
    rows = list(evaluations)
    unmarked = any("swap_checks" not in manifest for manifest, _ in rows)
    places = places_by_command(reports) if unmarked else {}
    return [
        _stream(manifest) or _wishes(manifest, reports) or _swapped(manifest, summary, places)
        for manifest, summary in rows
    ]


def set_apart(manifest: dict[str, Any], reports: Path) -> dict[str, Any]:
    """The manifest, under another key where its predictions are stored but may be those of another model."""
    folder = reports / str(manifest["key"])
    if not (folder / "predictions.jsonl").is_file():
        return manifest
    stored = store.read_manifest(folder)
    finished = (folder / "DONE").is_file()
    summary = store.read_object(folder / "summary.json") if finished else {}
    if "swap_checks" in stored or not _swapped(stored, summary, places_by_command(reports)):
        return manifest
    inputs = manifest["inputs"] | {"swap_checks": SWAP_CHECKS}
    return manifest | {"inputs": inputs, "key": store.key_of(inputs)}


def places_by_command(reports: Path) -> dict[str, dict[str, Path]]:
    """What each command has evaluated: the home of every run or single model -> a folder with its config.json."""
    places: dict[str, dict[str, Path]] = {}
    for path in reports.glob("*/manifest.json"):
        with suppress(UserError, KeyError, TypeError):  # of a damaged one nothing is known
            manifest = store.read_manifest(path.parent)
            place = places_of(path.parent, manifest)[0]
            places.setdefault(str(manifest.get("command")), {})[place.home] = Path(place.folder)
    return places


def _stream(manifest: Manifest) -> str:
    decoding = manifest["decoding"]
    if not decoding.get("temperature") or decoding.get("draws") == RULE:
        return ""
    return "samples of all problems shared one random stream, so the interval is too narrow"


def _wishes(manifest: Manifest, reports: Path) -> str:
    engine = manifest["engine"]
    if engine["name"] != "hf" or engine["version"].endswith("+explicit"):
        return ""
    places = places_of(reports / str(manifest["key"]), manifest)
    here = next(
        (folder for place in places if (folder := Path(place.folder)) and (folder / "config.json").is_file()), None
    )
    if here is None:
        return "it obeyed what the model's own files ask of decoding, and they are not where they were"
    own = here / "generation_config.json"
    try:
        stated = json.loads((own if own.is_file() else here / "config.json").read_text(encoding="utf-8"))
        wished = sorted(name for name in WISHES if name in stated and stated[name] not in (*NOTHING, WISHES[name]))
    except (OSError, ValueError, TypeError):
        return "it obeyed the model's generation_config.json, which cannot be read any more"
    return f"it obeyed the model's own files, which set {', '.join(wished)}" if wished else ""


def _swapped(manifest: Manifest, summary: Mapping[str, Any], places: Mapping[str, Mapping[str, Path]]) -> str:
    if manifest["engine"]["name"] not in ("vllm", "ray") or "swap_checks" in manifest:
        return ""
    models = places.get(str(manifest.get("command")), {})
    if len(models) < 2 or _started_with(summary) or _are_alike(models.values()):
        return ""
    return "the engine may have kept the config.json of another model that the same command scored"


def _are_alike(folders: Iterable[Path]) -> bool:
    """Whether the models are all there, with one config.json but for labels: then it did not matter whose was kept."""
    try:
        configs = [json.loads((folder / "config.json").read_text(encoding="utf-8")) for folder in folders]
        return all(without_labels(one) == without_labels(configs[0]) for one in configs)
    except (OSError, ValueError, AttributeError):
        return False


def _started_with(summary: Mapping[str, Any]) -> bool:
    """Whether one call decoded everything, in an engine that had started with this very model."""
    decoded = (summary.get("decode_s", 0) + HALF_A_MS) * summary.get("tokens_s", 0)
    return bool(summary.get("start_s")) and decoded >= WHOLE * summary["output_tokens"]
