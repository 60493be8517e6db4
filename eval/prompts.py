"""Token ids for generation, rendered by the same `sft_utils` as training, and the fingerprint that holds the two together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import sft_utils
from eval.records import PROMPT_VARIANTS, Problem, UserError

# Rendered into the fingerprint: a change of template, BOS, EOS or tokenizer changes at least one of them.
# They begin with a word, a digit, LaTeX and a bracket, the kinds of token that meet the prompt's boundary.
PROBES = (
    ("What is 2 + 3?", "Two and three make 5, so the answer is $\\boxed{5}$."),
    ("Find the area of a circle of radius $r$.", "$\\pi r^2$, hence $\\boxed{\\pi r^2}$."),
    ("Solve x^2 = 4.\n\nGive both solutions.", "4 has the roots -2 and 2: \\(\\boxed{\\pm 2}\\)"),
    ("Évaluez $\\frac{1}{2} \\cdot \\sqrt{16}$ \u2014 exactly.", "[Half of four] \\[\\boxed{2}\\]"),
)

# For checkpoints of others, which answer by their own chat template.
INSTRUCTION = "Please reason step by step, and put your final answer within \\boxed{}."
DATE = "26 Jul 2024"  # Llama 3's own default

# What a template can do wrong and `sft.py --allow` lets pass: to measure what the fault costs.
FAULTS = ("boundary", "eos")


def example_of(problem: str, solution: str | None = None) -> dict[str, Any]:
    """A dataset row as `sft_utils` takes it: the problem as the user's turn, the solution as the assistant's."""
    turns = [{"role": "user", "content": problem}]
    if solution is not None:
        turns.append({"role": "assistant", "content": solution})
    return {"messages": turns}


def generation_ids(example: dict[str, Any], tokenizer: Any, variant: str = "") -> list[int]:
    """The prompt's token ids, BOS included, as training saw them; with a change of PROMPT_VARIANTS, as it did not."""
    text = sft_utils.apply_chat_template(dict(example), tokenizer, "generation")["text"]
    ids = list(tokenizer(text + PROMPT_VARIANTS[variant]).input_ids)
    return ids[1:] if variant == "no-bos" and ids[0] == tokenizer.bos_token_id else ids


def chat_ids(problem: str, tokenizer: Any) -> list[int]:
    """The prompt's token ids by the tokenizer's own chat template, with INSTRUCTION after the problem."""
    turn = {"role": "user", "content": f"{problem}\n\n{INSTRUCTION}"}
    # Templates that state a date would make yesterday's predictions irreproducible: theirs is fixed.
    return list(
        tokenizer.apply_chat_template(
            [turn], add_generation_prompt=True, tokenize=True, return_dict=False, date_string=DATE
        )
    )


def rendered_ids(example: dict[str, Any], tokenizer: Any) -> tuple[list[int], list[int]]:
    """(token ids of the whole example, those of its prompt), as they are: whether they fit together is not asked."""
    text = sft_utils.apply_chat_template(dict(example), tokenizer, "sft")["text"]
    return list(tokenizer(text).input_ids), generation_ids(example, tokenizer)


def fault_of(ids: list[int], prompt: list[int], tokenizer: Any) -> str:
    """What is wrong with a rendered example: "bos", "boundary", "supervised" or "eos"; "" for nothing.

    One BOS at the beginning where the tokenizer has one; the generation prompt a beginning of the training text, token
    for token; something but EOS supervised; EOS once, at the end.
    """
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    if bos is not None and bos != eos and (ids[0] != bos or ids[1:2] == [bos]):
        return "bos"
    if ids[: len(prompt)] != prompt:
        return "boundary"
    if not [token for token in ids[len(prompt) :] if token != eos]:
        return "supervised"
    if ids[-1] != eos or ids.count(eos) != 1 + (bos == eos):
        return "eos"
    return ""


def training_ids(example: dict[str, Any], tokenizer: Any, allowed: Collection[str] = ()) -> tuple[list[int], int]:
    """(token ids of the whole example, how many of them are prompt).

    Raises UserError where the prompt is no token-for-token beginning, or where the last token is not EOS, unless that is
    among `allowed`.
    """
    ids, prompt = rendered_ids(example, tokenizer)
    if ids[: len(prompt)] != prompt and "boundary" not in allowed:
        raise UserError(
            f"sft_utils.py: the generation prompt ends in {tokenizer.decode(prompt[-3:])!r}, but training goes on from "
            f"{tokenizer.decode(ids[len(prompt) - 3 : len(prompt) + 1])!r} there, so generation would start from tokens that "
            'training never shows; make task="generation" a token-for-token beginning of task="sft" (no trailing space).',
            exit_code=1,
        )
    if (ids[-1] != tokenizer.eos_token_id or len(ids) == len(prompt)) and "eos" not in allowed:
        raise UserError(
            f"sft_utils.py: a training text ends in {tokenizer.decode(ids[-3:])!r} instead of EOS {tokenizer.eos_token!r}, "
            'so the model would never learn to stop; end task="sft" with tokenizer.eos_token.',
            exit_code=1,
        )
    return ids, len(prompt)


def describe(tokenizer: Any, allowed: Collection[str] = ()) -> dict[str, Any]:
    """What prompt.json holds: the fingerprint of the rendered probes, the stop ids, and the template for people.

    The fingerprint is the first 16 hex digits of the sha256 of the probes' token ids, prompt lengths and the EOS id.
    `allowed` are those of FAULTS that training was told to let pass; prompt.json says so.
    """
    rendered = [training_ids(example_of(*probe), tokenizer, allowed) for probe in PROBES]
    content = json.dumps([rendered, tokenizer.eos_token_id])
    example = example_of("{problem}", "{solution}")
    return {
        "fingerprint": hashlib.sha256(content.encode()).hexdigest()[:16],
        "template": sft_utils.apply_chat_template(example, tokenizer, "sft")["text"],
        "stop_token_ids": [tokenizer.eos_token_id],
        "next_problem": next_problem(tokenizer),
        "eos_token": tokenizer.eos_token,
        "bos_token": tokenizer.bos_token,
        "pad_token": tokenizer.pad_token,
    } | ({"allowed": sorted(allowed)} if allowed else {})


def next_problem(tokenizer: Any) -> str:
    """What the template writes before a problem, such as "### Problem:"; "" where that is nothing.

    A model that did not learn to stop goes on with it after its solution.
    """
    text = sft_utils.apply_chat_template(example_of("{problem}"), tokenizer, "generation")["text"]
    return str(text.split("{problem}")[0].removeprefix(tokenizer.bos_token or "").strip())


def describe_variant(today: dict[str, Any], variant: str) -> dict[str, Any]:
    """The prompt with a change of PROMPT_VARIANTS: another fingerprint, because other tokens are asked."""
    if not variant:
        return today
    return today | {"fingerprint": f"{today['fingerprint']}+{variant}", "variant": variant}


def describe_chat(tokenizer: Any, stop_token_ids: list[int]) -> dict[str, Any]:
    """What `describe` gives, for the tokenizer's own chat template. Raises UserError where it has none."""
    if not tokenizer.chat_template:
        raise UserError("--prompt tokenizer: this tokenizer has no chat template; use --prompt current.", exit_code=1)
    stops = sorted({tokenizer.eos_token_id, *stop_token_ids})
    content = json.dumps([[chat_ids(problem, tokenizer) for problem, _ in PROBES], stops])
    return {
        "fingerprint": hashlib.sha256(content.encode()).hexdigest()[:16],
        "template": tokenizer.decode(chat_ids("{problem}", tokenizer)),
        "stop_token_ids": stops,
        "next_problem": "",
        "chat": True,
    }


def read_prompt_file(checkpoint: Path) -> dict[str, Any] | None:
    """The prompt.json that training wrote beside the weights; None for models that were not trained here."""
    path = checkpoint / "prompt.json"
    if not path.is_file():
        return None
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        described = None
    if not isinstance(described, dict):
        raise UserError(f"{path} is not a JSON object; retrain, or delete it to use today's prompt.", exit_code=1)
    return described


def allowed_in(checkpoint: Path) -> list[str]:
    """Those of FAULTS that the checkpoint was trained with on purpose, by its prompt.json."""
    named = (read_prompt_file(checkpoint) or {}).get("allowed")
    return [fault for fault in FAULTS if isinstance(named, list) and fault in named]


def check_same(checkpoint: Path, today: dict[str, Any]) -> None:
    """Refuses a checkpoint that was trained on another prompt than `today` (see `describe`), naming both."""
    then = read_prompt_file(checkpoint)
    if then is not None and then.get("fingerprint") != today["fingerprint"]:
        raise UserError(
            f"{checkpoint} was trained on prompt {then.get('fingerprint')} ({then.get('template')!r}), but sft_utils.py now "
            f"renders {today['fingerprint']} ({today['template']!r}); restore the sft_utils.py of that run, or pass "
            "--prompt current to score it on the new prompt anyway.",
            exit_code=1,
        )


def prompt_ids(problems: Iterable[Problem], tokenizer: Any, prompt: dict[str, Any]) -> list[list[int]]:
    """Generation ids of every problem, in order; `prompt` is what one of the `describe` functions gave."""
    if prompt.get("chat"):
        return [chat_ids(problem.problem, tokenizer) for problem in problems]
    variant = prompt.get("variant", "")
    return [generation_ids(example_of(problem.problem), tokenizer, variant) for problem in problems]
