"""LoRA adapters: merged to what the trained model computes, found without their weights, refused in one sentence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from eval import adapters, checkpoints
from eval.records import UserError

Cli = Callable[..., Any]
ASKED = ["--benchmark", "sums", "--benchmarks-dir", "benchmarks", "--max-tokens", "64", "--engine", "hf"]


@pytest.fixture
def base(byte_llama: Path, tmp_path: Path) -> Callable[[bool], Path]:
    """base(tied): the byte Llama with weights far apart, its output layer tied or not."""

    def make(tied: bool) -> Path:
        folder = tmp_path / "models" / f"base-{tied}"
        config = AutoModelForCausalLM.from_pretrained(byte_llama).config
        config.tie_word_embeddings, config.initializer_range = tied, 0.2
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        AutoTokenizer.from_pretrained(byte_llama).save_pretrained(folder)
        return folder

    return make


def train(base: Path, folder: Path, rows: int = 259, save: Any = "auto", **settings: Any) -> tuple[Any, Any]:
    """Writes an adapter whose every trained weight was moved; returns token ids and what the trained model says to them."""
    model = AutoModelForCausalLM.from_pretrained(base)
    if rows != 259:
        model.resize_token_embeddings(rows)
    settings = {"r": 2, "task_type": "CAUSAL_LM", "target_modules": ["q_proj"]} | settings
    trained = get_peft_model(model, LoraConfig(**settings))
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in trained.parameters():
            if weight.requires_grad:
                weight += 0.3 * torch.randn_like(weight)
    trained.save_pretrained(folder, save_embedding_layers=save)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    ids = torch.tensor([[1, 2, 5, 7, rows - 2, rows - 1]])
    return ids, trained(ids).logits.detach()


EMBEDDINGS = ["embed_tokens", "lm_head"]
# What was trained: (rows of the embedding, settings of LoraConfig).
TRAINED: dict[str, tuple[int, dict[str, Any]]] = {
    "as the base model": (259, {}),
    "DoRA": (259, {"use_dora": True}),
    "rsLoRA": (259, {"use_rslora": True}),
    "added tokens": (264, {}),
    "added tokens, padded": (320, {}),
    "added tokens, DoRA": (264, {"use_dora": True}),
    "added tokens, modules_to_save": (264, {"modules_to_save": EMBEDDINGS}),
    "added tokens, embedding saved": (264, {"modules_to_save": ["embed_tokens"]}),
    "added tokens, tied on purpose": (264, {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}),
    "LoRA on the output layer": (259, {"target_modules": ["q_proj", "lm_head"]}),
    "LoRA on both": (259, {"target_modules": ["q_proj", *EMBEDDINGS]}),
    "added tokens, LoRA on both": (264, {"target_modules": ["q_proj", *EMBEDDINGS]}),
    "single tokens": (259, {"trainable_token_indices": [5, 7]}),
    "added single tokens": (261, {"trainable_token_indices": [259, 260]}),
    "fewer tokens": (250, {"modules_to_save": EMBEDDINGS}),
}


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize(("rows", "settings"), TRAINED.values(), ids=TRAINED)
def test_the_merged_model_computes_what_the_trained_one_did(
    rows: int, settings: dict[str, Any], tied: bool, base: Callable[[bool], Path], tmp_path: Path
) -> None:
    ids, wanted = train(base(tied), tmp_path / "run" / "checkpoint-2", rows, **settings)
    found = checkpoints.identify(tmp_path / "run" / "checkpoint-2")
    got = AutoModelForCausalLM.from_pretrained(found.path)(ids).logits
    assert got.shape == wanted.shape == (1, 6, rows)
    assert torch.allclose(got, wanted, atol=1e-4), (got - wanted).abs().max()


@pytest.fixture
def adapter(base: Callable[[bool], Path], tmp_path: Path) -> Path:
    """run/checkpoint-2, an adapter for models/base-True."""
    train(base(True), tmp_path / "run" / "checkpoint-2")
    return tmp_path / "run" / "checkpoint-2"


def note(folder: Path, **changes: Any) -> None:
    path = folder / adapters.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_base(folder: Path, **changes: Any) -> None:
    path = folder.parents[1] / "models" / "base-True" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / adapters.WEIGHTS)
    change(tensors)
    save_file(tensors, folder / adapters.WEIGHTS)


def cut_off(folder: Path) -> None:
    path = folder / adapters.WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def as_pickle(folder: Path) -> None:
    torch.save(load_file(folder / adapters.WEIGHTS), folder / "adapter_model.bin")
    (folder / adapters.WEIGHTS).unlink()


def of_wider_base(folder: Path) -> None:
    config = AutoModelForCausalLM.from_pretrained(folder.parents[1] / "models" / "base-True").config
    config.hidden_size = 64
    AutoModelForCausalLM.from_config(config).save_pretrained(folder.parents[1] / "models" / "wider")
    note(folder, base_model_name_or_path=str(folder.parents[1] / "models" / "wider"))


def rows_not_saved(folder: Path) -> None:
    shutil.rmtree(folder)
    train(folder.parents[1] / "models" / "base-True", folder, 264, save=False, trainable_token_indices=[262])


def of_two_vocabularies(folder: Path) -> None:
    rows = {f"base_model.model.{name}.weight": torch.zeros(size, 32) for name, size in SIZES.items()}
    change_weights(folder, lambda tensors: tensors.update(rows))


SIZES = {"model.embed_tokens": 264, "lm_head": 265}
BITSANDBYTES = {"quant_method": "bitsandbytes", "load_in_4bit": True}
Q_PROJ = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
# What is wrong -> (how it came about, what the sentence says).
DAMAGES: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "cut off": (cut_off, ("adapter_model.safetensors is missing or half written",)),
    "no weights": (
        lambda folder: (folder / adapters.WEIGHTS).unlink(),
        ("adapter_model.safetensors is missing or half written",),
    ),
    "no tensors": (lambda folder: change_weights(folder, dict.clear), ("holds no tensors; save the adapter again",)),
    "a pickle": (as_pickle, ("adapter_model.bin, a pickle", "save_pretrained")),
    "NaN": (
        lambda folder: change_weights(folder, lambda tensors: tensors[Q_PROJ].fill_(float("nan"))),
        (f"{Q_PROJ} holds NaN",),
    ),
    "config is a list": (
        lambda folder: (folder / adapters.CONFIG).write_text("[]"),
        ("adapter_config.json is half written or damaged",),
    ),
    "config cut off": (
        lambda folder: (folder / adapters.CONFIG).write_text('{"base'),
        ("adapter_config.json is half written or damaged",),
    ),
    "no base named": (
        lambda folder: note(folder, base_model_name_or_path=None),
        ("base_model_name_or_path is None; write the folder or the hub id",),
    ),
    "base gone": (
        lambda folder: note(folder, base_model_name_or_path="/no/such/model"),
        ("is a LoRA adapter for '/no/such/model', which cannot be loaded (there is no such folder); put the base",),
    ),
    "base on the hub, out of reach": (
        lambda folder: note(folder, base_model_name_or_path="nobody/no-such-model"),
        ("adapter for 'nobody/no-such-model'", "no such folder here, and the hub does not give it: "),
    ),
    "base of other shapes": (
        of_wider_base,
        ("models/wider', but it does not fit that model (", "size mismatch", "correct base_model_name_or_path"),
    ),
    "base is quantized": (
        lambda folder: change_base(folder, quantization_config=BITSANDBYTES),
        ("base-True', which is quantized (bitsandbytes)", "the model it was quantized from"),
    ),
    "base without weights": (
        lambda folder: (folder.parents[1] / "models/base-True/model.safetensors").unlink(),
        ("which cannot be loaded (", "model.safetensors", "put the base model there"),
    ),
    "added tokens not saved": (
        rows_not_saved,
        ("the trained model had 263 tokens, the base model 259", "such as 259", "save_embedding_layers=True"),
    ),
    "two vocabularies": (of_two_vocabularies, ("of vocabularies of 264 and 265 tokens", "save the adapter again")),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), ("has no tokenizer",)),
    "a whole model beside it": (
        lambda folder: shutil.copytree(folder.parents[1] / "models/base-True", folder, dirs_exist_ok=True),
        ("holds a whole model and adapter_config.json", "move one of them"),
    ),
}


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES)
def test_what_cannot_be_merged_is_one_whole_sentence(
    damage: Callable[[Path], Any], said: tuple[str, ...], adapter: Path
) -> None:
    damage(adapter)
    with pytest.raises(UserError) as refused:
        checkpoints.identify(adapter)
    assert refused.value.exit_code == 1
    for words in (str(adapter), *said):
        assert words in str(refused.value)
    assert str(refused.value).endswith((".", ").")) and "\n" not in str(refused.value)
    assert not list(adapter.parent.glob("merged/.*"))


def test_a_relative_base_is_found_from_elsewhere(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = checkpoints.identify(adapter).weights_sha
    shutil.rmtree(adapter.parent / "merged")
    note(adapter, base_model_name_or_path="models/base-True")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert checkpoints.identify(adapter).weights_sha == before


def test_an_adapter_with_the_config_of_its_base_is_merged_too(adapter: Path, tmp_path: Path) -> None:
    before = checkpoints.identify(adapter).weights_sha
    shutil.rmtree(adapter.parent / "merged")
    shutil.copy(tmp_path / "models/base-True/config.json", adapter)
    assert checkpoints.identify(adapter).weights_sha == before


def test_another_base_under_the_same_path_is_merged_anew(adapter: Path, base: Callable[[bool], Path]) -> None:
    first = checkpoints.weights_sha(adapters.merge(adapter))
    folder = base(True)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][7] += 50
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    merged = adapters.merge(adapter)
    assert checkpoints.weights_sha(merged) != first
    noted = json.loads((merged / adapters.ORIGIN).read_text())
    del noted[adapters.BASE]  # as earlier versions wrote it
    (merged / adapters.ORIGIN).write_text(json.dumps(noted))
    assert adapters.merged_copy(adapter) == merged
    shutil.rmtree(folder)
    assert adapters.merged_copy(adapter) == merged, "a base that is gone says nothing"


def test_a_tokenizer_that_is_mended_counts_though_the_merged_copy_was_made(adapter: Path) -> None:
    tokenizer = (adapter / "tokenizer.json").read_text()
    (adapter / "tokenizer.json").write_text("{")
    merged = checkpoints.identify(adapter).path
    (adapter / "tokenizer.json").write_text(tokenizer)
    assert checkpoints.identify(adapter).path == merged and (merged / "tokenizer.json").read_text() == tokenizer


# Found again


@pytest.fixture
def scored(adapter: Path, base: Callable[[bool], Path], cli: Cli, write_benchmark: Any, tmp_path: Path,
           monkeypatch: pytest.MonkeyPatch) -> Path:  # fmt: skip
    """The adapter and its base model, scored by the real engine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_benchmark("sums", {"2 + 2?": "4", "3 + 3?": "6"})
    done = cli("run", "models/base-True", "run", *ASKED)
    assert done.code == 0, done.err
    return adapter


def forget_adapters(folder: Path) -> None:
    """The store as it was before manifests named the adapter."""
    for path in folder.parents[1].glob("reports/*/manifest.json"):
        manifest = json.loads(path.read_text())
        manifest["checkpoint"].pop("adapter_sha", None)
        path.write_text(json.dumps(manifest))


# What became of the files -> what `compare` says of how it found the adapter.
LOST: dict[str, tuple[Callable[[Path], Any], str]] = {
    "nothing": (lambda folder: None, ""),
    "the merged copy": (lambda folder: shutil.rmtree(folder.parent / "merged"), ""),
    "the base model's weights": (
        lambda folder: (folder.parents[1] / "models/base-True/model.safetensors").rename(folder.parents[1] / "away"),
        "",
    ),
    "the merged copy, in an older store": (
        lambda folder: (shutil.rmtree(folder.parent / "merged"), forget_adapters(folder)),
        "found by its name alone",
    ),
    "the record of the adapter, in an older store": (forget_adapters, ""),
}


@pytest.mark.parametrize("asked", ["run", "run/checkpoint-2"])
@pytest.mark.parametrize(("lose", "said"), LOST.values(), ids=LOST)
def test_comparing_needs_no_weights(
    lose: Callable[[Path], Any], said: str, asked: str, scored: Path, cli: Cli, tmp_path: Path
) -> None:
    lose(scored)
    key = next(
        path.parent.name
        for path in tmp_path.glob("reports/*/manifest.json")
        if json.loads(path.read_text())["checkpoint"]["path"] == "models/base-True"
    )
    done = cli("compare", key, asked)
    assert done.code == 0, done.err
    assert "run/checkpoint-2" in done.out and said in " ".join(done.out.split())


def test_an_adapter_trained_again_has_no_evaluation(scored: Path, cli: Cli) -> None:
    change_weights(scored, lambda tensors: tensors[Q_PROJ].add_(1))
    done = cli("compare", "models/base-True", "run")
    assert done.code == 2 and "has no evaluation in reports with the weights it has now" in done.err


def test_gc_keeps_what_belongs_to_an_adapter(scored: Path, cli: Cli) -> None:
    kept = "nothing to delete"
    assert kept in cli("gc", "--weights-gone").out
    shutil.rmtree(scored.parent / "merged")
    assert kept in cli("gc", "--weights-gone").out
    change_weights(scored, lambda tensors: tensors[Q_PROJ].add_(1))
    assert "holds other weights by now" in " ".join(cli("gc", "--weights-gone").out.split())
    shutil.rmtree(scored)
    assert "is gone" in " ".join(cli("gc", "--weights-gone").out.split())
