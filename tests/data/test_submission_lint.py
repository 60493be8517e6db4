"""Every trap has a seeded fault here, which its check names; a good submission raises none of them."""

import json
import shutil
import subprocess
import types
from pathlib import Path

import pytest
import yaml

from data.submission import lint
from data.submission.checks import behaviour, code, config, files, rows, syntax
from data.submission.inside import probe
from eval.records import UserError

ROOT = Path(__file__).resolve().parents[2]
STOCK_PYTHON = ROOT / ".venv-stock" / "bin" / "python"

GOOD_CONFIG = {
    "model_name_or_path": "meta-llama/Llama-3.2-1B",
    "dataset_name_or_path": "dataset",
    "dataset_mode": "local",
    "do_train": True,
    "do_eval": True,
    "num_train_epochs": 3,
    "learning_rate": 2.0e-05,
    "lr_scheduler_type": "cosine",
    "per_device_train_batch_size": 4,
    "packing": False,
    "bf16": True,
    "gradient_checkpointing": True,
    "gradient_checkpointing_kwargs": {"use_reentrant": False},
    "output_dir": "checkpoints",
    "save_strategy": "steps",
    "save_steps": 0.1,
    "report_to": "none",
    "seed": 42,
}


def row(problem: str = "What is 2 + 3?", solution: str = r"Five: $\boxed{5}$.", **more) -> dict:
    turns = [{"role": "user", "content": problem}, {"role": "assistant", "content": solution}]
    return {"messages": turns} | more


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good submission: this project's own sft_utils.py, a hundred rows and two of validation."""
    (tmp_path / "sft_config.yaml").write_text(yaml.safe_dump(GOOD_CONFIG))
    (tmp_path / "sft_utils.py").write_text((ROOT / "sft_utils.py").read_text())
    write_rows(tmp_path, "train", [row(f"What is 2 + {number}?") for number in range(100)])
    write_rows(tmp_path, "validation", [row(f"What is 3 + {number}?") for number in range(2)])
    return tmp_path


def write_rows(folder: Path, split: str, lines: list) -> None:
    (folder / "dataset").mkdir(exist_ok=True)
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / "dataset" / f"{split}.jsonl").write_bytes(text.encode("utf-8", "surrogatepass"))


def static(folder: Path) -> list:
    """What reading alone finds."""
    return [
        *files.findings(folder, "dataset"),
        *config.findings((folder / "sft_config.yaml").read_text(), folder),
        *code.findings((folder / "sft_utils.py").read_text()),
        *rows.findings(folder / "dataset"),
    ]


def test_a_good_submission_raises_no_alarm(folder):
    assert static(folder) == []


def test_every_finding_says_where_and_how_to_mend_it(folder):
    (folder / "sft_config.yaml").write_text("learning_rate: 2e-5\noutput_dir: /tmp/x\nlr_sheduler_type: cosine\n")
    (folder / "sft_utils.py").write_text("import torch\nimport os\nprint(os.environ)\n")
    found = static(folder)
    assert len(found) >= 9, "all problems at once"
    assert all(finding.where and finding.problem and finding.fix for finding in found)
    assert {"sft_config.yaml:1", "sft_config.yaml:3", "sft_utils.py:1", "sft_utils.py:3"} <= {
        each.where for each in found
    }


# What is added to the good config, as YAML text -> (check, fatal).
CONFIG_FAULTS = {
    "learning_rate: 2e-5": ("value-type", True),
    "bf16: 'true'": ("value-type", True),
    "seed: 4.5": ("value-type", True),
    "packing: 1": ("value-type", True),
    "warmup_steps: 0.03": ("value-type", True),  # a share, to transformers 5 only
    "completion_only_loss: true": ("unknown-key", True),
    "max_seq_length: 1024": ("unknown-key", True),
    "max_length: 1024": ("no-effect", False),
    "mask_user_turns: true": ("no-effect", False),
    "_n_gpu: 1": ("unknown-key", True),
    "wandb_tag: [sft]": ("unknown-key", True),
    "do_train: false": ("do-train", True),
    "do_train: null": ("value-type", True),
    "do_train: 'true'": ("value-type", True),
    "do_eval: false": ("do-eval", True),
    "run_name: 20251126": ("value-type", False),
    "wandb_tags: sft": ("value-type", False),
    "save_total_limit: 0": ("saving", False),
    "logging_steps: 0": ("saving", True),
    "logging_steps: 2.5": ("saving", True),
    "load_best_model_at_end: true\neval_strategy: steps\neval_steps: 100": ("saving", True),
    "load_best_model_at_end: true\neval_strategy: steps\neval_steps: 0.04": ("saving", True),
    "lerning_rate: 0.1": ("unknown-key", True),
    "lr_scheduler_type: cosin": ("value-choice", True),
    "optim: muon": ("value-choice", True),
    "dataset_mode: locall": ("value-choice", True),
    "learning_rate: 2.0": ("value-range", True),
    "per_device_train_batch_size: 0": ("value-range", True),
    "output_dir: /tmp/out": ("absolute-path", True),
    "model_name_or_path: ~/models/llama": ("absolute-path", True),
    "dataset_name_or_path: ../data": ("outside-path", True),
    "dataset_name_or_path: data/built/mine": ("dataset-path", True),
    "output_dir: results": ("output-dir", True),
    "save_strategy: 'no'": ("saving", False),
    "save_strategy: best": ("saving", True),
    "load_best_model_at_end: true": ("saving", True),
    "max_steps: 0": ("steps", False),  # transformers takes it for no limit, so it trains
    "warmup_steps: -5": ("value-range", True),
    "warmup_steps: 1000000000": ("value-range", True),
    "adam_beta1: 1.0": ("value-range", True),
    "adam_epsilon: 1.0e+10": ("value-range", True),
    "seed: -1": ("value-range", True),
    "max_grad_norm: 1.0e-12": ("untrained", True),
    "data_seed: 3": ("raises", True),
    "eval_use_gather_object: true": ("raises", True),
    "log_level: loud": ("raises", True),
    "eval_steps: 1.5": ("raises", True),
    "label_names: [nope]": ("raises", True),
    "bf16: true\nfp16: true": ("raises", True),
    "dataloader_prefetch_factor: 2": ("raises", True),
    "dataloader_persistent_workers: true": ("raises", True),
    "dataloader_num_workers: -1": ("value-range", True),
    "torch_compile: true": ("raises", True),
    "torch_compile_backend: inductor": ("raises", True),
    "neftune_noise_alpha: 1.0e+38": ("untrained", True),
    "lr_scheduler_type: cosine_with_min_lr": ("raises", True),
    "lr_scheduler_type: reduce_lr_on_plateau": ("raises", True),
    "max_steps: '100'": ("value-type", True),
    "report_to: wandb": ("report-to", False),
    "report_to: all": ("report-to", False),
    "report_to: null": ("report-to", False),
    "report_to: [tensorboard, mlflow]": ("report-to", True),
    "report_to: tensorboard": ("report-to", False),
    "push_to_hub: true": ("hub", True),
    "push_to_hub_model_id: me/mine": ("hub", True),
    "optim: adamw_bnb_8bit": ("package", True),
    "use_liger_kernel: true": ("package", True),
    "deepspeed: ds.json": ("launch", True),
    "use_cpu: true": ("launch", True),
    "resume_from_checkpoint: checkpoints/run/checkpoint-8": ("resume", True),
    "dataset_mode: online": ("dataset-mode", True),
    "remove_unused_columns: false": ("columns", True),
    "max_steps: 100": ("steps", False),
    "packing: true": ("packing", False),
    "seed: 1\nseed: 2": ("duplicate-key", True),
    "seed: [1": ("yaml", True),
}


@pytest.mark.parametrize(("text", "expected"), CONFIG_FAULTS.items(), ids=CONFIG_FAULTS)
def test_a_fault_of_the_config_is_named(text, expected, folder):
    key = text.split(":")[0]
    good = {name: value for name, value in GOOD_CONFIG.items() if name != key}
    found = config.findings(yaml.safe_dump(good) + text + "\n", folder)
    assert [(each.check, each.fatal) for each in found] == [expected]


# A first step of warm-up has a learning rate of 0.
WARMUPS = {
    "the only step": ({"max_steps": 1, "warmup_ratio": 0.5}, ["untrained"]),
    "the only step, in steps": ({"max_steps": 1, "warmup_steps": 3}, ["untrained"]),
    "no warm-up": ({"max_steps": 1}, []),
    "a schedule without": ({"max_steps": 1, "warmup_ratio": 0.5, "lr_scheduler_type": "constant"}, []),
    "a second step": ({"max_steps": 2, "warmup_ratio": 1.0}, []),
}


@pytest.mark.parametrize(("changes", "fatal"), WARMUPS.values(), ids=WARMUPS)
def test_a_run_that_is_all_warm_up_is_named(changes, fatal, folder):
    found = config.findings(yaml.safe_dump(GOOD_CONFIG | changes), folder)
    assert [each.check for each in found if each.fatal] == fatal


# What the parser takes and the trainer does not mind.
FINE = (
    "report_to: []",
    "report_to: [none]",
    "max_length: 2048",
    "max_length: null",
    "hub_model_revision: main",
    "overwrite_hub_revision: true",
    "push_to_hub_revision: true",
    "push_to_hub: false",
    "hub_model_id: me/mine",
    "reward_loss_fn: NegLogSigmoid",
    "neftune_noise_alpha: 5",
    "benchmarks: []\nquants: [q8]",
    "wandb_tags: [sft]\nwandb_enabled: true\nwandb_project: p\nwandb_entity: e",
    "wandb_run_group: g\nwandb_run_id: null",
    "log_level: passive\noverwrite_output_dir: true\nwarmup_ratio: 0.1",
    "evaluation_strategy: epoch",
    "load_best_model_at_end: true\neval_strategy: steps\neval_steps: 0.05",
)


@pytest.mark.parametrize("text", FINE)
def test_a_key_of_the_contracts_trainer_is_no_fault(text, folder):
    new = yaml.safe_load(text)
    good = {name: value for name, value in GOOD_CONFIG.items() if name not in new}
    assert config.findings(yaml.safe_dump(good) + text + "\n", folder) == []


# A key that is left out -> what is said of it.
LEFT_OUT = {
    "do_train": ("do-train", True),
    "do_eval": ("do-eval", True),
    "packing": ("packing", True),
    "dataset_mode": ("dataset-mode", True),
    "learning_rate": ("default", False),
    "report_to": ("report-to", False),
}


@pytest.mark.parametrize(("key", "expected"), LEFT_OUT.items(), ids=LEFT_OUT)
def test_a_key_whose_default_there_is_another_is_missed(key, expected, folder):
    """The trainer over there trains nothing without do_train, packs without packing, and asks the hub without dataset_mode."""
    found = config.findings(yaml.safe_dump({k: v for k, v in GOOD_CONFIG.items() if k != key}), folder)
    assert [(each.check, each.fatal) for each in found] == [expected] and f"{key} is left out" in found[0].problem


# The stock config: its keys and values.
STOCK_CONFIG = """
overwrite_hub_revision: true
model_name_or_path: meta-llama/Llama-3.2-1B
dataset_name_or_path: dataset
dataset_mode: local
bf16: true
do_eval: true
do_train: true
evaluation_strategy: epoch
gradient_accumulation_steps: 1
gradient_checkpointing: true
gradient_checkpointing_kwargs:
  use_reentrant: False
learning_rate: 2.0e-05
log_level: passive
logging_steps: 5
logging_strategy: steps
lr_scheduler_type: cosine
max_steps: -1
num_train_epochs: 3
output_dir: checkpoints
hub_model_revision: main
run_name: llama-sft
overwrite_output_dir: true
per_device_eval_batch_size: 8
per_device_train_batch_size: 4
push_to_hub: False
remove_unused_columns: true
report_to:
- tensorboard
- wandb
save_strategy: "no"
seed: 42
wandb_run_group: llama
wandb_run_id: null
wandb_tags:
- sft
warmup_ratio: 0.1
"""


def test_the_stock_config_lacks_packing_and_nothing_else(folder):
    found = config.findings(STOCK_CONFIG, folder)
    assert {(each.check, each.fatal) for each in found} == {
        ("packing", True),
        ("report-to", False),
        ("saving", False),
    }
    assert not any(each.fatal for each in config.findings(STOCK_CONFIG + "packing: true\n", folder))


@pytest.mark.parametrize("key", ["model_name_or_path", "dataset_name_or_path", "output_dir"])
def test_a_key_that_the_parser_demands_is_missed(key, folder):
    found = config.findings(yaml.safe_dump({name: value for name, value in GOOD_CONFIG.items() if name != key}), folder)
    assert [(each.check, key in each.problem) for each in found] == [("missing-key", True)]


def test_hostile_yaml_is_said_not_run(folder):
    for text in ("- a list", "", "a: &a [x,x]\nb: &b [*a,*a]\nc: !!python/object/apply:os.system [ls]", "{" * 5000):
        found = config.findings(text, folder)
        assert found and found[0].check in {"yaml", "unknown-key"}


# Code that is put at the end of the good sft_utils.py -> the check that names it.
CODE_FAULTS = {
    "import lightning": "import",
    "import torch": "dependency",
    "from torch.nn import functional": "dependency",
    "from eval.records import Problem": "import",
    "from .helpers import x": "import",
    "from os.path import *": "import",
    "import urllib.request\nx = urllib.request.urlopen(load_datasets)": "network",
    "import urllib.request as u\nx = u.urlopen": "network",
    "import socket\nx = socket.create_connection(('example.org', 80))": "network",
    "from socket import socket as s\nx = s()": "network",
    "x = load_dataset('AI-MO/NuminaMath-CoT')": "network",
    "x = AutoTokenizer.from_pretrained('x', trust_remote_code=True)": "network",
    "URL = 'https://example.org/rows.jsonl'\nx = load_dataset('json', data_files=URL)": "network",
    "x = load_dataset('json', data_files={'train': ['https://example.org/rows.jsonl']})": "network",
    "import subprocess\nx = subprocess.run(['ls'])": "process",
    "import subprocess as sp\ndef f():\n    return sp.check_output('ls')": "process",
    "from subprocess import Popen\nx = Popen('ls')": "process",
    "import os\nos.system('ls')": "process",
    "from os import execv\nexecv('/bin/ls', [])": "process",
    "import ctypes\nx = ctypes.CDLL('libc.so.6')": "process",
    "import importlib\nx = importlib.import_module('os')": "dynamic",
    "import os\nx = getattr(os, 'sys' + 'tem')": "dynamic",
    "x = eval('1')": "dynamic",
    "import os\nx = os.environ['HOME']": "environment",
    "import os\nx = int(os.environ.get('ROWS', 100))": "environment",
    "import os\nx = os.environ['HF_HOME']": "environment",
    "import os as o\nx = dict(o.environ)": "environment",
    "from os import environ\nx = 'FAST' in environ": "environment",
    "from os import getenv\nx = getenv('SPLIT', 'train')": "environment",
    "x = Path.home()": "environment",
    "x = Path(__file__).parent": "environment",
    "x = open('cache.json', 'w')": "write",
    "Path('x').write_text('y')": "write",
    "x = open('/home/me/data')": "absolute-path",
    "DATA = '/home/me/data'\nx = load_from_disk(DATA)": "absolute-path",
    "DATA = '/home/me'\nx = open(f'{DATA}/train.jsonl')": "absolute-path",
    "DATA = '../data'\nx = Path(DATA) / 'train.jsonl'": "outside-path",
    "import random\nx = random.random()": "random",
    "import tomllib": "newer-name",
    "from datasets import List": "newer-name",
    "import datasets as d\nx = d.List(d.Value('string'))": "newer-name",
    "from typing import Self": "newer-name",
    "import typing\nx = typing.Self": "newer-name",
    "x = AutoTokenizer.from_pretrained('x', dtype='auto')": "newer-name",
    "def get_tokenizer(name): ...": "signature",
    "def load_datasets(dataset_name_or_path, split): ...": "signature",
    "def apply_chat_template(example, tok, task): ...": "signature",
    "def load_datasets(dataset_name_or_path):\n    return load_dataset('json')['train'].select(range(9))": "reduction",
    "def load_datasets(dataset_name_or_path):\n    return load_dataset('json', split='train[:10%]')": "reduction",
}


@pytest.mark.parametrize(("text", "check"), CODE_FAULTS.items(), ids=CODE_FAULTS)
def test_a_fault_of_the_code_is_named(text, check):
    found = code.findings((ROOT / "sft_utils.py").read_text() + "\n" + text + "\n")
    assert {each.check for each in found} == {check}
    assert all(each.fatal for each in found) == (check not in {"random", "reduction", "dependency"})


# Code that does nothing beyond its arguments, whatever it imports or mentions.
CODE_FINE = (
    "import os, sys, subprocess, multiprocessing, signal, socket, ctypes, importlib, asyncio, urllib.request",
    "import dataclasses, logging, typing\n@dataclasses.dataclass\nclass Row:\n    text: typing.Optional[str] = None",
    "from concurrent.futures import ThreadPoolExecutor\nx = list(ThreadPoolExecutor(2).map(str, [1]))",
    "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_DFL)",
    "import subprocess\ntry:\n    pass\nexcept subprocess.CalledProcessError:\n    pass",
    "import os\nos.environ['TOKENIZERS_PARALLELISM'] = 'false'",
    "import os\nos.environ.setdefault('HF_DATASETS_OFFLINE', '1')\nos.environ.update(OMP_NUM_THREADS='1')",
    "import os\nif 'CUDA_VISIBLE_DEVICES' not in os.environ:\n    os.environ['CUDA_VISIBLE_DEVICES'] = '0'",
    "from os import environ as e, getenv\nx = e.get('TOKENIZERS_PARALLELISM', 'false')\ny = getenv('HF_HOME', '')",
    "import os\nx = load_dataset('json', num_proc=os.cpu_count())",
    "SOURCE = 'https://huggingface.co/datasets/AI-MO/NuminaMath-CoT'",
    "DATA = '/home/me/data'  # where it was built",
    "def f():\n    '''https://example.org/paper, and ../notes.'''",
    "def f():\n    '''/data/rows: what they hold.'''\n    return 'x'.replace('https://', '')",
    "requests = [1]\nx = max(requests)",
    "try:\n    import flash_attn\nexcept ImportError:\n    flash_attn = None",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas",
)


@pytest.mark.parametrize("text", CODE_FINE)
def test_what_does_nothing_is_no_fault(text):
    assert code.findings((ROOT / "sft_utils.py").read_text() + "\n" + text + "\n") == []


# Syntax -> whether Python 3.10 reads it; Python 3.12 and newer read all of it.
SYNTAX = {
    "x = a[*b]": False,
    "x = a[(*b,)]": True,
    "def f(*a: *T): ...": False,
    "def f[T](x: T): ...": False,
    "class A[T]: ...": False,
    "type X = int": False,
    "try: ...\nexcept* ValueError: ...": False,
    "with (open('a') as b, open('c') as d): ...": True,
    "match x:\n    case 1: ...": True,
    "x = f'{d['k']}'": False,
    "x = f'{d[\"k\"]}'": True,
    "x = (f'a'\n  f'{d['k']}')": False,
    'x = f"{f"{1}"}"': False,
    "x = f\"{f'{1}'}\"": True,
    'x = f"""{f"""x"""}"""': False,
    'x = f"""{d["k"]}"""': True,
    "x = f'{\"\\n\".join(d)}'": False,
    "x = f'\\n{d}\\n{{}}'": True,
    "x = rf'\\d{d}\\d'": True,
    "x = f'{f\"\\n\"}'": False,
    "x = f'{\n1}'": False,
    "x = f'''{\n1\n}'''": True,
    "x = f'''{\n1 # one\n}'''": False,
    "x = f'''{1 + \\\n1}'''": False,
    "x = f'{a!r:{w}}'": True,
    "x = f'{a:{w:{y}}}'": False,
    "x = f'it\\'s {d} {{it}}'  # it's": True,
}


@pytest.mark.parametrize(("text", "reads"), SYNTAX.items(), ids=SYNTAX)
def test_syntax_that_the_contracts_python_cannot_read_is_named(text, reads):
    found = code.findings((ROOT / "sft_utils.py").read_text() + "\n" + text + "\n")
    assert {each.check for each in found} == (set() if reads else {"syntax"})


OTHER_PYTHONS = [name for name in ("python3.12", "python3.13", "python3.14") if shutil.which(name)]


@pytest.mark.parametrize("python", OTHER_PYTHONS or [None])
def test_a_newer_python_names_the_same_syntax(python):
    """Python 3.12 reads f-strings that 3.10 does not, so what `ast` says is not enough there."""
    if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
        pytest.skip("no newer Python here; the linter runs on any from 3.11")
    script = "import sys, json; from data.submission.checks import code\n"
    script += "print(['syntax' in {f.check for f in code.findings(each)} for each in json.loads(sys.argv[1])])"
    command = [python, "-c", script, json.dumps(list(SYNTAX))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([not reads for reads in SYNTAX.values()])


@pytest.mark.skipif(not STOCK_PYTHON.is_file(), reason="no .venv-stock: `make rehearse` makes it")
def test_the_contracts_python_agrees():
    wrong = {text: reads for text, reads in SYNTAX.items() if (syntax.ask(STOCK_PYTHON, text) is None) != reads}
    assert wrong == {}
    assert syntax.ask(STOCK_PYTHON, "x = 1\nx = a[*b]\n") == (2, "invalid syntax")
    modules = sorted(code.DEPENDENCIES - {"deepspeed", "flash_attn", "wandb"})
    script = f"import importlib.util as u; print([m for m in {modules} if not u.find_spec(m)])"
    done = subprocess.run([STOCK_PYTHON, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "what is said to be there is there"


def test_code_that_is_nested_too_deeply_is_one_sentence():
    found = code.findings((ROOT / "sft_utils.py").read_text() + "\nx = open(" + "+".join(["'a'"] * 3000) + ")\n")
    assert [each.check for each in found] == ["syntax"]


def test_a_missing_function_is_named():
    assert [each.check for each in code.findings("def get_tokenizer(model_name_or_path, set_pad_token=True): ...")] == [
        "signature"
    ] * 2


def test_more_parameters_with_a_default_are_fine():
    text = (ROOT / "sft_utils.py").read_text().replace("task: str) -> dict:", "task: str, few_shot: int = 0) -> dict:")
    assert "few_shot" in text and code.findings(text) == []


def fill(folder: Path, *, train=None, validation=None, **written: str) -> None:
    for split, lines in (("train", train), ("validation", validation)):
        if lines is not None:
            write_rows(folder, split, lines)
    for name, text in written.items():
        (folder / name).write_text(text)


MANY = [row(f"What is 2 + {number}?") for number in range(200)]
FEW = [row("What is 9 + 9?")]
NEWER = '{"features": {"messages": {"feature": {"role": {"dtype": "string", "_type": "Value"}}, "_type": "List"}}}'
FILE_FAULTS = {
    "too many of validation": (lambda f: fill(f, validation=MANY[:101], train=FEW), "counts"),
    "no rows": (lambda f: fill(f, validation=["", ""]), "counts"),
    "an empty file": (lambda f: fill(f, validation=[]), "file"),
    "a missing file": (lambda f: (f / "sft_utils.py").rename(f / "utils.py"), "file"),
    "a broken line": (lambda f: fill(f, validation=[*FEW, '{"messages": [']), "line"),
    "a byte order mark": (lambda f: fill(f, validation=["\ufeff" + json.dumps(FEW[0])]), "line"),
    "a line of 11 MB": (lambda f: fill(f, validation=[row("x" * 11_000_000)]), "line-size"),
    "NaN": (
        lambda f: fill(f, validation=[json.dumps(FEW[0] | {"score": float("nan")})]),
        "not-a-number",
    ),
    "half a character": (lambda f: fill(f, validation=[row("\ud800?")]), "surrogate"),
    "no assistant": (lambda f: fill(f, validation=[{"messages": FEW[0]["messages"][:1]}]), "roles"),
    "no text": (lambda f: fill(f, validation=[row("What?", " ")]), "roles"),
    "no box": (lambda f: fill(f, validation=[row("What?", "5")]), "box"),
    "a box that never closes": (lambda f: fill(f, validation=[row("What?", r"\boxed{5}, \boxed{5")]), "box"),
    "two types in a column": (
        lambda f: fill(f, validation=[row("a?", answer=5), row("b?", answer="5")]),
        "column-type",
    ),
    "a column here and there": (lambda f: fill(f, validation=[row("a?", answer=5), row("b?")]), "column-missing"),
    "duplicates": (lambda f: fill(f, train=[*MANY[:50], *MANY[:50]]), "duplicates"),
    "a leak": (lambda f: fill(f, validation=[row(" what IS 2 + 7?")]), "leak"),
    "a token": (lambda f: fill(f, **{"sft_config.yaml": "hub_token: hf_" + "a" * 34}), "secret"),
    "a key in a row": (lambda f: fill(f, validation=[row("AKIA" + "A" * 16)]), "secret"),
    "a symlink": (lambda f: (f / "dataset" / "more.jsonl").symlink_to("/etc/passwd"), "symlink"),
    "a dataset of newer features": (lambda f: fill(f, **{"dataset/dataset_info.json": NEWER}), "stored-features"),
    "a stored file that is none": (lambda f: fill(f, **{"dataset/x.arrow": "x"}), "stored-features"),
    "a description that is none": (lambda f: fill(f, **{"dataset/dataset_info.json": "[1]"}), "stored-features"),
    "another file": (lambda f: fill(f, **{"notes.txt": "x"}), "stray-file"),
}


@pytest.mark.parametrize(("seed", "check"), FILE_FAULTS.values(), ids=FILE_FAULTS)
def test_a_fault_of_the_files_is_named(seed, check, folder):
    seed(folder)
    found = [*files.findings(folder, "dataset"), *rows.findings(folder / "dataset")]
    assert check in {each.check for each in found}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("hf_" + "aB3" * 12, "a Hugging Face token"),
        ("key: sk-ant-api03-" + "x" * 40, "an OpenAI or Anthropic key"),
        ("ASIA" + "Q" * 16, "an AWS key"),
        ("ghp_" + "a" * 36, "a GitHub token"),
        ("github_pat_" + "a" * 60, "a GitHub token"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("PASSWORD = 'hunter22hunter'", "a password"),
        ("The Asian market sk-ipped; a password has 8 letters; risk-free", None),
    ],
)
def test_secrets_are_known_by_their_form(line, what):
    assert files.secrets_in(line.encode()) == ([what] if what else [])


def test_two_odd_rows_in_a_thousand_are_told_and_not_refused(folder):
    lines = [row(f"What is 2 + {number}?") for number in range(1000)]
    write_rows(folder, "train", [*lines[:-2], row("a?", "no box"), lines[0]])
    assert {(each.check, each.fatal) for each in rows.findings(folder / "dataset")} == {
        ("box", False),
        ("duplicates", False),
    }


def test_a_problem_of_a_benchmark_among_the_training_rows_is_named(folder, tmp_path_factory):
    benchmarks = tmp_path_factory.mktemp("benchmarks")
    lines = [{"id": str(number), "problem": f"WHAT is  2 + {number}?", "answer": "5"} for number in (98, 99, 100)]
    (benchmarks / "sums.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (benchmarks / "manifest.json").write_text("{}")
    (found,) = rows.findings(folder / "dataset", tests=lint.tests(benchmarks))
    assert found.check == "benchmark-leak" and "2 of the 3 problems of sums" in found.problem


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("math500/test.jsonl", r"holds no benchmark \(folders: math500\)"),
        ("train.jsonl", "holds no benchmark beside train and validation"),
    ],
)
def test_a_folder_without_tests_is_refused(path, said, tmp_path):
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text('{"problem": "p", "answer": "1"}\n')
    with pytest.raises(UserError, match=said) as refusal:
        lint.tests(tmp_path)
    assert refusal.value.exit_code == 2


def test_a_problem_of_a_benchmark_is_named_behind_a_wrapper_and_nearly(folder, tmp_path_factory):
    """By the rule of `data audit`: word for word is fatal, a template with other numbers is told."""
    benchmarks = tmp_path_factory.mktemp("benchmarks")
    near = "A train leaves at {} and goes to a town that is {} miles away at 50 miles per hour; when does it get there?"
    problems = ["Simplify $2x$.", near.format(7, 200), "Compute $3!$."]
    lines = [{"id": str(number), "problem": problem, "answer": "5"} for number, problem in enumerate(problems)]
    (benchmarks / "mixed.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    wrapped = "Solve this.\n\nSimplify $2x$.\n\nPut your final answer within \\boxed{}."
    write_rows(folder, "train", [row(wrapped), row(near.format(8, 450)), row("Simplify $2x + 3$.")])
    found = {each.problem: each.fatal for each in rows.findings(folder / "dataset", tests=lint.tests(benchmarks))}
    assert found == {
        "1 of the 3 problems of mixed are trained on, word for word": True,
        "1 of the 3 problems of mixed are trained on, nearly word for word": False,
    }


# What a template gives -> what is said of it. {p} and {s}: problem and solution; the tokenizer adds no BOS by itself.
BOS, EOS = "<|im_start|>", "<|im_end|>"
TEMPLATE_FAULTS = {
    "no EOS": (BOS + "Q: {p}\nA: {s}", BOS + "Q: {p}\nA:", False, {"eos-missing"}),
    "two EOS": (BOS + "Q: {p}\nA: {s}" + EOS * 2, BOS + "Q: {p}\nA:", False, {"eos-double"}),
    "no BOS": ("Q: {p}\nA: {s}" + EOS, "Q: {p}\nA:", False, {"bos-missing"}),
    "two BOS": (BOS * 2 + "Q: {p}\nA: {s}" + EOS, BOS * 2 + "Q: {p}\nA:", False, {"bos-double"}),
    "a trailing space": (BOS + "Q: {p}\nA: {s}" + EOS, BOS + "Q: {p}\nA: ", False, {"boundary"}),
    "another prompt": (BOS + "Q: {p}\nA: {s}" + EOS, BOS + "Question: {p}\nA:", False, {"boundary"}),
    "EOS twice by packing": (
        BOS + "Q: {p}\nA: {s}" + EOS,
        BOS + "Q: {p}\nA:",
        True,
        {"eos-packing", "validation-block"},
    ),
    "no EOS, but packing": (BOS + "Q: {p}\nA: {s}", BOS + "Q: {p}\nA:", True, {"validation-block"}),
    "good": (BOS + "Q: {p}\nA: {s}" + EOS, BOS + "Q: {p}\nA:", False, set()),
}


def told_of(template: str, prompt: str, tokenizer, solution: str = "Five") -> dict:
    """What the probe tells of a template, in the shape that `behaviour` reads."""

    def apply_chat_template(example, tokenizer, task):
        turns = [turn["content"] for turn in example["messages"]]
        form = template if task == "sft" else prompt
        return example | {"text": form.format(p=turns[0], s=turns[-1])}

    module = types.SimpleNamespace(apply_chat_template=apply_chat_template)
    splits = {"train": [row("What is 2 + 3?", solution)] * 3, "validation": [row()]}
    asked = probe.rendered(module, tokenizer, row(), "generation")
    return {"stage": "done", "rows": {"train": 3, "validation": 1}, "prompt_end": asked} | probe.tokens(
        module, tokenizer, splits
    )


@pytest.mark.parametrize(("template", "prompt", "packing", "checks"), TEMPLATE_FAULTS.values(), ids=TEMPLATE_FAULTS)
def test_a_fault_of_the_template_is_named(template, prompt, packing, checks, smollm2_tokenizer):
    told = told_of(template, prompt, smollm2_tokenizer)
    found = behaviour.findings(told, {}, {}, packing, stand_in=False)
    assert {each.check for each in found} == checks


@pytest.mark.parametrize("stand_in", [False, True])
def test_an_example_that_is_too_long_is_named_and_a_stand_in_tokenizer_refuses_none(stand_in, smollm2_tokenizer):
    told = told_of(BOS + "{p} {s}" + EOS, BOS + "{p}", smollm2_tokenizer, "7 " * 1100)
    found = behaviour.findings(told, {}, {}, False, stand_in)
    assert [(each.check, each.fatal, each.where) for each in found] == [
        ("length", not stand_in, f"train row 0 ({told['longest']:,} tokens)")
    ]


SAME = {"train": "a", "validation": "b"}
RUN_FAULTS = {
    "other rows the second time": ({"again": {"train": "c", "validation": "b"}}, {}, "determinism"),
    "other rows in another process": ({}, {"digests": {"train": "c", "validation": "b"}}, "sharding"),
    "fewer rows than the file": ({"rows": {"train": 9, "validation": 2}}, {}, "sharding"),
    "another text the second time": ({"same_text_twice": False}, {}, "determinism"),
    "pad is EOS": ({"pad_is_eos": True}, {}, "pad"),
    "no pad token": ({"pad_unset": True}, {}, "pad"),
    "the network": ({"asked": {"network": ["socket.connect"]}}, {}, "network"),
    "a file outside": ({"asked": {"read": ["/etc/x"]}}, {}, "outside-path"),
    "a failure": ({"stage": "load_datasets", "error": "ValueError: x"}, {}, "runs"),
    "a decorator that hides parameters": ({"signatures": {"get_tokenizer": [["args", None]]}}, {}, "signature"),
}


@pytest.mark.parametrize(("first", "second", "check"), RUN_FAULTS.values(), ids=RUN_FAULTS)
def test_what_is_seen_when_it_runs_is_named(first, second, check):
    good = {"stage": "done", "rows": {"train": 100, "validation": 2}, "digests": SAME, "again": SAME, "faults": {}}
    found = behaviour.findings(good | first, {"digests": SAME} | second, {"train": 100, "validation": 2}, False, False)
    assert {each.check for each in found} == {check}


def test_there_are_as_many_traps_as_were_promised():
    named = {check for check, _ in CONFIG_FAULTS.values()} | set(CODE_FAULTS.values())
    named |= {check for _, check in FILE_FAULTS.values()} | {check for *_, check in RUN_FAULTS.values()}
    named |= {check for *_, checks in TEMPLATE_FAULTS.values() for check in checks} | {"missing-key", "length"}
    assert len(named) >= 50
