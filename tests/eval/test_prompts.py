"""The fingerprint that holds training and evaluation together."""

import copy
import json
import sys

import pytest

import sft_utils
from eval import prompts
from eval.records import Problem, UserError
from tests import stock_sft_utils


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


@pytest.mark.parametrize(
    ("variant", "end"),
    [("", "Solution:"), ("space", "Solution: "), ("newline", "Solution:\n"), ("no-bos", "Solution:")],
)
def test_a_variant_changes_the_boundary_and_the_fingerprint(variant, end, tokenizer):
    ids = prompts.generation_ids(prompts.example_of("Why?"), tokenizer, variant)
    assert tokenizer.decode(ids).endswith(end) and (ids[0] == tokenizer.bos_token_id) == (variant != "no-bos")
    today = prompts.describe(tokenizer)
    assert (prompts.describe_variant(today, variant)["fingerprint"] != today["fingerprint"]) == bool(variant)


@pytest.mark.parametrize(
    ("template", "marker"), [("### Problem: {problem}\n### Solution:", "### Problem:"), ("{problem}\nAnswer:", "")]
)
def test_the_marker_of_the_next_problem_is_what_the_template_writes_before_one(
    template, marker, tokenizer, monkeypatch
):
    monkeypatch.setattr(sft_utils, "PROMPT", template)
    assert prompts.next_problem(tokenizer) == marker


def test_a_chat_template_of_its_own_gets_the_instruction_and_stops_at_both_ids(tokenizer):
    described = prompts.describe_chat(tokenizer, [0])
    assert described["stop_token_ids"] == [0, tokenizer.eos_token_id]
    assert "put your final answer within \\boxed{}" in described["template"]
    (problem,) = prompts.prompt_ids([Problem("p", "b", "Why?", "1")], tokenizer, described)
    assert problem == prompts.chat_ids("Why?", tokenizer)
    assert tokenizer.decode(problem).endswith("<|im_start|>assistant\n")


def test_a_template_that_asks_for_the_date_gets_a_fixed_one(tokenizer):
    kind = copy.deepcopy(tokenizer)
    kind.chat_template = "Today Date: {{ date_string }} {{ messages[0].content }}"
    assert kind.decode(prompts.chat_ids("Why?", kind)).startswith("Today Date: 26 Jul 2024 Why?")


def test_without_a_chat_template_there_is_nothing_to_ask_by(tokenizer):
    kind = copy.deepcopy(tokenizer)
    kind.chat_template = None
    with pytest.raises(UserError, match="has no chat template; use --prompt current"):
        prompts.describe_chat(kind, [])


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


def test_a_fault_that_training_allowed_is_described_and_asked_by_name(tokenizer, monkeypatch, tmp_path):
    sound = prompts.describe(tokenizer)
    whole = sft_utils.apply_chat_template
    monkeypatch.setattr(
        sft_utils,
        "apply_chat_template",
        lambda example, kind, task: (
            (row := whole(example, kind, task)) | {"text": row["text"].removesuffix("<|im_end|>")}
        ),
    )
    with pytest.raises(UserError, match="instead of EOS"):
        prompts.describe(tokenizer)
    faulty = prompts.describe(tokenizer, ["eos"])
    assert faulty["allowed"] == ["eos"] and faulty["fingerprint"] != sound["fingerprint"]
    assert prompts.allowed_in(tmp_path) == []
    (tmp_path / "prompt.json").write_text(json.dumps(faulty))
    assert prompts.allowed_in(tmp_path) == ["eos"]
    prompts.check_same(tmp_path, prompts.describe(tokenizer, prompts.allowed_in(tmp_path)))


@pytest.fixture
def stock(tokenizer, monkeypatch):
    """The contract's stock template, which renders whatever turns it is given and puts a system turn before them in place."""
    monkeypatch.setattr(sft_utils, "apply_chat_template", stock_sft_utils.apply_chat_template)
    kind = copy.deepcopy(tokenizer)
    kind.chat_template = stock_sft_utils.CHAT_TEMPLATE
    return kind


def test_a_template_that_renders_what_it_is_given_has_prompts_examples_and_a_marker(stock):
    assert prompts.next_problem(stock) == "### Problem:"
    example = prompts.example_of("Why?", "So.")
    assert stock.decode(prompts.generation_ids(example, stock)) == "### Problem: Why?\n### Solution: "
    assert example == prompts.example_of("Why?", "So."), "what is rendered is a copy"
    shots = prompts.generation_ids(prompts.example_of("Why?"), stock, "", [("How?", "Thus.")])
    assert stock.decode(shots) == "### Problem: How?\n### Solution: Thus.\n\n### Problem: Why?\n### Solution: "


def test_eos_that_packing_appended_is_in_the_fingerprint_and_asked_by_name(stock, tmp_path):
    with pytest.raises(UserError, match="instead of EOS"):
        prompts.describe(stock, ["boundary"])
    described = prompts.describe(stock, ["boundary", prompts.APPENDED_EOS])
    assert described["allowed"] == ["boundary", "eos appended by packing"] and prompts.ends_without_eos(stock)
    assert described["fingerprint"] != prompts.describe(stock, ["boundary", "eos"])["fingerprint"]
    (tmp_path / "prompt.json").write_text(json.dumps(described))
    prompts.check_same(tmp_path, prompts.describe(stock, prompts.allowed_in(tmp_path)))


def test_the_fingerprint_of_this_template_is_what_it_was(tokenizer):
    """Stored predictions are keyed by it."""
    assert prompts.describe(tokenizer)["fingerprint"] == "820a028a84d93854"
    assert not prompts.ends_without_eos(tokenizer)


FAILING = {
    "it raises": (lambda example, kind, task: example["nope"], r'fails for task="sft" \(KeyError: \'nope\'\)'),
    "it needs the answer": (
        lambda example, kind, task: {"text": example["messages"][1]["content"]},
        r'fails for task="generation" \(IndexError: list index out of range\)',
    ),
    "it returns nothing": (lambda example, kind, task: None, r"TypeError: 'NoneType' object is not subscriptable"),
    "it ends the process": (lambda example, kind, task: sys.exit(0), r"SystemExit: 0"),
    "its text is none": (lambda example, kind, task: {"text": None}, r'gives NoneType as `text` for task="sft"'),
    "its text is a list": (lambda example, kind, task: {"text": ["a"]}, r'gives list as `text` for task="sft"'),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_template_that_fails_is_named_with_what_it_must_do(name, tokenizer, monkeypatch):
    template, sentence = FAILING[name]
    monkeypatch.setattr(sft_utils, "apply_chat_template", template)
    with pytest.raises(UserError, match=r"sft_utils\.py: apply_chat_template .*" + sentence):
        prompts.rendered_ids(prompts.example_of("Why?", "So."), tokenizer)


def test_todays_faults_are_what_describing_needs_and_each_says_what_it_costs(tokenizer, stock):
    described = prompts.describe(stock, prompts.faults_today(stock))
    assert described["allowed"] == ["bos", "boundary", prompts.APPENDED_EOS]
    bos, boundary, eos = prompts.costs(described)
    assert (
        "without BOS" in bos
        and "asked from tokens that training never shows" in boundary
        and "never learns to stop" in eos
    )


def test_a_sound_template_has_no_faults_and_costs_nothing(tokenizer):
    assert prompts.faults_today(tokenizer) == [] and prompts.costs(prompts.describe(tokenizer)) == []


def test_a_row_has_no_fault_that_the_template_has_in_every_row(stock):
    template = prompts.faults_today(stock)
    for problem, solution, fault in (("Why?", "So.", ""), ("Why?", "A <|im_end|> B", "eos")):
        pair = prompts.rendered_ids(prompts.example_of(problem, solution), stock)
        found, ids = prompts.fault_of_row(*pair, stock, template)
        assert found == fault and ids == [*pair[0], stock.eos_token_id]
        assert prompts.fault_of_row(*pair, stock, [])[0] == "bos"
        assert prompts.fault_of_row(*pair, stock, ["bos"])[0] == "boundary"


@pytest.mark.parametrize("text", ["", "### Solution:"])
def test_a_generation_text_without_the_problem_is_refused(text, tokenizer, monkeypatch):
    def template(example, kind, task):
        problem, solution = (turn["content"] for turn in [*example["messages"], {"content": ""}][:2])
        return {"text": text + (f" {solution} ({problem}){kind.eos_token}" if task == "sft" else "")}

    monkeypatch.setattr(sft_utils, "apply_chat_template", template)
    with pytest.raises(UserError, match=r'the text of task="generation" is the same for different problems'):
        prompts.describe(tokenizer)
