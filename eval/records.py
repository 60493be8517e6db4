"""The vocabulary of evaluation: frozen records that every other module speaks, and the error for people."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

# What may be changed at the end of the prompt, or before it, to see what the boundary is worth: name -> text added.
PROMPT_VARIANTS = {"": "", "space": " ", "newline": "\n", "no-bos": ""}


class UserError(Exception):
    """Something the user can put right; its text is one sentence that names the file, the value and the fix.

    `exit_code` is 2 for a wrong request (unknown benchmark, bad option), 1 for a result that must not be trusted
    (incomplete checkpoint, prompt that differs from training).
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def first_line(error: BaseException) -> str:
    """The first line of an error's text, which is its sentence; what follows is mostly advice for other situations."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def split_names(text: str) -> tuple[str, ...]:
    """The names of a list such as "math500, gsm8k", each once, in order; an empty one is kept, for the reader to refuse."""
    return tuple(dict.fromkeys(map(str.strip, text.split(","))))


def quoted(text: object) -> str:
    """A path or name as a shell reads it, for commands that messages suggest: `'my run'`, `./-x`, `$'\\x1b'`."""
    shown = f"./{text}" if str(text).startswith("-") else str(text)
    if shown.isprintable():
        return shlex.quote(shown)
    # What a terminal would obey is spelled, as bash and zsh read it.
    escaped = re.sub(r"[\\']", r"\\\g<0>", shown)
    return f"$'{''.join(sign if sign.isprintable() else _spelled(sign) for sign in escaped)}'"


def _spelled(sign: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in sign.encode("utf-8", "surrogateescape"))


@dataclass(frozen=True)
class Problem:
    """One line of a benchmark. `answer` is the reference in LaTeX or plain text."""

    id: str
    benchmark: str
    problem: str
    answer: str
    subject: str | None = None
    level: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Reading:
    """What was taken for a problem's answer instead of what is stated; None where nothing can be read."""

    id: str
    stated: str
    answer: str | None
    how: str


@dataclass(frozen=True)
class Benchmark:
    """A test set: the problems used, in file order, the sha256 of their ids, texts and answers, and how many there are.

    `readings` say which answers are not what the file states.
    """

    name: str
    problems: tuple[Problem, ...]
    sha256: str
    available: int
    readings: tuple[Reading, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen. Temperature 0 is greedy; `max_tokens` counts new tokens a sample.

    `stop_at_problem` ends an output where it begins the template's next problem, as well as at EOS. `repeat` numbers
    decodings that are meant to be equal, and `max_batch` bounds the prompts that are decoded at a time: both exist to
    measure how far equal decodings differ.
    """

    max_tokens: int = 2048
    temperature: float = 0.0
    top_p: float = 1.0
    n_samples: int = 1
    seed: int = 0
    stop_at_problem: bool = True
    repeat: int = 0
    max_batch: int | None = None


@dataclass(frozen=True)
class Completion:
    """What an engine returns for one prompt and sample: the new token ids, those that stopped it included.

    `finish_reason` is "stop" (a stop token), "problem" (it began the template's next problem) or "length" (the budget).
    """

    token_ids: tuple[int, ...]
    finish_reason: str


@dataclass(frozen=True)
class Prediction:
    """One line of predictions.jsonl: immutable once written."""

    id: str
    sample: int
    text: str
    finish_reason: str
    output_tokens: int
    token_ids_sha: str


@dataclass(frozen=True)
class Checkpoint:
    """A model folder that loads: every tensor its config implies is there. `weights_sha` identifies its content.

    `name` is what people call it: the folder as it was given, or the hub id whose copy `path` is. `folder` is the absolute
    folder, links resolved, that holds the model, or the adapter that `path` was merged from; None for a model of the hub.
    `adapter_sha` identifies that adapter, "" for a model that was trained whole.
    """

    path: Path
    name: str
    step: int | None
    run: str
    weights_sha: str = field(repr=False)
    folder: Path | None = None
    adapter_sha: str = field(default="", repr=False)
