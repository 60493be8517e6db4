"""What the model's config says before its weights are loaded: adapters, attention, how many parameters there are."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from eval import checkpoints
from eval.records import UserError
from training import settings

ROOT = Path(__file__).resolve().parents[2]
GOOD = {
    "model_name_or_path": "m", "dataset_name_or_path": "d", "dataset_mode": "online", "output_dir": "checkpoints",
    "use_cpu": True, "bf16": False,
}  # fmt: skip


def parse(tmp_path, **changes):
    return settings.parse_settings(tmp_path / "config.yaml", GOOD | changes, tmp_path)


def write_model(tmp_path, tiny_llama, **changes) -> Path:
    """A folder with the tiny Llama's config alone: there are no weights to load."""
    described = json.loads((tiny_llama / "config.json").read_text()) | changes
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text(json.dumps(described))
    return tmp_path / "model"


# The tiny Llama ties its embedding to its output layer, as Llama-3.2-1B does.
@pytest.mark.parametrize(
    ("targets", "module"),
    [
        (["embed_tokens"], "model.embed_tokens"), (["lm_head"], "lm_head"), (["q_proj", "lm_head"], "lm_head"),
        (["model.embed_tokens"], "model.embed_tokens"), (r".*(embed_tokens|q_proj)", "model.embed_tokens"),
        (r"lm_.*", "lm_head"),
    ],
)  # fmt: skip
def test_adapters_on_tied_embeddings_are_refused(targets, module, tmp_path, tiny_llama):
    model = write_model(tmp_path, tiny_llama)
    said = f"lora_target_modules .* selects {module}, but this model ties its embedding and output layer"
    with pytest.raises(UserError, match=said):
        parse(tmp_path, use_peft=True, model_name_or_path=str(model), lora_target_modules=targets)


def test_adapters_elsewhere_or_on_untied_embeddings_are_taken(tmp_path, tiny_llama):
    model = write_model(tmp_path, tiny_llama, tie_word_embeddings=False)
    parse(tmp_path, use_peft=True, model_name_or_path=str(model), lora_target_modules=["embed_tokens", "lm_head"])
    for targets in (["all-linear"], "all-linear", ["q_proj", "down_proj"], r".*\.self_attn\..*"):
        contract, lora, *_ = parse(
            tmp_path, use_peft=True, model_name_or_path=str(tiny_llama), lora_target_modules=targets
        )
        assert contract.trained_parameters(lora) == EXPECTED_ADAPTERS[str(targets)]


# 16 (in + out) a matrix, over two layers: attention 128 -> 128, 64, 64 and 128 -> 128; MLP 128 -> 256 twice, 256 -> 128.
ATTENTION, MLP = 16 * 2 * (256 + 192 + 192 + 256), 16 * 2 * 3 * 384
EXPECTED_ADAPTERS = {
    "['all-linear']": ATTENTION + MLP, "all-linear": ATTENTION + MLP, "['q_proj', 'down_proj']": 16 * 2 * (256 + 384),
    r".*\.self_attn\..*": ATTENTION,
}  # fmt: skip


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (["q_porj"], r"lora_target_modules \['q_porj'\]: Target modules .* not found in the base model"),
        (["q_proj", "lm_haed"], "lora_target_modules has 'lm_haed', which matches no module of this model"),
        (["q_proj", "all-linear", "x"], "lora_target_modules has 'x', which matches no module"),
        (["norm"], "is not supported"),
        ([], "No `target_modules` passed"),
        ("[", "unterminated character set"),
    ],
)
def test_adapters_on_what_is_not_there_are_refused(targets, said, tmp_path, tiny_llama):
    with pytest.raises(UserError, match=f"config.yaml: .*{said}"):
        parse(tmp_path, use_peft=True, model_name_or_path=str(tiny_llama), lora_target_modules=targets)


@pytest.mark.parametrize(
    ("attention", "said"),
    [
        ("flash_attention_2", "needs a GPU, and none is found"),
        ("flash_attention_3", "needs a GPU, and none is found"),
        ("spda", r"cannot be used \(Specified `attn_implementation=\"spda\"` is not supported"),
    ],
)
def test_an_attention_that_cannot_be_used_is_refused(attention, said, tmp_path, tiny_llama, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match=f"model_init_kwargs: attn_implementation '{attention}' {said}"):
        parse(tmp_path, model_name_or_path=str(tiny_llama), model_init_kwargs={"attn_implementation": attention})
    parse(tmp_path, model_name_or_path=str(tiny_llama), model_init_kwargs={"attn_implementation": "eager"})


def test_parameters_are_counted_without_weights_also_under_zero3(tmp_path, tiny_llama, monkeypatch):
    from transformers.integrations.deepspeed import HfDeepSpeedConfig, unset_hf_deepspeed_config

    contract = settings.ContractArguments(str(write_model(tmp_path, tiny_llama)), "d", "local")
    stored = sum(math.prod(shape) for shape in checkpoints.stored_shapes(tiny_llama).values())
    held = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}, "train_batch_size": 1})
    try:
        assert held.is_zero3() and contract.trained_parameters(settings.LoraArguments()) == stored
    finally:
        unset_hf_deepspeed_config()
    assert settings.ContractArguments("no/such-model", "d").trained_parameters(settings.LoraArguments()) is None


def test_the_size_of_a_hub_model_is_read_from_the_cache(tmp_path, tiny_llama):
    """Its config is enough: a machine without a hub knows how much disk the checkpoints take."""
    place = tmp_path / "hub/models--some--model"
    (place / "refs").mkdir(parents=True)
    (place / "refs/main").write_text("abc")
    (place / "snapshots/abc").mkdir(parents=True)
    (place / "snapshots/abc/config.json").write_bytes((tiny_llama / "config.json").read_bytes())
    code = "from training.settings import *; print(ContractArguments('some/model', 'd').trained_parameters(LoraArguments()))"
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    stored = sum(math.prod(shape) for shape in checkpoints.stored_shapes(tiny_llama).values())
    assert done.stdout.strip() == str(stored), done.stderr
