"""A loss that is no number names the rows it came from; too little memory names the settings to change."""

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset

from training.progress import flops_per_token
from training.trainer import Trainer, explain_memory, name_rows

EXAMPLES = Dataset.from_list([{"input_ids": [index, index + 1, *range(index)]} for index in range(2, 12)])


def padded(*rows):
    width = max(len(EXAMPLES[row]["input_ids"]) for row in rows)
    return torch.tensor(
        [[*EXAMPLES[row]["input_ids"], *[0] * (width - len(EXAMPLES[row]["input_ids"]))] for row in rows]
    )


def packed(*rows):
    parts = [EXAMPLES[row]["input_ids"] for row in rows]
    positions = [position for part in parts for position in range(len(part))]
    return torch.tensor([[token for part in parts for token in part]]), torch.tensor([positions])


def test_rows_of_a_padded_batch_are_named():
    assert name_rows(EXAMPLES, padded(3, 7), None) == "rows 3, 7 of train"


def test_rows_of_a_packed_batch_are_named_as_they_lie():
    assert name_rows(EXAMPLES, *packed(9, 0, 4)) == "rows 9, 0, 4 of train"
    assert name_rows(EXAMPLES, *packed(*range(10))).endswith("and 2 more of train")


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_run(loss, monkeypatch):
    monkeypatch.setattr("trl.SFTTrainer.training_step", lambda self, *args, **kwargs: torch.tensor(loss))
    trainer = Trainer.__new__(Trainer)
    trainer.examples, trainer.state = EXAMPLES, SimpleNamespace(global_step=41)
    with pytest.raises(Exception, match=rf"the loss is {loss} in step 42, on rows 5 of train; look at those"):
        trainer.training_step(None, {"input_ids": padded(5)})


def advice(monkeypatch, offload="none", where="train", **settings):
    """What is said when memory runs out in training, or in a function of that name."""
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE", offload)
    arguments = SimpleNamespace(
        **{
            "per_device_train_batch_size": 8, "per_device_eval_batch_size": 8, "gradient_accumulation_steps": 1,
            "gradient_checkpointing": False, "bf16": True,
        } | settings
    )  # fmt: skip
    scope: dict = {}
    exec(f"def {where}(error): raise error", scope)
    try:
        scope[where](torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    except torch.OutOfMemoryError as error:
        said = str(explain_memory(arguments, error))
    assert said.startswith("the device ran out of memory (CUDA out of memory. Tried to allocate 2 GiB); ")
    return said


@pytest.mark.parametrize(
    ("batch", "steps", "smaller", "more"),
    [(8, 1, 4, 2), (4, 3, 2, 6), (3, 1, 1, 3), (9, 2, 3, 6), (5, 1, 1, 5), (2, 1, 1, 2)],
)
def test_memory_advice_keeps_the_batch_to_the_row(batch, steps, smaller, more, monkeypatch):
    said = advice(monkeypatch, per_device_train_batch_size=batch, gradient_accumulation_steps=steps)
    assert smaller * more == batch * steps
    assert said.endswith(
        f"); set per_device_train_batch_size: {smaller} (now {batch}) with gradient_accumulation_steps: {more} (now {steps}) or "
        "gradient_checkpointing: true, then resume with make train RESUME=1 and the same number of processes; or start a new run, under "
        "another run_name, with offload_optimizer_device: cpu in deepspeed_zero3.yaml."
    )


CHECKPOINTED = {"gradient_checkpointing": True, "offload": "cpu"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"per_device_train_batch_size": 1, "bf16": False},
            "); set gradient_checkpointing: true, then resume with make train RESUME=1 and the same number of processes; or start a "
            "new run, under another run_name, with offload_optimizer_device: cpu in deepspeed_zero3.yaml or bf16: true (which changes "
            "what is learnt).",
        ),
        (
            {"per_device_train_batch_size": 1, "bf16": False} | CHECKPOINTED,
            "); start a new run, under another run_name, with bf16: true (which changes what is learnt).",
        ),
        ({"per_device_train_batch_size": 1} | CHECKPOINTED, "); use a device with more memory, or more processes."),
        (
            {"per_device_train_batch_size": 2} | CHECKPOINTED,
            "gradient_accumulation_steps: 2 (now 1), then resume with make train RESUME=1 and the same number of processes.",
        ),
        (
            {"where": "evaluation_loop", "per_device_eval_batch_size": 5} | CHECKPOINTED,
            "); set per_device_eval_batch_size: 2 (now 5), then resume with make train RESUME=1 and the same number of processes.",
        ),
    ],
)
def test_memory_advice_names_only_what_is_left_to_change(settings, said, monkeypatch):
    assert advice(monkeypatch, **settings).endswith(said)


def test_operations_a_token_by_hand():
    """Llama-3.2-1B at 2,048 tokens: 6 N = 7.4e9, and 6 * 16 * 2,048 * 2,048 = 0.4e9 of attention."""
    config = SimpleNamespace(tie_word_embeddings=True, num_hidden_layers=16, hidden_size=2048, vocab_size=128_256)
    assert flops_per_token(config, 1_235_814_400, 1_235_814_400, 2048) == pytest.approx(7.82e9, rel=0.01)
    assert flops_per_token(config, 1_235_814_400, 0, 2048) == pytest.approx(5.35e9, rel=0.01), "frozen: two thirds"
