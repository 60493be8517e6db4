"""Every trap that concerns training has a seeded fault, and preflight catches it; sound data raises no alarm."""

import copy
import gzip
import json
import shutil

import pytest
from datasets import Dataset
from rich.console import Console
from tokenizers.processors import TemplateProcessing
from trl import SFTConfig

import sft_utils
from data.synthetic import generate
from eval import prompts
from eval.records import UserError
from training import preflight
from training.examples import render
from training.settings import AT_THE_END, ContractArguments

SILENT = Console(quiet=True)


def conversation(problem, solution, **more):
    return prompts.example_of(problem, solution) | more


def sound(count=40):
    items = [item for item, _ in zip(generate(0), range(count), strict=False)]
    return [conversation(item.problem, item.solution, answer=item.answer) for item in items]


def make_run(tokenizer, tmp_path, train=None, validation=None, parameters=1000, model="m", **settings):
    train = sound() if train is None else train
    splits = {"train": train, "validation": sound(60)[40:] if validation is None else validation}
    raw = {name: Dataset.from_list(rows) for name, rows in splits.items()}
    arguments = SFTConfig(
        **{
            "output_dir": str(tmp_path / "run"), "use_cpu": True, "bf16": False, "max_length": 2048,
            "per_device_train_batch_size": 4, "report_to": "none", "max_grad_norm": 1.0, "num_train_epochs": 1,
            "save_strategy": "steps", "save_steps": 2, "do_eval": True,
        } | settings
    )  # fmt: skip
    rendered = {name: render(rows, tokenizer, name, SILENT) for name, rows in raw.items()}
    return preflight.Run(ContractArguments(model, "d", "local"), arguments, tokenizer, raw, rendered, parameters, 1)


def failed(run):
    return {check.name for check in preflight.checks(run) if not check.ok}


@pytest.fixture
def tokenizer(smollm2_tokenizer):
    kind = copy.deepcopy(smollm2_tokenizer)
    kind.pad_token = "<|endoftext|>"
    return kind


def test_sound_data_raises_no_alarm(tokenizer, tmp_path):
    assert failed(make_run(tokenizer, tmp_path)) == set()
    assert failed(make_run(tokenizer, tmp_path, packing=True, max_length=512)) == set()


LONG = conversation("Long?", "1 " * 3000 + "\\boxed{1}")
DATA_FAULTS = {
    "roles": [*sound(), {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}], "answer": "1"}],
    "length": [*sound(), LONG | {"answer": "1"}],
    "eos": [*sound(), conversation("Odd?", "It stops <|im_end|> here: \\boxed{1}", answer="1")],
    "box": [conversation(f"What is {n}?", f"It is {n}.", answer=str(n)) for n in range(40)],
    "answer": [conversation(f"What is {n}?", f"It is \\boxed{{{n + 1}}}.", answer=str(n)) for n in range(40)],
    "duplicates": sound() + [conversation(row["messages"][0]["content"].upper(), "\\boxed{1}", answer="1") for row in sound(5)],
    "leak": sound() + sound(41)[40:],
}  # fmt: skip


@pytest.mark.parametrize("name", DATA_FAULTS)
def test_a_fault_in_the_data_is_caught(name, tokenizer, tmp_path):
    assert name in failed(make_run(tokenizer, tmp_path, train=DATA_FAULTS[name]))


def no_eos(monkeypatch, tokenizer):
    """Trap 1: the stock template has no EOS."""
    rendered = sft_utils.apply_chat_template
    monkeypatch.setattr(
        sft_utils, "apply_chat_template",
        lambda row, t, task: {"text": rendered(row, t, task)["text"].removesuffix(t.eos_token)},
    )  # fmt: skip


def double_bos(monkeypatch, tokenizer):
    """Trap 2: the template and the tokenizer both add it."""
    bos = (tokenizer.bos_token, tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{bos[0]} $A", special_tokens=[bos])
    monkeypatch.setattr(sft_utils, "_missing_bos", lambda t: t.bos_token)


def double_eos(monkeypatch, tokenizer):
    """Trap 2: so with EOS."""
    eos = (tokenizer.eos_token, tokenizer.eos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {eos[0]}", special_tokens=[eos])


def trailing_space(monkeypatch, tokenizer):
    """Trap 3: generation would begin from a lone space."""
    monkeypatch.setattr(sft_utils, "PROMPT", sft_utils.PROMPT + " ")
    monkeypatch.setattr(sft_utils, "COMPLETION", "{solution}")


def pad_is_eos(monkeypatch, tokenizer):
    """Trap 1: every EOS label would be masked."""
    tokenizer.pad_token = tokenizer.eos_token


TEMPLATE_FAULTS = {
    no_eos: "eos",
    double_bos: "bos",
    double_eos: "boundary",
    trailing_space: "boundary",
    pad_is_eos: "pad",
}


@pytest.mark.parametrize(
    ("fault", "name"), TEMPLATE_FAULTS.items(), ids=lambda value: getattr(value, "__name__", value)
)
def test_a_fault_of_template_or_tokenizer_is_caught(fault, name, tokenizer, tmp_path, monkeypatch):
    fault(monkeypatch, tokenizer)
    # Rendering is cached by the source of sft_utils.py, which a test changes in memory only.
    monkeypatch.setattr("inspect.getsource", lambda module: fault.__name__)
    assert name in failed(make_run(tokenizer, tmp_path))


def only(run, name):
    """The check of that name."""
    return next(check for check in preflight.checks(run) if check.name == name)


@pytest.mark.parametrize(("packing", "ok"), [(True, True), (False, False)])
@pytest.mark.parametrize("pad", ["EOS", None])
def test_a_pad_token_matters_only_without_packing(pad, packing, ok, tokenizer, tmp_path):
    """Packed rows have no padding; the contract's collator masks every pad token of padded ones, EOS among them."""
    tokenizer.pad_token = tokenizer.eos_token if pad else None
    check = only(make_run(tokenizer, tmp_path, packing=packing, max_length=512), "pad")
    assert check.ok is ok and ("harmless with packing" in check.found) is ok
    assert ("pad is EOS" in check.fix) if pad else ("the tokenizer has no pad token" in check.fix)


@pytest.mark.parametrize(("packing", "ok"), [(True, True), (False, False)])
def test_a_template_without_eos_is_mended_by_packing(packing, ok, tokenizer, tmp_path, monkeypatch):
    no_eos(monkeypatch, tokenizer)
    monkeypatch.setattr("inspect.getsource", lambda module: "mended")
    assert only(make_run(tokenizer, tmp_path, packing=packing, max_length=512), "eos").ok is ok


def test_eos_within_a_text_is_a_fault_with_packing_too(tokenizer, tmp_path):
    assert not only(make_run(tokenizer, tmp_path, train=DATA_FAULTS["eos"], packing=True, max_length=512), "eos").ok


def other_heading(monkeypatch, tokenizer):
    """Generation asks under another heading than training."""
    rendered = sft_utils.apply_chat_template
    monkeypatch.setattr(
        sft_utils, "apply_chat_template",
        lambda row, t, task: {
            "text": rendered(row, t, task)["text"].replace("### Solution:", "### Answer:")
            if task == "generation" else rendered(row, t, task)["text"]
        },
    )  # fmt: skip


PARTS = {
    other_heading: r"reads '.*### Answer:' where the training text reads '.*### Solution: .*must be the beginning",
    double_eos: r"reads '.*### Solution:<\|im_end\|>' where the training text reads",
    trailing_space: r"but its tokens do not: the prompt ends in ' Solution: ', training has ' Solution: The",
}


@pytest.mark.parametrize(("fault", "said"), PARTS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_where_prompt_and_training_part_is_said(fault, said, tokenizer, tmp_path, monkeypatch):
    fault(monkeypatch, tokenizer)
    monkeypatch.setattr("inspect.getsource", lambda module: f"parts {fault.__name__}")
    found = preflight.checks(make_run(tokenizer, tmp_path))
    with pytest.raises(UserError, match=said):
        preflight.refuse(found, [])
    preflight.refuse(found, ["boundary"])


def test_a_token_that_the_model_does_not_have_is_named(tokenizer, tmp_path, tiny_llama):
    size = len(tokenizer)
    assert (
        only(make_run(tokenizer, tmp_path, model=str(tiny_llama)), "vocabulary").found
        == f"all ids below the model's {size:,}"
    )
    tokenizer.add_tokens(["<|step|>"])
    rows = [*sound(), conversation("Steps?", "One <|step|> two: \\boxed{2}", answer="2")]
    check = only(make_run(tokenizer, tmp_path, train=rows, model=str(tiny_llama)), "vocabulary")
    assert (
        not check.ok and f"'<|step|>' (id {size}) lie beyond the {size:,} ids (vocab_size) of {tiny_llama}" in check.fix
    )
    tokenizer.add_special_tokens({"pad_token": "<|pad|>"})
    check = only(make_run(tokenizer, tmp_path, model=str(tiny_llama)), "vocabulary")
    assert not check.ok and f"'<|pad|>' (id {size + 1})" in check.fix, "padding uses it in every batch"
    assert only(make_run(tokenizer, tmp_path, model=str(tiny_llama), packing=True, max_length=512), "vocabulary").ok


MIN = {"lr_scheduler_type": "cosine_with_min_lr"}
DECAY = {"lr_scheduler_type": "warmup_stable_decay"}
SCHEDULES = [
    ({"warmup_steps": 10}, "learning_rate is never reached: the rate rises to 90% of it, with 10 steps of warm-up in a run of 10; lower"),
    ({"warmup_steps": 50}, "the rate rises to 18% of it, with 50 steps of warm-up in a run of 10"),
    ({"dataloader_drop_last": True, "per_device_train_batch_size": 64}, "there are not enough rows for one full batch"),
    ({"dataloader_drop_last": True, "per_device_train_batch_size": 64, "max_steps": 5}, "there are not enough rows for one full batch"),
    ({"dataloader_drop_last": True, "per_device_train_batch_size": 30, "warmup_steps": 0.0}, "linear, 0 of 1 steps"),
    ({"warmup_steps": 9}, "linear, 9 of 10 steps warm-up"),
    ({"warmup_steps": 0.25}, "linear, 3 of 10 steps warm-up"),
    ({"warmup_steps": 5, "max_steps": 5}, "the rate rises to 80% of it, with 5 steps of warm-up in a run of 5"),
    ({"warmup_steps": 0.1, "max_steps": 1}, "the rate rises to 0% of it, with 1 steps of warm-up in a run of 1"),
    ({"warmup_steps": 1999, "max_steps": 5000}, "linear, 1,999 of 5,000 steps warm-up"),
    ({"warmup_steps": 50, "lr_scheduler_type": "constant"}, "constant ignores warm-up, "),
    ({"lr_scheduler_type": "constant"}, "constant, 0 of 10"),
    ({"warmup_steps": 50, "lr_scheduler_type": "constant_with_warmup"}, "the rate rises to 18% of it"),
    (MIN | {"lr_scheduler_kwargs": {"min_lr": 1e-6}}, "cosine_with_min_lr, 0 of 10"),
    (MIN | {"lr_scheduler_kwargs": {"min_lr": 1.0}}, "the rate reaches 9.8e-01, outside 0 to learning_rate; correct lr_scheduler_kwargs"),
    (MIN, "cosine_with_min_lr cannot be computed (One of min_lr or min_lr_rate should be set"),
    ({"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"num_cycles": "a"}}, "cosine cannot be computed ("),
    (DECAY | {"lr_scheduler_kwargs": {"num_decay_steps": 4}}, "warmup_stable_decay, 0 of 10"),
    (DECAY | {"lr_scheduler_kwargs": {"num_decay_steps": 50}}, "learning_rate is never reached"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "said"), SCHEDULES)
def test_the_schedule_reaches_the_learning_rate_and_stays_below(settings, said, tokenizer, tmp_path):
    check = only(make_run(tokenizer, tmp_path, **settings), "schedule")
    assert check.ok is (said in check.found) and said in check.found + check.fix


def test_one_checkpoint_is_enough_and_is_said(tokenizer, tmp_path):
    check = only(make_run(tokenizer, tmp_path, save_steps=AT_THE_END), "saving")
    assert check.ok and check.found == "save_strategy steps; one checkpoint: only the last step can be scored"
    assert only(make_run(tokenizer, tmp_path), "saving").found == "save_strategy steps"
    best = {"save_strategy": "best", "metric_for_best_model": "loss"}
    assert not only(make_run(tokenizer, tmp_path, **best), "saving").ok, "nothing is best where nothing is validated"
    assert only(make_run(tokenizer, tmp_path, **best, eval_strategy="steps", eval_steps=2), "saving").ok


def test_a_model_of_unknown_size_is_counted_as_llama_1b(tokenizer, tmp_path):
    check = only(make_run(tokenizer, tmp_path, parameters=None, save_only_model=True), "disk")
    assert check.found.startswith("24.7 GB to be written") and "so that of Llama-3.2-1B is used" in check.found


def test_validation_may_be_short_where_there_is_none(tokenizer, tmp_path):
    short = {"packing": True, "validation": sound(42)[40:]}
    assert only(make_run(tokenizer, tmp_path, **short, do_eval=False), "validation-block").ok
    assert not only(make_run(tokenizer, tmp_path, **short), "validation-block").ok


CONFIG_FAULTS = {
    "counts": {"validation": sound(200)[40:160]},
    "validation-block": {"packing": True, "validation": sound(42)[40:]},  # trap 4
    "saving": {"save_strategy": "no"},
    "disk": {"parameters": 10**15},  # trap 9
    "length": {"max_length": 64},  # trap 5: a limit that would cut
}


@pytest.mark.parametrize("name", CONFIG_FAULTS)
def test_a_fault_of_the_config_is_caught(name, tokenizer, tmp_path):
    assert name in failed(make_run(tokenizer, tmp_path, **CONFIG_FAULTS[name]))


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({"ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL": "false"}, "gather"),  # trap 8
        ({"ACCELERATE_GRADIENT_CLIPPING": "0.5"}, "clipping"),  # trap 10
    ],
)
def test_a_fault_of_the_launch_config_is_caught(environment, name, tokenizer, tmp_path, monkeypatch):
    sound = {
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3",
        "ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL": "true",
    }
    run = make_run(tokenizer, tmp_path)
    for key, value in sound.items():
        monkeypatch.setenv(key, value)
    assert failed(run) == set()
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert failed(run) == {name}


def test_what_failed_stops_the_run_unless_allowed_by_name(tokenizer, tmp_path):
    found = preflight.checks(make_run(tokenizer, tmp_path, train=DATA_FAULTS["length"]))
    with pytest.raises(
        UserError, match=r"length: 1 rows exceed 2,048 tokens \(train row 40 with 6,.*--allow length"
    ) as refused:
        preflight.refuse(found, [])
    assert refused.value.exit_code == 1
    preflight.refuse(found, ["length"])
    with pytest.raises(UserError, match="--allow lenght: no such check; they are counts, roles"):
        preflight.refuse(found, ["lenght"])


def test_the_arithmetic_is_shown(tokenizer, tmp_path):
    run = make_run(tokenizer, tmp_path, parameters=10**9, warmup_steps=3, save_only_model=False)
    first, second = preflight.arithmetic(run)
    assert "40 examples" in first and "10 steps per epoch, 10 in all, 3 of them warm-up" in first
    assert "5 checkpoints of 4.0 GB, one optimizer state of 12.0 GB" in second


def test_supervised_tokens_are_marked(tokenizer, tmp_path):
    run = make_run(tokenizer, tmp_path, completion_only_loss=True)
    text = preflight.example(run)
    marked = "".join(text.plain[span.start : span.end] for span in text.spans if "underline" in str(span.style))
    assert marked == " " + run.raw["train"][0]["messages"][1]["content"] + tokenizer.eos_token


@pytest.mark.parametrize(("name", "every", "too_long"), [("math_train", 1, 17), ("gsm8k_train_boxed", 5, 0)])
def test_no_false_alarm_on_real_data(name, every, too_long, shared, tokenizer, tmp_path):
    """The one alarm is a true one: SmolLM2 reads numbers digit by digit, and so 17 solutions of MATH train are over 2,048."""
    with gzip.open(shared / "data" / "sft" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][::every]
    rows = [{"messages": row["messages"], "answer": row["answer"]} for row in rows]
    run = make_run(tokenizer, tmp_path, train=rows[:-100], validation=rows[-100:], packing=True)
    lengths = [len(ids) for ids in run.rendered["train"]["input_ids"]]
    assert sum(length > 2048 for length in lengths) == too_long
    assert failed(run) == ({"length"} if too_long else set())
    shutil.rmtree(tmp_path, ignore_errors=True)
