"""A LoRA adapter that cannot be merged ends in one sentence, and leaves no half-made model."""

import json

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from eval import adapters, checkpoints
from eval.records import UserError


@pytest.fixture
def adapter(tiny_llama, tmp_path):
    folder = tmp_path / "run" / "checkpoint-2"
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_llama), LoraConfig(r=2, target_modules=["q_proj"]))
    model.save_pretrained(folder)
    return folder


def cut_off(folder):
    path = folder / adapters.WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


def of_another_base(folder):
    note = json.loads((folder / adapters.CONFIG).read_text())
    (folder / adapters.CONFIG).write_text(json.dumps(note | {"base_model_name_or_path": "/no/such/model"}))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_off, r"adapter_model\.safetensors is missing or half written"),
        (lambda folder: (folder / adapters.WEIGHTS).unlink(), r"adapter_model\.safetensors is missing"),
        (of_another_base, r"is a LoRA adapter for '/no/such/model', which cannot be loaded"),
    ],
)
def test_what_cannot_be_merged_is_named(adapter, damage, said):
    damage(adapter)
    with pytest.raises(UserError, match=said) as refused:
        checkpoints.identify(adapter)
    assert refused.value.exit_code == 1
    assert not list(adapter.parent.glob("merged/*")) and not list(adapter.parent.glob("merged/.*"))


def test_an_adapter_without_its_tokenizer_is_refused_as_a_model_is(adapter):
    with pytest.raises(UserError, match="has no tokenizer"):
        checkpoints.identify(adapter)
