"""Packing is exact: an example in a packed row gets the logits, and the loss, that it gets alone."""

import pytest
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from training.attention import BY_EXAMPLE, choose_attention

LENGTHS = (23, 7, 31, 1, 12)


@pytest.fixture(scope="module")
def models(tiny_llama):
    """The same model with our attention, and with PyTorch's own."""
    load = AutoModelForCausalLM.from_pretrained
    return {name: load(tiny_llama, dtype=torch.float32, attn_implementation=name) for name in (BY_EXAMPLE, "sdpa")}


@pytest.fixture(scope="module")
def examples():
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(10, 1000, (length,), generator=generator).tolist() for length in LENGTHS]


def packed(examples):
    """One packed row as TRL's collator makes it, and its trainer asks: with a cache, PyTorch's own attention would mix them."""
    ids = [token for example in examples for token in example]
    collator = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)
    row = {"input_ids": ids, "labels": ids, "seq_lengths": [len(example) for example in examples]}
    return collator([row]) | {"use_cache": False}


def logits(model, examples):
    """Logits of a packed row, cut into its examples."""
    batch = packed(examples)
    batch.pop("labels")
    with torch.no_grad():
        return model(**batch).logits[0].split([len(example) for example in examples])


@pytest.mark.parametrize("name", [BY_EXAMPLE, "sdpa"])
def test_a_packed_example_has_the_logits_it_has_alone(name, models, examples):
    for example, mine in zip(examples, logits(models[name], examples), strict=True):
        with torch.no_grad():
            alone = models["sdpa"](torch.tensor([example])).logits[0]
        torch.testing.assert_close(mine, alone, rtol=1e-4, atol=1e-4)


def test_changing_a_neighbour_changes_no_logit(models, examples):
    before = logits(models[BY_EXAMPLE], examples)
    changed = [example if place == 2 else [token + 1 for token in example] for place, example in enumerate(examples)]
    after = logits(models[BY_EXAMPLE], changed)
    assert torch.equal(before[2], after[2]), "bit for bit"
    assert not torch.equal(before[1], after[1])


def test_the_perturbation_test_can_fail(models, examples):
    """Without the boundaries, the same attention does see the neighbours."""
    one = [[token for example in examples for token in example]]
    other = [[token + (index < 20) for index, token in enumerate(one[0])]]
    assert not torch.equal(logits(models[BY_EXAMPLE], one)[0][-1], logits(models[BY_EXAMPLE], other)[0][-1])


def test_the_loss_of_a_packed_row_is_that_of_its_examples(models, examples):
    batch = packed(examples)
    mine = models[BY_EXAMPLE](**batch).loss
    long = [example for example in examples if len(example) > 1]
    alone = [models["sdpa"](torch.tensor([ids]), labels=torch.tensor([ids])).loss * (len(ids) - 1) for ids in long]
    torch.testing.assert_close(mine, sum(alone) / sum(len(ids) - 1 for ids in long), rtol=1e-4, atol=1e-4)


def test_gradients_agree_too(models, examples):
    grads = []
    for model in models.values():
        model.zero_grad()
        model(**packed(examples)).loss.backward()
        grads.append(model.model.layers[0].self_attn.q_proj.weight.grad.clone())
    torch.testing.assert_close(*grads, rtol=1e-4, atol=1e-5)


def test_padding_on_the_right_is_not_seen(models, examples):
    short, long = examples[1], examples[2]
    batch = torch.tensor([short + [0] * (len(long) - len(short)), long])
    with torch.no_grad():
        mine = models[BY_EXAMPLE](batch, attention_mask=(batch != 0).long()).logits[0, : len(short)]
        alone = models["sdpa"](torch.tensor([short])).logits[0]
    torch.testing.assert_close(mine, alone, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("gpu", "installed", "dtype", "packing", "chosen"),
    [
        (False, True, torch.bfloat16, False, "sdpa"),
        (False, True, torch.bfloat16, True, BY_EXAMPLE),
        (True, True, torch.bfloat16, True, "flash_attention_2"),
        (True, True, torch.bfloat16, False, "flash_attention_2"),
        (True, True, torch.float32, True, BY_EXAMPLE),
        (True, False, torch.bfloat16, True, BY_EXAMPLE),
        (True, False, torch.bfloat16, False, "sdpa"),
    ],
)
def test_flash_attention_is_chosen_where_it_works(gpu, installed, dtype, packing, chosen, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if installed else None)
    assert choose_attention(dtype, packing, Console(quiet=True)) == chosen
