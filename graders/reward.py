r"""A reward function for TRL's trainers (GRPO, RLOO): 1.0 for a right last box, 0.0 for a wrong or missing one.

GRPOTrainer(reward_funcs=reward, train_dataset=...)  # rows with "prompt" and "answer"
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from graders.batch import grade_many
from graders.verdict import Verdict

# What was not judged is no failure of the model: TRL leaves NaN out of its means, as it does None.
NOT_JUDGED = math.nan

# A completion is a text or, in conversations, a list of messages.
Completion = str | Sequence[Mapping[str, Any]]


def reward(completions: Sequence[Completion], answer: Sequence[str], **columns: object) -> list[float]:
    """One reward a completion, in order: 1.0 correct, 0.0 wrong or no box, NaN not judged.

    TRL calls it with the completions and every column of the data set by name; other columns are not looked at.
    """
    texts = [_text(completion) for completion in completions]
    return [_reward(verdict) for verdict in grade_many(list(zip(texts, answer, strict=True)))]


def _text(completion: Completion) -> str:
    """The text of a completion: of a conversation, what the last message says."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else None
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content or [])  # content in parts, as of multimodal models


def _reward(verdict: Verdict) -> float:
    return float(verdict.correct) if verdict.judged else NOT_JUDGED
