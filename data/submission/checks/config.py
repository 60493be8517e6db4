"""The config as the contract's stock parser reads it: one dataclass over transformers 4.48.1's TrainingArguments.

`stock_keys.json` holds that version's keys with types, choices and defaults; a test compares it with the real thing.
`contract.py` has the keys and defaults that the contract adds. The parser itself checks no types and no ranges: a value of
the wrong type fails later, or means something else ("false" is true).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from data.submission.checks import contract, raises
from data.submission.checks.findings import Finding, shown

NAME = "sft_config.yaml"
PATHS = ("dataset_name_or_path", "model_name_or_path", "output_dir", "logging_dir")
CONTRACT = contract.KEYS
STOCK: dict[str, dict[str, Any]] = (
    json.loads((Path(__file__).parent.parent / "stock_keys.json").read_text(encoding="utf-8")) | CONTRACT
)
for _key, _default in contract.DEFAULTS.items():
    STOCK[_key] = STOCK[_key] | {"default": _default}
REQUIRED = ("model_name_or_path", "dataset_name_or_path", "output_dir")
TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "dict": (dict,),
    "list": (list,),
    "null": (type(None),),
}

# Keys of current versions that people bring along -> what the stock trainer does in their place.
NEWER = {
    "completion_only_loss": "the stock trainer learns on the whole text",
    "assistant_only_loss": "the stock trainer learns on the whole text",
    "max_seq_length": "the stock trainer always cuts at 2,048 tokens",
    "packing_strategy": "the stock trainer cuts a stream of examples into blocks",
    "padding_free": "the stock trainer pads",
    "eval_packing": "it follows packing",
    "dataset_text_field": "it is always text",
    "dataset_num_proc": "it changes no result",
    "dataset_kwargs": "the stock trainer passes none",
    "model_init_kwargs": "the stock trainer decides how the model is loaded",
    "eos_token": "say it in get_tokenizer (sft_utils.py)",
    "pad_token": "say it in get_tokenizer (sft_utils.py)",
    "chat_template_path": "say it in apply_chat_template (sft_utils.py)",
    "loss_type": "the stock trainer has cross entropy only",
    "project": "it names a tracking service's project",
    "activation_offloading": "it saves memory and changes no result",
    "pad_to_multiple_of": "it changes no result",
    "dataloader_in_order": "it changes no result",
    "use_cache": "the stock trainer decides it",
    "truncation_mode": "the stock trainer cuts the end off",
    "shuffle_dataset": "order the rows when the dataset is built",
    "liger_kernel_config": "the stock versions have no such kernels",
    "trackio_space_id": "it names a tracking service's project",
}
NEWER |= dict.fromkeys(
    ("use_peft", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules"), "the stock trainer trains all weights"
)
# Services that raise where their package is missing; wandb is installed, because the contract's trainer imports it.
SERVICES = (
    "mlflow",
    "comet_ml",
    "neptune",
    "clearml",
    "dagshub",
    "codecarbon",
    "flyte",
    "dvclive",
    "azure_ml",
)
# A value -> the package that it needs and the contract's versions do not name.
PACKAGES = {"bnb": "bitsandbytes", "8bit": "bitsandbytes", "paged": "bitsandbytes", "apex": "apex", "galore": "galore"}
PACKAGES |= {"lomo": "lomo-optim", "grokadamw": "grokadamw", "schedule_free": "schedulefree", "torch_4bit": "torchao"}
RANGES = {
    "learning_rate": (1e-9, 0.1),
    "per_device_train_batch_size": (1, 4096),
    "gradient_accumulation_steps": (1, 4096),
}
RANGES |= {"num_train_epochs": (0.01, 100), "warmup_ratio": (0, 1), "max_grad_norm": (0, 1000)}
RANGES |= {"warmup_steps": (0, 1_000_000), "adam_beta1": (0, 0.9999), "adam_beta2": (0, 0.999999)}
RANGES |= {"adam_epsilon": (0, 1e-3), "weight_decay": (0, 10), "seed": (0, 2**32 - 1)}
RANGES |= {"per_device_eval_batch_size": (1, 4096), "dataloader_num_workers": (0, 256)}


def read(text: str) -> tuple[dict[str, Any], dict[str, int], list[Finding]]:
    """(settings, key -> line, what is wrong with the file itself); no settings where it is no mapping."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        settings = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())[:200]
        return {}, {}, [Finding("yaml", NAME, f"this is not YAML: {said}", "mend that line")]
    if not isinstance(settings, dict) or not isinstance(node, yaml.MappingNode):
        return {}, {}, [Finding("yaml", NAME, "this is no mapping", "write one `key: value` a line")]
    lines: dict[str, int] = {}
    found = []
    for key, _ in node.value:
        line, name = key.start_mark.line + 1, str(key.value)
        if name in lines:
            problem = f"{name} stands here and in line {lines[name]}; the last one counts, in silence"
            found.append(Finding("duplicate-key", f"{NAME}:{line}", problem, "keep one of the two"))
        lines[name] = line
    return {str(key): value for key, value in settings.items()}, lines, found


def findings(text: str, folder: Path) -> list[Finding]:
    """Everything that is wrong with the config of the submission in `folder`, in the order of its lines."""
    settings, lines, found = read(text)
    if not settings:
        return found

    def say(check: str, key: str, problem: str, fix: str, fatal: bool = True) -> None:
        where = f"{NAME}:{lines[key]}" if key in lines else NAME
        found.append(Finding(check, where, problem, fix, fatal))

    for key in REQUIRED:
        if not settings.get(key):
            say("missing-key", key, f"{key} is missing, and the stock parser demands it", f"add a line `{key}: …`")
    for key, value in settings.items():
        for check, problem, fix in (*key_faults(key, value), *path_faults(key, value, folder)):
            say(check, key, problem, fix, not (check == "value-type" and key in contract.LABELS))
    whole = (contract.findings, raises.findings, saving, services, odd)
    for check, key, problem, fix, fatal in (fault for look in whole for fault in look(settings)):
        say(check, key, problem, fix, fatal)
    return sorted(found, key=lambda finding: lines.get(finding.problem.split()[0], 0))


def key_faults(key: str, value: Any) -> Iterator[tuple[str, str, str]]:
    """An unknown key, or a value of the wrong type, outside the choices or outside every reasonable range."""
    row = STOCK.get(key)
    if row is None:
        yield ("unknown-key", *unknown(key))
        return
    fits = any(isinstance(value, TYPES[name]) for name in row["types"])
    if isinstance(value, bool) and "bool" not in row["types"]:
        fits = False
    if not fits:
        wanted = " or ".join(row["types"])
        number = as_number(value)
        if "float" in row["types"] and number is not None:
            fix = f"YAML 1.1 needs a dot in such a number: write {number:.1e}"
            yield "value-type", f"{key} is the string {shown(value)}, which dies inside the optimizer", fix
        else:
            yield "value-type", f"{key} is {shown(value)} ({type(value).__name__})", f"it must be {wanted}"
        return
    choices = row.get("choices")
    if choices and isinstance(value, str) and value not in choices:
        near = difflib.get_close_matches(value, choices, n=1)
        fix = f"did you mean {near[0]}?" if near else f"write one of {', '.join(choices)}"
        yield "value-choice", f"{key} is {shown(value)}, which the stock versions do not know", fix
    low, high = RANGES.get(key, (value, value))
    if key in RANGES and not low <= value <= high:
        yield "value-range", f"{key} is {value}", f"{key} lies between {low} and {high}"


def unknown(key: str) -> tuple[str, str]:
    """(problem, fix) for a key that the stock parser takes for an error."""
    problem = f"{key} is a key that the stock parser does not know; it refuses the whole config"
    if key in NEWER:
        return problem, f"leave it out ({NEWER[key]}); `python -m data submission` does so when it writes"
    near = difflib.get_close_matches(key, STOCK, n=1)
    return (
        problem,
        f"did you mean {near[0]}?" if near else "leave it out, or see transformers 4.48.1's TrainingArguments",
    )


def as_number(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def path_faults(key: str, value: Any, folder: Path) -> Iterator[tuple[str, str, str]]:
    """Paths that mean something on one machine only."""
    if key not in PATHS or not isinstance(value, str):
        return
    path = PurePosixPath(value)
    if path.is_absolute() or value.startswith("~") or "\\" in value or value[1:2] == ":":
        yield "absolute-path", f"{key} is {shown(value)}, which exists on this machine only", "write a relative path"
    elif ".." in path.parts:
        yield "outside-path", f"{key} is {shown(value)}, which leaves the submission", "write a path without `..`"
    elif key == "dataset_name_or_path" and not (folder / value).exists():
        yield (
            "dataset-path",
            f"{shown(value)} is not found in the submission",
            "name the folder that travels: dataset",
        )
    elif key == "output_dir" and path.parts[:1] != ("checkpoints",):
        yield (
            "output-dir",
            f"output_dir is {shown(value)}; checkpoints are looked for in checkpoints/",
            "output_dir: checkpoints",
        )


def saving(settings: dict[str, Any]) -> Iterator[contract.Fault]:
    """Settings under which the stock parser raises, or fewer models are kept than the author may expect."""
    strategy = value_of(settings, "save_strategy")
    if strategy == "no":
        problem = "save_strategy is no: the trainer saves only the model of the last step"
        yield "saving", "save_strategy", problem, "save_strategy: steps or epoch, to choose among checkpoints", False
    if strategy == "best" and not settings.get("metric_for_best_model"):
        problem = "save_strategy is best without metric_for_best_model: the trainer raises"
        yield "saving", "save_strategy", problem, "save_strategy: steps", True
    if settings.get("load_best_model_at_end") and strategy != "best":
        yield from best_at_end(settings)
    limit = settings.get("save_total_limit")
    if isinstance(limit, int) and limit < 1:
        yield "saving", "save_total_limit", f"save_total_limit is {limit}, which means no limit", "leave it out", False
    if settings.get("max_steps", -1) == 0:
        problem = "max_steps is 0, which means no limit there: num_train_epochs decides"
        yield "steps", "max_steps", problem, "leave it out, or write the number of steps", False
    every = value_of(settings, "logging_steps")
    usable = isinstance(every, int | float) and (0 < every < 1 or (every >= 1 and every == int(every)))
    if value_of(settings, "logging_strategy") == "steps" and not usable:
        problem = f"logging_steps is {shown(every)}: the parser raises"
        yield "saving", "logging_steps", problem, "a whole number of steps, or a share below 1", True


def best_at_end(settings: dict[str, Any]) -> Iterator[contract.Fault]:
    """load_best_model_at_end: the parser raises unless saving and evaluation match."""
    strategy, evaluates = value_of(settings, "save_strategy"), evaluation_strategy(settings)
    problem = ""
    if strategy != evaluates:
        problem = (
            f"load_best_model_at_end with save_strategy {strategy} and eval_strategy {evaluates}: the parser raises"
        )
    elif strategy == "steps":
        save = value_of(settings, "save_steps")
        every = settings.get("eval_steps") or value_of(settings, "logging_steps")
        numbers = all(isinstance(steps, int | float) and steps > 0 for steps in (save, every))
        if numbers and ((save < 1) != (every < 1) or round(save * 1_000_000) % round(every * 1_000_000)):
            problem = f"load_best_model_at_end with save_steps {save} and eval_steps {every}: the parser raises"
    if problem:
        fix = "use the same strategy for both, and a save_steps that is a multiple of eval_steps; or leave it out"
        yield "saving", "load_best_model_at_end", problem, fix, True


def value_of(settings: dict[str, Any], key: str) -> Any:
    """The value in the config, or the contract's default."""
    return settings.get(key, STOCK[key].get("default"))


def evaluation_strategy(settings: dict[str, Any]) -> Any:
    """When the trainer evaluates; the old name takes precedence where both are given."""
    return settings.get("evaluation_strategy") or value_of(settings, "eval_strategy")


def services(settings: dict[str, Any]) -> Iterator[contract.Fault]:
    """Reporting and uploading: settings that may wait, raise or upload on another machine."""
    told = settings.get("report_to")
    named = [str(name) for name in (told if isinstance(told, list) else [told or "all"])]
    if missing := [name for name in named if name in SERVICES]:
        problem = f"report_to is {', '.join(missing)}, which raises where that package is missing"
        yield "report-to", "report_to", problem, "report_to: none", True
    elif waiting := [name for name in named if name in ("all", "wandb", "tensorboard")]:
        said = "left out, which means every installed one" if told is None else ", ".join(waiting)
        problem = f"report_to is {said}: wandb may wait for a login, tensorboard raises where its package is missing"
        yield "report-to", "report_to", problem, "report_to: none", False
    for key in ("push_to_hub", "push_to_hub_model_id"):
        if settings.get(key):
            yield "hub", key, f"{key} uploads to the hub, and no account is logged in there", "leave it out", True


def odd(settings: dict[str, Any]) -> Iterator[contract.Fault]:
    """Keys that work here and fail or mean something else there."""
    optimizer = str(settings.get("optim", ""))
    package = next((name for part, name in PACKAGES.items() if part in optimizer), None)
    if package:
        yield "package", "optim", f"optim {shown(optimizer)} needs {package}", "optim: adamw_torch", True
    if settings.get("use_liger_kernel"):
        yield "package", "use_liger_kernel", "use_liger_kernel needs liger-kernel", "leave it out", True
    for key in ("deepspeed", "fsdp", "local_rank", "use_cpu", "no_cuda", "use_ipex", "use_mps_device"):
        if settings.get(key):
            problem = f"{key} is decided by whoever trains: deepspeed_zero3.yaml and accelerate launch"
            yield "launch", key, problem, "leave it out", True
    if settings.get("resume_from_checkpoint"):
        problem = "resume_from_checkpoint names a checkpoint that does not travel"
        yield "resume", "resume_from_checkpoint", problem, "leave it out", True
    if settings.get("dataset_mode") == "online":
        problem = "dataset_mode is online: the hub's rows are trained on, not those that travel"
        yield "dataset-mode", "dataset_mode", problem, "dataset_mode: local", True
    if settings.get("remove_unused_columns") is False:
        problem = "remove_unused_columns is false: the stock collator gets texts and raises"
        yield "columns", "remove_unused_columns", problem, "leave it out", True
    steps = settings.get("max_steps")
    if isinstance(steps, int) and steps > 0 and "num_train_epochs" in settings:
        problem = "max_steps and num_train_epochs are both there; max_steps wins"
        yield "steps", "max_steps", problem, "keep one of the two", False
    if settings.get("packing") is True:
        problem = (
            "packing of the stock trainer cuts through examples at 2,048 tokens and lets them attend to each other"
        )
        yield (
            "packing",
            "packing",
            problem,
            "packing: false costs time and is exact; compare (the rehearsal shows it)",
            False,
        )
