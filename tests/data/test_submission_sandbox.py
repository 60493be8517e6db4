"""The three functions run in a process of their own: what they reach for is seen, and nothing they do lasts."""

import json
import os
import time
from pathlib import Path

import pytest

from data.submission import sandbox

# The least that the probe accepts, without a library; BODY is what load_datasets does first.
PLAIN = """
import json, logging.handlers, os, pathlib, sys, tempfile, time

class Rows(list):
    column_names = ["messages"]

class Tokenizer:
    bos_token, eos_token, pad_token, bos_token_id, eos_token_id, pad_token_id = None, "~", "_", None, 126, 95
    def __call__(self, texts):
        self.input_ids = [[ord(letter) for letter in text] for text in texts]
        return self

def get_tokenizer(model_name_or_path, set_pad_token=True):
    return Tokenizer()

def load_datasets(dataset_name_or_path):
    rows = [json.loads(line) for line in open(dataset_name_or_path + "/rows.jsonl")]
    BODY
    return Rows(rows), Rows(rows[:1])

def apply_chat_template(example, tokenizer, task):
    turns = [turn["content"] for turn in example["messages"]]
    example["text"] = turns[0] + ":" + (turns[1] + "~" if task == "sft" else "")
    return example
"""


def run(
    tmp_path: Path,
    body: str = "pass",
    timeout_s: float = 60,
    packing: bool = True,
    code: str = PLAIN,
    **environment: str,
) -> dict:
    """What the probe tells of a submission whose load_datasets does `body`."""
    folder = tmp_path / "submission"
    (folder / "dataset").mkdir(parents=True, exist_ok=True)
    turns = [{"role": "user", "content": "2 + 3?"}, {"role": "assistant", "content": "5"}]
    (folder / "dataset" / "rows.jsonl").write_text((json.dumps({"messages": turns}) + "\n") * 3)
    (folder / "sft_utils.py").write_text(code.replace("BODY", body))
    job = {"dataset": "dataset", "model": str(tmp_path / "model"), "readable": [], "packing": packing, "digests": {}}
    return sandbox.start("probe.py", folder, tmp_path / f"work{time.monotonic_ns()}", job, **environment).wait(
        timeout_s
    )


def test_a_submission_that_minds_its_business_is_told_whole(tmp_path):
    told = run(tmp_path)
    assert told["stage"] == "done" and told["rows"] == {"train": 3, "validation": 1}
    assert told["faults"] == {} and told["same_text_twice"] and not told["pad_is_eos"]
    assert told["asked"] == {"network": [], "process": [], "read": [], "write": []}
    assert told["digests"] == told["again"] and told["tokens"] == {"train": 27, "validation": 9}


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("before", [None, 126])
def test_the_tokenizer_is_asked_for_as_the_contracts_trainer_does(before, packing, tmp_path):
    """By keyword, with set_pad_token=packing: what sets the pad token for True only leaves it unset without packing."""
    code = PLAIN.replace(
        "return Tokenizer()", "own = Tokenizer(); own.pad_token_id = 95 if set_pad_token else DEFAULT; return own"
    ).replace("(model_name_or_path, set_pad_token=True)", "(model_name_or_path, *, set_pad_token)")
    told = run(tmp_path, packing=packing, code=code.replace("DEFAULT", repr(before)))
    assert told["stage"] == "done"
    assert (told["pad_unset"], told["pad_is_eos"]) == (not packing and before is None, not packing and before == 126)


REACHES = {
    "the network": ("logging.handlers.SocketHandler('127.0.0.1', 9).createSocket()", "network", "127.0.0.1"),
    "a name server": ("logging.handlers.SocketHandler('example.org', 9).createSocket()", "network", "example.org"),
    "a process": ("os.system('true')", "process", "true"),
    "a file of this machine": (
        "pathlib.Path('../mine.txt').exists() and open('../mine.txt').read()",
        "read",
        "mine.txt",
    ),
    "a file of ours": ("open('../left', 'w').close()", "write", "left"),
    "its own folder": ("open('cache.json', 'w').close()", "write", "cache.json"),
}


@pytest.mark.parametrize(("body", "kind", "what"), REACHES.values(), ids=REACHES)
def test_what_it_reaches_for_is_seen(body, kind, what, tmp_path):
    (tmp_path / "mine.txt").write_text("private")
    told = run(tmp_path, body)
    assert told["stage"] == "done" and len(told["asked"][kind]) == 1 and what in told["asked"][kind][0]


def test_a_temporary_file_is_nothing_to_tell(tmp_path):
    assert run(tmp_path, "tempfile.NamedTemporaryFile('w').write('x')")["asked"]["write"] == []


def test_the_environment_tells_it_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    told = run(tmp_path, "raise ValueError(sorted(os.environ))")
    assert told["stage"] == "load_datasets" and "HF_HUB_OFFLINE" in told["error"] and "HF_TOKEN" not in told["error"]


def test_rows_by_rank_are_other_rows(tmp_path):
    body = "rows = rows[int(os.environ.get('RANK', 0)):]"
    assert run(tmp_path, body)["digests"] != run(tmp_path, body, RANK="1")["digests"]


ENDS = {
    "it hangs": ("time.sleep(60)", "time", "stopped after 3 s"),
    "it leaves": ("sys.exit('done')", "load_datasets", "SystemExit: done"),
    "it dies": ("os._exit(3)", "probe.py", "exit code 3"),
    "it takes all memory": ("bytearray(64 * 2**30)", "load_datasets", "MemoryError"),
    "it fails": ("1 / 0", "load_datasets", "ZeroDivisionError"),
    "it gives one set": ("return Rows(rows)", "load_datasets", "not the two data sets"),
    "it gives lists": ("return rows, rows", "load_datasets", "without a column `messages`"),
}


@pytest.mark.parametrize(("body", "stage", "said"), ENDS.values(), ids=ENDS)
def test_however_it_ends_a_sentence_is_left(body, stage, said, tmp_path):
    told = run(tmp_path, body, timeout_s=3 if "sleep" in body else 60)
    assert told["stage"] == stage and said in told["error"]


READS_JSON = """
from datasets import load_dataset
def load_datasets(dataset_name_or_path):
    rows = load_dataset("json", data_files=dataset_name_or_path + "/rows.jsonl")["train"]
    return rows, rows
"""


def test_rows_of_an_earlier_submission_in_the_same_folder_are_not_read_from_a_cache(tmp_path):
    """`datasets` knows a file by its path and time, and archives give all files the same time."""
    seen = []
    for answer in ("4", "5"):
        run(tmp_path)
        rows = tmp_path / "submission" / "dataset" / "rows.jsonl"
        rows.write_text(rows.read_text().replace('"5"', f'"{answer}"'))
        os.utime(rows, (1e9, 1e9))
        with (tmp_path / "submission" / "sft_utils.py").open("a") as code:
            code.write(READS_JSON)
        job = {"dataset": "dataset", "model": "", "readable": [], "rows_only": True}
        seen.append(sandbox.start("probe.py", tmp_path / "submission", tmp_path / "work", job).wait())
    assert seen[0]["rows"] == {"train": 3, "validation": 3}, seen
    assert seen[0]["digests"] != seen[1]["digests"]


def test_a_temporary_folder_far_down_has_a_short_name_while_it_is_needed(tmp_path):
    listens = "import socket; socket.socket(socket.AF_UNIX).bind(tempfile.mktemp(prefix='a' * 24))"
    told = run(tmp_path / ("deep" * 20), f"{listens}; sys.exit(tempfile.gettempdir())")
    assert told["error"].startswith("SystemExit: /tmp/s-") and not Path(told["error"].split()[1]).parent.exists()
