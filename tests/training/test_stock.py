"""The contract's stock config and stock sft_utils.py, trained here as they are and scored, on a tiny Llama."""

import copy
import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from datasets import Dataset, DatasetDict
from tokenizers.processors import TemplateProcessing

from data.synthetic import write_dataset
from eval import checkpoints, prompts
from tests.data.stock_submission import CONFIG
from tests.training.real_runs import ROOT, train

# As handed out, but for steps of one packed row: the few rows here give one step of four.
SETTINGS = CONFIG | {"per_device_train_batch_size": 1}
OWN = ("sft.py", "sft_utils.py", "launch.py")  # Python looks for modules beside the real file: these are no links


@pytest.fixture(scope="module")
def stock_llama(tmp_path_factory, tiny_llama, smollm2_tokenizer):
    """The tiny Llama with a tokenizer that adds BOS by itself, as Llama 3's does, and that has a pad token."""
    folder = tmp_path_factory.mktemp("stock") / "model"
    shutil.copytree(tiny_llama, folder)
    kind = copy.deepcopy(smollm2_tokenizer)
    kind.pad_token = "<|endoftext|>"
    kind.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", kind.bos_token_id)]
    )
    kind.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """The project with the stock sft_utils.py in it."""
    folder = tmp_path_factory.mktemp("stock-project")
    for name in ("graders", "eval", "data", "training", "deepspeed_zero3.yaml"):
        (folder / name).symlink_to(ROOT / name)
    for name in OWN:
        shutil.copy(ROOT / ("tests/stock_sft_utils.py" if name == "sft_utils.py" else name), folder / name)
    return folder


@pytest.fixture(scope="module")
def trained(project, stock_llama):
    """(the run, what was said): of ten shards of saved rows the stock file takes the first."""
    write_dataset(project / "rows", train=640, test=8, validation=60)
    splits = {
        split: Dataset.from_json(str(project / "rows" / f"{name}.jsonl"), keep_in_memory=True)
        for split, name in (("train", "train"), ("test", "validation"))
    }
    DatasetDict(splits).save_to_disk(str(project / "saved"))
    before = sorted(path.name for path in (project / "saved").rglob("*"))
    settings = SETTINGS | {"model_name_or_path": str(stock_llama), "dataset_name_or_path": str(project / "saved")}
    settings |= {"output_dir": str(project / "checkpoints"), "run_name": "stock"}
    (project / "sft_config.yaml").write_text(yaml.safe_dump(settings))
    said = train(project / "sft_config.yaml", "--allow", "boundary", root=project)
    assert sorted(path.name for path in (project / "saved").rglob("*")) == before
    return project / "checkpoints" / "stock", said


def test_the_stock_files_train_here_with_one_allowance(trained):
    run, said = trained
    assert "packing appends it, as the contract's trainer does" in said and "64 examples" in said
    (folder,) = checkpoints.steps(run)
    note = json.loads((folder / "prompt.json").read_text())
    assert note["allowed"] == ["boundary", prompts.APPENDED_EOS] and note["next_problem"] == "### Problem:"
    assert note["template"] == "### Problem: {problem}\n### Solution: {solution}\n"


def test_and_what_they_trained_is_scored_without_any(trained, project):
    run, _ = trained
    command = [sys.executable, "-m", "eval", "run", run, "--benchmark", "synthetic-test", "--max-tokens", "8"]
    command += ["--benchmarks-dir", project / "rows", "--engine", "hf", "--reports", project / "reports", "--json"]
    environment = os.environ | {"PYTHONPATH": str(project)}
    done = subprocess.run(list(map(str, command)), cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["n"] == 8, row
