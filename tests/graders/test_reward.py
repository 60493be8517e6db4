"""The reward function as TRL calls it: through the trainer's own code, with every column by name."""

import json
import math
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from graders.reward import reward

ROOT = Path(__file__).resolve().parents[2]

GOLDS = ["0.5", "7", "7", ""]
TEXTS = [r"so \boxed{\frac12}", r"\boxed{8}", "seven", r"\boxed{1}"]


def _conversation(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


@pytest.mark.parametrize("completions", [TEXTS, [_conversation(text) for text in TEXTS]], ids=["text", "messages"])
def test_one_reward_a_completion(completions: list[str]) -> None:
    rewards = reward(completions=completions, answer=GOLDS, prompts=["p"] * 4, level=[1, 2, 3, 4])
    assert rewards[:3] == [1.0, 0.0, 0.0]
    assert math.isnan(rewards[3])
    assert all(type(value) is float for value in rewards)


def test_shapes_of_conversations() -> None:
    several = [{"role": "assistant", "content": r"\boxed{1}"}, {"role": "assistant", "content": r"\boxed{7}"}]
    parts = [{"role": "assistant", "content": [{"type": "text", "text": r"\boxed{7}"}]}]
    tool_call = [{"role": "assistant", "tool_calls": []}]
    assert reward([several, parts, tool_call, []], ["7"] * 4) == [1.0, 1.0, 0.0, 0.0]


def test_lengths_must_match() -> None:
    with pytest.raises(ValueError, match="zip"):
        reward(TEXTS, ["1"])


# In a process of its own: TRL and torch are heavy, and accelerate keeps state for the whole process.
TRAINER_STEP = """
import json, sys
from types import SimpleNamespace
import accelerate, trl
from graders.reward import reward

golds, completions = json.loads(sys.argv[1])
trainer = SimpleNamespace(
    accelerator=accelerate.Accelerator(cpu=True), args=SimpleNamespace(report_to=[]), environments=None,
    state=SimpleNamespace(global_step=0), reward_funcs=[reward], reward_func_names=["reward"],
    reward_processing_classes=[None], _log_completion_extra=None, _log_metric=None,
)
rows = [{"prompt": "p", "answer": gold, "level": 3} for gold in golds]
prompts, ids = ["p"] * len(golds), [[1]] * len(golds)
found = [trl.GRPOTrainer._calculate_rewards(trainer, rows, prompts, each, ids).tolist() for each in completions]
print(json.dumps(found))
"""


@pytest.mark.skipif(find_spec("trl") is None, reason="trl is absent: its calling convention is not tested")
def test_through_the_trainer_of_trl() -> None:
    work = json.dumps([GOLDS, [TEXTS, [_conversation(text) for text in TEXTS]]])
    command = [sys.executable, "-W", "ignore", "-c", TRAINER_STEP, work]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for rewards in json.loads(done.stdout.splitlines()[-1]):
        assert rewards[:3] == [[1.0], [0.0], [0.0]]
        assert math.isnan(rewards[3][0])
