"""A cache of tokenized rows. Its key covers every rendered text, the tokenizer and its flags.

So a change of anything that a template reads (a file, an imported module, the environment) changes the key.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import inspect
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
from datasets import Dataset
from rich.console import Console
from transformers import PreTrainedTokenizer

from eval import prompts
from eval.provenance import installed_versions

COMPARED_ROWS = 50
LEAST_BYTES = 1 << 20  # with less free space than this, a disk counts as full

Encode = Callable[[dict[str, Any]], dict[str, Any]]


class Texts:
    """A running digest over the texts of rows, and the number of rows."""

    def __init__(self) -> None:
        self.sha, self.count = hashlib.sha256(), 0

    def add(self, texts: list[str]) -> None:
        self.sha.update(json.dumps(texts).encode())
        self.count += 1

    def digest(self) -> str:
        """The sha256 (hex) of all texts so far."""
        return self.sha.hexdigest()


def choose_folder(console: Console) -> None:
    """Makes `datasets` use a temporary folder, removed at exit, where its own cache folder cannot be written."""
    folder = Path(datasets.config.HF_DATASETS_CACHE).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(LEAST_BYTES))
    except OSError as error:
        other = tempfile.mkdtemp(prefix="datasets-")
        atexit.register(shutil.rmtree, other, ignore_errors=True)
        datasets.config.HF_DATASETS_CACHE = Path(other)
        console.print(
            f"{folder} cannot be written ({error.strerror or error}); rows are cached in {other} for this run",
            markup=False,
        )


def place(texts: str, tokenizer: PreTrainedTokenizer, append_eos: bool) -> Path | None:
    """The cache file for rows with these texts (their digest); None where the cache folder cannot be written."""
    folder = Path(datasets.config.HF_DATASETS_CACHE).expanduser() / "tokenized"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            key = [texts, describe_tokenizer(tokenizer), append_eos, _sources()]
            return folder / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()}.arrow"
    return None


def describe_tokenizer(tokenizer: PreTrainedTokenizer) -> list[Any]:
    """Everything in a tokenizer that decides ids: its tables, special tokens, flags, and its ids for the probes."""
    probes = [prompts.rendered_ids(prompts.example_of(*probe), tokenizer) for probe in prompts.PROBES]
    backend = getattr(tokenizer, "backend_tokenizer", None)  # read after a first use, which changes its settings
    flags = {name: value for name, value in vars(tokenizer).items() if isinstance(value, str | int | float | bool)}
    return [
        type(tokenizer).__name__,
        backend.to_str() if backend is not None else sorted(tokenizer.get_vocab().items()),
        {name: str(token) for name, token in tokenizer.special_tokens_map.items()},
        [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id],
        {name: repr(value) for name, value in sorted(tokenizer.init_kwargs.items()) if not callable(value)},
        flags,
        probes,
        installed_versions("transformers", "tokenizers"),
    ]


def _sources() -> list[str]:
    from training import examples

    return [inspect.getsource(module) for module in (prompts, examples)]


def read(path: Path, rows: Dataset, encode: Encode, name: str, console: Console) -> Dataset | None:
    """The cached rows; None where there are none, or where sampled rows differ from what `encode` gives."""
    if not path.is_file():
        return None
    try:
        found = Dataset.from_file(str(path))
        same = len(found) == len(rows) and all(found[at] == encode(rows[at]) for at in sample(len(rows)))
    except Exception:  # a damaged file: pyarrow raises a type of its own for each kind
        same = False
    if not same:
        console.print(f"{name}: the cached tokens differ from what is rendered now; tokenizing again", markup=False)
        return None
    return found


def sample(count: int) -> list[int]:
    """The first of `count` rows, the last, and others at even distances."""
    some = min(count, COMPARED_ROWS)
    return sorted({round(at * (count - 1) / max(some - 1, 1)) for at in range(some)})


def write(path: Path | None, rows: Dataset, attempt: Callable[[], Callable[..., Any]], console: Console) -> Dataset:
    """The encoded rows: in `path`, which appears only when complete; in memory where it cannot be written.

    `attempt` gives the function of (row, index) for one pass over the rows.
    """
    choices = {"with_indices": True, "remove_columns": rows.column_names, "load_from_cache_file": False}
    reason = "it cannot be written"
    if path:
        try:
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                whole = Path(folder, path.name)
                rows.map(attempt(), cache_file_name=str(whole), **choices)
                whole.replace(path)
            return Dataset.from_file(str(path))
        except OSError as error:
            reason = error.strerror or str(error)
    console.print(f"{datasets.config.HF_DATASETS_CACHE}: {reason}; tokenized rows are kept in memory", markup=False)
    return rows.map(attempt(), keep_in_memory=True, **choices)
