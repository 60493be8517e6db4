"""Whole submissions, linted with the real `datasets` and tokenizers: what trains there is no fault, in whatever form."""

import copy
import json
import shutil
import subprocess
import types
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from test_submission_lint import GOOD_CONFIG, STOCK_CONFIG, row  # type: ignore[import-not-found]

from data.__main__ import main
from data.submission import forms, lint, writer
from data.submission.checks import behaviour, stored, vocabulary
from data.submission.inside import changed, probe

ROOT = Path(__file__).resolve().parents[2]
STOCK_PYTHON = ROOT / ".venv-stock" / "bin" / "python"
OURS = (ROOT / "sft_utils.py").read_text()

# What the contract's own sft_utils.py does, written anew: it renders whatever turns it is given, puts an empty system turn
# before them in place, ends its prompt in a space, has no EOS, and trains on a tenth of the rows.
STOCK = (ROOT / "tests" / "stock_sft_utils.py").read_text()

LONG = (
    "What is 2 + {}, if two and two are four and nothing else is to be thought of in this sum, however long it takes?"
)
TRAIN = [row(f"What is 2 + {number}?") for number in range(40)]
VALIDATION = [row(LONG.format(number)) for number in range(60)]


@pytest.fixture(scope="module")
def model(smollm2_tokenizer, tmp_path_factory) -> Path:
    """A folder with SmolLM2's tokenizer, which adds no BOS by itself."""
    folder = tmp_path_factory.mktemp("model")
    smollm2_tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 49_152}))
    return folder


def submission(folder: Path, code: str = OURS, **settings) -> Path:
    """A submission without rows."""
    (folder / "dataset").mkdir(parents=True)
    (folder / "sft_utils.py").write_text(code)
    (folder / "sft_config.yaml").write_text(yaml.safe_dump(GOOD_CONFIG | settings))
    return folder


def write_lines(folder: Path, name: str, lines: list) -> None:
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_splits(folder: Path, train: list | None = None, validation: list | None = None) -> None:
    write_lines(folder / "dataset", "train.jsonl", TRAIN if train is None else train)
    write_lines(folder / "dataset", "validation.jsonl", VALIDATION if validation is None else validation)


def linted(folder: Path, model: Path) -> tuple[set[str], set[str], lint.Report]:
    """(checks that are fatal, checks to know, the report)."""
    report = lint.lint(folder, folder.parent / "work", Console(stderr=True), model=str(model))
    sides = ({each.check for each in report.findings if each.fatal is fatal} for fatal in (True, False))
    return (*sides, report)


def save(folder: Path, names: tuple[str, str] = ("train", "test")) -> None:
    """What `save_to_disk` of the current `datasets` writes, with features that the contract's does not know."""
    from datasets import Dataset, DatasetDict

    rows = {name: Dataset.from_list(rows) for name, rows in zip(names, (TRAIN, VALIDATION), strict=True)}
    DatasetDict(rows).save_to_disk(folder)


def save_old(folder: Path) -> None:
    """What the contract's `datasets` reads."""
    from datasets import Dataset

    forms.write_stored({"train": Dataset.from_list(TRAIN), "test": Dataset.from_list(VALIDATION)}, folder)


def test_the_stock_files_are_no_fault(tmp_path, model):
    folder = submission(tmp_path / "stock", STOCK)
    save_old(folder / "dataset")
    (folder / "sft_config.yaml").write_text(STOCK_CONFIG + "packing: true\n")
    fatal, to_know, report = linted(folder, model)
    assert fatal == set(), [each for each in report.findings if each.fatal]
    assert {"boundary", "sharding", "packing", "report-to"} <= to_know
    said = next(each.problem for each in report.findings if each.check == "sharding")
    assert "4 rows of train" in said and "40" in said, "both counts"
    assert report.told["rows"] == {"train": 4, "validation": 60}


def test_without_packing_the_stock_files_crash_and_ours_train(tmp_path, model, smollm2_tokenizer):
    """The stock get_tokenizer sets a pad token for packing only, which needs none."""
    bare = tmp_path / "model"
    shutil.copytree(model, bare)
    config = json.loads((bare / "tokenizer_config.json").read_text())
    (bare / "tokenizer_config.json").write_text(json.dumps(config | {"pad_token": None}))
    folder = submission(tmp_path / "stock", STOCK, packing=False)
    save_old(folder / "dataset")
    fatal, _, report = linted(folder, bare)
    assert fatal == {"pad", "eos-missing"}
    assert any("set_pad_token=packing" in each.problem for each in report.findings)
    ours = submission(tmp_path / "ours", packing=False)
    write_splits(ours)
    assert linted(ours, bare)[:2] == (set(), set())


# What load_datasets reads, and the code that does; every one gives TRAIN and VALIDATION.
CONVERT = (
    "    from datasets import load_dataset, DatasetDict\n    both = {}\n    return both['train'], both['validation']"
)
FORMS = {
    "columns of another layout": (
        lambda d: [
            write_lines(
                d, f"{name}.jsonl", [{"input": turn[0]["content"], "output": turn[1]["content"]} for turn in turns]
            )
            for name, turns in (("train", turns_of(TRAIN)), ("validation", turns_of(VALIDATION)))
        ],
        "load_dataset('json', data_files={s: dataset_name_or_path + f'/{s}.jsonl' for s in ('train', 'validation')})"
        ".map(lambda r: {'messages': [{'role': 'user', 'content': r['input']}, {'role': 'assistant', 'content': r['output']}]})",
    ),
    "plain text": (
        lambda d: [
            (d / f"{name}.txt").write_text("".join(f"{a['content']}\t{b['content']}\n" for a, b in turns))
            for name, turns in (("train", turns_of(TRAIN)), ("validation", turns_of(VALIDATION)))
        ],
        "load_dataset('text', data_files={s: dataset_name_or_path + f'/{s}.txt' for s in ('train', 'validation')})"
        ".map(lambda r: {'messages': [{'role': n, 'content': c} for n, c in zip(('user', 'assistant'), r['text'].split('\\t'))]})",
    ),
    "one file that is split": (
        lambda d: write_lines(d, "all.json", [*TRAIN, *VALIDATION]),
        "{'train': load_dataset('json', data_files=dataset_name_or_path + '/all.json', split='train').select(range(40)),"
        " 'validation': load_dataset('json', data_files=dataset_name_or_path + '/all.json', split='train').select(range(40, 100))}",
    ),
    "train.jsonl and test.jsonl": (
        lambda d: [write_lines(d, "train.jsonl", TRAIN), write_lines(d, "test.jsonl", VALIDATION)],
        "load_dataset('json', data_files={'train': dataset_name_or_path + '/train.jsonl',"
        " 'validation': dataset_name_or_path + '/test.jsonl'})",
    ),
    "workers": (
        lambda d: [write_lines(d, "train.jsonl", TRAIN), write_lines(d, "validation.jsonl", VALIDATION)],
        "load_dataset('json', data_files={s: dataset_name_or_path + f'/{s}.jsonl' for s in ('train', 'validation')})"
        ".map(lambda r: {'n': len(r['messages'])}, num_proc=2)",
    ),
    "rows that are left out": (
        lambda d: [
            write_lines(d, "train.jsonl", [*TRAIN, *[row("no box?", "5")] * 19, {"messages": []}, *TRAIN]),
            write_lines(d, "validation.jsonl", VALIDATION),
        ],
        "load_dataset('json', data_files={s: dataset_name_or_path + f'/{s}.jsonl' for s in ('train', 'validation')})"
        ".filter(lambda r, i: len(r['messages']) == 2 and 'box' in r['messages'][1]['content'] and i < 60, with_indices=True)",
    ),
}


def turns_of(rows: list) -> list:
    return [each["messages"] for each in rows]


@pytest.mark.parametrize("name", FORMS)
def test_rows_are_judged_as_load_datasets_gives_them(name, tmp_path_factory, model):
    write, expression = FORMS[name]
    body = CONVERT.format(expression)
    code = (
        OURS.replace("def load_datasets", "def _ours") + f"\n\ndef load_datasets(dataset_name_or_path: str):\n{body}\n"
    )
    # Sockets of workers have short names only.
    folder = submission(tmp_path_factory.mktemp("f") / "s", code)
    write(folder / "dataset")
    fatal, to_know, report = linted(folder, model)
    assert fatal == set(), [each for each in report.findings if each.fatal]
    assert report.told["rows"] == {"train": 40, "validation": 60} and report.told["faults"] == {}
    assert to_know <= {"reduction", "sharding"}
    assert ("sharding" in to_know) == (name == "rows that are left out")


def test_what_is_wrong_with_rows_that_are_converted_is_found(tmp_path, model):
    """The rows that are trained on are looked at, not only those of the files."""
    code = OURS.replace("def load_datasets", "def _ours") + (
        "\n\ndef load_datasets(dataset_name_or_path: str):\n"
        "    train, validation = _ours(dataset_name_or_path)\n"
        "    turn = lambda r: {'messages': [{'role': 'user', 'content': r['q']}, {'role': 'assistant', 'content': r['a']}]}\n"
        "    return train.map(turn), validation.map(turn)\n"
    )
    folder = submission(tmp_path / "s", code)
    train = [{"q": f"{number % 5}?", "a": "5"} for number in range(20)]
    write_splits(folder, train, [{"q": f"{number}?", "a": r"\boxed{5}"} for number in range(4, 110)])
    fatal, _, report = linted(folder, model)
    assert fatal == {"box", "duplicates", "leak", "counts"}
    assert "load_datasets: train:1" in {each.where for each in report.findings if each.check == "box"}


# What becomes of the rows that were read, and the splits that are then said to be made up.
SOURCES = {
    "the files": ("both['train']", "both['validation']", []),
    "the files, once for all calls": ("_kept('train', both)", "_kept('validation', both)", []),
    "the files, half of them": ("both['train'].select(range(0, 40, 2))", "both['validation'].shuffle(seed=1)", []),
    "the code": ("_made(40)", "_made(100).select(range(40, 100))", ["train", "validation"]),
    "the code, for validation": ("both['train']", "_made(100).select(range(40, 100))", ["validation"]),
}
MADE = r"""
KEPT = {}


def _kept(split, both):
    return KEPT.setdefault(split, both[split])


def _made(count):
    from datasets import Dataset

    turns = lambda n: [{"role": "user", "content": f"2 + {n}?"}, {"role": "assistant", "content": f"\\boxed{{{n + 2}}}"}]
    return Dataset.from_list([{"messages": turns(number)} for number in range(count)])


def load_datasets(dataset_name_or_path: str):
    both = dict(zip(("train", "validation"), _ours(dataset_name_or_path)))
    assert len(both["train"]) == 40
"""


@pytest.mark.parametrize("name", SOURCES)
def test_rows_that_the_files_do_not_hold_are_no_submission(name, tmp_path, model):
    """Also where the code opens the files, reads them, and trains on something else."""
    train, validation, splits = SOURCES[name]
    code = OURS.replace("def load_datasets", "def _ours") + f"{MADE}    return {train}, {validation}\n"
    folder = submission(tmp_path / "s", code)
    write_splits(folder)
    _, _, report = linted(folder, model)
    found = [each for each in report.findings if each.check == "made-up"]
    assert [each.problem.split(" of ")[1].split()[0] for each in found] == splits, report.findings
    assert [each.fatal for each in found] == [split == "train" for split in splits]


WRITERS = {"parquet": ("to_parquet", {}), "csv": ("to_csv", {}), "json": ("to_json", {"lines": False})}
WRITERS["jsonl"] = ("to_json", {})


@pytest.mark.parametrize("form", WRITERS)
def test_a_dataset_with_other_texts_holds_as_many_rows(form, tmp_path):
    from datasets import Dataset, load_dataset

    rows = Dataset.from_list([{"a": f"{number}, \u00b1", "n": 5, "l": "a\nb"} for number in range(20)])
    (tmp_path / "old").mkdir()
    method, options = WRITERS[form]
    getattr(rows, method)(tmp_path / "old" / f"x.{form}", **options)
    (tmp_path / "old" / "manifest.json").write_text("{}")
    assert changed.write(tmp_path / "old", tmp_path / "new")
    kind = "json" if "json" in form else form
    seen = load_dataset(kind, data_files=str(tmp_path / "new" / f"x.{form}"), split="train", cache_dir=str(tmp_path))
    assert len(seen) == 20 and seen["a"][3] == "7 3, \u00b1 7" and seen["l"][3] == "7 a\nb 7"


def test_other_texts_are_written_of_what_was_saved_and_of_no_form_that_is_not_known(tmp_path):
    from datasets import load_from_disk

    save(tmp_path / "old")
    assert changed.write(tmp_path / "old", tmp_path / "new")
    seen = load_from_disk(str(tmp_path / "new"))
    assert len(seen["train"]) == 40 and seen["train"][0]["messages"][0]["content"] == "7 What is 2 + 0? 7"
    (tmp_path / "old" / "rows.xyz").write_text("1")
    assert not changed.write(tmp_path / "old", tmp_path / "again")


PROMPTS = {
    "a space at its end": ("### Solution: ", False),
    "another word": ("### Answer:", True),
    "another line": ("### Solution:\\n", True),
}


def module_of(code: str) -> types.ModuleType:
    module = types.ModuleType("sft_utils")
    exec(code, module.__dict__)
    return module


@pytest.mark.parametrize(("prompt", "fatal"), PROMPTS.values(), ids=PROMPTS)
@pytest.mark.parametrize("given", ["stock", "ours"])
def test_a_prompt_that_training_does_not_show_is_found(prompt, fatal, given, model):
    """Also where the template renders the turns it is given, so that the whole text would be its own prompt."""
    code = STOCK if given == "stock" else OURS
    code = code.replace("{{ '### Solution: ' }}{% endif %}", f"{{{{ '{prompt}' }}}}{{% endif %}}")
    asked = f'elif task == "generation":\n        text = text[:-13] + "{prompt}"\n    else:'
    module = module_of(code.replace('elif task != "generation":', asked))
    splits = {"train": copy.deepcopy(TRAIN), "validation": copy.deepcopy(VALIDATION)}
    told = probe.tokens(module, module.get_tokenizer(str(model)), splits)
    assert splits == {"train": TRAIN, "validation": VALIDATION}, "the rows stay as they are"
    told |= {"stage": "done", "rows": {"train": 40, "validation": 60}, "vocabulary": {"adds_bos": False}}
    found = [each for each in behaviour.findings(told, {}, {}, True, False) if each.check == "boundary"]
    assert [each.fatal for each in found] == [fatal] and "100 of 100 rows" in found[0].problem


ADDED = {
    "add_tokens": ("tokenizer.add_tokens(['<new>', '<newer>'])", "<newer>", 49_153),
    "a special token": ("tokenizer.add_special_tokens({'pad_token': '<mine>'})", "<mine>", 49_152),
    "no new token": ("tokenizer.add_special_tokens({'pad_token': '<|endoftext|>'})", None, 0),
}


@pytest.mark.parametrize(("line", "token", "number"), ADDED.values(), ids=ADDED)
def test_a_token_beyond_the_vocabulary_is_named(line, token, number, model):
    module = module_of(OURS.replace("    return tokenizer\n", f"    {line}\n    return tokenizer\n", 1))
    told = {"vocabulary": probe.vocabulary(module.get_tokenizer(str(model)), model)}
    found = list(vocabulary.findings(told, vocabulary.size_of(str(model)), False))
    assert [each.fatal for each in found] == [True] * (token is not None)
    said = " ".join(each.problem for each in found)
    assert token is None or (repr(token) in said and f"{number:,}" in said and "49,152" in said)


def test_a_token_beyond_the_vocabulary_matters_where_it_is_used(tmp_path, model):
    """The embedding raises at an id that it is given, and at no other."""
    line = "    tokenizer.add_tokens(['<think>'])\n    return tokenizer\n"
    code = OURS.replace("    return tokenizer\n", line, 1)
    for name, text, fatal in (
        ("unused", code, False),
        ("in the rows", code.replace('COMPLETION = "', 'COMPLETION = " <think>'), True),
        ("to pad", code.replace(line, line.replace("\n", "\n    tokenizer.pad_token = '<think>'\n", 1)), True),
    ):
        folder = submission(tmp_path / name / "s", text)
        write_splits(folder)
        found = [each for each in linted(folder, model)[2].findings if each.check == "vocabulary"]
        assert [each.fatal for each in found] == [fatal], name


VOCABULARY = {"added": [[49_152, "<new>"]], "added_count": 1}
SIZES = {
    "room for more": (VOCABULARY, 50_000, False, []),
    "full": (VOCABULARY, 49_152, False, [True]),
    "not known": (VOCABULARY, None, False, [False]),
    "Llama, by another tokenizer": (VOCABULARY, 128_256, True, [True]),
    "Llama's own token": ({"added": [[49_152, "<|finetune_right_pad_id|>"]], "added_count": 1}, 128_256, True, []),
    "another model, by another tokenizer": (VOCABULARY, 50_000, True, [False]),
    "nothing added": ({"added": [], "added_count": 0}, None, True, []),
}


@pytest.mark.parametrize(("told", "size", "stand_in", "fatal"), SIZES.values(), ids=SIZES)
def test_a_vocabulary_is_held_against_the_models(told, size, stand_in, fatal):
    found = vocabulary.findings({"vocabulary": told}, size, stand_in)
    assert [each.fatal for each in found] == fatal


def test_an_id_beyond_the_vocabulary_is_named_where_nothing_was_added():
    (found,) = vocabulary.findings({"vocabulary": {}, "largest_id": 49_152}, 49_152, False)
    assert found.fatal and "49,152" in found.problem


def test_the_size_of_a_vocabulary_is_that_of_its_config(tmp_path):
    assert vocabulary.size_of("meta-llama/Llama-3.2-1B") == 128_256 and vocabulary.size_of("me/unknown") is None
    (tmp_path / "config.json").write_text('{"text_config": {"vocab_size": 7}}')
    assert vocabulary.size_of(str(tmp_path)) == 7


def features_there(folder: Path) -> set[str]:
    return {
        each.check for path in sorted(folder.rglob("*")) if path.is_file() for each in stored.findings(path, path.name)
    }


def test_features_of_newer_versions_are_told_from_old_ones(tmp_path):
    save(tmp_path / "new")
    save_old(tmp_path / "old")
    save_old(tmp_path / "again")
    for path in (path for path in (tmp_path / "old").rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "old")).read_bytes()
    assert features_there(tmp_path / "new") == {"stored-features"} and features_there(tmp_path / "old") == set()
    assert stored.counts(tmp_path / "new") == stored.counts(tmp_path / "old") == {"train": 40, "validation": 60}


LOAD = """
import datasets, json, sys
both = datasets.load_from_disk(sys.argv[1])
print(json.dumps([[row["messages"] for row in both[name]] for name in ("train", "test")]))
"""


@pytest.mark.skipif(not STOCK_PYTHON.is_file(), reason="no .venv-stock: `make rehearse` makes it")
def test_the_contracts_datasets_reads_what_is_said_to_be_readable(tmp_path):
    save(tmp_path / "new")
    save_old(tmp_path / "old")
    for name in ("new", "old"):
        command = [str(STOCK_PYTHON), "-c", LOAD, str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == (name == "old"), done.stderr
    assert json.loads(done.stdout) == [turns_of(TRAIN), turns_of(VALIDATION)]


def saved_there(folder: Path) -> None:
    """What the contract's own `datasets` writes."""
    rows = {"train": TRAIN, "test": VALIDATION}
    script = (
        "import datasets, json, sys; d = {k: datasets.Dataset.from_list(v) for k, v in json.load(sys.stdin).items()}\n"
    )
    script += "datasets.DatasetDict(d).save_to_disk(sys.argv[1])"
    subprocess.run([str(STOCK_PYTHON), "-c", script, str(folder)], input=json.dumps(rows), text=True, check=True)


@pytest.mark.skipif(not STOCK_PYTHON.is_file(), reason="no .venv-stock: `make rehearse` makes it")
def test_what_the_contracts_datasets_saved_is_no_fault(tmp_path, model):
    folder = submission(tmp_path / "stock", STOCK, packing=True)
    shutil.rmtree(folder / "dataset")
    saved_there(folder / "dataset")
    fatal, _, report = linted(folder, model)
    assert fatal == set(), [each for each in report.findings if each.fatal]


def json_lines(folder: Path) -> None:
    folder.mkdir()
    write_lines(folder, "train.jsonl", TRAIN)
    write_lines(folder, "validation.jsonl", VALIDATION)


# sft_utils.py and source -> the files that travel.
STORED_FILES = {f"{split}/{name}" for split in ("train", "test") for name in (stored.INFO, stored.STATE)}
STORED_FILES |= {stored.SPLITS, "train/data-00000-of-00001.arrow", "test/data-00000-of-00001.arrow"}
LINES = {"train.jsonl", "validation.jsonl"}
TRAVELS = {
    "ours, lines": (OURS, json_lines, LINES),
    "ours, saved": (OURS, save, LINES),
    "stock, saved by a newer version": (STOCK, save, STORED_FILES),
    "stock, saved by the contract's": (STOCK, save_old, STORED_FILES),
    "stock, lines": (STOCK, json_lines, STORED_FILES),
}


@pytest.mark.parametrize(("code", "make", "there"), TRAVELS.values(), ids=TRAVELS)
def test_rows_travel_in_a_form_that_the_given_load_datasets_reads(code, make, there, tmp_path):
    make(tmp_path / "source")
    folder = submission(tmp_path / "s", code, packing=True)
    writer.place_rows(tmp_path / "source", folder)
    files = [path for path in (folder / "dataset").rglob("*") if path.is_file()]
    assert {path.relative_to(folder / "dataset").as_posix() for path in files} == there
    assert there == LINES or features_there(folder / "dataset") == set()
    assert forms.loaded(folder, Path("dataset")) == forms.loaded(folder, tmp_path / "source") or make is json_lines


def test_a_submission_of_the_stock_files_is_written(tmp_path, model, monkeypatch, capfd):
    """From the config and sft_utils.py of the contract, with rows as its own code loads them."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "rows")
    shutil.copytree(model, tmp_path / "model")
    text = STOCK_CONFIG.replace("meta-llama/Llama-3.2-1B", "model").replace("path: dataset\n", "path: rows\n")
    (tmp_path / "sft_config.yaml").write_text(text)
    (tmp_path / "sft_utils.py").write_text(STOCK)
    assert main(["submission"]) == 0, capfd.readouterr().err
    written = yaml.safe_load((tmp_path / "submission" / "sft_config.yaml").read_text())
    assert written["packing"] is True and written["do_train"] is True and written["wandb_tags"] == ["sft"]
    assert (tmp_path / "submission" / "dataset" / stored.SPLITS).is_file()
