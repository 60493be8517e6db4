"""The adapter for lm-evaluation-harness: its calling convention, and a whole run of the library where it is installed."""

import json
from pathlib import Path
from typing import Any

import pytest

from graders.harness import process_results

PROBLEMS = [
    {"problem": "1", "answer": "0.5", "output": r"so \boxed{\frac12}"},
    {"problem": "2", "answer": "7", "output": r"so \boxed{7}"},
    {"problem": "3", "answer": "7", "output": "seven"},
    {"problem": "4", "answer": r"\frac12", "output": r"\boxed{\dfrac{1}{2}}"},
]


@pytest.mark.parametrize(
    ("output", "gold", "levels"),
    [(r"\boxed{7}", "7", (1, 1, 1)), (r"\boxed{\dfrac12}", r"\frac12", (1, 1, 0)), (r"\boxed{0.5}", "1/2", (1, 0, 0)),
     (r"\boxed{8}", "7", (0, 0, 0)), ("7", "7", (0, 0, 0))],
)  # fmt: skip
def test_levels(output: str, gold: str, levels: tuple[int, int, int]) -> None:
    metrics = process_results({"answer": gold}, [output])
    assert metrics == dict(zip(("equivalent", "normalized", "strict"), levels, strict=True)) | {"not_judged": 0}


def test_outputs_in_a_list_and_golds_from_solutions() -> None:
    assert process_results({"solution": r"so \fbox{9}"}, [[r"\boxed{9}", r"\boxed{8}"]])["strict"] == 1
    assert process_results({"answer": 9}, [r"\boxed{9}"])["strict"] == 1


def test_what_was_not_judged_is_said() -> None:
    assert process_results({"answer": ""}, [r"\boxed{9}"])["not_judged"] == 1
    assert process_results({"solution": "no box"}, [r"\boxed{9}"])["not_judged"] == 1
    with pytest.raises(KeyError, match="rename a column"):
        process_results({"target": "9"}, [r"\boxed{9}"])


def test_in_a_run_of_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "lm_eval is not in the lock: this run is for an environment that has it"
    lm_eval = pytest.importorskip("lm_eval", reason=reason)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    from lm_eval.api.model import LM
    from lm_eval.tasks import TaskManager

    class Replayed(LM):  # type: ignore[misc]
        """Answers each prompt with the output that stands beside it."""

        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            return [PROBLEMS[int(request.args[0]) - 1]["output"] for request in requests]

        def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
            raise NotImplementedError

        def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
            raise NotImplementedError

    lines = "".join(json.dumps(row) + "\n" for row in PROBLEMS)
    (tmp_path / "problems.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "utils.py").write_text("from graders.harness import process_results\n", encoding="utf-8")
    metrics = ["equivalent", "normalized", "strict", "not_judged"]
    (tmp_path / "boxed.yaml").write_text(
        "task: boxed\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {tmp_path / 'problems.jsonl'}}}}}\n"
        'test_split: test\noutput_type: generate_until\ndoc_to_text: "{{problem}}"\ndoc_to_target: answer\n'
        "process_results: !function utils.process_results\nmetric_list:\n"
        + "".join(f"  - {{metric: {name}, aggregation: mean, higher_is_better: true}}\n" for name in metrics),
        encoding="utf-8",
    )
    manager = TaskManager(include_path=str(tmp_path), include_defaults=False)
    results = lm_eval.simple_evaluate(Replayed(), tasks=["boxed"], task_manager=manager)["results"]["boxed"]
    assert [results[f"{name},none"] for name in metrics] == [0.75, 0.5, 0.25, 0.0]
