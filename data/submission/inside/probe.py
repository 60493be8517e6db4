"""Runs a submission's three functions and says what they do, as JSON. Alone in a process of its own, in either stack.

    python probe.py JOB.json OUT.json

JOB: {"submission", "dataset", "model", "readable", "packing", "digests"}: the unpacked folder, the dataset's path as the
config has it, a folder with a tokenizer, the folders that may be read besides, packing as the contract's trainer reads it,
and the digests of the rows in the files: rows with other digests are written to rows/ in the writable folder. With
"rows_only" nothing is rendered. With "others" load_datasets also reads a copy of the dataset with other texts; with
"alone" it reads nothing else.
Standard library and the stack only, Python 3.10.
"""

from __future__ import annotations

import copy
import hashlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

MAX_TOKENS = 2048
BATCH = 500
SHOWN = 5  # rows named for each fault

NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
PROCESSES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn")
SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib", "/lib64", "/run", "/opt")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Watch:
    """An audit hook: what the submission's code asked of the machine, and a refusal of the network."""

    def __init__(self, readable: Iterable[str], writable: Iterable[str]) -> None:
        prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, str(Path(__file__).parent))
        self.writable = tuple(os.path.realpath(path) for path in writable)
        self.readable = tuple(os.path.realpath(path) for path in (*readable, *prefixes)) + self.writable + SYSTEM
        self.seen: dict[str, list[str]] = {"network": [], "process": [], "read": [], "write": []}
        self.on = False
        sys.addaudithook(self.hook)

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "socket.connect" and args[0].family == getattr(socket, "AF_UNIX", None):
            return  # a local process: this is how `map(num_proc=2)` talks to its workers
        if event in NETWORK:
            self.note("network", f"{event} {args[1:2] if event == 'socket.connect' else args[:1]}")
            raise PermissionError("a submission may not use the network")
        if event in PROCESSES:
            self.note("process", f"{event} {args[0]!r}")
        elif event == "open" and isinstance(args[0], str | bytes):
            self.opened(os.fsdecode(args[0]), args[1], args[2] or 0)

    def opened(self, name: str, mode: str | None, flags: int) -> None:
        path = os.path.realpath(name)
        writes = bool(flags & WRITES) or any(letter in (mode or "") for letter in "wax+")
        roots = (*self.writable, "/dev") if writes else self.readable
        if not any(path == root or path.startswith(root.rstrip("/") + "/") for root in roots):
            self.note("write" if writes else "read", path)

    def note(self, kind: str, what: str) -> None:
        if len(self.seen[kind]) < SHOWN and what not in self.seen[kind]:
            self.seen[kind].append(what)


def load_module(folder: Path) -> Any:
    """The submission's sft_utils as a module."""
    spec = importlib.util.spec_from_file_location("sft_utils", folder / "sft_utils.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["sft_utils"] = module
    spec.loader.exec_module(module)
    return module


def rows_digest(rows: Iterable[Any]) -> str:
    """sha256 over the turns of all rows in order, role and text: the same in every version of `datasets`."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(turns_of(row))
    return digest.hexdigest()


def turns_of(row: Any) -> bytes:
    """The bytes that a row adds to the digest. Raises AttributeError or TypeError where it has no turns."""
    turns = [[str(turn.get(key)) for key in ("role", "content")] for turn in row.get("messages") or ()]
    return json.dumps(turns).encode() + b"\n"


def write_rows(splits: dict[str, Any], digests: dict[str, str], known: dict[str, str], folder: Path) -> None:
    """Writes the rows of the splits whose digest differs from the known one, as JSON Lines."""
    for name in (name for name in splits if digests[name] != known.get(name)):
        folder.mkdir(exist_ok=True)
        with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as target:
            for row in splits[name]:
                target.write(json.dumps({"messages": row.get("messages")}, default=str) + "\n")


def load_splits(module: Any, dataset: str) -> dict[str, Any]:
    """{"train", "validation"} as `load_datasets` gives them; TypeError where those are no two data sets."""
    loaded = module.load_datasets(dataset)
    if not isinstance(loaded, tuple | list) or len(loaded) != 2:
        raise TypeError(f"load_datasets returns {type(loaded).__name__}, not the two data sets (train, eval)")
    for split in loaded:
        if "messages" not in getattr(split, "column_names", ()):
            raise TypeError(f"load_datasets returns {type(split).__name__} without a column `messages`")
    return dict(zip(("train", "validation"), loaded))  # noqa: B905 - Python 3.10's zip is meant


def digests_of_others(module: Any, job: dict[str, Any]) -> dict[str, str]:
    """Digests of what load_datasets makes of other texts in the same files; {} where it fails on them, as it may."""
    import changed  # beside this file, where it runs in a process of its own

    folder = Path(job["writable"]) / "others"
    if not changed.write(Path(job["submission"]) / job["dataset"], folder / job["dataset"]):
        return {}
    os.chdir(folder)
    try:
        return {name: rows_digest(rows) for name, rows in load_splits(module, job["dataset"]).items()}
    except Exception:
        return {}
    finally:
        os.chdir(job["submission"])


def signatures(module: Any) -> dict[str, list[Any]]:
    """name -> [[parameter, default or None], …] of the three functions; missing ones are left out."""
    names = ("get_tokenizer", "load_datasets", "apply_chat_template")
    functions = {name: getattr(module, name) for name in names if callable(getattr(module, name, None))}
    return {
        name: [
            [parameter.name, None if parameter.default is parameter.empty else repr(parameter.default)]
            for parameter in inspect.signature(function).parameters.values()
        ]
        for name, function in functions.items()
    }


def rendered(module: Any, tokenizer: Any, row: Any, task: str) -> str:
    """The text of a row, or its prompt: that of the turns before the answer. The row stays as it is."""
    turns = copy.deepcopy(row["messages"])
    if task == "generation" and turns[-1]["role"] == "assistant":
        turns = turns[:-1]
    example = module.apply_chat_template({"messages": turns}, tokenizer, task)
    try:
        text = example["text"]
    except (TypeError, KeyError):
        text = None
    if not isinstance(text, str):
        raise TypeError(f'apply_chat_template(…, "{task}") gives no text in example["text"]')
    return text


def faults_of(ids: list[int], prompt: list[int], tokenizer: Any) -> list[str]:
    """What is wrong with one rendered example, by name; an example may have several."""
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    body, found = ids, []
    if bos is not None and bos != eos:
        count = ids.count(bos)
        found += ["bos-missing"] if ids[:1] != [bos] else []
        found += ["bos-double"] if count > 1 else []
        body = ids[1:]
    if ids[: len(prompt)] != prompt:
        found.append("boundary")
    found += ["eos-missing"] if ids[-1:] != [eos] else []
    found += ["eos-double"] if body.count(eos) > 1 else []
    return found + (["length"] if len(ids) > MAX_TOKENS else [])


def faults_of_texts(row: Any, whole: str, prompt: str) -> list[str]:
    """What is wrong with the texts of one example: the prompt is not its beginning, or a system turn replaced the problem."""
    turns = row["messages"]
    lost = len(turns) > 2 and turns[-2]["content"].strip() not in whole
    return (["prompt"] if not whole.startswith(prompt) else []) + (["turns"] if lost else [])


def is_conversation(messages: Any) -> bool:
    """Whether these are a user's turn and an assistant's with text each, after a system's turn or none."""
    try:
        roles = [turn["role"] for turn in messages]
        texts = [turn["content"] for turn in messages][-2:]
    except (KeyError, TypeError):
        return False
    known = roles in (["user", "assistant"], ["system", "user", "assistant"])
    return known and all(isinstance(text, str) and text.strip() for text in texts)


def tokens(
    module: Any, tokenizer: Any, splits: dict[str, Any], advance: Callable[[int], object] = lambda done: None
) -> dict[str, Any]:
    """Counts, lengths and faults of every example as the trainer would see it, and data.json's digest of its token ids."""
    told: dict[str, Any] = {"faults": {}, "tokens": {}, "token_ids_sha256": {}, "longest": 0, "largest_id": 0}
    before = 0
    for split, rows in splits.items():
        total, digest = 0, hashlib.sha256()
        for start in range(0, len(rows), BATCH):
            part = [rows[index] for index in range(start, min(start + BATCH, len(rows)))]
            good = [(start + index, row) for index, row in enumerate(part) if is_conversation(row.get("messages"))]
            bad = {start + index for index in range(len(part))} - {index for index, _ in good}
            for index in sorted(bad):
                _count(told["faults"], "roles", f"{split} row {index}")
            texts = [[rendered(module, tokenizer, row, task) for _, row in good] for task in ("sft", "generation")]
            whole, asked = (_ids(tokenizer, each) for each in texts)
            for (index, row), text, begin, ids, prompt in zip(good, *texts, whole, asked):  # noqa: B905
                total += len(ids)
                digest.update(json.dumps(ids).encode())
                told["longest"] = max(told["longest"], len(ids))
                told["largest_id"] = max(told["largest_id"], *ids, *prompt, 0)
                of_texts = faults_of_texts(row, text, begin)
                of_ids = [name for name in faults_of(ids, prompt, tokenizer) if name != "boundary" or not of_texts]
                for name in (*of_texts, *of_ids):
                    extra = f" ({len(ids):,} tokens)" if name == "length" else ""
                    _count(told["faults"], name, f"{split} row {index}{extra}")
            advance(before + start + len(part))
        before += len(rows)
        told["tokens"][split], told["token_ids_sha256"][split] = total, digest.hexdigest()
    return told


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return list(tokenizer(texts).input_ids) if texts else []


def _count(faults: dict[str, Any], name: str, where: str) -> None:
    entry = faults.setdefault(name, {"count": 0, "rows": []})
    entry["count"] += 1
    if len(entry["rows"]) < SHOWN:
        entry["rows"].append(where)


def same_text_twice(module: Any, tokenizer: Any, splits: dict[str, Any]) -> bool:
    """Whether the template renders the first row the same way twice."""
    row = next((row for row in splits["train"] if is_conversation(row.get("messages"))), None)
    return row is None or len({rendered(module, tokenizer, row, "sft") for _ in range(2)}) == 1


def vocabulary(tokenizer: Any, folder: Path) -> dict[str, Any]:
    """What get_tokenizer made of the model's own tokenizer.json: the tokens that it added, and whether that one adds BOS.

    {} where either cannot be read.
    """
    try:
        own = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        vocabulary = own["model"]["vocab"]  # a dict, or [token, score] pairs
        known = {each[0] if isinstance(each, list) else each for each in vocabulary}
        known |= {each["content"] for each in own.get("added_tokens") or ()}
        there = tokenizer.get_vocab()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    added = sorted((number, token) for token, number in there.items() if token not in known)
    return {"added": added[-SHOWN:], "added_count": len(added), "adds_bos": begins(own.get("post_processor"))}


def size_of(folder: Path) -> int:
    """The vocab_size in a model's config.json; 0 where it has none, so that every id is beyond it."""
    try:
        return int(json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def begins(processor: Any) -> bool:
    """Whether a tokenizer.json puts a special token before every text."""
    if not isinstance(processor, dict):
        return False
    single = processor.get("single") or [{}]
    return "SpecialToken" in single[0] or any(begins(each) for each in processor.get("processors") or ())


def probe(job: dict[str, Any], told: dict[str, Any]) -> None:
    """Fills `told` stage by stage, so that what was found before a failure is not lost."""
    told["versions"] = {name: importlib.metadata.version(name) for name in ("datasets", "transformers")}
    watch = Watch((job["submission"], job["model"], *job["readable"]), (job["writable"],))
    told["asked"] = watch.seen
    watch.on = True
    told["stage"] = "import"
    module = load_module(Path(job["submission"]))
    told["signatures"] = signatures(module)
    if len(told["signatures"]) < 3:
        return
    told["stage"] = "load_datasets"
    if job.get("alone"):
        told["others"] = digests_of_others(module, job)
        return
    splits = load_splits(module, job["dataset"])
    told["rows"] = {name: len(rows) for name, rows in splits.items()}
    told["digests"] = {name: rows_digest(rows) for name, rows in splits.items()}
    if not job.get("rows_only"):
        write_rows(splits, told["digests"], job["digests"], Path(job["writable"]) / "rows")
    told["again"] = {name: rows_digest(rows) for name, rows in load_splits(module, job["dataset"]).items()}
    if job.get("others"):
        told["others"] = digests_of_others(module, job)
    if job.get("rows_only"):
        return
    told["stage"] = "get_tokenizer"
    # By keyword, and without a pad token where nothing is packed: as the contract's trainer calls it.
    tokenizer = module.get_tokenizer(model_name_or_path=job["model"], set_pad_token=job["packing"])
    told["special"] = {name: getattr(tokenizer, name) for name in ("bos_token", "eos_token", "pad_token")}
    told["pad_unset"] = tokenizer.pad_token_id is None
    told["pad_is_eos"] = tokenizer.pad_token_id == tokenizer.eos_token_id
    told["vocabulary"] = vocabulary(tokenizer, Path(job["model"]))
    told["stage"] = "apply_chat_template"
    told["same_text_twice"] = same_text_twice(module, tokenizer, splits)
    progress = Path(job["writable"]) / "progress"
    told |= tokens(module, tokenizer, splits, lambda done: progress.write_text(str(done)))
    told["used_beyond"] = max(told["largest_id"], tokenizer.pad_token_id or 0) >= size_of(Path(job["model"]))
    told["prompt_end"] = rendered(module, tokenizer, {"messages": [{"role": "user", "content": "1"}]}, "generation")[
        -20:
    ]


def main() -> int:
    """Writes what was found to OUT.json; 0 where all stages were reached, else 1."""
    job, out = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")), Path(sys.argv[2])
    told: dict[str, Any] = {"stage": "start"}
    started = time.monotonic()
    try:
        probe(job, told)
        told["stage"] = "done"
    except BaseException as error:  # SystemExit too: the submission's code may call it
        told["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    told["seconds"] = round(time.monotonic() - started, 1)
    out.write_text(json.dumps(told, default=str), encoding="utf-8")
    return 0 if told["stage"] == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
