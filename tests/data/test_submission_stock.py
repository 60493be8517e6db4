"""The contract's own versions: how they are set up, and what a rehearsal on them sees."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import stock_submission  # type: ignore[import-not-found]
import yaml
from rich.console import Console
from safetensors.numpy import load_file

from data.__main__ import main
from data.submission import archive, opened, rehearse, sandbox, tokenizer, verify
from data.submission.checks import config, contract
from data.submission.lint import Report
from data.synthetic import write_dataset

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:9"
OFFLINE = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": f"{NOWHERE}/simple", "PIP_EXTRA_INDEX_URL": ""}
OFFLINE |= {"PIP_FIND_LINKS": "", "PIP_RETRIES": "0", "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE}
OFFLINE |= {"https_proxy": NOWHERE, "NO_PROXY": "", "no_proxy": ""}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "bin").mkdir()
    return tmp_path


def setup(clone: Path, **environment: str) -> subprocess.CompletedProcess:
    paths = {"PATH": f"{clone / 'bin'}:{os.environ['PATH']}", "HOME": str(clone)}
    command = ["bash", str(clone / "requirements" / "stock.sh")]
    return subprocess.run(command, env=os.environ | paths | environment, capture_output=True, text=True, timeout=300)


def shim(clone: Path, name: str, text: str) -> str:
    path = clone / "bin" / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


# Says that it is 3.10, and makes environments as the Python of these tests does.
PRETENDS = f'[ "$1" = -c ] && exit 0; exec {sys.executable} "$@"'


@pytest.mark.parametrize(
    ("python", "df", "environment", "said"),
    [
        ("exit 127", None, {}, "no Python 3.10 (with venv) among"),
        (PRETENDS, "printf 'h\\n/dev/x 1 1 512 1 /\\n'", {}, "has 512 MiB free and .venv-stock needs up to"),
        (PRETENDS, None, OFFLINE, "check the network"),
    ],
    ids=["a shim that refuses to run", "full disk", "no network"],
)
def test_what_is_wrong_is_said_in_one_sentence(python, df, environment, said, clone):
    if df:
        shim(clone, "df", df)
    done = setup(clone, STOCK_PYTHON=shim(clone, "python3.10", python), **environment)
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 1 and len(errors) == 1 and said in errors[0], done.stderr
    assert not (clone / ".venv-stock" / "lock.sha256").exists()


def test_a_second_call_with_the_same_lock_does_nothing(clone):
    (clone / ".venv-stock" / "bin").mkdir(parents=True)
    (clone / ".venv-stock" / "bin" / "python").symlink_to(sys.executable)
    digest = hashlib.sha256((clone / "requirements" / "stock.lock").read_bytes()).hexdigest()
    (clone / ".venv-stock" / "lock.sha256").write_text(digest + "\n")
    done = setup(clone, STOCK_PYTHON="no-such-python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_lock_pins_the_contracts_versions():
    lines = (ROOT / "requirements" / "stock.lock").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and line[0] != "#")
    wanted = {"torch": "2.1.2", "transformers": "4.48.1", "trl": "0.8.1", "accelerate": "0.28.0", "datasets": "2.18.0"}
    assert wanted.items() <= pins.items() and pins["huggingface-hub"] == "0.28.1"
    assert pins["numpy"].startswith("1.") and pins["pyarrow"].startswith("25.") and "rich" in pins


def test_what_the_stock_side_says_of_a_failure_is_shown():
    told = {"stock": {"stage": "parser", "error": "ValueError: Some keys are not used"}, "stand_in": ""}
    console = Console(file=io.StringIO(), width=120)
    rehearse.show(told, console)
    assert not rehearse.passed(told) and "parser failed: ValueError" in console.file.getvalue()


def test_figures_that_differ_are_told_and_rounding_is_not():
    stock = {"eos_per_example": 2.0, "supervised": 1.0, "steps": 100, "cut": 0.2000}
    own = {"eos_per_example": 1.0, "supervised": 1.0, "steps": 90, "cut": 0.2001}
    assert rehearse.differences({"stock": stock, "own": own}) == ["eos_per_example", "steps"]


# With the contract's versions


FIELDS = """
import dataclasses, json, sys
sys.path.insert(0, sys.argv[1])
from stock_config import SFTConfig, TrainingArguments

def defaults(declared):
    made = lambda f: f.default_factory() if f.default is dataclasses.MISSING else f.default
    # output_dir has no default in transformers, and a value like a strategy is an enum.
    fields = (f for f in dataclasses.fields(declared) if f.init)
    return {f.name: made(f) if f.default is not f.default_factory else None for f in fields}

print(json.dumps([defaults(TrainingArguments), defaults(SFTConfig)], default=str))
"""


def test_the_table_of_keys_is_that_of_the_stock_parser(stock):
    """The linter's keys and defaults are those that the rehearsal's parser declares, the contract's own too."""
    command = [stock, "-c", FIELDS, str(sandbox.INSIDE)]
    environment = os.environ | {"DS_ACCELERATOR": "cpu"}
    done = subprocess.run(command, capture_output=True, check=True, text=True, env=environment)
    arguments, whole = json.loads(done.stdout)
    assert arguments.keys() == config.STOCK.keys() - config.CONTRACT.keys()
    assert float(arguments["max_grad_norm"]) == config.STOCK["max_grad_norm"]["default"]
    assert whole.keys() - arguments.keys() == contract.KEYS.keys()
    defaults = {key: row.get("default") for key, row in contract.KEYS.items()} | contract.DEFAULTS
    assert defaults == {key: whole[key] for key in defaults}
    others = {key for key in arguments if whole[key] != arguments[key]}
    assert others == {key for key in contract.DEFAULTS if contract.DEFAULTS[key] != arguments[key]}
    assert {key: config.STOCK[key].get("default") for key in defaults} == defaults


@pytest.fixture(scope="module")
def model(tiny_tokenizer, tmp_path_factory) -> Path:
    """What the rehearsal gives in place of a model: SmolLM2's tokenizer and 49,152 tokens."""
    folder = tmp_path_factory.mktemp("model")
    assert tokenizer.write(str(tiny_tokenizer), folder) == ""
    return folder


@pytest.fixture(scope="module")
def handed_out(stock, tmp_path_factory) -> Path:
    """The contract's own files, letter for letter but for what they leave open, with rows that its `datasets` saved."""
    folder = tmp_path_factory.mktemp("handed-out")
    write_dataset(folder / "rows", train=800, test=1, validation=60)
    return stock_submission.write(folder / "submission", folder / "rows", stock)


ADDS_A_TOKEN = "tokenizer.add_special_tokens({'pad_token': '<|my pad|>'})\n    tokenizer.chat_template = "
MORE = 'splits["test"].select([0] * 101)'
FLAT = {"packing": False}  # short rows, which take less time
NO_PAD = {"    if set_pad_token": "    tokenizer.pad_token = None\n    if set_pad_token"}  # as Llama 3's has none

# What is changed in the handed-out config and sft_utils.py, and what the contract's trainer then does.
TRAINED = {
    "packing left out": ({}, NO_PAD, {"packing": True, "updates": 2, "tensors_changed": 21, "eos_per_example": 1.0}),
    "without packing": (FLAT, {}, {"packing": False, "updates": 2, "tensors_changed": 21, "eos_supervised": 0.0}),
    "nothing but warm-up": (FLAT | {"warmup_ratio": 0, "warmup_steps": 10**6}, {}, {"tensors_changed": 21}),
    "do_eval false, and a strategy": (FLAT | {"do_eval": False}, {}, {"tensors_changed": 21, "evaluated": True}),
    "no evaluation": (
        FLAT | {"do_eval": None, "evaluation_strategy": None},
        {},
        {"tensors_changed": 21, "evaluated": False},
    ),
    "its own keys": (
        FLAT | {"benchmarks": ["math"], "quants": [], "max_length": 512, "reward_loss_fn": None},
        {},
        {"tensors_changed": 21},
    ),
    "a fused optimizer": (
        FLAT | {"optim": "adamw_torch_fused", "gradient_accumulation_steps": 64, "torch_compile_backend": "inductor"},
        {},
        {"tensors_changed": 21, "optimizer": "adamw_torch_fused", "effective_batch": 256},
    ),
}
FAILED = {
    "mode left out": ({"dataset_mode": None}, {}, "load_datasets", "dataset_mode is online"),
    "another mode": ({"dataset_mode": "Local"}, {}, "load_datasets", "the hub's rows, not yours"),
    "no pad token": (FLAT, NO_PAD, "batches", "packing is false, so get_tokenizer is called with set_pad_token=False"),
    "no do_train": (FLAT | {"do_train": None}, {}, "reload", "the base model's: do_train is not true"),
    "do_train false": (FLAT | {"do_train": False}, {}, "reload", "the base model's: do_train is not true"),
    "packed, no do_train": ({"do_train": None}, {}, "SFTTrainer", "do_train is not true, so SFTTrainer gets no rows"),
    "no learning rate": (FLAT | {"learning_rate": 0.0}, {}, "reload", "nothing was trained, the saved weights are"),
    "no epochs": (FLAT | {"num_train_epochs": 0}, {}, "reload", "no step was taken (num_train_epochs: 0"),
    "an unknown key": ({"completion_only_loss": True}, {}, "parser", "completion_only_loss"),
    "LoRA": ({"use_peft": True}, {}, "parser", "use_peft"),
    "two precisions": ({"fp16": True}, {}, "parser", "At most one of fp16 and bf16"),
    "a seed for data": ({"data_seed": 3}, {}, "parser", "requires Accelerate version `accelerate` >= 1.1.0"),
    "gathered objects": ({"eval_use_gather_object": True}, {}, "parser", "0.30.0"),
    "prefetching": ({"dataloader_prefetch_factor": 2}, {}, "parser", "dataloader_prefetch_factor"),
    "a plateau": (
        {"lr_scheduler_type": "reduce_lr_on_plateau", "evaluation_strategy": None},
        {},
        "parser",
        "requires an eval strategy",
    ),
    "a step of warm-up": (
        FLAT | {"max_steps": 1},
        {},
        "batches",
        "nothing would be trained: the run has 1 steps and a warm-up of 1",
    ),
    "endless warm-up": (FLAT | {"warmup_steps": 10**9}, {}, "batches", "a warm-up of 1,000,000,000"),
    "a reporter that is none": ({"report_to": ["wand"]}, {}, "SFTTrainer", "wand is not supported"),
    "a token beyond": (
        FLAT,
        {"tokenizer.chat_template = ": ADDS_A_TOKEN},
        "batches",
        "the token '<|my pad|>' has the id 49,152, and the model's vocabulary ends at 49,151",
    ),
    "101 to validate": ({}, {'splits["test"]': MORE}, "apply_chat_template", "101 rows of validation"),
}


@pytest.fixture(scope="module")
def told(stock, handed_out, model, tmp_path_factory) -> dict:
    """What the contract's trainer tells of every case above; one process imports its versions, and forks."""
    work = tmp_path_factory.mktemp("cases")
    cases = {name: case[:2] for name, case in (TRAINED | FAILED).items()}
    submissions = {name: work / f"case-{number}" for number, name in enumerate(cases)}
    for name, folder in submissions.items():
        changes, edits = cases[name]
        shutil.copytree(handed_out, folder)
        stock_submission.write_config(folder, **changes)
        text = stock_submission.SFT_UTILS
        for old, new in edits.items():
            assert old in text
            text = text.replace(old, new)
        (folder / "sft_utils.py").write_text(text)
    return stock_submission.run_all(submissions, model, work, stock) | {"work": work}


@pytest.mark.parametrize("name", TRAINED)
def test_what_the_contracts_trainer_trains_has_other_weights(name, told):
    seen = told[name]
    assert seen["stage"] == "done", seen
    wanted = TRAINED[name][2] | {"vocabulary": 49_152, "rows": {"train": 80, "validation": 60}}
    assert (seen | {"evaluated": "eval_loss" in seen}).items() >= wanted.items(), seen


@pytest.mark.parametrize("name", FAILED)
def test_what_the_contracts_trainer_does_not_train_is_said_in_one_sentence(name, told):
    _, _, stage, said = FAILED[name]
    assert told[name]["stage"] == stage and said in told[name]["error"], told[name]


def test_the_weights_that_it_leaves_are_where_the_contract_puts_them(told, model):
    (saved,) = (told["work"] / "0" / "checkpoints").glob("model_*")
    before, after = (load_file(folder / "model.safetensors") for folder in (model, saved))
    assert before.keys() == after.keys() and (saved / "config.json").is_file()
    assert not any(np.array_equal(before[name], after[name]) for name in before)
    (saved,) = (told["work"] / str([*TRAINED, *FAILED].index("no do_train")) / "checkpoints").glob("model_*")
    after = load_file(saved / "model.safetensors")
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_rows_that_are_others_there_matter_where_an_accuracy_is_stated(told, handed_out, tmp_path):
    """The handed-out .shard(…) takes every tenth row there, and a tenth in one piece with the current `datasets`."""
    job = {"dataset": "dataset", "model": "", "readable": [], "rows_only": True}
    report = Report([], told=sandbox.start("probe.py", handed_out, tmp_path, job).wait())
    there = {"stock": told["packing left out"]}
    assert report.told["rows"] == there["stock"]["rows"]
    assert [found.fatal for found in verify.check_stock_rows(report, there, stated=True)] == [True]
    assert [found.fatal for found in verify.check_stock_rows(report, there, stated=False)] == [False]
    same = Report([], told=there["stock"])
    assert not list(verify.check_stock_rows(same, there, stated=True))


@pytest.fixture(scope="module")
def submission(tmp_path_factory) -> Path:
    """This project's sft_utils.py with 500 and 100 word problems, packed."""
    folder = tmp_path_factory.mktemp("packed")
    write_dataset(folder / "dataset", train=500, test=1, validation=100)
    (folder / "sft_utils.py").write_text((ROOT / "sft_utils.py").read_text())
    settings = {"model_name_or_path": "smollm2", "dataset_name_or_path": "dataset", "output_dir": "checkpoints"}
    settings |= {"packing": True, "bf16": True, "report_to": "none", "per_device_train_batch_size": 2}
    settings |= {"do_train": True, "do_eval": True, "dataset_mode": "local"}
    (folder / "sft_config.yaml").write_text(yaml.safe_dump(settings))
    return folder


def test_packing_there_and_here_is_told_apart(stock, submission, tmp_path):
    """Contract, trap 4: blocks cut through examples, which attend to each other; and each ends in two EOS."""
    settings = yaml.safe_load((submission / "sft_config.yaml").read_text())
    told = rehearse.rehearse(submission, settings, tmp_path, Console(stderr=True))
    there, here = told["stock"], told["own"]
    assert rehearse.passed(told) and here["stage"] == "done", told
    assert there["digests"] == here["digests"], "the stock `datasets` and the current one load the same rows"
    assert there["eos_per_example"] == pytest.approx(2, abs=0.05) and here["eos_per_example"] == 1
    assert there["attends_across"] is True and here["attends_across"] is False
    assert there["cut"] > 0.01 and here["cut"] == 0 and there["eos_supervised"] == here["eos_supervised"] == 1
    assert {"eos_per_example", "attends_across", "cut"} <= set(rehearse.differences(told))
    assert there["forced"] == {"bf16": False}, "what a CPU forces is said"


HALF_MADE_UP = """
import json
from datasets import Dataset, load_dataset
from sft_utils_as_it_was import *

def load_datasets(dataset_name_or_path):
    train = load_dataset("json", data_files=dataset_name_or_path + "/train.jsonl")["train"]
    return train.map(lambda row: {"messages": row["messages"]}, num_proc=2), train.select(range(100))
"""


def test_rows_that_come_from_elsewhere_are_never_verified(stock, submission, model, tmp_path):
    """Two processes read the training rows here, within the sandbox and far down the file system; nothing else is read."""
    work = tmp_path / ("deep" * 20)
    theirs = tmp_path / "submission"
    shutil.copytree(submission, theirs)
    own = HALF_MADE_UP.replace("from sft_utils_as_it_was import *\n", "") + "\n"
    text = (theirs / "sft_utils.py").read_text().replace("def load_datasets(", "def load_datasets_of_old(")
    (theirs / "sft_utils.py").write_text(text + own)
    before = sorted(theirs.rglob("*"))
    seen = rehearse.on_stock(theirs, "dataset", work, {"model": str(model), "rows": 100}, stock)
    assert seen["stage"] == "files" and "never opened 'dataset/validation.jsonl', so" in seen["error"], seen
    assert seen["tensors_changed"] == 21 and not rehearse.passed({"stock": seen})
    assert sorted(theirs.rglob("*")) == before, "nothing is left in the submission"


def test_the_handed_out_files_are_rehearsed(stock, handed_out, monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(handed_out, "submission")
    stock_submission.write_config(Path("submission"), packing=True)
    assert main(["submission", "rehearse"]) == 0
    said = " ".join(capfd.readouterr().err.split())
    assert "2 updates" in said and "21 of 21 weights changed" in said
    assert "no network: report_to: none" in said and "no warm-up" in said
    assert not list(Path("submission").rglob("cache-*")), "nothing is left in the submission"


def test_the_handed_out_files_are_verified_with_packing_stated(stock, handed_out, monkeypatch, tmp_path, capfd):
    """Letter for letter, but for the line that states what the contract's parser takes packing for."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(handed_out, "mine")
    stock_submission.write_config(Path("mine"), packing=True)
    files = {path.relative_to("mine").as_posix(): path for path in Path("mine").rglob("*") if path.is_file()}
    manifest = {"format": 1, "left_out": {}, "accuracy": []}
    manifest["files"] = {name: {"sha256": archive.sha256(path)} for name, path in files.items()}
    Path("mine/manifest.json").write_text(json.dumps(manifest))
    archive.pack(Path("mine"), Path("mine.zip"))
    assert main(["submission", "verify", "mine.zip"]) == 0
    said = " ".join(capfd.readouterr().err.split())
    assert "2 updates" in said and "21 of 21 weights changed" in said
    assert "mine: nothing to mend" in said and said.count("verified: ") == 1 and "not verified" not in said


@pytest.fixture(scope="module")
def demo(tmp_path_factory, tiny_tokenizer) -> Path:
    """The demo's submission as `make submission` writes it, in a working folder of its own."""
    folder = tmp_path_factory.mktemp("demo")
    write_dataset(folder / "built", train=40, test=1, validation=10)
    settings = yaml.safe_load((ROOT / "demo_config.yaml").read_text()) | {"model_name_or_path": "smollm2"}
    settings |= {"do_train": True, "do_eval": True, "dataset_mode": "local"}
    (folder / "demo.yaml").write_text(yaml.safe_dump(settings))
    shutil.copytree(tiny_tokenizer, folder / "smollm2")
    shutil.copyfile(ROOT / "sft_utils.py", folder / "sft_utils.py")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["submission", "--config", "demo.yaml", "--dataset", "built"]) == 0
    return folder


def test_the_demos_submission_is_verified(stock, demo, monkeypatch, capfd):
    monkeypatch.chdir(demo)
    assert main(["submission", "verify", "submission.zip"]) == 0
    said = " ".join(capfd.readouterr().err.split())
    assert "21 of 21 weights changed" in said
    assert "verified: it loads, reads its files, trains (weights change), saves and loads again" in said


def test_the_same_without_do_train_is_not_verified(stock, demo, monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(demo)
    shutil.copytree("submission", tmp_path / "submission")
    path = tmp_path / "submission" / "sft_config.yaml"
    path.write_text(path.read_text().replace("do_train: true", "do_train: false"))
    manifest = json.loads((tmp_path / "submission" / "manifest.json").read_text())
    manifest["files"][path.name] = {"bytes": path.stat().st_size, "sha256": archive.sha256(path)}
    (tmp_path / "submission" / "manifest.json").write_text(json.dumps(manifest))
    archive.pack(tmp_path / "submission", tmp_path / "untrained.zip")
    assert main(["submission", "verify", str(tmp_path / "untrained.zip")]) == 1
    said = " ".join(capfd.readouterr().err.split())
    assert "error: not verified: " in said and "do_train" in said and "verified: it loads" not in said


# Without the contract's versions


@pytest.mark.parametrize(
    ("files", "seen", "unread"),
    [
        (["train.jsonl", "validation.jsonl", "README.md"], ["train.jsonl", "validation.jsonl"], []),
        (["train.jsonl", "validation.jsonl"], ["validation.jsonl"], ["train.jsonl"]),
        (["train.jsonl", "validation.jsonl", "test.jsonl"], ["train.jsonl", "validation.jsonl"], []),
        (["train/0.arrow", "train/1.arrow", "test/0.arrow"], ["train/0.arrow", "test/0.arrow"], ["train/1.arrow"]),
        (["train/0.arrow", "test/0.arrow", "validation/0.arrow"], ["train/0.arrow", "test/0.arrow"], []),
        (["train/0.arrow", "train/state.json", "test/0.arrow"], ["train/0.arrow"], ["test/0.arrow"]),
        (["rows.csv"], [], ["rows.csv"]),
    ],
)
def test_the_files_that_a_run_has_to_read(files, seen, unread, tmp_path):
    inside = {name: tmp_path / "dataset" / name for name in files}
    both = [tmp_path / "sft_config.yaml", tmp_path / "sft_utils.py"]
    found = rehearse.not_read(tmp_path, "dataset", [*both, *inside.values()], {*both, *(inside[one] for one in seen)})
    assert found == [f"dataset/{name}" for name in unread]


@pytest.mark.parametrize(("seen", "unread"), [([], ["rows.jsonl"]), (["rows.jsonl"], [])])
def test_a_dataset_may_be_one_file(seen, unread, tmp_path):
    both = ["sft_config.yaml", "sft_utils.py"]
    for name in (*both, "rows.jsonl", "left behind"):
        (tmp_path / name).write_text("1")
    there = rehearse.copied(tmp_path, "rows.jsonl", tmp_path / "copy")
    files = sorted(there.rglob("*"))
    assert [path.name for path in files] == ["rows.jsonl", *both]
    assert rehearse.not_read(there, "rows.jsonl", files, {there / name for name in (*both, *seen)}) == unread


def test_what_is_opened_is_seen_by_whatever_means(tmp_path):
    import pyarrow as pa

    paths = [tmp_path / name for name in ("mapped", "by another process", "untouched", "before")]
    for path in paths:
        path.write_bytes(b"0" * 100)
    paths[3].read_bytes()
    with opened.watch(paths) as seen:
        pa.memory_map(str(paths[0])).close()
        subprocess.run(["cat", paths[1]], check=True, capture_output=True)
    assert seen == set(paths[:2])


LLAMA = "meta-llama/Llama-3.2-1B"


@pytest.mark.parametrize(
    ("config_json", "name", "size"),
    [
        ({"vocab_size": 50_000}, "mine", 50_000),
        ({"text_config": {"vocab_size": 60_000}}, "mine", 60_000),
        ({}, "mine", 49_152),
        (None, "mine", 49_152),
        (None, "Llama-3.2-1B", 128_256),
        ({"vocab_size": 128_320}, "Llama-3.2-1B", 128_320),
    ],
)
def test_the_rehearsals_model_has_the_models_vocabulary(config_json, name, size, tiny_tokenizer, tmp_path):
    shutil.copytree(tiny_tokenizer, tmp_path / name)
    if config_json is not None:
        (tmp_path / name / "config.json").write_text(json.dumps(config_json))
    assert tokenizer.write(str(tmp_path / name), tmp_path / "tiny") == ""
    assert json.loads((tmp_path / "tiny" / "config.json").read_text())["vocab_size"] == size


def test_a_stand_in_for_llama_3_has_its_special_tokens_and_room_for_no_other(tmp_path):
    from transformers import AutoTokenizer

    assert "stands in" in tokenizer.write(LLAMA, tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    pad = loaded.convert_tokens_to_ids("<|finetune_right_pad_id|>")
    assert len(loaded) == json.loads((tmp_path / "config.json").read_text())["vocab_size"] == 49_152 + 256
    assert pad == 49_156 and loaded("2<|finetune_right_pad_id|>").input_ids[-1] == pad
    loaded.add_tokens(["<|mine|>"])
    assert loaded.convert_tokens_to_ids("<|mine|>") == 49_408


@pytest.mark.parametrize(("exit_code", "ran"), [(0, ["stock", "make test"]), (1, ["stock"])])
def test_ci_sets_up_the_contracts_versions_first_and_stops_where_it_cannot(exit_code, ran, clone):
    (clone / ".ci").mkdir()
    shutil.copyfile(ROOT / ".ci" / "run", clone / ".ci" / "run")
    (clone / "requirements" / "stock.sh").write_text(f"echo stock; exit {exit_code}\n")
    shim(clone, "make", 'echo "make $1"')
    paths = os.environ | {"PATH": f"{clone / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", str(clone / ".ci" / "run")], env=paths, capture_output=True, text=True)
    assert done.stdout.splitlines() == ran and done.returncode == exit_code
