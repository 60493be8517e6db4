"""What sft_utils.py gives is looked at before it is used: one sentence names the function and what it must do."""

import sys
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict

import sft
import sft_utils
from eval.records import UserError
from training.examples import load_splits
from training.settings import ContractArguments


def raising(error):
    def get_tokenizer(name):
        raise error

    return get_tokenizer


TOKENIZERS = {
    "it raises": (raising(KeyError("x")), r"get_tokenizer fails for model \(KeyError: 'x'\)"),
    "it ends the process": (raising(SystemExit(0)), r"get_tokenizer fails for model \(SystemExit: 0\)"),
    "nothing": (lambda name: None, "get_tokenizer gives NoneType; it must return a tokenizer"),
    "a pair": (lambda name: (1, 2), "get_tokenizer gives tuple; it must return a tokenizer"),
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_what_is_no_tokenizer_is_one_sentence(name, monkeypatch):
    given, sentence = TOKENIZERS[name]
    monkeypatch.setattr(sft, "get_tokenizer", given)
    with pytest.raises(UserError, match=r"sft_utils\.py: " + sentence):
        sft.load_tokenizer(Path("config.yaml"), "model")


def test_a_tokenizer_without_eos_is_refused(tiny_llama, monkeypatch):
    whole = sft.get_tokenizer

    def get_tokenizer(name):
        tokenizer = whole(name)
        tokenizer.eos_token = None
        return tokenizer

    monkeypatch.setattr(sft, "get_tokenizer", get_tokenizer)
    with pytest.raises(UserError, match=r"a tokenizer without EOS for .*tiny-llama, so no text could end"):
        sft.load_tokenizer(Path("config.yaml"), str(tiny_llama))


SPLITS = {
    "rows that stream": (
        lambda rows: (rows.to_iterable_dataset(), rows),
        "load_datasets gives IterableDataset, Dataset;",
    ),
    "a mapping": (lambda rows: DatasetDict(train=rows, test=rows), "load_datasets gives DatasetDict;"),
    "lists of rows": (lambda rows: (rows.to_list(), rows.to_list()), "load_datasets gives list, list;"),
    "three": (lambda rows: (rows, rows, rows), "load_datasets gives Dataset, Dataset, Dataset;"),
    "one alone": (lambda rows: rows, "load_datasets gives Dataset;"),
    "nothing": (lambda rows: None, "load_datasets gives NoneType;"),
    "an end": (lambda rows: sys.exit(0), "dataset_name_or_path '.*': 0"),
}


@pytest.mark.parametrize("name", SPLITS)
def test_what_is_no_pair_of_data_sets_is_one_sentence(name, monkeypatch, tmp_path):
    given, sentence = SPLITS[name]
    rows = Dataset.from_list([{"messages": [{"role": "user", "content": "Why?"}]}])
    monkeypatch.setattr(sft_utils, "load_datasets", lambda name: given(rows))
    with pytest.raises(UserError, match=sentence):
        load_splits(ContractArguments("model", str(tmp_path), "local"))


def test_a_name_for_the_other_mode_is_told_so(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"messages": []}\n')
    for name, mode, advice in (
        (tmp_path, "online", "it is here, and dataset_mode is online: write dataset_mode: local"),
        ("owner/name", "local", "for a hub id write dataset_mode: online"),
    ):
        with pytest.raises(UserError, match=advice):
            load_splits(ContractArguments("model", str(name), mode))


def test_splits_with_unlike_columns_are_one_sentence(tmp_path):
    row = '{"messages": [{"role": "user", "content": "Why?"}]'
    (tmp_path / "train.jsonl").write_text(row + "}\n")
    (tmp_path / "validation.jsonl").write_text(row + ', "level": [1]}\n')
    with pytest.raises(UserError, match=r"unlike columns or types, .* write the same columns in every row"):
        load_splits(ContractArguments("model", str(tmp_path), "local"))


def test_a_folder_that_is_not_there_is_said_so(tmp_path):
    with pytest.raises(
        UserError, match=r"config\.yaml: model_name_or_path: .*/gone is not there; name a model's folder"
    ):
        sft.load_tokenizer(Path("config.yaml"), str(tmp_path / "gone"))
