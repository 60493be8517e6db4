"""The card of a checkpoint says what it is made of, whatever the names hold."""

import pytest
import yaml
from huggingface_hub import ModelCard

from training.card import public_name, write_card

HOSTILE = "a: b\n---\n# `x` \x1b[2J ```"


def notes(**config):
    settings = {"model_name_or_path": "meta-llama/Llama-3.2-1B", "dataset_name_or_path": "owner/data", "seed": 1}
    return {
        "prompt.json": {"template": "### Problem: {problem}"},
        "data.json": {name: {"rows": 3_000, "tokens": 40_000} for name in ("train", "validation")},
        "run.json": {"config": settings | config, "versions": {"trl": "1"}, "step": 6, "epoch": 1.5, "engine": "E"},
    }


@pytest.mark.parametrize("adapter", [True, False])
def test_a_card_names_base_data_and_settings(adapter, tmp_path):
    write_card(tmp_path, notes(run_name="mine", learning_rate=2e-5), adapter)
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.base_model == "meta-llama/Llama-3.2-1B" and card.data.datasets == ["owner/data"]
    assert card.data.library_name == ("peft" if adapter else "transformers")
    assert "# `mine`, step 6" in card.text and "- train: 3,000 rows, 40,000 tokens" in card.text
    assert "learning_rate: 2.0e-05" in card.text and "### Problem: {problem}" in card.text
    assert "None" not in card.content


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("models/llama-3.2-1b", "llama-3.2-1b"),
        ("hub/models--meta-llama--Llama-3.2-1B/snapshots/0123abc", "meta-llama/Llama-3.2-1B"),
        ("checkpoints/mine/checkpoint-500", "mine/checkpoint-500"),
        ("checkpoints/mine/final", "mine/final"),
    ],
)
def test_a_folder_is_named_as_others_know_it(folder, name, tmp_path):
    (tmp_path / folder).mkdir(parents=True)
    assert public_name(str(tmp_path / folder)) == name
    (tmp_path / "link").symlink_to(tmp_path / folder)
    assert public_name(str(tmp_path / "link")) == name


def test_hostile_names_stay_names(tmp_path):
    told = notes(run_name=HOSTILE, model_name_or_path=HOSTILE, dataset_name_or_path=HOSTILE, optim=HOSTILE)
    told["prompt.json"]["template"] = HOSTILE
    write_card(tmp_path, told, False)
    text = (tmp_path / "README.md").read_text()
    metadata = yaml.safe_load(text.split("\n---\n", 1)[0].removeprefix("---\n"))
    assert metadata["base_model"] == HOSTILE and metadata["datasets"] == [HOSTILE]
    assert ModelCard.load(tmp_path / "README.md").data.base_model == HOSTILE
    heading = next(line for line in text.splitlines() if line.startswith("# `"))
    assert heading == "# `a: b --- # 'x'  [2J " + "'" * 3 + "`, step 6"
    assert text.count("\n````\n") + text.count("\n````yaml\n") == 4, "fences are longer than what they hold"
