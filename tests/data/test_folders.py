"""Which files of a folder are train: every layout in which data sets are stored, and those that are refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, load_dataset
from datasets.data_files import SPLIT_KEYWORDS
from rich.console import Console

from data.__main__ import main
from data.audit import audit
from data.examine import Instruments
from data.folders import SPLITS
from data.rows import Drop
from data.sources import Source, batches, identity, read
from data.submission.writer import copy_rows
from eval.records import UserError
from training.examples import load_splits
from training.settings import ContractArguments


def row(text: str) -> dict[str, Any]:
    return {"problem": f"What is {text}?", "solution": "It is $\\boxed{1}$.", "answer": "1"}


def write(path: Path, *texts: str) -> None:
    """Rows that say `texts`, in the form that the name of the file asks for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row(text) for text in texts]
    lines = b"".join(json.dumps(one).encode() + b"\n" for one in rows)
    if path.name.endswith(".parquet"):
        Dataset.from_list(rows).to_parquet(path)
    elif ".csv" in path.name:
        Dataset.from_list(rows).to_csv(path)
    else:
        path.write_bytes(gzip.compress(lines) if path.name.endswith(".gz") else lines)


def fill(folder: Path, files: dict[str, str]) -> None:
    """Files by name, each with rows that say the words of a text; `-> name` is a link, `: text` is that text."""
    for name, what in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if what.startswith("-> "):
            path.symlink_to(what.removeprefix("-> "))
        elif what.startswith(": "):
            path.write_text(what.removeprefix(": "))
        else:
            write(path, *what.split())


def texts(path: object, **settings: Any) -> list[str]:
    source = Source("set", path=str(path), **settings)
    found = [item for batch in batches(source) for item in read(batch, source)]
    assert not [item for item in found if isinstance(item, Drop)], found
    return [item["problem"].removeprefix("What is ").rstrip("?") for item in found]


CARD = """: ---
configs:
- config_name: main
  data_files:
  - {split: train, path: data/gsm-a*}
  - {split: test, path: data/gsm-b.parquet}
---
# A set
"""
TWO_CONFIGS = """: ---
configs:
- config_name: main
  data_files: [{split: train, path: one/a.jsonl}, {split: dev, path: one/b.jsonl}]
- config_name: socratic
  default: true
  data_files: two/*.jsonl
---
"""
SHARDS = {f"train-0000{n}-of-00002.parquet": word for n, word in enumerate(("a", "b"))}
GSM8K = {
    **{"main/train-00000-of-00001.parquet": "m", "main/test-00000-of-00001.parquet": "x"},
    **{"socratic/train-00000-of-00001.parquet": "s", "socratic/test-00000-of-00001.parquet": "y"},
}
BLOB = "-> ../../blobs/0123"
# A layout -> (its files, the rows of its train split, settings of the source).
LAYOUTS: dict[str, tuple[dict[str, str], str, dict[str, Any]]] = {
    "shards": (SHARDS | {"test-00000-of-00001.parquet": "x"}, "a b", {}),
    "shards in data": ({"data/train-00000-of-00001.parquet": "a", "data/test-00000-of-00001.parquet": "x"}, "a", {}),
    "shards with a hash": (
        {"data/train-00000-of-00001-6ef3991c06080e14.parquet": "a", "data/test-00000-of-00001-b.parquet": "x"}, "a", {}
    ),
    "a folder a split": ({"train/0000.parquet": "a", "train/0001.parquet": "b", "test/0000.parquet": "x"}, "a b", {}),
    "folders in data": ({"data/train/1.jsonl": "a", "data/validation/1.jsonl": "x", "data/test/1.jsonl": "y"}, "a", {}),
    "files below a split": ({"train/algebra/1.json": "a", "train/geometry/1.json": "b", "test/algebra/1.json": "x"}, "a b", {}),
    "the hub's parquet branch": ({"default/train/0000.parquet": "a", "default/test/0000.parquet": "x"}, "a", {}),
    "lines": ({"train.jsonl": "a", "test.jsonl": "x"}, "a", {}),
    "gzipped lines": ({"train.jsonl.gz": "a", "validation.jsonl.gz": "x", "test.jsonl.gz": "y"}, "a", {}),
    "dev and eval": ({"train.jsonl": "a", "dev.jsonl": "x", "eval.jsonl": "y", "val.jsonl": "z"}, "a", {}),
    "other words": ({"training.csv": "a", "evaluation.csv": "x", "valid.csv": "y", "testing.csv": "z"}, "a", {}),
    "capitals": ({"Train.JSONL": "a", "TEST.jsonl": "x"}, "a", {}),
    "names before the word": ({"gsm8k_train.jsonl": "a", "gsm8k_test.jsonl": "x", "gsm8k-dev.jsonl": "y"}, "a", {}),
    "numbered": ({"train_0.jsonl": "a", "train_1.jsonl": "b", "test_0.jsonl": "x"}, "a b", {}),
    "one nameless file": ({"numbers.jsonl": "a"}, "a", {}),
    "nameless files": ({"1.jsonl": "a", "2.parquet": "b"}, "a b", {}),
    "lines beside JSON with rows": ({"gsm8k.jsonl": "a", "numina.json": "b"}, "a b", {}),
    "tables beside JSON with rows": ({"1.csv": "a", "2.json": "b", "3.parquet": "c"}, "a b c", {}),
    "an object of rows beside": (
        {"1.jsonl": "a", "2.json": ': {"data": [' + json.dumps(row("b")) + "]}", "prompts.json": ': {"a": [1]}'}, "a b", {}
    ),
    "notes of any name beside": (
        {"1.jsonl": "a", "config.json": ": {}", "dataset_info.json": ': {"features": {}}', "about.json": ': {"by": "x"}'},
        "a", {},
    ),
    "parts by number": ({"train_part1.jsonl": "a", "train_part2.jsonl": "b"}, "a b", {}),
    "lines by another name": ({"train.ndjson": "a", "test.ndjson": "x"}, "a", {}),
    "a link to a sibling": ({"train.jsonl": "a", "train_latest.jsonl": "-> train.jsonl"}, "a", {}),
    "a nameless link to a sibling": ({"train.jsonl": "a", "latest.jsonl": "-> train.jsonl"}, "a", {}),
    "nameless links": ({"1.jsonl": "a", "2.jsonl": "-> 1.jsonl"}, "a", {}),
    "a packed test": ({"train.jsonl": "a", "test.jsonl.zst": ": x", "images.zip": ": x"}, "a", {}),
    "nameless beside test": ({"numbers.jsonl": "a", "test.jsonl": "x"}, "a", {}),
    "nameless in data": ({"data/numbers.jsonl": "a"}, "a", {}),
    "a split of its own": ({"data/cot-00000-of-00001.parquet": "a"}, "a", {}),
    "more of the same": (
        {"data/train-00000-of-00001.parquet": "a", "data/train_1M-00000-of-00001.parquet": "a x"}, "a", {}
    ),
    "what a build writes": (
        {"train.jsonl": "a", "validation.jsonl": "x", "dropped.jsonl": "y", "manifest.json": ": {}", "README.md": ": #"},
        "a", {},
    ),
    "what the demo writes": ({"train.jsonl": "a", "validation.jsonl": "x", "synthetic-test.jsonl": "y"}, "a", {}),
    "a build's validation": ({"train.jsonl": "a", "validation.jsonl": "x", "dropped.jsonl": "y"}, "x", {"split": "dev"}),
    "notes beside": (
        {"train.jsonl": "a", "test.jsonl": "x", "dataset_infos.json": ": {}", "prompts.json": ": {}", "b.txt": ": t"},
        "a", {},
    ),
    "hidden": (
        {"train.jsonl": "a", ".train.jsonl.swp": ": x", ".cache/huggingface/train.jsonl": "x", "__MACOSX/train.jsonl": "y"},
        "a", {},
    ),
    "a config": (GSM8K, "s", {"config": "socratic"}),
    "a copy of one config": ({"train.jsonl": "a", "test.jsonl": "x"}, "a", {"config": "main"}),
    "a card": ({"README.md": CARD, "data/gsm-a1.parquet": "a", "data/gsm-a2.parquet": "b", "data/gsm-b.parquet": "x"}, "a b", {}),
    "a card's test": ({"README.md": CARD, "data/gsm-a1.parquet": "a", "data/gsm-b.parquet": "x"}, "x", {"split": "test"}),
    "a card's default": ({"README.md": TWO_CONFIGS, "one/a.jsonl": "a", "one/b.jsonl": "x", "two/c.jsonl": "c"}, "c", {}),
    "a card's config": (
        {"README.md": TWO_CONFIGS, "one/a.jsonl": "a", "one/b.jsonl": "x", "two/c.jsonl": "c"}, "a", {"config": "main"}
    ),
    "a card's dev": (
        {"README.md": TWO_CONFIGS, "one/a.jsonl": "a", "one/b.jsonl": "x", "two/c.jsonl": "c"},
        "x", {"config": "main", "split": "validation"},
    ),
    "a card of which one config is there": ({"README.md": TWO_CONFIGS, "one/a.jsonl": "a", "one/b.jsonl": "x"}, "a", {}),
    "a card without files": ({"README.md": ": ---\nlicense: mit\n---\n", "train.jsonl": "a", "test.jsonl": "x"}, "a", {}),
    "the hub's cache": (
        {"blobs/0123": "a", "blobs/4567": "x", "refs/main": ": abc", "snapshots/abc/train.jsonl": BLOB,
         "snapshots/abc/test.jsonl": "-> ../../blobs/4567"},
        "a", {},
    ),
    "a link to a folder": ({"there/train.jsonl": "a", "there/test.jsonl": "x", "loop": "-> ."}, "a", {}),
    "test, asked for": ({"train.jsonl": "a", "test.jsonl": "x"}, "x", {"split": "test"}),
    "eval, asked for": ({"train.jsonl": "a", "test.jsonl": "x"}, "x", {"split": "eval"}),
    "a split's own name": (
        {"data/cot-00000-of-00001.parquet": "a", "data/tir-00000-of-00001.parquet": "x"}, "x", {"split": "tir"}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_of_every_layout_the_split_that_is_meant_is_read(name, tmp_path):
    files, expected, settings = LAYOUTS[name]
    fill(tmp_path / "set", files)
    assert texts(tmp_path / "set", **settings) == expected.split()


@pytest.mark.parametrize(
    "name", ["shards", "shards in data", "a folder a split", "lines", "dev and eval", "other words", "a card",
             "names before the word", "folders in data", "one nameless file", "more of the same"],
)  # fmt: skip
def test_datasets_reads_the_same_rows_of_the_layouts_that_it_knows(name, tmp_path):
    fill(tmp_path / "set", LAYOUTS[name][0])
    rows = load_dataset(str(tmp_path / "set"), split="train", cache_dir=str(tmp_path / "cache"))
    assert [f"What is {text}?" for text in texts(tmp_path / "set")] == rows["problem"][:]


def test_the_words_are_those_of_datasets():
    assert {word: str(split) for split, words in SPLIT_KEYWORDS.items() for word in words} == SPLITS


OUTSIDE = ": ---\nconfigs:\n- {config_name: default, data_files: [{split: train, path: %s}]}\n---\n"
# A folder that is refused -> (its files, words of the sentence, settings).
REFUSED: dict[str, tuple[dict[str, str], list[str], dict[str, Any]]] = {
    "several configs": (GSM8K, ["several data sets", "set/main", "set/socratic"], {}),
    "no such config": (GSM8K, ["no config 'mian'", "main, socratic"], {"config": "mian"}),
    "subjects": ({"algebra/1.jsonl": "a", "geometry/1.jsonl": "b"}, ["several data sets", "set/algebra"], {}),
    "test alone": ({"test.jsonl": "x"}, ["no split 'train'", "set:test"], {}),
    "validation alone": ({"dev/1.jsonl": "x"}, ["no split 'train'", "set:validation"], {}),
    "no such split": ({"train.jsonl": "a"}, ["no split 'test'", "set:train"], {"split": "test"}),
    "two splits of other names": (
        {"data/cot-00000-of-00001.parquet": "a", "data/tir-00000-of-00001.parquet": "b"}, ["set:cot, ", "set:tir"], {}
    ),
    "strays": ({"train.jsonl": "a", "test.jsonl": "x", "more.jsonl": "b"}, ["no split, next to train.jsonl: more.jsonl", "set:train"], {}),
    "two forms": ({"train.jsonl": "a", "train.parquet": "a"}, ["several forms", "train.jsonl, train.parquet"], {}),
    "packed twice": ({"train.jsonl": "a", "train.jsonl.gz": "a"}, ["several forms", "train.jsonl.gz"], {}),
    "variants": ({"train.jsonl": "a", "train_1M.jsonl": "a b"}, ["several files are train", "train_1M.jsonl"], {}),
    "two forms in two places": (
        {"train.jsonl": "a", "data/train-00000-of-00001.parquet": "a"},
        ["several files are train", "train.jsonl, data/train-00000-of-00001.parquet"], {},
    ),
    "JSON with rows beside a split": (
        {"train.jsonl": "a", "numina.json": "b"}, ["give no split, next to train.jsonl: numina.json", "set:train"], {}
    ),
    "a packed part": (
        {"part-0.jsonl": "a", "part-1.jsonl.zst": ": x"}, ["part-1.jsonl.zst", "left out", "zstd -d part-1.jsonl.zst"], {}
    ),
    "a packed train": ({"test.jsonl": "x", "train.parquet.gz": ": x"}, ["train.parquet.gz", "gunzip"], {}),
    "a packed stray": ({"train.jsonl": "a", "more.csv.xz": ": x"}, ["more.csv.xz", "xz -d"], {}),
    "a zip beside": ({"a.jsonl": "a", "b.zip": ": x"}, ["b.zip", "unzip b.zip"], {}),
    "another form beside": ({"a.jsonl": "a", "b.arrow": ": x"}, ["b.arrow", "write it as JSON lines"], {}),
    "stale shards": (
        SHARDS | {"train-00000-of-00001.parquet": "a b"}, ["two writings", "train-00000-of-00001.parquet", "read twice"], {}
    ),
    "stale shards of a split that is asked for": (
        {name.replace("train", "test"): word for name, word in (SHARDS | {"train-00000-of-00001.parquet": "a"}).items()},
        ["two writings"], {"split": "test"},
    ),
    "a shard with two hashes": (
        {"train-00000-of-00001-aa.parquet": "a", "train-00000-of-00001-bb.parquet": "a"}, ["two writings"], {}
    ),
    "full and filtered": (
        {"train_full.jsonl": "a b", "train_filtered.jsonl": "a"},
        ["several files are train: train_filtered.jsonl, train_full.jsonl", "name one"], {},
    ),
    "two versions": ({"train_v1.jsonl": "a", "train_v2.jsonl": "a"}, ["several files are train"], {}),
    "a file and a folder": ({"train.jsonl": "a", "train/1.jsonl": "a"}, ["several files are train"], {}),
    "a download that broke off": (
        {"train-00000-of-00003.parquet": "a", "train-00002-of-00003.parquet": "c"},
        ["2 of the 3 files", "set/train-", "set:train"], {},
    ),
    "a card's download that broke off": (
        {"README.md": CARD.replace("gsm-a", "train-"), "data/train-00000-of-00002.parquet": "a"}, ["1 of the 2 files"], {}
    ),
    "a pointer for Parquet": (
        {"train.parquet": ": version https://git-lfs.github.com/spec/v1\n"}, ["Git LFS", "git lfs pull"], {}
    ),
    "two splits in one name": ({"train_test.jsonl": "a"}, ["no split 'train'", "set:train_test"], {}),
    "nothing": ({"notes.txt": ": x"}, ["holds no .jsonl"], {}),
    "a dead link": ({"train.jsonl": "-> nowhere.jsonl"}, ["train.jsonl is a link to nothing"], {}),
    "revisions": (
        {"snapshots/a/train.jsonl": "a", "snapshots/b/train.jsonl": "b"}, ["several revisions", "snapshots/a"], {}
    ),
    "a card's configs": (
        {"README.md": TWO_CONFIGS.replace("default: true", "x: 1"), "one/a.jsonl": "a", "two/c.jsonl": "c"},
        ["several data sets, main, socratic", "`config`"], {},
    ),
    "a card that is not kept": ({"README.md": CARD, "data/gsm-b.parquet": "x"}, ["README.md maps train, test", "'train'"], {}),
    "a card that leaves": ({"README.md": OUTSIDE % "../secret.jsonl", "a.jsonl": "a"}, ["'../secret.jsonl'", "outside"], {}),
    "a card that is absolute": ({"README.md": OUTSIDE % "/etc/passwd", "a.jsonl": "a"}, ["'/etc/passwd'", "outside"], {}),
    "a card that loads": ({"README.md": OUTSIDE % "'https://x.y/z'", "a.jsonl": "a"}, ["'https://x.y/z'", "outside"], {}),
    "a card of another kind": ({"README.md": OUTSIDE % "a.txt", "a.txt": ": x"}, ["a.txt is none of"], {}),
    "a card of another form": ({"README.md": OUTSIDE % "{a: b}", "a.jsonl": "a"}, ["`data_files` must be a list"], {}),
    "a card with a list for a name": (
        {"README.md": ": ---\nconfigs:\n- {config_name: [a], data_files: b}\n---\n", "a.jsonl": "a"}, ["list for a name"], {}
    ),
    "names that a terminal would obey": (
        {"\x1b[2Ja/train.jsonl": "a", "b/train.jsonl": "b"}, ["several data sets", "?[2Ja"], {}
    ),
    "a broken card": ({"README.md": ": ---\nconfigs: [\n---\n", "train.jsonl": "a"}, ["README.md", "front matter"], {}),
    "a pointer": ({"train.jsonl": ": version https://git-lfs.github.com/spec/v1\n"}, ["Git LFS", "git lfs pull"], {}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_meant_in_two_ways_is_refused_with_the_choices(name, tmp_path):
    files, words, settings = REFUSED[name]
    fill(tmp_path / "set", files)
    with pytest.raises(UserError) as refused:
        texts(tmp_path / "set", **settings)
    assert all(word in str(refused.value) for word in words), refused.value
    assert str(refused.value).isprintable()


def test_a_split_is_named_behind_the_path(tmp_path):
    fill(tmp_path / "set", {"train.jsonl": "a", "test.jsonl": "x", "more.jsonl": "b"})
    fill(tmp_path / "a:b", {"train.jsonl": "c"})
    assert texts(f"{tmp_path}/set:test") == ["x"] and texts(f"{tmp_path}/set:train") == ["a"]
    assert texts(f"{tmp_path}/a:b") == ["c"]
    fill(tmp_path / ".cache/set", {"train.jsonl": "a", "test.jsonl": "x"})
    assert texts(tmp_path / ".cache/set") == ["a"]
    fill(tmp_path / "part", {"train-00001-of-00003.parquet": "b"})
    assert texts(f"{tmp_path}/part:train") == ["b"]
    assert texts(tmp_path / "set/test.jsonl") == ["x"]  # a file is what somebody asked for


def test_folders_of_save_to_disk_say_their_splits(tmp_path):
    sets = {name: Dataset.from_list([row(name)]) for name in ("train", "test", "dev")}
    DatasetDict(sets).save_to_disk(tmp_path / "all")
    sets["train"].save_to_disk(tmp_path / "one")
    DatasetDict(test=sets["test"]).save_to_disk(tmp_path / "held-out")
    DatasetDict(numbers=sets["train"], test=sets["test"]).save_to_disk(tmp_path / "other")
    sets["train"].save_to_disk(tmp_path / "apart/train")
    assert texts(tmp_path / "all") == texts(tmp_path / "one") == texts(tmp_path / "other") == ["train"]
    assert texts(f"{tmp_path}/all:test") == ["test"] and texts(tmp_path / "all", split="validation") == ["dev"]
    assert len(identity(Source("set", path=str(tmp_path / "all")))["files"]) == 10
    Dataset.from_list([row("own")], split="test").save_to_disk(tmp_path / "own")
    assert texts(f"{tmp_path}/own:test") == ["own"]
    for path, split in ((f"{tmp_path}/one:test", "train"), (str(tmp_path / "one"), "dev")):
        with pytest.raises(UserError, match=r"is one Dataset without splits, so it has no '(test|validation)'; leave"):
            texts(path, split=split)
    with pytest.raises(UserError, match=r"no split 'train', but test; name one: .*own:test"):
        texts(tmp_path / "own")
    with pytest.raises(UserError, match=r"no split 'train', but test; name one: .*held-out:test"):
        texts(tmp_path / "held-out")
    with pytest.raises(UserError, match=r"folders of save_to_disk; name one: .*apart/train"):
        texts(tmp_path / "apart")


def test_a_set_in_several_folders_is_identified_by_all_of_its_files(tmp_path):
    fill(tmp_path / "set", {"train/a/1.jsonl": "a", "train/b/1.jsonl": "b"})
    first = identity(Source("set", path=str(tmp_path / "set")))["files"]
    assert list(first) == ["train/a/1.jsonl", "train/b/1.jsonl"]
    fill(tmp_path / "set", {"train/a/1.jsonl": "c"})
    assert identity(Source("set", path=str(tmp_path / "set")))["files"] != first


def test_build_and_audit_read_the_same_rows(tmp_path, tiny_tokenizer, capsys, monkeypatch):
    """`--source gsm8k=folder` with a copy of the whole repository: none of the test problems is trained on."""
    numbers = [f"{n}+1" for n in range(20)]
    write(tmp_path / "copy/main/train-00000-of-00001.parquet", *numbers)
    write(tmp_path / "copy/main/test-00000-of-00001.parquet", "test1", "test2")
    write(tmp_path / "copy/socratic/train-00000-of-00001.parquet", "socratic")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"name: copy\ntokenizer: {tiny_tokenizer}\nsources:\n- {{name: gsm8k, hub: openai/gsm8k, config: main, "
        f"revision: {'a' * 40}}}\nsteps:\n- validation: {{rows: 2}}\n"
    )
    command = ["build", str(recipe), "--out", str(tmp_path / "out"), "--workers", "0", "--json"]
    assert main([*command, "--source", f"gsm8k={tmp_path / 'copy'}"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["rows_read"] == {"gsm8k": 20} and "test1" not in (Path(made["folder"]) / "train.jsonl").read_text()
    assert main([*command, "--source", f"gsm8k={tmp_path / 'copy'}:test"]) == 0  # two rows, one for each split
    assert json.loads(capsys.readouterr().out)["rows_read"] == {"gsm8k": 2}
    console = Console(quiet=True)
    assert audit(made["folder"], Instruments(), console)["rows"] == 18
    assert audit(f"{made['folder']}:validation", Instruments(), console)["rows"] == 2
    with pytest.raises(UserError, match=r"several data sets; name one: .*copy/main, .*copy/socratic"):
        audit(str(tmp_path / "copy"), Instruments(), console)
    again = recipe.read_text().replace("hub: openai/gsm8k", f"path: {made['folder']}")
    recipe.write_text(again.replace(f"config: main, revision: {'a' * 40}", "split: train"))
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["rows_read"] == {"gsm8k": 18}


def test_the_real_folder_is_refused_because_it_holds_many_sets(shared):
    with pytest.raises(UserError, match=r"several files are train: gsm8k_train_boxed\.jsonl\.gz, math_train"):
        texts(shared / "data/sft")


def test_training_and_a_submission_name_the_split_that_is_missing(tmp_path):
    chats = [{"messages": [{"role": "user", "content": "P"}, {"role": "assistant", "content": "S"}]}]
    DatasetDict(train=Dataset.from_list(chats)).save_to_disk(tmp_path / "alone")
    DatasetDict(numbers=Dataset.from_list(chats)).save_to_disk(tmp_path / "other")
    plain = Dataset.from_list([row("a")])
    DatasetDict(train=plain, test=plain).save_to_disk(tmp_path / "plain")
    for name, words in {"alone": "'test'", "other": "'train'"}.items():
        with pytest.raises(UserError, match=f"there is no split {words}; write a DatasetDict"):
            load_splits(ContractArguments("model", str(tmp_path / name), "local"))
    for name, words in {
        "alone": "test is no split of it, but train",
        "other": "train is no split of it, but numbers",
        "plain": "train has no column `messages`, but problem, solution, answer",
    }.items():
        with pytest.raises(UserError, match=words):
            copy_rows(tmp_path / name, tmp_path)
