"""What lies in a submission's folder: the two files, the dataset's, and nothing that another machine would trip over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from data.submission.checks import stored
from data.submission.checks.findings import Finding

NEEDED = ("sft_config.yaml", "sft_utils.py")
SPLITS = ("train", "validation")
KNOWN = {"sft_config.yaml", "sft_utils.py", "manifest.json", "README.md"}
TEXT_BYTES = 1_000_000  # of the config and of sft_utils.py: nobody writes more by hand
LINE_BYTES = 10_000_000
STORED = ("*.arrow", "*.parquet", stored.INFO, stored.SPLITS, stored.STATE)
# What load_datasets may read, inside the dataset's folder.
DATA = (*STORED, "*.jsonl", "*.json", "*.csv", "*.tsv", "*.txt", "*.gz", "*.zst", "*.bz2", "*.xz", "*.yaml")

# What no submission should give away; the forms are those that the services document.
SECRETS = {
    "a Hugging Face token": re.compile(rb"\bhf_[A-Za-z0-9]{30,}"),
    "an OpenAI or Anthropic key": re.compile(rb"\bsk-[A-Za-z0-9_-]{32,}"),
    "an AWS key": re.compile(rb"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a GitHub token": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"),
    "a password": re.compile(
        rb"(?i)\b(?:password|passwd|api_key|secret_key|auth_token)\s{0,4}[=:]\s{0,4}['\"][^'\"\s]{8,}['\"]"
    ),
}

# One of these is in every secret above; looking for them first takes a third of the time.
MARKS: tuple[bytes, ...] = (
    b"hf_",
    b"sk-",
    b"akia",
    b"asia",
    b"ghp_",
    b"gho_",
    b"ghu_",
    b"ghs_",
    b"ghr_",
    b"github_pat_",
    b"private key",
)
MARKS += (b"passw", b"api_key", b"secret_key", b"auth_token")


def findings(folder: Path, dataset: str) -> list[Finding]:
    """What is wrong with the files as such; `dataset` is the dataset's folder as the config names it."""
    return [
        *missing(folder, dataset),
        *incomplete(folder, dataset),
        *strays(folder, dataset),
        *secrets(folder),
    ]


def missing(folder: Path, dataset: str) -> Iterator[Finding]:
    """Findings for the two files, and for a dataset without any file that can hold rows."""
    for name in NEEDED:
        path = folder / name
        yield from absent(folder, name)
        if path.is_file() and not path.is_symlink() and path.stat().st_size > TEXT_BYTES:
            problem = f"this file has {path.stat().st_size:,} bytes"
            yield Finding("file", name, problem, f"at most {TEXT_BYTES:,}: data belongs in the dataset")
    if not any(data_files(folder, dataset)):
        for split in SPLITS:
            yield from absent(folder, f"{dataset}/{split}.jsonl")


def incomplete(folder: Path, dataset: str) -> Iterator[Finding]:
    """Findings for a missing train.jsonl or validation.jsonl where other files are present: load_datasets may read those,
    which running it shows."""
    if any(data_files(folder, dataset)) and not (folder / dataset).is_file():
        for split in SPLITS:
            yield from absent(folder, f"{dataset}/{split}.jsonl")


def absent(folder: Path, name: str) -> Iterator[Finding]:
    path = folder / name
    if not path.is_file() or path.is_symlink():
        yield Finding("file", name, "this file is missing", "a submission is the two files and the dataset's folder")
    elif not path.stat().st_size:
        yield Finding("file", name, "this file is empty", "write it again")


def data_files(folder: Path, dataset: str) -> Iterator[Path]:
    """The files of the dataset that may hold rows."""
    place = folder / dataset
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if path.is_file() and not path.is_symlink() and path.name not in KNOWN and is_data(path):
            yield path


def is_data(path: Path) -> bool:
    return any(path.match(pattern) for pattern in DATA)


def strays(folder: Path, dataset: str) -> Iterator[Finding]:
    rows = {path.relative_to(folder).as_posix() for path in data_files(folder, dataset)}
    rows |= {f"{dataset}/manifest.json", f"{dataset}/README.md"}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            fix = "put the file itself there"
            yield Finding("symlink", name, f"a link to {path.readlink()}, which is not there elsewhere", fix)
        elif not path.is_file() and not path.is_dir():
            yield Finding("special-file", name, "neither a file nor a folder", "remove it")
        elif path.is_file() and any(path.match(pattern) for pattern in STORED):
            yield from stored.findings(path, name)
        elif path.is_file() and name not in KNOWN | rows:
            yield Finding("stray-file", name, "nothing reads this file", "leave it out", False)


def secrets(folder: Path) -> Iterator[Finding]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        with path.open("rb") as opened:
            # In pieces, because a line may have any length.
            for number, line in enumerate(iter(partial(opened.readline, LINE_BYTES), b""), start=1):
                for what in secrets_in(line):
                    where = f"{path.relative_to(folder).as_posix()}:{number}"
                    yield Finding("secret", where, f"this looks like {what}", "take it out, and revoke it")


def secrets_in(line: bytes) -> list[str]:
    """What a line gives away, as SECRETS calls it."""
    lower = line.lower()
    if not any(mark in lower for mark in MARKS):
        return []
    return [what for what, pattern in SECRETS.items() if pattern.search(line)]
