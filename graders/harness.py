r"""`process_results` for lm-evaluation-harness: the three levels as metrics of a `generate_until` task.

In a task's YAML, beside a `utils.py` that says `from graders.harness import process_results`:

    process_results: !function utils.process_results
    metric_list:
      - {metric: equivalent, aggregation: mean, higher_is_better: true}
      - {metric: normalized, aggregation: mean, higher_is_better: true}
      - {metric: strict, aggregation: mean, higher_is_better: true}
      - {metric: not_judged, aggregation: mean, higher_is_better: false}
"""

from collections.abc import Mapping, Sequence
from typing import Any

from graders.batch import grade
from graders.boxed import gold_from_solution


def process_results(doc: Mapping[str, Any], results: Sequence[str | Sequence[str]]) -> dict[str, float]:
    """The metrics of one document, each 0.0 or 1.0; `not_judged` counts what none of the others may be read from.

    `results` holds what the filters left of the outputs: one text, or a list of them of which the first counts.
    """
    first = results[0]
    verdict = grade(first if isinstance(first, str) else first[0], _gold(doc))
    return {
        "equivalent": float(verdict.correct),
        "normalized": float(verdict.normalized),
        "strict": float(verdict.strict),
        "not_judged": float(not verdict.judged),
    }


def _gold(doc: Mapping[str, Any]) -> str:
    """The reference answer of a document: its `answer`, else the last box of its `solution`."""
    if "answer" in doc:
        return str(doc["answer"])
    if "solution" in doc:
        return gold_from_solution(str(doc["solution"])) or ""
    raise KeyError(f'the document has neither "answer" nor "solution", only {sorted(doc)}; rename a column')
