"""Token ids for generation, rendered by the same `sft_utils` as training, and the fingerprint that holds the two together."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sft_utils
from eval import chat, shots
from eval.records import PROMPT_VARIANTS, Problem, UserError, first_line

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

# What they cost, where nothing is trained and nothing was allowed.
COSTS = {
    "bos": "texts begin without BOS or with two of them, which a model that was trained with one never saw",
    "boundary": "the generation prompt is no token-for-token beginning of the training text (mostly a space at its end), so a model "
    "is asked from tokens that training never shows, and scores lower",
    "eos": "training texts do not end in EOS; packing appends it, and without packing a model never learns to stop",
}

# In prompt.json's `allowed`: the template has no EOS, and packing appended one to every example, as the contract's trainer does.
APPENDED_EOS = "eos appended by packing"

# Between a few-shot example and what follows it. Training ends an example with EOS; a base model would take that for the
# end of the whole text.
BETWEEN = "\n\n"

NOTHING: Mapping[str, Any] = {}


def example_of(problem: str, solution: str | None = None) -> dict[str, Any]:
    """A dataset row as `sft_utils` takes it: the problem as the user's turn, the solution as the assistant's."""
    turns = [{"role": "user", "content": problem}]
    if solution is not None:
        turns.append({"role": "assistant", "content": solution})
    return {"messages": turns}


def render_text(example: Mapping[str, Any], tokenizer: Any, task: str) -> str:
    """The text that `sft_utils` renders for `example`; for "generation" from the turns before the answer only.

    The template gets a copy, because it may change the turns.
    """
    given = copy.deepcopy(dict(example))
    if task == "generation" and given["messages"][-1]["role"] == "assistant":
        del given["messages"][-1]
    try:
        text = sft_utils.apply_chat_template(given, tokenizer, task)["text"]
    except (Exception, SystemExit) as error:  # a program of the user's, which raises what it likes
        raise UserError(
            f'sft_utils.py: apply_chat_template fails for task="{task}" ({type(error).__name__}: {first_line(error)}); it must '
            "return the example with its `text`, for generation also from the user's turn alone.",
            exit_code=1,
        ) from error
    if not isinstance(text, str):
        raise UserError(
            f'sft_utils.py: apply_chat_template gives {type(text).__name__} as `text` for task="{task}"; it must be a string.',
            exit_code=1,
        )
    return text


def generation_ids(
    example: dict[str, Any], tokenizer: Any, variant: str = "", examples: Sequence[Sequence[str]] = ()
) -> list[int]:
    """The prompt's token ids, BOS included, as training saw them; with a change of PROMPT_VARIANTS, as it did not.

    `examples` are (problem, solution) pairs that stand before it.
    """
    text = render_text(example, tokenizer, "generation")
    text = _after_examples(text, examples, tokenizer)
    ids = list(tokenizer(text + PROMPT_VARIANTS[variant]).input_ids)
    return ids[1:] if variant == "no-bos" and ids[0] == tokenizer.bos_token_id else ids


def _after_examples(text: str, examples: Sequence[Sequence[str]], tokenizer: Any) -> str:
    """`text` with `examples` before it, each as a whole training text without BOS and EOS; a BOS of `text` comes first."""
    bos, eos = tokenizer.bos_token or "", tokenizer.eos_token or ""
    rendered = (render_text(example_of(*pair), tokenizer, "sft") for pair in examples)
    before = "".join(one.removeprefix(bos).removesuffix(eos).rstrip() + BETWEEN for one in rendered)
    first = bos if text.startswith(bos) else ""
    return str(first + before + text.removeprefix(bos))


def chat_ids(problem: str, tokenizer: Any, more: Mapping[str, Any] = NOTHING) -> list[int]:
    """The prompt's token ids by the tokenizer's own chat template, with INSTRUCTION after the problem.

    `more` may hold "system" (a first turn), "shots" (whose examples are earlier turns) and "template_args". Raises
    chat.TemplateFault.
    """
    pairs = [*more.get("shots", NOTHING).get("examples", ()), (problem, "")]
    turns = [{"role": "system", "content": more["system"]}] if more.get("system") else []
    for asked, solution in pairs:
        turns.append({"role": "user", "content": f"{asked}\n\n{INSTRUCTION}"})
        turns.append({"role": "assistant", "content": solution})
    # Templates that state a date would make yesterday's predictions irreproducible: theirs is fixed.
    text = chat.render_chat(turns[:-1], tokenizer, {"date_string": DATE, **more.get("template_args", NOTHING)})
    return list(tokenizer(text, add_special_tokens=False).input_ids)


def rendered_ids(example: dict[str, Any], tokenizer: Any, append_eos: bool = False) -> tuple[list[int], list[int]]:
    """(token ids of the whole example, token ids of its prompt), without checks.

    With `append_eos`, EOS is added where the text does not end in it.
    """
    ids = list(tokenizer(render_text(example, tokenizer, "sft")).input_ids)
    if append_eos and ids[-1:] != [tokenizer.eos_token_id]:
        ids.append(tokenizer.eos_token_id)
    return ids, generation_ids(example, tokenizer)


def ends_without_eos(tokenizer: Any) -> bool:
    """Whether the training text of a probe does not end in EOS, so that packing appends one."""
    return any(rendered_ids(example_of(*probe), tokenizer)[0][-1:] != [tokenizer.eos_token_id] for probe in PROBES)


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


def fault_of_row(ids: list[int], prompt: list[int], tokenizer: Any, template: Collection[str]) -> tuple[str, list[int]]:
    """(what `fault_of` finds beside the faults of the `template` (see `faults_today`), the ids with the EOS that packing appends)."""
    if APPENDED_EOS in template and ids[-1:] != [tokenizer.eos_token_id]:
        ids = [*ids, tokenizer.eos_token_id]
    looked_at = ids
    if "bos" in template:
        looked_at, prompt = (_with_one_bos(part, tokenizer.bos_token_id) for part in (ids, prompt))
    if "boundary" in template:
        pairs = enumerate(zip(looked_at, prompt, strict=False))
        prompt = prompt[: next((place for place, pair in pairs if pair[0] != pair[1]), len(prompt))]
    return fault_of(looked_at, prompt, tokenizer), ids


def _with_one_bos(ids: list[int], bos: int) -> list[int]:
    return [bos, *itertools.dropwhile(lambda token: token == bos, ids)]


def training_ids(example: dict[str, Any], tokenizer: Any, allowed: Collection[str] = ()) -> tuple[list[int], int]:
    """(token ids of the whole example, how many of them are prompt).

    Raises UserError where the prompt is no token-for-token beginning, or where the last token is not EOS, unless that is
    among `allowed`.
    """
    ids, prompt = rendered_ids(example, tokenizer, APPENDED_EOS in allowed)
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
    `allowed` are the FAULTS that training accepted, and APPENDED_EOS; prompt.json records them.
    """
    rendered = [training_ids(example_of(*probe), tokenizer, allowed) for probe in PROBES]
    if len({tuple(generation_ids(example_of(problem), tokenizer)) for problem, _ in PROBES}) < len(PROBES):
        raise UserError(
            'sft_utils.py: the text of task="generation" is the same for different problems, so a model would be asked '
            "without them; it must hold the user's turn.",
            exit_code=1,
        )
    content = json.dumps([rendered, tokenizer.eos_token_id])
    example = example_of("{problem}", "{solution}")
    return {
        "fingerprint": hashlib.sha256(content.encode()).hexdigest()[:16],
        "template": render_text(example, tokenizer, "sft"),
        "stop_token_ids": [tokenizer.eos_token_id],
        "next_problem": next_problem(tokenizer),
        "eos_token": tokenizer.eos_token,
        "bos_token": tokenizer.bos_token,
        "pad_token": tokenizer.pad_token,
    } | ({"allowed": sorted(allowed)} if allowed else {})


def faults_today(tokenizer: Any) -> list[str]:
    """What `describe` must be allowed for today's template: its faults, a missing EOS as the one that packing appends."""
    rendered = [rendered_ids(example_of(*probe), tokenizer) for probe in PROBES]
    begun = any(fault_of(*pair, tokenizer) == "bos" for pair in rendered)
    apart = any(ids[: len(prompt)] != prompt for ids, prompt in rendered)
    return ["bos"] * begun + ["boundary"] * apart + [APPENDED_EOS] * ends_without_eos(tokenizer)


def costs(described: Mapping[str, Any]) -> list[str]:
    """A line for each fault of the template that `describe` was allowed: what it costs."""
    found = described.get("allowed", ())
    names = ["eos" if name == APPENDED_EOS else name for name in found]
    return [f"sft_utils.py: {COSTS[name]}" for name in names]


def next_problem(tokenizer: Any) -> str:
    """What the template writes before a problem, such as "### Problem:"; "" where that is nothing.

    A model that did not learn to stop goes on with it after its solution.
    """
    text = render_text(example_of("{problem}"), tokenizer, "generation")
    return str(text.split("{problem}")[0].removeprefix(tokenizer.bos_token or "").strip())


def describe_variant(today: dict[str, Any], variant: str) -> dict[str, Any]:
    """The prompt with a change of PROMPT_VARIANTS: another fingerprint, because other tokens are asked."""
    if not variant:
        return today
    return today | {"fingerprint": f"{today['fingerprint']}+{variant}", "variant": variant}


def describe_shots(today: dict[str, Any], drawn: dict[str, Any], tokenizer: Any) -> dict[str, Any]:
    """The prompt `today` with the examples of `drawn` (see Shots.described) before each problem: another fingerprint."""
    ids = generation_ids(example_of("{problem}"), tokenizer, today.get("variant", ""), drawn["examples"])
    content = json.dumps([today["fingerprint"], ids])
    return today | {
        "fingerprint": hashlib.sha256(content.encode()).hexdigest()[:16],
        "template": tokenizer.decode(ids),
        "shots": drawn,
    }


def describe_chat(tokenizer: Any, stop_token_ids: list[int], more: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
    """What `describe` gives, for the tokenizer's own chat template, asked with `more` (see `chat_ids`).

    Raises UserError where there is no template, or where it fails, does not end, or leaves out what it was given.
    """
    if not tokenizer.chat_template:
        raise UserError("--prompt tokenizer: this tokenizer has no chat template; use --prompt current.", exit_code=1)
    chat.check_arguments(tokenizer, more.get("template_args", NOTHING))
    stops = sorted({tokenizer.eos_token_id, *stop_token_ids})
    content = json.dumps([_checked_probes(tokenizer, more), stops])
    return {
        "fingerprint": hashlib.sha256(content.encode()).hexdigest()[:16],
        "template": tokenizer.decode(chat_ids("{problem}", tokenizer, more)),
        "stop_token_ids": stops,
        "next_problem": "",
        "chat": True,
    } | dict(more)


def _checked_probes(tokenizer: Any, more: Mapping[str, Any]) -> list[list[int]]:
    """The probes' ids, after a look at what each part of `more` does to them."""
    plain = _probe_ids(tokenizer, NOTHING, "use --prompt current")
    if len({tuple(ids) for ids in plain}) < len(plain):
        raise UserError("--prompt tokenizer: the chat template does not show the problem; use --prompt current.", 1)
    for part, (option, turns) in {
        "system": ("--system", "a system turn"),
        "shots": ("--shots", "earlier turns"),
    }.items():
        if part in more:
            found = _probe_ids(tokenizer, {part: more[part]}, f"it takes no such turns: leave out {option}")
            if len({tuple(ids) for ids in (*plain, *found)}) < 2 * len(plain):
                raise UserError(f"{option}: this chat template does not show {turns}; leave out {option}.")
    return _probe_ids(tokenizer, more, "leave out --template-arg, or --system, or --shots") if more else plain


def _probe_ids(tokenizer: Any, more: Mapping[str, Any], advice: str) -> list[list[int]]:
    try:
        return [chat_ids(problem, tokenizer, more) for problem, _ in PROBES]
    except chat.TemplateFault as fault:
        given = " and ".join(sorted(more)).replace("_", " ")
        raise UserError(
            f"--prompt tokenizer: the chat template fails{f' with {given}' if given else ''} ({fault}); {advice}.", 1
        ) from None


def changes_of(prompt: Mapping[str, Any]) -> dict[str, str]:
    """What a prompt has beside its template, {short name: in full}: examples, a system turn, arguments of the template."""
    found = {}
    if drawn := prompt.get("shots"):
        found[f"{drawn['count']}-shot"] = shots.words(drawn)
    if system := prompt.get("system"):
        digest = hashlib.sha256(str(system).encode()).hexdigest()[:12]
        found["system prompt"] = f"system prompt of {len(system):,} characters (sha256 {digest})"
    for name, value in (prompt.get("template_args") or {}).items():
        told = f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        found[told] = told
    return found


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
    """The FAULTS that the training of the checkpoint accepted, and APPENDED_EOS, by its prompt.json."""
    named = (read_prompt_file(checkpoint) or {}).get("allowed")
    return [fault for fault in (*FAULTS, APPENDED_EOS) if isinstance(named, list) and fault in named]


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
        try:
            return [chat_ids(problem.problem, tokenizer, prompt) for problem in problems]
        except chat.TemplateFault as fault:
            raise UserError(
                f"--prompt tokenizer: the chat template fails ({fault}); use --prompt current.", 1
            ) from None
    variant, examples = prompt.get("variant", ""), prompt.get("shots", NOTHING).get("examples", ())
    return [generation_ids(example_of(problem.problem), tokenizer, variant, examples) for problem in problems]
