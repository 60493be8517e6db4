"""Trainers that agree are found equal, trainers that do not are not: real runs on a tiny Llama, in float32."""

import math
from pathlib import Path

import pytest
import torch
import yaml

from data.synthetic import write_dataset
from parity import __main__ as parity
from parity import inputs, plain, runs
from parity.compare import TOLERANCE, compare
from parity.rungs import ladder

ROOT = Path(__file__).resolve().parents[2]
STEPS = 5


@pytest.fixture(scope="module")
def config(tmp_path_factory, tiny_llama) -> Path:
    """The demo's config without a learning rate, on few rows: each stack then has its own default."""
    folder = tmp_path_factory.mktemp("parity")
    write_dataset(folder / "data", train=120, test=1, validation=8)
    settings = yaml.safe_load((ROOT / "demo_config.yaml").read_text())
    settings |= {"model_name_or_path": str(tiny_llama), "dataset_name_or_path": str(folder / "data")}
    del settings["learning_rate"]
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="module")
def work(config) -> Path:
    folder = config.parent / "work"
    inputs.write(folder, config)
    return folder


@pytest.fixture(scope="module")
def packed(work, config) -> tuple:
    """(settings, (losses, weights), batches, optimizer's settings) of a packed ZeRO-3 run on one process."""
    settings = inputs.settings_of(config, work, STEPS, packing=True) | {"run_name": "packed"}
    return settings, *runs.train_here(settings, work, ROOT / "deepspeed_zero3.yaml", 1)


@pytest.mark.parametrize(
    ("losses", "others", "shift", "first", "equal"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0, None, True),
        ([1.0, 2.0], [1.0 + TOLERANCE / 2, 2.0], TOLERANCE / 2, None, True),
        ([1.0, 2.0], [1.0, 2.1], 0.0, 2, False),
        ([1.0, 2.0], [1.0, 2.0], 1e-3, None, False),
        ([1.0, math.nan], [1.0, 2.0], 0.0, 2, False),
    ],
)
def test_differences_are_found(losses, others, shift, first, equal):
    weights = {"a": torch.zeros(2)}
    found = compare(losses, weights, others, {"a": torch.tensor([0.0, shift])})
    assert (found.first, found.equal) == (first, equal)


@pytest.mark.parametrize("others", [{"b": torch.zeros(2)}, {"a": torch.zeros(2), "b": torch.zeros(2)}])
def test_other_weights_are_refused(others):
    with pytest.raises(ValueError, match="the names of the weights differ"):
        compare([1.0], {"a": torch.zeros(2)}, [1.0], others)


def test_a_packed_row_is_taken_apart_and_padding_is_left_out():
    row = {"input_ids": [[5, 6, 7, 8, 9]], "labels": [[-100, 6, 7, -100, 9]], "position_ids": [[0, 1, 2, 0, 1]]}
    packed = {name: torch.tensor(value) for name, value in row.items()}
    assert [ids.tolist() for ids, _ in plain.examples(packed)] == [[5, 6, 7], [8, 9]]
    padded = {"input_ids": torch.tensor([[5, 6, 0]]), "labels": torch.tensor([[5, 6, -100]])}
    padded |= {"attention_mask": torch.tensor([[1, 1, 0]])}
    assert [(ids.tolist(), labels.tolist()) for ids, labels in plain.examples(padded)] == [([5, 6], [5, 6])]


def test_zero_3_takes_the_steps_of_a_plain_loop(work, packed):
    _, ours, steps, optimizer = packed
    assert "position_ids" in steps[0][0] and len(plain.examples(steps[0][0])) > 3, "rows are packed"
    assert compare(*ours, *plain.train(work / "base", steps, optimizer)).equal
    assert ours[0][-1] < ours[0][0], "it learns"


@pytest.mark.parametrize(
    "change", [{"learning_rate": 2.1e-05}, {"adam_beta2": 0.95}, {"max_grad_norm": 0.1, "adam_epsilon": 1e-3}]
)
def test_a_loop_with_other_settings_is_not_equal(work, packed, change):
    _, ours, steps, optimizer = packed
    assert not compare(*ours, *plain.train(work / "base", steps, optimizer | change)).equal


def test_the_contracts_trainer_is_equal_once_its_differences_are_gone(work, packed, stock):
    settings, ours, _, optimizer = packed
    rungs = ladder(True, optimizer)
    found = [compare(*ours, *theirs) for theirs in runs.train_stock(stock, settings, work, rungs)]
    assert [each.equal for each in found] == [False] * (len(rungs) - 1) + [True]


def test_the_command_says_what_it_found(config, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parity, "RUNS", ((False, 1), (True, 2)))
    assert parity.main(["--config", str(config), "--steps", "3", "--no-stock"]) == 0
    said = capfd.readouterr().err
    assert said.count("plain PyTorch loop") == 2 and said.count(" equal") >= 2, said
    assert "2 processes" in said and "FAILED" not in said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--config", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["--steps", "0"], "--steps is 0; it must be 1 or more"),
    ],
)
def test_wrong_requests(options, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert parity.main(["--no-stock", *options]) == 2
    assert sentence in capsys.readouterr().err
