"""Evaluations of earlier versions: those that may be wrong are named, and scored again under a key of their own."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from eval import store
from eval.doubts import SWAP_CHECKS, doubts, set_apart
from eval.engines.draws import RULE
from eval.plan import Options
from eval.records import Decoding
from eval.report import find_evaluations, make_sections, markdown_table
from eval.run import evaluate

MakeModel = Callable[..., Path]

SWAPPED = "the engine may have kept the config.json of another model that the same command scored"
STREAM = "samples of all problems shared one random stream, so the interval is too narrow"
GREEDY = {"temperature": 0.0}
ONE_GO = {"start_s": 30.0, "decode_s": 10.0, "tokens_s": 100.0, "output_tokens": 1000}


def manifest_of(path: str, step: int | None = None, **changes: Any) -> dict[str, Any]:
    manifest = {
        "key": path.replace("/", "-"),
        "checkpoint": {"path": path, "step": step},
        "command": "eval run a b",
        "benchmark": {},
        "decoding": GREEDY,
        "engine": {"name": "vllm", "version": "0.32+cpu"},
        "inputs": {"weights": path},
    }
    return manifest | changes


def write(reports: Path, *manifests: dict[str, Any]) -> None:
    for manifest in manifests:
        store.write_whole(reports / manifest["key"] / "manifest.json", json.dumps(manifest))


HF = {"name": "hf", "version": "5.19.0+cpu"}
# What was stored, beside runs/b/checkpoint-10 of the same command -> why it may be wrong.
STORED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "the other model of a command": (manifest_of("models/a"), {}, SWAPPED),
    "by Ray": (manifest_of("models/a", engine={"name": "ray", "version": "2"}), {}, SWAPPED),
    "swapped in": (manifest_of("models/a"), ONE_GO | {"start_s": 0.0}, SWAPPED),
    "the first": (manifest_of("models/a"), ONE_GO, ""),
    "begun by another call": (manifest_of("models/a"), ONE_GO | {"decode_s": 5.0}, SWAPPED),
    "by today's engine": (manifest_of("models/a", swap_checks=SWAP_CHECKS), {}, ""),
    "of another command": (manifest_of("models/a", command="eval run a"), {}, ""),
    "of the same run": (manifest_of("runs/b/checkpoint-20", 20), {}, ""),
    "a run of the same name": (manifest_of("other/b/checkpoint-20", 20), {}, SWAPPED),
    "by transformers": (manifest_of("models/wishes", engine=HF), {}, "which set min_length, num_beams"),
    "without wishes": (manifest_of("models/plain", engine=HF), {}, ""),
    "whose config wishes": (manifest_of("models/legacy", engine=HF), {}, "no_repeat_ngram_size"),
    "without generation_config": (manifest_of("models/bare", engine=HF), {}, ""),
    "of weights that are gone": (manifest_of("models/gone", engine=HF), {}, "they are not where they were"),
    "by today's transformers": (
        manifest_of("models/wishes", engine=HF | {"version": "5.19.0+cpu+explicit"}),
        {},
        "",
    ),
    "sampled": (manifest_of("models/a", decoding={"temperature": 0.7}), ONE_GO, STREAM),
    "sampled today": (
        manifest_of("models/a", decoding={"temperature": 0.7, "draws": RULE}),
        ONE_GO,
        "",
    ),
}


@pytest.mark.parametrize("name", STORED)
def test_what_may_be_wrong_is_told_from_what_cannot_be(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    neutral = {"repetition_penalty": 1.0, "num_beams": 1, "output_attentions": False, "bad_words_ids": None}
    wishes = {"num_beams": 4, "min_length": 9, "eos_token_id": 2, "top_k": 50}
    for model, stated in (("wishes", wishes), ("plain", neutral | {"eos_token_id": 2, "temperature": 0.6})):
        store.write_whole(tmp_path / "models" / model / "generation_config.json", json.dumps(stated))
    for model, config in (("wishes", {}), ("plain", {}), ("legacy", {"no_repeat_ngram_size": 3}), ("bare", neutral)):
        store.write_whole(tmp_path / "models" / model / "config.json", json.dumps(config))
    monkeypatch.chdir(tmp_path / "models")  # a report may be made from any folder
    manifest, summary, reason = STORED[name]
    write(tmp_path / "reports", manifest, manifest_of("runs/b/checkpoint-10", 10))
    (found,) = doubts(tmp_path / "reports", [(manifest, summary)])
    assert (found == "") == (reason == "") and reason in found


def test_models_with_one_config_cannot_have_been_mixed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    manifest, beside = manifest_of("models/a"), manifest_of("runs/b/checkpoint-10", 10)
    write(tmp_path / "reports", manifest, beside)
    config = {"rope_theta": 10000.0, "use_cache": True}
    for folder, changes in (("models/a", {}), ("runs/b/checkpoint-10", {"use_cache": False})):
        store.write_whole(tmp_path / folder / "config.json", json.dumps(config | changes))
    assert doubts(tmp_path / "reports", [(manifest, {})]) == [""]
    store.write_whole(tmp_path / "models/a/config.json", json.dumps(config | {"rope_theta": 5.0}))
    assert doubts(tmp_path / "reports", [(manifest, {})]) == [SWAPPED]


def test_only_a_doubtful_evaluation_gets_another_key(tmp_path: Path) -> None:
    doubtful, plain = manifest_of("models/a"), manifest_of("models/c", command="eval run c")
    write(tmp_path, doubtful, manifest_of("models/b"), plain)
    assert set_apart(doubtful, tmp_path) == doubtful, "nothing is decoded yet"
    for manifest in (doubtful, plain):
        (tmp_path / manifest["key"] / "predictions.jsonl").write_text("")
    apart = set_apart(doubtful, tmp_path)
    assert apart["key"] != doubtful["key"]
    assert apart["inputs"] == doubtful["inputs"] | {"swap_checks": SWAP_CHECKS}
    assert set_apart(apart | {"swap_checks": SWAP_CHECKS}, tmp_path)["key"] == apart["key"]
    assert set_apart(plain, tmp_path) == plain


@pytest.fixture
def options(tmp_path: Path, write_benchmark: Callable[..., Path]) -> Options:
    folder = write_benchmark("sums", {"2 + 2?": "4", "1 + 1?": "2"})
    decoding = Decoding(max_tokens=64)
    return Options(("sums",), decoding, tmp_path / "reports", folder, device="cpu", workers=1)


def score(options: Options, *models: Path) -> list[dict[str, Any]]:
    console = Console(file=io.StringIO(), width=120)
    return list(evaluate([str(model) for model in models], options, console))


def test_a_store_of_an_earlier_version_opens_and_its_doubtful_half_is_decoded_again(
    options: Options, make_model: MakeModel, use_engine: Any, tmp_path: Path
) -> None:
    engine = use_engine()
    engine.name = "vllm"
    models = [make_model(tmp_path / name, shift) for name, shift in (("a", 0.0), ("b", 1.0))]
    config = json.loads((models[1] / "config.json").read_text())
    (models[1] / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    old = score(options, *models)
    for summary in old:
        path = options.reports / summary["key"] / "manifest.json"
        manifest = json.loads(path.read_text())
        del manifest["swap_checks"]
        path.write_text(json.dumps(manifest))
    engine.asked.clear()
    (section,) = make_sections(find_evaluations(options.reports, old))
    sentence = f"May be wrong, because {SWAPPED}: b. Score again with the same command."
    assert section.doubts == (sentence,) and sentence in markdown_table([section])
    new = score(options, *models)
    assert [summary["reused"] for summary in new] == [True, False] and len(engine.asked) == 2
    assert new[0]["key"] == old[0]["key"] and new[1]["key"] != old[1]["key"]
    assert all(summary["reused"] for summary in score(options, *models))
    (section,) = make_sections(find_evaluations(options.reports, new))
    assert section.doubts == ()


def test_the_rule_of_drawing_is_part_of_the_key_at_a_temperature_only(
    options: Options, make_model: MakeModel, use_engine: Any, tmp_path: Path
) -> None:
    use_engine()
    model = make_model(tmp_path / "a")
    for temperature, rule in ((0.0, None), (0.7, RULE)):
        (summary,) = score(replace(options, decoding=Decoding(64, temperature, n_samples=2)), model)
        manifest = json.loads((options.reports / summary["key"] / "manifest.json").read_text())
        assert manifest["decoding"].get("draws") == manifest["inputs"]["decoding"].get("draws") == rule
