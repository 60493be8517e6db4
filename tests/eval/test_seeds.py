"""Several decoding seeds: each an evaluation of its own, shown as one row with an interval that counts problems and seeds."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval.report import load_evaluations, make_sections
from eval.report.load import Evaluation
from eval.report.seeds import fold_seeds, newest_members, without_seed
from eval.scores import LEVELS, Graded
from eval.stats import accuracy_interval

Cli = Callable[..., Any]
PROBLEMS = {f"{n} + 1?": str(n + 1) for n in range(10)}
# Which problems each model gets right with seeds 0, 1 and 2; of ten.
RIGHT = {"model": (4, 6, 5), "run": (8, 9, 10)}


@pytest.fixture
def place(
    make_model: Callable[..., Path],
    write_benchmark: Callable[..., Path],
    use_engine: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """model/ and run/checkpoint-5, an engine that is right on RIGHT's first so many problems, and a benchmark of ten."""
    monkeypatch.chdir(tmp_path)
    write_benchmark("sums", PROBLEMS)
    make_model(tmp_path / "model")
    make_model(tmp_path / "run" / "checkpoint-5", shift=0.1)
    asked: Counter[tuple[str, str]] = Counter()

    def says(problem: str, sample: int) -> str:
        who = "run" if engine.loaded[-1].name == "checkpoint-5" else "model"
        seed = asked[who, problem]
        asked[who, problem] += 1
        number = int(problem.split()[0])
        return f"\\boxed{{{number + 1 if number < RIGHT[who][seed] else 0}}}"

    engine = use_engine(says)
    return tmp_path


def run_on(*more: str) -> list[str]:
    options = ["--benchmark=sums", "--benchmarks-dir=benchmarks", "--max-tokens=64", "--device=cpu", "--workers=1"]
    return ["run", *more, *options, "--temperature=0.7"]


def test_each_seed_is_an_evaluation_and_the_row_is_their_mean(place: Path, cli: Cli) -> None:
    done = cli(*run_on("model"), "--seeds=0 1 2", "--json")
    assert done.code == 0, done.err
    (row,) = json.loads(done.out)
    assert [(one["seed"], one["equivalent"]) for one in row["seeds"]] == [(0, 0.4), (1, 0.6), (2, 0.5)]
    assert row["equivalent"] == pytest.approx(0.5) and row["seeds_sd"] == pytest.approx(0.1)
    assert (row["n"], row["statuses"]) == (30, {"correct": 15, "wrong": 15})
    # Four problems are right with every seed, four with none: the clusters are problems, not the thirty outputs.
    scores = np.array([1, 1, 1, 1, 2 / 3, 1 / 3, 0, 0, 0, 0])
    assert row["ci95"] == pytest.approx(accuracy_interval(scores, samples=3))
    manifests = [json.loads(path.read_text()) for path in place.glob("reports/*/manifest.json")]
    assert sorted(one["decoding"]["seed"] for one in manifests) == [0, 1, 2]
    assert {one["key"] for one in manifests} == {one["key"] for one in row["seeds"]}
    assert "model is the mean of 3 seeds: 40.0% (seed 0), 60.0% (seed 1) and 50.0% (seed 2)" in " ".join(
        done.err.split()
    )
    assert "standard deviation between seeds 10.0 points" in " ".join(done.err.split())
    told = " ".join(done.err.split())
    assert "10 problems with 3 samples each can show a difference of" in told, "thirty outputs are ten problems"

    again = cli(*run_on("model"), "--seeds", "1,2,0", "--json")
    assert [one["reused"] for one in json.loads(again.out)] == [True], "nothing is decoded twice"


def test_seeds_that_were_decoded_one_by_one_make_the_same_row(place: Path, cli: Cli) -> None:
    for seed in range(3):
        assert cli(*run_on("model"), f"--seed={seed}").code == 0
    (section,) = make_sections(load_evaluations(place / "reports"))
    (row,) = section.group.rows
    assert row.summary["equivalent"] == pytest.approx(0.5) and len(section.members_of(row.summary)) == 3
    assert not section.superseded


def test_pages_show_the_row_once_and_each_seed_on_a_page_of_its_own(place: Path, cli: Cli) -> None:
    (row,) = json.loads(cli(*run_on("model"), "--seeds=0 1 2", "--json").out)
    index = (place / "reports" / "index.html").read_text()
    assert index.count("50.0%") and "mean of 3 seeds" in index and "Superseded" not in index
    for one in row["seeds"]:
        page = (place / "reports" / one["key"] / "index.html").read_text()
        assert f"figures and outputs of seed {one['seed']}" in page
        assert f'<p class="figure">{100 * one["equivalent"]:.1f}% ' in page
        assert all(f"../{other['key']}/index.html" in page for other in row["seeds"] if other is not one)
    assert "seed 0" in index and "seed 2" in index, "how it was measured lists the seeds"


def test_models_are_told_apart_by_their_means_over_seeds(place: Path, cli: Cli) -> None:
    assert cli(*run_on("model", "run"), "--seeds=0 1 2").code == 0
    (section,) = make_sections(load_evaluations(place / "reports"))
    assert [(row.label, round(row.summary["equivalent"], 6)) for row in section.group.rows] == [
        ("base", 0.5),
        ("step 5", 0.9),
    ]
    done = cli("compare", "model", "run", "--json")
    (found,) = json.loads(done.out)
    assert (found["n"], found["samples"]) == (10, 3)
    assert found["equivalent"]["difference"] == pytest.approx(0.4)
    assert [one["equivalent"] for one in found["b"]["seeds"]] == [0.8, 0.9, 1.0]
    assert "A is the mean of 3 seeds" in done.err
    one = cli("compare", found["a"]["seeds"][0]["key"], found["b"]["seeds"][2]["key"], "--json")
    assert json.loads(one.out)[0]["equivalent"]["difference"] == pytest.approx(0.6), "a key is one seed"


def test_exports_hold_the_mean_and_every_output(place: Path, cli: Cli) -> None:
    assert cli(*run_on("model"), "--seeds=0 1 2").code == 0
    assert cli("export", "csv").code == 0
    with (place / "reports/export/summaries.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["equivalent"]) == pytest.approx(0.5) and float(row["seeds_sd"]) == pytest.approx(0.1)
    with (place / "reports/export/items.csv").open() as file:
        items = list(csv.DictReader(file))
    assert len(items) == 30 and len({item["key"] for item in items}) == 3
    assert sum(item["correct"] == "True" for item in items) == 15


def test_repeats_go_with_their_seed(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RIGHT, "model", (4, 5, 6, 6))  # seed 0, its repeat, seed 1, its repeat
    done = cli(*run_on("model"), "--seeds=0 1", "--repeat=1", "--json")
    (row,) = json.loads(done.out)
    assert [one["equivalent"] for one in row["seeds"]] == [0.4, 0.6]
    told = " ".join(done.err.split())
    assert "Noise floor of model, seed 0: 1 of 10 problems flip" in told
    assert "Noise floor of model, seed 1: 0 of 10 problems flip" in told


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--seeds=0 1 2", "--temperature=0"], ["--seeds 0 1 2 at --temperature 0", "above 0"]),
        (["--seeds=0 0"], ["names a seed twice"]),
        (["--seeds=a"], ["'a' is no list of whole numbers"]),
        (["--seeds="], ["is no list of whole numbers"]),
        (["--seeds=-1"], ["is no list of whole numbers"]),
        (["--seeds=1 2", "--seed=3"], ["--seed 3 and --seeds"]),
    ],
)
def test_seeds_that_mean_nothing_are_refused(asked: list[str], words: list[str], place: Path, cli: Cli) -> None:
    done = cli(*run_on("model"), *asked)
    assert (done.code, done.out) == (2, "") and all(word in done.err for word in words), done.err
    assert not (place / "reports").exists()


def evaluation(seed: int, created: str = "1", weights: str = "w", temperature: float = 0.7) -> Evaluation:
    manifest = {
        "created": created,
        "checkpoint": {"weights_sha": weights},
        "prompt": {"fingerprint": "p"},
        "decoding": {"seed": seed, "temperature": temperature},
    }
    return Evaluation(Path(f"{seed}{created}{weights}"), manifest, {})


def test_members_are_the_newest_weights_one_a_seed() -> None:
    old, again, other = evaluation(1, weights="old"), evaluation(0, "3"), evaluation(2, "2")
    assert newest_members([old, evaluation(0, "2"), other, again]) == (again, other)
    greedy = [evaluation(seed, str(seed), temperature=0.0) for seed in (1, 2)]
    assert newest_members(greedy) == (greedy[1],), "without sampling a seed says nothing"
    assert without_seed(greedy[0].manifest["decoding"]) == greedy[0].manifest["decoding"]


def test_what_no_seed_could_judge_is_left_out() -> None:
    def graded(*scores: float) -> Graded:
        return Graded("sha", 1, ("p0", "p1", "p2"), dict.fromkeys(LEVELS, np.array(scores)), {"timeout": 1})

    summary = {"n": 3, "equivalent": 0.0, "statuses": {"timeout": 1}, "key": "k"}
    members = [Evaluation(e.folder, e.manifest, summary) for e in (evaluation(0), evaluation(1))]
    folded, scores = fold_seeds(members, [graded(1, np.nan, np.nan), graded(0, 1, np.nan)])
    np.testing.assert_array_equal(scores.levels["equivalent"], [0.5, 1, np.nan])
    assert (scores.samples, scores.undecided, folded.summary["n"]) == (2, {"timeout": 2}, 6)
    assert folded.summary["ci95"] == list(accuracy_interval(np.array([0.5, 1.0]), 2))
