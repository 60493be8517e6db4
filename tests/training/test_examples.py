"""Rows become token ids without being cut, and what is wrong with one is named."""

import copy
import io
import itertools
import json
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import datasets
import pytest
from datasets import Dataset, DatasetDict
from rich.console import Console
from tokenizers.processors import TemplateProcessing

import sft_utils
from eval import prompts
from eval.records import UserError
from tests import stock_sft_utils
from training import token_cache
from training.examples import fault_of, is_conversation, load_splits, render
from training.notes import count_sources
from training.settings import ContractArguments

ROOT = Path(__file__).resolve().parents[2]
SILENT = Console(quiet=True)


def rows(*pairs):
    return Dataset.from_list([prompts.example_of(*pair) for pair in pairs])


def test_tokens_of_the_solution_and_eos_are_supervised(smollm2_tokenizer):
    row = render(rows(("What is 1 + 1?", "It is \\boxed{2}.")), smollm2_tokenizer, "d", SILENT)[0]
    supervised = [t for t, keep in zip(row["input_ids"], row["completion_mask"], strict=True) if keep]
    assert smollm2_tokenizer.decode(supervised) == " It is \\boxed{2}.<|im_end|>" and row["fault"] == ""


def saved(folder, *pairs):
    """The same rows out of a folder of `save_to_disk`: `datasets` caches what it makes of files alone."""
    rows(*pairs).save_to_disk(str(folder))
    return datasets.load_from_disk(str(folder))


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


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return tmp_path / "cache"


def said_by_render(rows, tokenizer, **choices):
    """(the rendered rows, what the console said)."""
    console = Console(file=io.StringIO(), width=200)
    return render(rows, tokenizer, "d", console, **choices), console.file.getvalue()


def flagged(tokenizer, **flags):
    kind = copy.deepcopy(tokenizer)
    for name, value in flags.items():
        setattr(kind, name, value)
    return kind


def with_bos(tokenizer):
    """The same tokenizer, which puts a BOS before every text by itself, as Llama 3's does."""
    kind = copy.deepcopy(tokenizer)
    kind.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", tokenizer.bos_token_id)]
    )
    return kind


def template_file(monkeypatch, tmp_path, text):
    """sft_utils.py as one that reads its template from a file, an environment variable or a module: not its own source."""
    (tmp_path / "template.txt").write_text(text)
    whole = sft_utils.apply_chat_template

    def apply_chat_template(example, tokenizer, task):
        row = whole(example, tokenizer, task)
        return row | {"text": row["text"].replace("### Problem:", (tmp_path / "template.txt").read_text())}

    monkeypatch.setattr(sft_utils, "apply_chat_template", apply_chat_template)


def test_what_was_rendered_is_rendered_again_when_what_the_template_reads_changes(
    smollm2_tokenizer, monkeypatch, tmp_path, cache
):
    data = saved(tmp_path / "data", *((f"Why {number}?", "Because.") for number in range(200)))
    template_file(monkeypatch, tmp_path, "### Problem:")
    before = render(data, smollm2_tokenizer, "d", SILENT)["input_ids"]
    assert render(data, smollm2_tokenizer, "d", SILENT)["input_ids"] == before
    (tmp_path / "template.txt").write_text("### Question:")
    assert "### Question: Why 117?" in smollm2_tokenizer.decode(
        render(data, smollm2_tokenizer, "d", SILENT)[117]["input_ids"]
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda kind: flagged(kind, eos_token="<|endoftext|>"),
        lambda kind: flagged(kind, bos_token="<|endoftext|>"),
        with_bos,
    ],
    ids=["another EOS", "another BOS", "a BOS that the tokenizer adds"],
)
def test_a_changed_tokenizer_renders_anew(change, smollm2_tokenizer, tmp_path, cache):
    data = saved(tmp_path / "data", ("Why?", "Because."), ("How?", "So."))
    render(data, smollm2_tokenizer, "d", SILENT)
    kind = change(smollm2_tokenizer)
    expected = [prompts.rendered_ids(row, kind)[0] for row in data]
    assert render(data, kind, "d", SILENT)["input_ids"] == expected


def test_the_second_time_nothing_is_tokenized(smollm2_tokenizer, cache):
    data = rows(*((f"Why {number}?", "Because.") for number in range(60)))
    first, said = said_by_render(data, smollm2_tokenizer)
    assert "tokenise d  60/60" in said
    second, said = said_by_render(data, smollm2_tokenizer)
    assert said == "" and second["input_ids"] == first["input_ids"]
    assert [Path(file["filename"]).is_relative_to(cache) for file in second.cache_files] == [True]


@pytest.mark.parametrize("damage", ["other rows", "half a file", "no arrow at all"])
def test_rows_of_the_cache_that_are_not_these_are_rendered_anew_and_it_is_said(damage, smollm2_tokenizer, cache):
    data = rows(*((f"Why {number}?", "Because.") for number in range(60)))
    first = render(data, smollm2_tokenizer, "d", SILENT)
    (file,) = cache.glob("tokenized/*.arrow")
    if damage == "other rows":
        first.map(lambda row: {"input_ids": row["input_ids"][:-1]}, cache_file_name=str(cache / "other.arrow"))
        shutil.copy(cache / "other.arrow", file)
    else:
        file.write_bytes(file.read_bytes()[: 500 if damage == "half a file" else 0] or b"nothing")
    again, said = said_by_render(data, smollm2_tokenizer)
    assert "d: the cached tokens differ from what is rendered now; tokenizing again" in said
    assert again["input_ids"] == [prompts.rendered_ids(row, smollm2_tokenizer)[0] for row in data]
    assert said_by_render(data, smollm2_tokenizer)[1] == ""


def test_a_cache_that_cannot_be_written_costs_memory_not_the_run(smollm2_tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "a file" / "cache")
    (tmp_path / "a file").write_text("")
    rendered, said = said_by_render(rows(("Why?", "So.")), smollm2_tokenizer)
    assert len(rendered[0]["input_ids"]) > 5 and not rendered.cache_files
    assert "tokenized rows are kept in memory" in said


def test_data_is_read_although_the_cache_of_datasets_cannot_be_written(smollm2_tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "a file" / "cache")
    (tmp_path / "a file").write_text("")
    for name in ("train", "validation"):
        (tmp_path / f"{name}.jsonl").write_text(f"{GOOD}\n")
    console = Console(file=io.StringIO(), width=300)
    token_cache.choose_folder(console)
    loaded = load_splits(ContractArguments("m", str(tmp_path), "local"))
    assert len(render(loaded["train"], smollm2_tokenizer, "d", console)) == 1
    assert (
        f"{tmp_path / 'a file' / 'cache'} cannot be written (Not a directory); rows are cached in"
        in console.file.getvalue()
    )


def test_a_disk_that_fills_up_costs_memory_not_the_run(smollm2_tokenizer, cache):
    """A limit on the size of files stands for the disk: what is written beyond it fails in the same place."""
    data = rows(*((f"Why {number}?", "So. " * 500) for number in range(300)))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        rendered, said = said_by_render(data, smollm2_tokenizer)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "tokenized rows are kept in memory" in said and not rendered.cache_files
    assert rendered[299]["input_ids"] == prompts.rendered_ids(data[299], smollm2_tokenizer)[0]
    assert not list(cache.glob("tokenized/*")), "no half-written file"


def test_two_runs_that_render_at_once_have_the_same_rows(cache):
    script = (
        "from datasets import Dataset, config; from pathlib import Path; import sys; from rich.console import Console\n"
        "from transformers import AutoTokenizer; from eval import prompts; from training.examples import render\n"
        "from data.demo import GGUF_FILE, _gguf_folder\n"
        f"config.HF_DATASETS_CACHE = Path({str(cache)!r})\n"
        "tokenizer = AutoTokenizer.from_pretrained(_gguf_folder(), gguf_file=GGUF_FILE)\n"
        "rows = Dataset.from_list([prompts.example_of(f'Why {n}?', 'So. ' * 20) for n in range(800)])\n"
        "print('ready', flush=True); input()\n"
        "ids = render(rows, tokenizer, 'd', Console(quiet=True))['input_ids']\n"
        "assert ids == [prompts.rendered_ids(row, tokenizer)[0] for row in rows]\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, text=True, stdin=-1, stdout=-1, stderr=-1)
        for _ in range(2)
    ]
    for one in both:
        assert one.stdout.readline() == "ready\n"
    for one in both:  # both begin now
        one.stdin.write("\n")
        one.stdin.flush()
    for one in both:
        _, err = one.communicate(timeout=300)
        assert one.returncode == 0, err
    assert len(list(cache.glob("tokenized/*"))) == 1


def test_a_template_that_writes_something_else_each_time_is_refused(smollm2_tokenizer, monkeypatch, cache):
    whole, count = sft_utils.apply_chat_template, itertools.count()
    monkeypatch.setattr(
        sft_utils,
        "apply_chat_template",
        lambda example, kind, task: (row := whole(example, kind, task)) | {"text": f"{row['text']}{next(count)}"},
    )
    with pytest.raises(UserError, match=r"different text for the same rows of d .* depend on the row alone") as refused:
        render(rows(("Why?", "So.")), smollm2_tokenizer, "d", SILENT)
    assert refused.value.exit_code == 1 and not list(cache.glob("tokenized/*"))


@pytest.fixture
def stock(monkeypatch, smollm2_tokenizer):
    """The contract's stock template, on a tokenizer that adds BOS as Llama 3's does."""
    monkeypatch.setattr(sft_utils, "apply_chat_template", stock_sft_utils.apply_chat_template)
    return flagged(with_bos(smollm2_tokenizer), chat_template=stock_sft_utils.CHAT_TEMPLATE)


def test_a_template_that_renders_what_it_is_given_is_given_the_turns_before_the_answer(stock):
    data = rows(("What is 1 + 1?", "It is \\boxed{2}."))
    row = render(data, stock, "d", SILENT, append_eos=True)[0]
    assert row["fault"] == "boundary", "the space at the end of its prompt, not that there is nothing to learn"
    assert stock.decode(row["input_ids"]) == (
        "<|im_start|>### Problem: What is 1 + 1?\n### Solution: It is \\boxed{2}.\n<|im_end|>"
    )
    asked = [token for token, keep in zip(row["input_ids"], row["completion_mask"], strict=True) if not keep]
    assert stock.decode(asked).startswith("<|im_start|>### Problem: What is 1 + 1?\n### Solution:")
    assert data[0]["messages"][0]["role"] == "user", "the system turn that it inserts is not put into the data"


@pytest.mark.parametrize("appended", [True, False])
def test_packing_ends_every_example_in_one_eos(appended, smollm2_tokenizer, monkeypatch, cache):
    data, whole = rows(("Why?", "So.")), sft_utils.apply_chat_template
    sound = render(data, smollm2_tokenizer, "d", SILENT, append_eos=appended)[0]
    monkeypatch.setattr(
        sft_utils,
        "apply_chat_template",
        lambda example, kind, task: (
            (row := whole(example, kind, task)) | {"text": row["text"].removesuffix("<|im_end|>")}
        ),
    )
    row = render(data, smollm2_tokenizer, "d", SILENT, append_eos=appended)[0]
    assert sound["fault"] == "" and sound["input_ids"].count(smollm2_tokenizer.eos_token_id) == 1
    assert (row["fault"], row["input_ids"] == sound["input_ids"]) == (("", True) if appended else ("eos", False))


@pytest.mark.parametrize("saved", [True, False], ids=["save_to_disk", "JSON Lines"])
def test_nothing_is_written_into_the_folder_of_the_data(saved, smollm2_tokenizer, tmp_path, cache, monkeypatch):
    folder, pair = tmp_path / "data", [prompts.example_of(f"Why {number}?", "So.") for number in range(20)]
    if saved:
        both = Dataset.from_list(pair)
        DatasetDict({"train": both, "validation": both}).save_to_disk(str(folder))
    else:
        folder.mkdir()
        for name in ("train", "validation"):
            (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in pair))
    whole = sft_utils.load_datasets
    monkeypatch.setattr(
        sft_utils,
        "load_datasets",
        lambda name: tuple(
            rows.map(lambda row: row).filter(lambda row: "7" not in row["messages"][0]["content"]).shuffle(seed=1)
            for rows in whole(name)
        ),
    )
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    folder.chmod(0o555)
    loaded = load_splits(ContractArguments("m", str(folder), "local"))
    rendered = render(loaded["train"], smollm2_tokenizer, "d", SILENT)
    assert len(rendered) == 18
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


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
