"""From the command line: what is written travels, what is wrong is refused, and an accuracy is stated only where it holds."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file
from test_submission_lint import GOOD_CONFIG, row, write_rows  # type: ignore[import-not-found]
from test_submission_sandbox import PLAIN  # type: ignore[import-not-found]

from data.__main__ import main
from data.submission import accuracy, archive, verify, writer
from data.submission.lint import Report
from eval import checkpoints
from eval.records import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A working folder: a config that is trained with here, a plain sft_utils.py, a dataset and the name of a model."""
    local = GOOD_CONFIG | {"dataset_name_or_path": "built/mine", "model_name_or_path": "models/mine"}
    local |= {"report_to": "tensorboard", "completion_only_loss": True}
    text = "# my settings\n" + yaml.safe_dump(local).replace("seed: 42", "seed: 42  # the usual one")
    (tmp_path / "sft_config.yaml").write_text(text)
    (tmp_path / "sft_utils.py").write_text(plain_sft_utils())
    (tmp_path / "built").mkdir()
    for split, count in (("train", 20), ("validation", 2)):
        write_rows(
            tmp_path / "built", split, [row(f"{split} {number}?", answer=str(number)) for number in range(count)]
        )
    (tmp_path / "built" / "dataset").rename(tmp_path / "built" / "mine")
    (tmp_path / "built" / "mine" / "manifest.json").write_text('{"recipe": "mine.yaml"}')
    (tmp_path / "models" / "mine").mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "models" / "mine" / name).write_text("{}")  # the plain sft_utils.py has one of its own
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plain_sft_utils() -> str:
    """PLAIN, reading the two files that travel."""
    text = PLAIN.replace("import json, logging.handlers, os, pathlib, sys, tempfile, time", "import json")
    text = text.replace("/rows.jsonl", "/train.jsonl").replace("Rows(rows[:1])", "Rows(more)")
    return text.replace(
        "BODY", "more = [json.loads(line) for line in open(dataset_name_or_path + '/validation.jsonl')]"
    )


def test_what_is_written_travels(project, capfd):
    assert main(["submission"]) == 0
    said = capfd.readouterr().err
    assert "left out: completion_only_loss" in said and "the stock trainer learns on the whole text" in said
    assert "0 to mend" not in said and "nothing to mend" in said
    config = (project / "submission" / "sft_config.yaml").read_text()
    settings = yaml.safe_load(config)
    assert settings["dataset_name_or_path"] == "dataset" and settings["report_to"] == "none"
    assert settings["do_train"] is True and settings["do_eval"] is True
    assert "completion_only_loss" not in settings and settings["learning_rate"] == GOOD_CONFIG["learning_rate"]
    assert "# my settings" in config and "# the usual one" in config, "comments travel"
    manifest = json.loads((project / "submission" / "manifest.json").read_text())
    assert manifest["rows"] == {"train": 20, "validation": 2} and manifest["recipe"] == {"recipe": "mine.yaml"}
    assert manifest["left_out"] == {"completion_only_loss": True} and manifest["accuracy"] == []
    rows = (project / "built" / "mine" / "train.jsonl").read_bytes()
    assert (project / "submission" / "dataset" / "train.jsonl").read_bytes() == rows
    first = (project / "submission.zip").read_bytes()
    assert set(zipfile.ZipFile(project / "submission.zip").namelist()) == {
        "dataset/train.jsonl",
        "dataset/validation.jsonl",
        "manifest.json",
        "sft_config.yaml",
        "sft_utils.py",
    }
    assert main(["submission"]) == 0
    assert (project / "submission.zip").read_bytes() == first, "the same submission is the same archive"
    assert main(["submission", "lint", "submission.zip"]) == 0
    assert not list(project.glob(".*partial"))


TRAINED = {"do_train": True, "do_eval": True}


@pytest.mark.parametrize(
    ("changes", "travels"),
    [
        ({}, {}),
        ({"do_train": False, "do_eval": None}, {}),
        ({"packing": ...}, {"packing": True}),
        ({"packing": False}, {"packing": False}),
        ({"dataset_mode": ...}, {"dataset_mode": "local"}),
    ],
)
def test_what_the_contracts_trainer_must_be_told_is_written(changes, travels, project):
    """do_train and do_eval always, packing and dataset_mode where the config leaves them out; ... stands for left out."""
    settings = yaml.safe_load((project / "sft_config.yaml").read_text()) | changes
    text = yaml.safe_dump({key: value for key, value in settings.items() if value is not ...})
    written = yaml.safe_load(writer.adapted(text, set(), writer.set_for_the_way(yaml.safe_load(text))))
    assert TRAINED.items() | travels.items() <= written.items()
    for key in ("packing", "dataset_mode"):
        assert written[key] == travels.get(key, settings[key])


def test_a_submission_that_was_changed_afterwards_is_noticed(project, capfd):
    assert main(["submission"]) == 0
    with (project / "submission" / "dataset" / "train.jsonl").open("a") as file:
        file.write(json.dumps(row("one more?")) + "\n")
    (project / "submission" / "dataset" / "README.md").write_text("more")
    capfd.readouterr()
    assert main(["submission", "lint"]) == 1
    said = capfd.readouterr().err
    assert "2 to mend, 1 to know" in said and "elsewhere (manifest);" in said


def test_what_others_write_has_no_manifest_and_is_no_fault(project, capfd):
    assert main(["submission"]) == 0
    (project / "submission" / "manifest.json").unlink()
    capfd.readouterr()
    assert main(["submission", "lint"]) == 0
    said = capfd.readouterr().err
    assert "the manifest is missing" in " ".join(said.split()) and "nothing to mend, 1 to know" in said


def test_a_faulty_one_is_not_written_and_everything_is_said_at_once(project, capfd):
    with (project / "sft_config.yaml").open("a") as file:
        file.write("warmup_step: 5\n")
    with (project / "sft_utils.py").open("a") as file:
        file.write("import pytest\n")
    assert main(["submission"]) == 1
    said = capfd.readouterr().err
    assert "unknown-key" in said and "warmup_steps?" in said and "pytest" in said
    assert "error: submission would fail or score less elsewhere (import, unknown-key)" in " ".join(said.split())
    assert {path.name for path in project.iterdir()} >= {"built"} and not (project / "submission").exists()
    assert not (project / "submission.zip").exists() and not list(project.glob(".*partial"))


WRONG = {
    "no config": (["submission", "--config", "none.yaml"], 2, "none.yaml cannot be read"),
    "no dataset": (["submission", "--dataset", "none"], 2, "none has no train.jsonl and validation.jsonl"),
    "no submission": (["submission", "lint", "none.zip"], 2, "neither a folder nor a zip"),
    "a target to write": (["submission", "write", "x"], 2, "write takes no x"),
    "no zip": (["submission", "verify", "sft_config.yaml"], 1, "nothing was unpacked"),
    "another folder in the way": (["submission", "--out", "built"], 2, "is no submission"),
    "an accuracy of nothing": (["submission", "--accuracy", "abc"], 2, "no finished evaluation"),
}


@pytest.mark.parametrize(("argv", "code", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_request_is_one_sentence(argv, code, said, project, capfd):
    (project / "reports").mkdir()
    assert main(argv) == code
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and said in errors[0]
    assert (project / "built" / "mine" / "train.jsonl").is_file()


def test_a_dataset_of_another_form_travels_as_json_lines(project, tmp_path):
    from datasets import Dataset, DatasetDict

    turns = row("saved?")["messages"]
    saved = DatasetDict({name: Dataset.from_list([{"messages": turns, "id": 1}] * 2) for name in ("train", "test")})
    saved.save_to_disk(tmp_path / "saved")
    (tmp_path / "rows").mkdir()
    writer.copy_rows(tmp_path / "saved", tmp_path / "rows")
    lines = (tmp_path / "rows" / "validation.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"messages": turns}] * 2


def test_a_model_of_this_machine_travels_by_its_name(project, capfd):
    text = (project / "sft_config.yaml").read_text().replace("models/mine", str(project / "models" / "mine"))
    (project / "sft_config.yaml").write_text(text)
    assert main(["submission"]) == 1 and "absolute-path" in capfd.readouterr().err
    assert main(["submission", "--model", "meta-llama/Llama-3.2-1B"]) == 0
    settings = yaml.safe_load((project / "submission" / "sft_config.yaml").read_text())
    assert settings["model_name_or_path"] == "meta-llama/Llama-3.2-1B"
    assert "stands in" not in capfd.readouterr().err, "the tokenizer is still that of the folder"


def test_a_key_over_several_lines_is_left_out_whole():
    text = "a: 1\nmodel_init_kwargs:\n  x: 1\n  y: 2\n# why\nreport_to:\n- wandb\nb: 2\n"
    adapted = writer.adapted(text, {"model_init_kwargs"}, {"report_to": "none", "dataset_name_or_path": "dataset"})
    assert yaml.safe_load(adapted) == {"a": 1, "b": 2, "report_to": "none", "dataset_name_or_path": "dataset"}
    assert "# why" in adapted


# The accuracy

TOLD = {
    "rows": {"train": 20, "validation": 2},
    "digests": {"train": "r", "validation": "v"},
    "token_ids_sha256": {"train": "t", "validation": "u"},
}


@pytest.fixture
def measured(tmp_path, monkeypatch) -> Path:
    """A checkpoint with its notes, and a finished evaluation of it."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "checkpoints" / "mine" / "checkpoint-8"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    save_file({"x": np.zeros(3, np.float32)}, folder / "model.safetensors")
    (folder / "data.json").write_text(
        json.dumps({"dataset": "built/mine", "train": {"rows": 20, "token_ids_sha256": "t"}})
    )
    (folder / "run.json").write_text(
        json.dumps({"step": 8, "config": GOOD_CONFIG | {"packing": True, "save_steps": 8}})
    )
    (folder.parent / "finished.json").write_text('{"steps": 16}')
    report = tmp_path / "reports" / "k1"
    report.mkdir(parents=True)
    described = {"path": "checkpoints/mine/checkpoint-8", "weights_sha": checkpoints.weights_sha(folder)}
    (report / "manifest.json").write_text(
        json.dumps({"checkpoint": described, "benchmark": {}, "decoding": {"max_tokens": 96}})
    )
    shares = {"strict": 0.45, "normalized": 0.46, "equivalent": 0.48, "ci95": [0.38, 0.58], "n": 100, "benchmark": "b"}
    (report / "summary.json").write_text(json.dumps(shares | {"limit": None}))
    (report / "DONE").touch()
    return tmp_path


def stated(wanted: str = "checkpoints/mine/checkpoint-8", **report) -> list[dict]:
    return accuracy.stated(wanted, Path("reports"), Report([], **({"told": TOLD, "settings": GOOD_CONFIG} | report)))


@pytest.mark.parametrize("wanted", ["k1", "checkpoints/mine/checkpoint-8"])
def test_what_was_measured_on_these_tokens_is_stated_with_its_band(wanted, measured):
    (entry,) = stated(wanted)
    assert (entry["strict"], entry["equivalent"], entry["ci95"], entry["key"]) == (0.45, 0.48, [0.38, 0.58], "k1")
    assert entry["rows_sha256"] == TOLD["digests"] and entry["trained_differently"] == {"packing": [True, False]}
    said = "\n".join(accuracy.describe(entry))
    assert "strict 45.0%" in said and "packing: True, submitted with False" in said and "step 8 of 16" in said


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({"told": TOLD | {"token_ids_sha256": {"train": "x"}}}, "that model was trained on built/mine"),
        ({"stand_in": "SmolLM2's stands in"}, "the tokens cannot be compared"),
    ],
)
def test_what_was_measured_on_other_tokens_is_refused(report, said, measured):
    with pytest.raises(UserError, match=said) as caught:
        stated(**report)
    assert caught.value.exit_code == 1


def test_a_model_that_was_trained_again_is_refused(measured):
    save_file({"x": np.ones(3, np.float32)}, measured / "checkpoints" / "mine" / "checkpoint-8" / "model.safetensors")
    with pytest.raises(UserError, match="trained again since"):
        stated()
    shutil.rmtree(measured / "checkpoints")
    with pytest.raises(UserError, match=r"no data\.json"):
        stated("k1")


def measure_again(reports: Path, key: str, weights: str, **changes) -> None:
    """Another finished evaluation, of those weights."""
    shutil.copytree(reports / "k1", reports / key)
    manifest = json.loads((reports / key / "manifest.json").read_text())
    manifest["checkpoint"] |= {"weights_sha": weights, "run": "mine", "step": 8} | changes
    (reports / key / "manifest.json").write_text(json.dumps(manifest))


def test_a_model_that_was_trained_and_measured_again_is_stated_as_it_is_now(measured):
    folder = measured / "checkpoints" / "mine" / "checkpoint-8"
    save_file({"x": np.ones(3, np.float32)}, folder / "model.safetensors")
    measure_again(measured / "reports", "k2", checkpoints.weights_sha(folder))
    assert [entry["key"] for entry in stated()] == ["k2"]


def test_a_path_that_was_typed_alike_elsewhere_is_another_model(measured):
    weights = checkpoints.weights_sha(measured / "checkpoints" / "mine" / "checkpoint-8")
    other = measured / "elsewhere" / "checkpoints" / "mine" / "checkpoint-8"
    measure_again(measured / "reports", "k2", weights, folder=str(other))
    assert [entry["key"] for entry in stated()] == ["k1"]


def test_an_adapter_is_no_model_that_the_contracts_trainer_could_make(measured):
    path = measured / "checkpoints" / "mine" / "checkpoint-8" / "run.json"
    path.write_text(json.dumps({"step": 8, "config": {"use_peft": True}}))
    with pytest.raises(UserError, match="is an adapter"):
        stated()


ENTRY = {"benchmark": "b", "rows_sha256": TOLD["digests"], "token_ids_sha256": TOLD["token_ids_sha256"]}


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({}, 0),
        ({"rows_sha256": {"train": "other", "validation": "v"}}, 1),
        ({"token_ids_sha256": {"train": "other"}}, 1),
    ],
)
def test_a_stated_accuracy_is_believed_for_the_rows_it_was_measured_with_only(changes, refused):
    found = list(verify.check_accuracy({"accuracy": [ENTRY | changes]}, Report([], told=TOLD)))
    assert [each.check for each in found] == ["accuracy"] * refused


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 2, "files": {}}', '{"format": 1, "files": {}, "left_out": []}', "[" * 100_000]
)
def test_a_manifest_that_is_none_is_a_finding(text, tmp_path):
    (tmp_path / "manifest.json").write_text(text)
    manifest, found = verify.read_manifest(tmp_path)
    assert manifest == {} and [each.check for each in found] == ["manifest"]


def test_the_archive_of_a_stranger_is_unpacked_and_looked_at(project, capfd):
    assert main(["submission"]) == 0
    archive.extract(project / "submission.zip", project / "elsewhere")
    manifest, _ = verify.read_manifest(project / "elsewhere")
    assert list(verify.check_files(project / "elsewhere", manifest)) == []
    (project / "elsewhere" / "sft_utils.py").unlink()
    assert [each.where for each in verify.check_files(project / "elsewhere", manifest)] == ["sft_utils.py"]


def test_the_projects_own_files_are_a_good_submission(project, smollm2_tokenizer, capfd):
    """With the real tokenizer and template, through `datasets` and `transformers`; the demo's config, as it is."""
    demo = yaml.safe_load((ROOT / "demo_config.yaml").read_text())
    smollm2_tokenizer.save_pretrained(project / "models" / "smollm2")
    (project / "demo.yaml").write_text(yaml.safe_dump(demo | {"model_name_or_path": "models/smollm2"}))
    argv = ["submission", "--config", "demo.yaml", "--dataset", "built/mine", "--sft-utils", str(ROOT / "sft_utils.py")]
    assert main(argv) == 0
    said = capfd.readouterr().err
    assert "nothing to mend, 0 to know" in said and "left out: completion_only_loss" in said
    manifest = json.loads((project / "submission" / "manifest.json").read_text())
    assert manifest["rows"] == {"train": 20, "validation": 2} and 20 < manifest["longest"] < 60
    assert manifest["tokenizer"] == "models/smollm2"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, ["sft_config.yaml: this file is missing", "sft_utils.py: this file is missing"]),
        ({"sft_config.yaml": "a: 1\n", "sft_utils.py": "x = 1\n"}, ["dataset/train.jsonl: this file is missing"]),
        ({"sft_config.yaml": "", "sft_utils.py": "x = 1\n"}, ["sft_config.yaml: this file is empty"]),
    ],
)
def test_what_is_no_submission_is_refused_before_anything_is_set_up(content, words, tmp_path, monkeypatch, capsys):
    def set_up(root: Path, console: object) -> str:
        raise AssertionError("the contract's versions were set up")

    monkeypatch.setattr("data.submission.sandbox.stock_python", set_up)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()
    for name, text in content.items():
        (tmp_path / "other" / name).write_text(text)
    assert main(["submission", "rehearse", "other"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "is no submission" in said and all(word in said for word in words), said
