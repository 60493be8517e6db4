"""The fingerprint that holds training and evaluation together."""

import json

import pytest

import sft_utils
from eval import prompts
from eval.records import UserError


@pytest.fixture(scope="module")
def tokenizer(tiny_llama):
    return sft_utils.get_tokenizer(str(tiny_llama))


def test_the_description_says_what_stops_and_shows_the_template(tokenizer):
    described = prompts.describe(tokenizer)
    assert described["stop_token_ids"] == [tokenizer.eos_token_id]
    assert described["template"] == "<|im_start|>### Problem: {problem}\n### Solution: {solution}<|im_end|>"
    assert described == prompts.describe(tokenizer)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROMPT", "## Problem: {problem}\n### Solution:"),
        ("PROMPT", "### Problem: {problem}\n\n### Solution:"),
        ("COMPLETION", "\n{solution}"),
    ],
)
def test_any_change_of_the_template_changes_the_fingerprint(name, value, tokenizer, monkeypatch):
    before = prompts.describe(tokenizer)["fingerprint"]
    monkeypatch.setattr(sft_utils, name, value)
    assert prompts.describe(tokenizer)["fingerprint"] != before


def test_a_checkpoint_trained_on_another_prompt_is_refused_with_both_named(tokenizer, tmp_path):
    today = prompts.describe(tokenizer)
    (tmp_path / "prompt.json").write_text(json.dumps(today | {"fingerprint": "0123456789abcdef"}))
    with pytest.raises(UserError) as refused:
        prompts.check_same(tmp_path, today)
    assert refused.value.exit_code == 1
    assert "0123456789abcdef" in str(refused.value) and today["fingerprint"] in str(refused.value)
    assert "--prompt current" in str(refused.value)


def test_models_that_were_not_trained_here_have_nothing_to_differ_from(tokenizer, tmp_path):
    prompts.check_same(tmp_path, prompts.describe(tokenizer))


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "null"])
def test_a_damaged_prompt_file_is_named(text, tmp_path):
    (tmp_path / "prompt.json").write_text(text)
    with pytest.raises(UserError, match=r"prompt\.json is not a JSON object"):
        prompts.read_prompt_file(tmp_path)
