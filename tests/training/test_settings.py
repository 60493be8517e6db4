"""Settings are refused with one sentence before anything is loaded."""

from pathlib import Path

import pytest
import yaml

from eval.records import UserError
from training import settings
from training.conflicts import machine

ROOT = Path(__file__).resolve().parents[2]

GOOD = {
    "model_name_or_path": "m", "dataset_name_or_path": "d", "dataset_mode": "online", "output_dir": "checkpoints",
    "learning_rate": 2.0e-05,
}  # fmt: skip
HERE = {"use_cpu": True, "bf16": False}
SHIPPED = ("sft_config.yaml", "demo_config.yaml")


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_configs_are_accepted(name):
    read = settings.read_settings(ROOT / name)
    assert (ROOT / name).read_text().startswith("# accelerate launch --config_file=deepspeed_zero3.yaml")
    assert read["save_strategy"] == "steps" and read["run_name"]
    # The contract's trainer trains and validates only where these say so, and packs and asks the hub where they are left out.
    assert read["do_train"] is True and read["do_eval"] is True and read["dataset_mode"] == "local"
    assert read["packing"] is (name == "sft_config.yaml")


def test_every_config_in_the_tree_is_a_tested_one():
    assert sorted(path.name for path in ROOT.glob("*_config.yaml")) == sorted(SHIPPED)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("learning_rat: 1.0e-05", "unknown key 'learning_rat'; did you mean 'learning_rate'?"),
        ("zzz: 1", "unknown key 'zzz'; remove it"),
        ("learning_rate: 2e-5", "a string, because YAML 1.1 needs a dot in such a number; write 2.0e-05"),
        ("weight_decay: none", "which is str; it must be float"),
        ("num_train_epochs: [3]", "which is list; it must be float"),
        ("packing: 'yes'", "which is str; it must be bool"),
        ("weight_decay: '0.1'", "write 1.0e-01"),
        ("seed: 4.5", "which is float; it must be int"),
        ("seed: '4'", "which is str; it must be int"),
        ("per_device_train_batch_size: true", "must be int"),
        ("model_name_or_path: 7", "must be str"),
        ("lora_alfa: 8", "did you mean 'lora_alpha'?"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_fix(line, said, tmp_path):
    key = line.split(":")[0]
    kept = yaml.safe_dump({name: value for name, value in GOOD.items() if name != key})
    with pytest.raises(UserError) as refused:
        settings.read_settings(write(tmp_path, kept + line + "\n"))
    assert said in str(refused.value) and "config.yaml" in str(refused.value) and refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "is not YAML"),
        ("- 1\n", "holds list, not a mapping"),
        ("", "holds NoneType, not a mapping"),
        ("model_name_or_path: m\noutput_dir: o\n", "dataset_name_or_path is missing"),
    ],
)
def test_a_file_that_is_no_config_is_refused(text, said, tmp_path):
    with pytest.raises(UserError, match=said):
        settings.read_settings(write(tmp_path, text))


def test_a_config_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_bytes("model_name_or_path: Modèle".encode("latin-1"))
    with pytest.raises(UserError, match=r"config\.yaml is not UTF-8 \(byte 23"):
        settings.read_settings(tmp_path / "config.yaml")


def test_a_missing_config_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml cannot be read \(No such file"):
        settings.read_settings(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset_mode": "remote"}, "must be local or online"),
        ({"eval_strategy": "sometimes"}, "sometimes"),
        ({"max_length": 4096}, "max_length is 4096; the contract allows 1 to 2,048 tokens per example"),
        ({"max_length": 0}, "max_length is 0"),
        ({"report_to": "wandbb"}, "report_to is 'wandbb', which is not a known tracker; did you mean 'wandb'"),
        (
            {"report_to": ["tensorboard", "comet"]},
            "report_to is 'comet', which is not a known tracker; it must be none, all or some of",
        ),
        ({"lora_r": 8}, "lora_r has no effect without use_peft: true"),
        ({"resume_from_checkpoint": "run/checkpoint-8"}, "remove it, and resume with make train RESUME=1"),
        ({"do_train": False}, "do_train is False; nothing would be trained: write do_train: true"),
        ({"eos_token": "<|endoftext|>"}, r"eos_token is .*set it in get_tokenizer \(sft_utils.py\)"),
        ({"pad_token": "<|endoftext|>"}, r"pad_token is .*set it in get_tokenizer \(sft_utils.py\)"),
        ({"chat_template_path": "other-model"}, r"chat_template_path is .*apply_chat_template \(sft_utils.py\)"),
        (
            {"dataset_kwargs": {"skip_prepare_dataset": True}},
            "dataset_kwargs is .*skip_prepare_dataset would skip packing",
        ),
        ({"deepspeed": "other.json"}, "deepspeed is 'other.json'; the launch config decides this"),
        ({"fsdp": "full_shard"}, "fsdp is 'full_shard'; the launch config decides this"),
        ({"fsdp_config": {"x": 1}}, "fsdp_config is .*the launch config decides this"),
        ({"parallelism_config": {"x": 1}}, "parallelism_config is .*the launch config decides this"),
        (
            {"metric_for_best_model": "accuracy"},
            "metric_for_best_model is 'accuracy'; validation measures loss, mean_token_accuracy",
        ),
        ({"push_to_hub": True}, "push_to_hub is True; no login is found"),
        ({"fp16": True}, "fp16 is True; it needs a GPU"),
        ({"tf32": True}, "tf32 is True; it needs a GPU"),
        ({"use_liger_kernel": True}, "use_liger_kernel is True; it needs a GPU, which is not found"),
        ({"activation_offloading": True}, "activation_offloading is True; it needs a GPU"),
    ],
)
def test_a_value_that_cannot_work_is_refused(change, said, tmp_path, monkeypatch):
    monkeypatch.setattr("training.conflicts.get_token", lambda: None)
    values = GOOD | HERE | change
    with pytest.raises(UserError, match=said):
        settings.parse_settings(tmp_path / "config.yaml", values, tmp_path)


# What only the libraries know: they are asked before the weights are loaded, and the key to blame is found by leaving it out.
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "lr_scheduler_type is 'cosine_with_min_lr': One of min_lr or min_lr_rate"),
        ({"lr_scheduler_type": "warmup_stable_decay"}, "lr_scheduler_type is .*num_decay_steps"),
        ({"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"min_lr": 1e-6}}, "lr_scheduler_kwargs is .*'min_lr'"),
        ({"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"lr_end": 1.0}}, "must be smaller than initial lr"),
        ({"lr_scheduler_type": "constant", "lr_scheduler_kwargs": {"num_cycles": 2}}, "lr_scheduler_type constant takes no arguments"),
        ({"lr_scheduler_type": "reduce_lr_on_plateau"}, "reduce_lr_on_plateau requires an eval strategy"),
        ({"optim": "paged_adamw_8bit"}, "optim is 'paged_adamw_8bit': You need to install `bitsandbytes`"),
        ({"optim": "galore_adamw"}, "optim is 'galore_adamw': You need to install `galore_torch`"),
        ({"optim": "schedule_free_adamw"}, "optim is 'schedule_free_adamw': You need to install `schedulefree`"),
        ({"optim_args": "foo"}, "optim_args is 'foo': not enough values to unpack"),
        ({"padding_free": True, "packing": False}, "When `padding_free=True` without packing"),
        ({"assistant_only_loss": True}, "assistant_only_loss is True: You set `assistant_only_loss=True`"),
        ({"save_strategy": "best"}, "save_strategy is 'best': `args.metric_for_best_model` must be provided"),
        ({"load_best_model_at_end": True}, "load_best_model_at_end is True: --load_best_model_at_end requires .* but found - Eval"),
        ({"dataloader_persistent_workers": True}, "dataloader_persistent_workers is True: persistent_workers option needs"),
        ({"dataloader_prefetch_factor": 2}, "dataloader_prefetch_factor is 2: "),
        ({"accelerator_config": {"foo": 1}}, "accelerator_config is .*unexpected keyword argument 'foo'"),
        ({"gradient_checkpointing_kwargs": {"use_reentran": False}}, "gradient_checkpointing_kwargs is .*use_reentran"),
        ({"pad_to_multiple_of": "x", "packing": False}, "pad_to_multiple_of is 'x': "),
        ({"torch_compile_backend": "nope"}, "torch_compile_backend is 'nope': 'NOPE' is not a valid DynamoBackend"),
        ({"model_init_kwargs": {"dtype": "float17"}}, "model_init_kwargs is .*float17"),
        ({"model_init_kwargs": {"atn_implementation": "sdpa"}}, "model_init_kwargs is .*atn_implementation"),
        ({"model_init_kwargs": {"quantization_config": {"load_in_4bit": True}}}, "model_init_kwargs is .*"),
        ({"router_aux_loss_coef": 0.1}, "router_aux_loss_coef is 0.1: .*not a Mixture-of-Experts"),
    ],
)  # fmt: skip
def test_what_a_library_would_refuse_late_is_refused_early(change, said, tmp_path):
    with pytest.raises(UserError, match=f"config.yaml: .*{said}"):
        settings.parse_settings(tmp_path / "config.yaml", GOOD | HERE | change, tmp_path)


def test_a_mapping_may_be_a_text_of_json(tmp_path):
    parse(
        tmp_path,
        model_init_kwargs='{"attn_implementation": "eager"}',
        gradient_checkpointing_kwargs='{"use_reentrant": false}',
    )
    with pytest.raises(UserError, match=r"dataset_kwargs is .*skip_prepare_dataset"):
        parse(tmp_path, dataset_kwargs='{"skip_prepare_dataset": true}')
    with pytest.raises(UserError, match=r"model_init_kwargs is .*spda.* is not supported"):
        parse(tmp_path, model_name_or_path=str(ROOT), model_init_kwargs='{"attn_implementation": "spda"}')


def test_compiling_is_refused_under_deepspeed_without_a_gpu(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert machine({"torch_compile": True}) == []
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    assert machine({"torch_compile": True}) == [
        ("torch_compile", "under DeepSpeed it needs a GPU, and none is used; remove it")
    ]


def test_a_trial_leaves_nothing_behind(tmp_path):
    kwargs = {"use_reentrant": False}
    values = (
        GOOD
        | HERE
        | {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": kwargs, "report_to": "tensorboard"}
    )
    arguments = settings.parse_settings(tmp_path / "config.yaml", values, tmp_path / "run")[2]
    assert list(tmp_path.iterdir()) == [] and arguments.output_dir == str(tmp_path / "run")
    assert arguments.report_to == ["tensorboard"] and arguments.gradient_checkpointing_kwargs == {
        "use_reentrant": False
    }


def parse(tmp_path, **changes):
    said = []
    values = {key: value for key, value in (GOOD | HERE | changes).items() if value != "left out"}
    return *settings.parse_settings(tmp_path / "config.yaml", values, tmp_path, said.append), said


def test_a_shorter_limit_than_the_contracts_is_kept(tmp_path):
    assert parse(tmp_path, max_length=512)[2].max_length == 512
    assert parse(tmp_path, max_length=None)[2].max_length == 2048, "null is the contract's own default"


@pytest.mark.parametrize(
    "empty", [{"deepspeed": None}, {"fsdp": ""}, {"fsdp": []}, {"fsdp_config": {}}, {"parallelism_config": {}}], ids=str
)
def test_what_the_launch_config_decides_may_be_empty(empty, tmp_path):
    assert parse(tmp_path, **empty)[2].max_length == 2048


def test_the_best_checkpoint_may_be_that_of_a_metric_that_there_is(tmp_path):
    best = {"eval_strategy": "steps", "eval_steps": 2, "save_steps": 2, "load_best_model_at_end": True}
    for metric in ("loss", "eval_loss", "eval_mean_token_accuracy"):
        assert parse(tmp_path, **best, metric_for_best_model=metric)[2].metric_for_best_model == metric


def test_a_whole_number_is_taken_where_a_library_wants_a_float(tmp_path):
    assert parse(tmp_path, adam_beta1=0, adam_beta2=0)[2].adam_beta1 == 0.0


def test_what_is_left_out_has_the_contracts_defaults_and_is_said(tmp_path):
    contract, _, arguments, said = parse(tmp_path, dataset_mode="left out")
    assert contract.dataset_mode == "online" and arguments.packing and arguments.do_train
    assert said == [
        "dataset_mode: left out, so online, the contract's default",
        "packing: left out, so true, the contract's default",
        "do_train: left out; this trainer trains anyway, the contract's would not: write do_train: true",
    ]
    assert parse(tmp_path, packing=False, do_train=True)[3] == []


def test_a_folder_of_rows_without_a_mode_is_refused(tmp_path):
    with pytest.raises(
        UserError,
        match=r"dataset_mode is left out, which means online, but .* is a local path; write dataset_mode: local",
    ):
        parse(tmp_path, dataset_mode="left out", dataset_name_or_path=str(tmp_path))


def test_without_do_eval_there_is_no_validation(tmp_path):
    arguments, said = parse(tmp_path, do_eval=False, eval_strategy="steps", eval_steps=2)[2:]
    assert arguments.eval_strategy == "no" and not arguments.do_eval
    assert "do_eval: false, so eval_strategy steps is ignored: no validation" in said
    assert parse(tmp_path, do_eval=True, eval_strategy="steps", eval_steps=2)[2].eval_strategy == "steps"


def test_without_saving_the_last_step_is_saved(tmp_path):
    arguments, said = parse(tmp_path, save_strategy="no")[2:]
    assert arguments.save_strategy == "steps" and arguments.save_steps > 10**6 and arguments.save_only_model
    assert any(line.startswith('save_strategy: "no", so only the last step is saved') for line in said)
    assert parse(tmp_path, save_strategy="no", save_only_model=False)[2].save_only_model is False


def test_a_tracker_that_is_not_installed_is_left_out(tmp_path):
    arguments, said = parse(tmp_path, report_to=["tensorboard", "comet_ml"])[2:]
    assert arguments.report_to == ["tensorboard"] and "report_to: comet_ml is not installed and is left out" in said
    assert parse(tmp_path, report_to="comet_ml")[2].report_to == []
    assert parse(tmp_path, report_to="none")[2].report_to == []


def test_the_submitted_config_uses_only_keys_that_the_stock_parser_knows():
    assert settings.local_keys(settings.read_settings(ROOT / "sft_config.yaml")) == []
    assert settings.local_keys(settings.read_settings(ROOT / "demo_config.yaml")) == ["completion_only_loss"]
    later = {"train_sampling_strategy": "random", "max_length": 512, "wandb_tags": [], "use_cache": True}
    assert settings.local_keys(later) == ["train_sampling_strategy", "use_cache"]


def test_the_launch_config_gathers_the_weights_and_leaves_clipping_to_the_trainer():
    config = yaml.safe_load((ROOT / "deepspeed_zero3.yaml").read_text())["deepspeed_config"]
    assert config["zero_stage"] == 3 and config["zero3_save_16bit_model"] is True
    assert "gradient_clipping" not in config and "gradient_accumulation_steps" not in config
