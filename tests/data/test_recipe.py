"""A recipe is checked key by key before anything is loaded, and the shipped ones are right."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from data.build import stages
from data.recipe import STEPS, read_recipe
from eval.records import UserError

SHIPPED = sorted((Path(__file__).parents[2] / "data/recipes").glob("*.yaml"))
GOOD = """name: good
tokenizer: models/smollm2-135m
sources:
  - {name: sums, path: sums.jsonl}
  - {name: gsm8k, hub: openai/gsm8k, config: main, revision: e53f048856ff4f594e959d75785d2c2d37b678ee}
steps:
  - has_box
  - length: {max_tokens: 1024}
  - mix: {rows: 100, weights: {sums: 1, gsm8k: 2.5}, caps: {level: {"Level 1": 10}}}
  - validation
"""


@pytest.fixture
def write(tmp_path):
    def write_text(text: str) -> Path:
        (tmp_path / "recipe.yaml").write_text(text, encoding="utf-8")
        return tmp_path / "recipe.yaml"

    return write_text


def test_a_recipe_has_every_parameter_with_defaults_filled_in(write):
    recipe = read_recipe(write(GOOD))
    assert [step.name for step in recipe.steps] == ["has_box", "length", "mix", "validation"]
    assert recipe.steps[1].parameters == {"max_tokens": 1024, "min_tokens": 0}
    assert recipe.steps[3].parameters == {"rows": 100}
    assert (recipe.sources[1].hub, recipe.sources[1].split, recipe.seed) == ("openai/gsm8k", "train", 0)
    assert [(tuple(step.name for step in local), decision.name) for local, decision in stages(recipe)] == [
        (("has_box", "length"), "mix"),
        (("contract",), "validation"),
    ]


def test_a_copy_stands_in_for_a_source_of_the_hub(write):
    source = read_recipe(write(GOOD), {"gsm8k": "copy.parquet"}).sources[1]
    assert (source.path, source.hub, source.revision) == ("copy.parquet", "", "")


# (what stands in GOOD, what stands there instead, words of the sentence)
WRONG = [
    ("steps:", "stps:", ["unknown key 'stps'", "did you mean 'steps'?"]),
    ("has_box", "has_bx", ["step 1", "unknown step 'has_bx'", "did you mean 'has_box'?"]),
    ("max_tokens", "max_token", ["step 2 (length)", "'max_token'", "did you mean 'max_tokens'?"]),
    ("1024", "'1024'", ["max_tokens is '1024'", "must be int"]),
    ("1024", "4096", ["max_tokens is 4096", "16 to 2,048"]),
    ("1024", "true", ["max_tokens is True"]),
    ("rows: 100,", "rows: 200000,", ["rows is 200000", "100,100"]),
    ("caps: {level", "caps: {levle", ["caps", "'levle'", "did you mean 'level'?"]),
    ("gsm8k: 2.5", "gsm8k: -1", ["weights", "above 0"]),
    ("gsm8k: 2.5", "gsm8k: lots", ["weights is", "dict[str, float]"]),
    ("e53f048856ff4f594e959d75785d2c2d37b678ee", "main", ["source 2 (gsm8k)", "revision is 'main'", "40 hex digits"]),
    ("path: sums.jsonl", "pth: sums.jsonl", ["source 1", "did you mean 'path'?"]),
    ("path: sums.jsonl", "path: sums.jsonl, synthetic: 10", ["exactly one of hub, path and synthetic"]),
    ("path: sums.jsonl", "path: sums.jsonl, format: gsm", ["format is 'gsm'", "did you mean 'gsm8k'?"]),
    ("name: gsm8k", "name: sums", ["two sources are called 'sums'"]),
    ("name: good", "name: ../../bad", ["name '../../bad'", "names a folder"]),
    ("  - validation\n", "", ["the last step must be `- validation"]),
    ("  - has_box", "  - validation", ["the last step must be `- validation"]),
    ("  - has_box", "  - {has_box: {}, length: {}}", ["step 1 is", "write `- name`"]),
    ("  - has_box", "  - mix: {rows: 5}", ["mix comes twice"]),
    ("steps:", "steps: [", ["is not YAML"]),
    (GOOD, "- a list", ["not a mapping"]),
    ("tokenizer: models/smollm2-135m\n", "", ["tokenizer is missing"]),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), WRONG)
def test_a_wrong_recipe_is_refused_in_one_sentence_that_names_the_fix(old, new, words, write):
    assert old in GOOD
    with pytest.raises(UserError) as refused:
        read_recipe(write(GOOD.replace(old, new, 1)))
    assert all(word in str(refused.value) for word in ["recipe.yaml", *words]), refused.value
    assert refused.value.exit_code == 2


def test_a_copy_of_no_source_is_refused(write):
    with pytest.raises(UserError, match="no such source; did you mean 'gsm8k'"):
        read_recipe(write(GOOD), {"gsm8": "x"})


def test_the_four_shipped_recipes_are_read_and_say_how_they_are_called():
    assert [path.stem for path in SHIPPED] == ["gsm8k-math", "numinamath-100k", "numinamath-86k", "synthetic-demo"]
    for path in SHIPPED:
        assert read_recipe(path).name == path.stem
        assert path.read_text().startswith(f"# python -m data build data/recipes/{path.name}")


def test_every_step_and_parameter_is_documented():
    """A line of docs/recipes.md names the step, and what may be said of it."""
    lines = (Path(__file__).parents[2] / "docs/recipes.md").read_text(encoding="utf-8").splitlines()
    for name, step in STEPS.items():
        assert step.__doc__, name
        line = next((line for line in lines if line.startswith("|") and f"`{name}`" in line.split("|")[1]), "")
        parameters = [
            each.name for each in inspect.signature(step).parameters.values() if each.kind is each.KEYWORD_ONLY
        ]
        missing = [parameter for parameter in parameters if f"`{parameter}" not in line]
        assert line and not missing, (name, missing)
