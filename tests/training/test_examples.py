"""Rows become token ids without being cut, and what is wrong with one is named."""

import copy
import json

import pytest
from datasets import Dataset
from rich.console import Console

import sft_utils
from eval import prompts
from eval.records import UserError
from training.examples import fault_of, is_conversation, load_splits, render
from training.notes import count_sources
from training.settings import ContractArguments

SILENT = Console(quiet=True)


def rows(*pairs):
    return Dataset.from_list([prompts.example_of(*pair) for pair in pairs])


def test_tokens_of_the_solution_and_eos_are_supervised(smollm2_tokenizer):
    row = render(rows(("What is 1 + 1?", "It is \\boxed{2}.")), smollm2_tokenizer, "d", SILENT)[0]
    supervised = [t for t, keep in zip(row["input_ids"], row["completion_mask"], strict=True) if keep]
    assert smollm2_tokenizer.decode(supervised) == " It is \\boxed{2}.<|im_end|>" and row["fault"] == ""


def test_a_long_row_is_not_cut(smollm2_tokenizer):
    assert len(render(rows(("Long?", "1 " * 5000)), smollm2_tokenizer, "d", SILENT)[0]["input_ids"]) > 5000


def turns(*pairs):
    return [{"role": role, "content": content} for role, content in pairs]


@pytest.mark.parametrize(
    ("messages", "good"),
    [
        (turns(("user", "a"), ("assistant", "b")), True),
        (turns(("user", "a")), False),
        (turns(("assistant", "a"), ("user", "b")), False),
        (turns(("system", "x"), ("user", "a"), ("assistant", "b")), False),
        (turns(("user", " "), ("assistant", "b")), False),
        (turns(("user", "a"), ("assistant", "")), False),
        (turns(("user", "a"), ("assistant", None)), False),
        ([{"role": "user"}, {"role": "assistant"}], False),
        ("a", False),
        (None, False),
        ([], False),
    ],
)
def test_what_a_conversation_is(messages, good):
    assert is_conversation(messages) == good


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda ids, t: ids, ""),
        (lambda ids, t: ids[1:], "bos"),
        (lambda ids, t: [t.bos_token_id, *ids], "bos"),
        (lambda ids, t: [*ids[:3], 7, *ids[3:]], "boundary"),
        (lambda ids, t: ids[:-1], "eos"),
        (lambda ids, t: [*ids, t.eos_token_id], "eos"),
        (lambda ids, t: [*ids[:-3], t.eos_token_id, *ids[-3:]], "eos"),
    ],
    ids=["sound", "no BOS", "two BOS", "other tokens in the prompt", "no EOS", "two EOS", "EOS within"],
)
def test_a_fault_is_named(change, fault, smollm2_tokenizer):
    ids, prompt = prompts.rendered_ids(prompts.example_of("What is 1 + 1?", "It is \\boxed{2}."), smollm2_tokenizer)
    assert fault_of(change(ids, smollm2_tokenizer), prompt, smollm2_tokenizer) == fault


def test_a_solution_without_a_token_has_nothing_to_learn_from(smollm2_tokenizer):
    prompt = prompts.generation_ids(prompts.example_of("Why?"), smollm2_tokenizer)
    for ids in (prompt, [*prompt, smollm2_tokenizer.eos_token_id]):
        assert fault_of(ids, prompt, smollm2_tokenizer) == "supervised"


def test_a_tokenizer_without_bos_needs_none(smollm2_tokenizer):
    kind = copy.deepcopy(smollm2_tokenizer)
    kind.bos_token = None
    ids, prompt = prompts.rendered_ids(prompts.example_of("Why?", "So."), kind)
    assert fault_of(ids, prompt, kind) == ""


def test_what_was_rendered_is_rendered_again_when_the_template_changes(smollm2_tokenizer, monkeypatch):
    data = rows(("Why?", "Because."))
    before = render(data, smollm2_tokenizer, "d", SILENT)[0]
    monkeypatch.setattr("inspect.getsource", lambda module: "another sft_utils.py")
    monkeypatch.setattr(sft_utils, "PROMPT", "Q: {problem}\nA:")
    assert render(data, smollm2_tokenizer, "d", SILENT)[0]["input_ids"] != before["input_ids"]


GOOD = json.dumps(prompts.example_of("One?", "1"))


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (f"{GOOD}\n{{'messages': 1}}\n", r"train\.jsonl:2: .* is no JSON object with `messages`"),
        ("", r"train\.jsonl is empty"),
        ('{"problem": "One?", "solution": "1"}\n', r"train\.jsonl:1: .* is no JSON object with `messages`"),
    ],
    ids=["a line that is no JSON", "an empty file", "other columns"],
)
def test_data_that_cannot_be_read_is_named(train, said, tmp_path):
    (tmp_path / "train.jsonl").write_text(train)
    (tmp_path / "validation.jsonl").write_text(f"{GOOD}\n")
    with pytest.raises(UserError, match=said):
        load_splits(ContractArguments("m", str(tmp_path), "local"))


def test_a_folder_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"dataset_name_or_path 'no-such': .*train\.jsonl is missing") as caught:
        load_splits(ContractArguments("m", "no-such", "local"))
    assert caught.value.exit_code == 2


def test_tokens_are_counted_by_source_and_many_sources_are_cut_to_the_largest(smollm2_tokenizer, monkeypatch):
    monkeypatch.setattr("training.notes.SOURCES_NAMED", 2)
    data = Dataset.from_list(
        [
            prompts.example_of("Why?", "So. " * length) | {"source": source}
            for source, length in (("a", 1), ("b", 30), ("a", 1), ("c", 9), ("d", 1))
        ]
    )
    rendered = render(data, smollm2_tokenizer, "d", SILENT)
    counted = count_sources(rendered)
    assert list(counted) == ["b", "c", "2 others"] and counted["2 others"]["rows"] == 3
    assert sum(one["tokens"] for one in counted.values()) == sum(map(len, rendered["input_ids"]))
    assert count_sources(render(rows(("Why?", "So.")), smollm2_tokenizer, "d", SILENT)) == {}
