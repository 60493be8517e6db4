"""The prompt: one BOS, EOS supervised, and generation a token-for-token beginning of training."""

import copy
import gzip
import json

import pytest
from tokenizers.processors import TemplateProcessing

import sft_utils
from data.synthetic import generate
from eval import prompts
from eval.records import UserError


@pytest.fixture(scope="module", params=["adds no BOS (SmolLM2)", "adds BOS (Llama 3)"])
def tokenizer(request, smollm2_tokenizer, tmp_path_factory):
    """Both kinds of tokenizer, loaded through get_tokenizer as training and evaluation do."""
    kind = copy.deepcopy(smollm2_tokenizer)
    if "Llama" in request.param:
        bos = (kind.bos_token, kind.bos_token_id)
        kind.backend_tokenizer.post_processor = TemplateProcessing(single=f"{bos[0]} $A", special_tokens=[bos])
    folder = tmp_path_factory.mktemp("tokenizer")
    kind.save_pretrained(folder)
    loaded = sft_utils.get_tokenizer(str(folder))
    assert (loaded("x").input_ids[0] == loaded.bos_token_id) == ("Llama" in request.param)
    return loaded


def check(example, tokenizer):
    ids, prompt_tokens = prompts.training_ids(example, tokenizer)
    assert ids.count(tokenizer.bos_token_id) == 1 and ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.eos_token_id) == 1 and ids[-1] == tokenizer.eos_token_id
    assert ids[:prompt_tokens] == prompts.generation_ids(example, tokenizer)
    assert 0 < prompt_tokens < len(ids)


@pytest.mark.parametrize(
    "solution", [r"To add, \boxed{5}", "5", "$5$", "\n\\[5\\]", "  (5)  ", "\\boxed{5}", "é", "\t- 5"]
)
def test_the_boundary_holds_whatever_the_solution_begins_with(solution, tokenizer):
    check(prompts.example_of("What is 2 + 3?", solution), tokenizer)


def test_the_boundary_holds_on_synthetic_problems(tokenizer):
    stream = generate(seed=7)
    for _ in range(300):
        problem = next(stream)
        check(prompts.example_of(problem.problem, problem.solution), tokenizer)


@pytest.mark.parametrize("name", ["gsm8k-test", "math500"])
def test_the_boundary_holds_on_real_problems(name, tokenizer, shared):
    with gzip.open(shared / "data" / "benchmarks" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][:300]
    for row in rows:
        check(prompts.example_of(row["problem"], row["solution"]), tokenizer)


def test_the_prompt_ends_without_a_space(tokenizer):
    text = sft_utils.apply_chat_template(prompts.example_of("Why?"), tokenizer, "generation")["text"]
    assert text.endswith("### Solution:")


def test_pad_is_not_eos(tokenizer):
    assert tokenizer.pad_token_id is not None
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


@pytest.mark.parametrize("set_pad_token", [True, False])
@pytest.mark.parametrize("before", [None, "eos"])
def test_a_pad_token_is_set_whatever_the_contracts_trainer_asks_for(before, set_pad_token, tokenizer, tmp_path):
    """It passes set_pad_token=packing: without packing, where its collator pads, it would get none."""
    kind = copy.deepcopy(tokenizer)
    kind.pad_token = kind.eos_token if before else None
    kind.save_pretrained(tmp_path)
    loaded = sft_utils.get_tokenizer(model_name_or_path=str(tmp_path), set_pad_token=set_pad_token)
    assert loaded.pad_token_id not in (None, loaded.eos_token_id) and loaded.pad_token in loaded.get_vocab()
    assert len(loaded) == len(tokenizer), "the vocabulary is not enlarged"


@pytest.mark.parametrize("set_pad_token", [True, False])
def test_a_vocabulary_without_a_spare_token_is_refused(set_pad_token, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(sft_utils, "PAD_CANDIDATES", ("<nowhere>",))
    kind = copy.deepcopy(tokenizer)
    kind.pad_token = kind.eos_token
    kind.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"PAD_CANDIDATES in sft_utils\.py"):
        sft_utils.get_tokenizer(str(tmp_path), set_pad_token)


def test_an_unknown_task_is_refused(tokenizer):
    with pytest.raises(ValueError, match='"sft" or "generation"'):
        sft_utils.apply_chat_template(prompts.example_of("Why?"), tokenizer, "train")


def test_a_trailing_space_in_the_prompt_is_refused(tokenizer, monkeypatch):
    monkeypatch.setattr(sft_utils, "PROMPT", sft_utils.PROMPT + " ")
    monkeypatch.setattr(sft_utils, "COMPLETION", "{solution}")
    with pytest.raises(UserError, match="that training never shows"):
        prompts.training_ids(prompts.example_of("What?", "To see"), tokenizer)


def test_a_text_without_eos_is_refused(tokenizer, monkeypatch):
    rendered = sft_utils.apply_chat_template

    def without_eos(example, tokenizer, task):
        return {"text": rendered(example, tokenizer, task)["text"].removesuffix(tokenizer.eos_token)}

    monkeypatch.setattr(sft_utils, "apply_chat_template", without_eos)
    with pytest.raises(UserError, match="would never learn to stop"):
        prompts.training_ids(prompts.example_of("What?", "To see"), tokenizer)


def write_rows(folder, name, count):
    rows = [{"messages": prompts.example_of(f"{name} {i}?", f"\\boxed{{{i}}}")["messages"]} for i in range(count)]
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_folder_of_json_lines_loads_in_order(tmp_path):
    write_rows(tmp_path, "train", 3)
    write_rows(tmp_path, "validation", 2)
    train, validation = sft_utils.load_datasets(str(tmp_path))
    assert [row["messages"][0]["content"] for row in train] == ["train 0?", "train 1?", "train 2?"]
    assert len(validation) == 2


def test_what_save_to_disk_wrote_loads_too(tmp_path):
    write_rows(tmp_path, "train", 3)
    write_rows(tmp_path, "validation", 2)
    train, validation = sft_utils.load_datasets(str(tmp_path))
    from datasets import DatasetDict

    DatasetDict(train=train, test=validation).save_to_disk(tmp_path / "saved")
    again, test = sft_utils.load_datasets(str(tmp_path / "saved"))
    assert again["messages"][:] == train["messages"][:] and len(test) == 2


def test_a_missing_split_is_named(tmp_path):
    write_rows(tmp_path, "train", 1)
    with pytest.raises(FileNotFoundError, match=r"validation\.jsonl is missing"):
        sft_utils.load_datasets(str(tmp_path))
