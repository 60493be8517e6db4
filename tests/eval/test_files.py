"""YAML that people write: one sentence for what is wrong, and no key that stands twice."""

import pytest

from data.recipe import read_recipe
from eval.files import read_mapping
from eval.records import UserError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "'a' is in line 1 and again in line 3"),
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "'b' is in line 2 and again in line 4"),
        ("a:\n- {b: 1}\n- b: 1\n  b: 2\n", "'b' is in line 3 and again in line 4"),
        ("7: 1\n7: 2\n", "'7' is in line 1 and again in line 2"),
        ("a: &x {b: 1, b: 2}\nc: *x\n", "'b' is in line 1 and again in line 1"),
        ("a: 2026-13-45\n", "is not YAML: month must be in 1..12"),
        ("a: 1\nb: 010\n", "010 in line 2 is 8 in YAML 1.1"),
        ("a: [1:30]\n", "1:30 in line 1 is 90 in YAML 1.1"),
        ("a: {b: -1:30.5}\n", "-1:30.5 in line 1 is -90.5 in YAML 1.1"),
        ("? [a, b]\n: 1\n", "is not YAML: .*unhashable"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text, said, tmp_path):
    (tmp_path / "some.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"some\.yaml.*{said}"):
        read_mapping(tmp_path / "some.yaml")


def test_the_same_key_in_two_mappings_is_no_fault(tmp_path):
    text = "a: &x {k: 1, l: 2}\nb: {k: 3}\nc: *x\nd:\n  <<: *x\n  k: 4\ne: [{k: 1}, {k: 2}]\nf: &y [*x]\ng: *y\n"
    (tmp_path / "some.yaml").write_text(text)
    assert read_mapping(tmp_path / "some.yaml")["d"] == {"k": 4, "l": 2}


def test_numbers_and_texts_that_mean_what_they_show_are_read(tmp_path):
    (tmp_path / "some.yaml").write_text('a: [0, 00, 1_0, 0x1F, 1.5, "010", "1:30", 08, 2026-01-10]\n')
    assert read_mapping(tmp_path / "some.yaml")["a"][:-1] == [0, 0, 10, 31, 1.5, "010", "1:30", "08"]


def test_a_recipe_with_a_key_twice_is_refused(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: a\nsources: []\nname: b\n")
    with pytest.raises(UserError, match=r"recipe\.yaml: 'name' is in line 1 and again in line 3"):
        read_recipe(tmp_path / "recipe.yaml")
