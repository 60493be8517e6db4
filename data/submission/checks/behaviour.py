"""What the three functions do when they are run: twice, in processes of their own, without network, under other settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data.submission.checks.code import SIGNATURES
from data.submission.checks.findings import Finding, shown

NAME = "sft_utils.py"
BLOCK = 2048

FAULTS = {
    "roles": ("are no user turn and assistant turn with text each", "mend or drop them"),
    "length": (
        "exceed 2,048 tokens; the stock trainer cuts them, and their box and EOS with it",
        "shorten or drop them",
    ),
    "bos-missing": ("do not begin with BOS", "add it in the template where the tokenizer does not"),
    "bos-double": ("begin with two BOS", "let the template or the tokenizer add it, not both"),
    "prompt": (
        "do not begin with their generation prompt: the model gets a prompt that training never shows",
        'make the text of task="generation" the beginning of that of task="sft"',
    ),
    "boundary": (
        "are not begun by their generation prompt, token for token (a space at its end?)",
        'make task="generation" the beginning of task="sft", without a space at its end',
    ),
    "turns": (
        "have a system turn, and the training text does not contain the problem",
        "take the problem from the user's turn, or drop the system turns",
    ),
    "eos-missing": (
        "do not end in EOS, so without packing the model never learns to stop",
        'end task="sft" with tokenizer.eos_token',
    ),
    "eos-double": ("hold more than one EOS", "once, at the end"),
}


def findings(
    first: dict[str, Any], second: dict[str, Any], lines: dict[str, int], packing: bool, stand_in: bool
) -> list[Finding]:
    """What two runs of `inside/probe.py` saw; the second one had other settings, rank and hash seed.

    `lines` counts the rows of the files; `stand_in` says that the tokenizer is not that of the config's model, so that
    lengths are those of another vocabulary and no reason to refuse.
    """
    return [
        *failures(first),
        *asked(first),
        *called(first.get("signatures")),
        *repeated(first, second, lines),
        *made_up(second),
        *template(first, packing, stand_in),
    ]


def failures(told: dict[str, Any]) -> Iterator[Finding]:
    if told.get("stage") != "done" and "error" in told:
        problem = f"{told['stage']} fails: {shown_error(told['error'])}"
        yield Finding("runs", NAME, problem, "make it work on the unpacked submission alone, without network")


def shown_error(text: str) -> str:
    return text if len(text) < 200 else text[:200] + "…"


def asked(told: dict[str, Any]) -> Iterator[Finding]:
    """What the functions reached for, by the audit hook."""
    rules = {
        "network": ("network", "reached for the network", "ship the rows in the dataset's folder"),
        "process": ("process", "started a process", "write it without"),
        "read": ("outside-path", "read a file outside of the submission", "put it into the dataset's folder"),
        "write": ("write", "wrote a file", "a submission only reads"),
    }
    for kind, what in told.get("asked", {}).items():
        if what:
            check, problem, fix = rules[kind]
            yield Finding(check, NAME, f"when run, it {problem}: {shown(what[0])}", fix)


def called(given: dict[str, list[list[Any]]] | None) -> Iterator[Finding]:
    """Names and parameters of the functions as they are, however they were made."""
    for name, wanted in SIGNATURES.items() if given is not None else ():
        parameters = given.get(name) if given else None
        if parameters is None or [parameter for parameter, _ in parameters][: len(wanted)] != wanted:
            yield Finding(
                "signature", NAME, f"{name} is not callable as {name}({', '.join(wanted)})", "keep the three signatures"
            )


def repeated(first: dict[str, Any], second: dict[str, Any], lines: dict[str, int]) -> Iterator[Finding]:
    digests = first.get("digests")
    if not digests:
        return
    if digests != first.get("again"):
        problem = "load_datasets gives other rows when it is called a second time"
        yield Finding("determinism", NAME, problem, "no randomness without a seed, no order from sets or folders")
    elif digests != second.get("digests"):
        problem = "load_datasets gives other rows in another process (RANK=1 of 8, another hash seed)"
        yield Finding("sharding", NAME, problem, "the trainer shards by itself: give every process the same rows")
    for split, count in first.get("rows", {}).items():
        if lines.get(split) and count != lines[split]:
            problem = f"load_datasets gives {count:,} rows of {split}, the file has {lines[split]:,}"
            fix = "select rows when the dataset is built, so that the files hold exactly the training rows"
            yield Finding("sharding", NAME, problem, fix, False)
    if first.get("same_text_twice") is False:
        problem = "apply_chat_template renders the same row differently the second time"
        yield Finding("determinism", NAME, problem, "remove randomness and state")


def unmoved(told: dict[str, Any]) -> list[str]:
    """The splits that load_datasets gives alike where the files hold other texts."""
    others = told.get("others") or {}
    return [split for split, digest in (told.get("digests") or {}).items() if others.get(split) == digest]


def made_up(told: dict[str, Any]) -> Iterator[Finding]:
    """Rows that are not made of the files, whether or not the code opens them."""
    for split in unmoved(told):
        problem = f"load_datasets gives the same rows of {split} whatever texts the files hold: it makes them up"
        fix = "make the rows of the files that travel, below dataset_name_or_path"
        yield Finding("made-up", NAME, problem, fix, split == "train")


def template(told: dict[str, Any], packing: bool, stand_in: bool) -> Iterator[Finding]:
    faults = told.get("faults", {})
    total = sum(told.get("rows", {}).values())
    for name, (what, fix) in FAULTS.items():
        if name not in faults or (name == "eos-missing" and packing):
            continue
        count, rows = faults[name]["count"], faults[name]["rows"]
        problem = f"{count:,} of {total:,} rows {what}"
        # A tokenizer that adds no BOS belongs to a model that was trained without BOS.
        bos_of_its_own = told.get("vocabulary", {}).get("adds_bos", True)
        known = name == "boundary" or (name == "length" and stand_in) or (name == "bos-missing" and not bos_of_its_own)
        yield Finding("boundary" if name == "prompt" else name, rows[0], problem, fix, not known)
    yield from pad(told, packing)
    if str(told.get("prompt_end", "")).endswith((" ", "\t")) and not faults.keys() & {"boundary", "prompt"}:
        problem = "the generation prompt ends in a space, a token that training may not show there"
        yield Finding("boundary", NAME, problem, "end the prompt at its last letter", False)
    if packing and told.get("faults") is not None and "eos-missing" not in faults and told.get("stage") == "done":
        problem = "packing of the stock trainer appends an EOS to each example, so each has two"
        yield Finding(
            "eos-packing",
            NAME,
            problem,
            "packing: false, or a template without EOS; the first one is what stops a model",
            False,
        )
    tokens = told.get("tokens", {}).get("validation", BLOCK)
    if packing and tokens < BLOCK:
        problem = f"validation has {tokens:,} tokens, less than one packed block of {BLOCK:,}: the stock trainer raises at its start"
        yield Finding(
            "validation-block",
            "sft_config.yaml",
            problem,
            "more rows of validation (100 are allowed), or packing: false",
        )


def pad(told: dict[str, Any], packing: bool) -> Iterator[Finding]:
    """The pad token of the tokenizer that the contract's trainer gets: it passes set_pad_token=packing."""
    fix = "set another pad token in get_tokenizer; see PAD_CANDIDATES in this project's sft_utils.py"
    if told.get("pad_unset"):
        problem = (
            f"the pad token is unset after get_tokenizer(…, set_pad_token={packing}): the contract's trainer passes "
        )
        problem += "set_pad_token=packing, and its collator raises without a pad token"
        yield Finding("pad", NAME, problem, f"{fix}, whatever set_pad_token says")
    if told.get("pad_is_eos") and not packing:
        problem = "pad is EOS: without packing the stock collator masks every EOS, and the model never learns to stop"
        yield Finding("pad", NAME, problem, fix)
