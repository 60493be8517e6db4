"""Which evaluations were measured alike, and how."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.doubts import doubts
from eval.noise import noise_floor
from eval.report.load import Evaluation, Summary
from eval.report.ranking import Group, Naming, join_words, make_group, make_rows, naming_over, title
from eval.scores import Graded, read_graded


@dataclass(frozen=True)
class Section:
    """Evaluations under equal conditions: same problems, limit, decoding, engine and its version.

    `current` holds the newest evaluation of each checkpoint; `superseded` older ones of the same run and step, whose
    weights or prompt were others. `group` ranks the current ones by their verdicts, `graded`, which are by key. `note`
    tells sections of one benchmark apart. `noise` says how far repeated decodings differ, a sentence a repeated row,
    and `doubts` which rows an earlier version may have got wrong. `naming` is that of all sections beside it.
    `id` is made of the conditions: the section keeps its address while evaluations are added.
    """

    id: str
    title: str
    note: str
    group: Group
    graded: Mapping[str, Graded]
    current: tuple[Evaluation, ...]
    superseded: tuple[Evaluation, ...]
    noise: tuple[str, ...]
    doubts: tuple[str, ...] = ()
    naming: Naming | None = None

    def evaluation_of(self, summary: Summary) -> Evaluation:
        """The evaluation of a row."""
        return next(evaluation for evaluation in self.current if evaluation.summary is summary)

    def key_of(self, summary: Summary) -> str:
        """The folder of a row's evaluation."""
        return self.evaluation_of(summary).folder.name


def make_sections(
    evaluations: Iterable[Evaluation],
    known: Mapping[str, Graded] | None = None,
    among: Iterable[Evaluation] | None = None,
) -> list[Section]:
    """One section for each set of conditions, in order of benchmark name, whole benchmarks before limited ones.

    `known` are verdicts that were read before, by key; others are read. Labels are told apart among the evaluations in
    `among`, those of the whole store where only some of them are shown.
    """
    evaluations = list(evaluations)
    naming = naming_of(evaluations if among is None else among)
    repeats: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        if evaluation.summary.get("repeat"):
            repeats.setdefault(_without_repeat(evaluation), []).append(evaluation)
    ordered = _measured_alike(evaluations)
    names = [(e[0].manifest["benchmark"]["name"], e[0].manifest["benchmark"]["limit"]) for e in ordered]
    return [
        _section(same, repeats, names.count(name) > 1, known or {}, naming)
        for same, name in zip(ordered, names, strict=True)
    ]


def naming_of(evaluations: Iterable[Evaluation]) -> Naming:
    """The naming under which a label means the same in all sections of these evaluations."""
    return naming_over([[e.summary for e in _newest(same)] for same in _measured_alike(evaluations)])


def labelled(evaluations: Iterable[Evaluation]) -> list[tuple[str, Evaluation]]:
    """(label, evaluation) of every row that `make_sections` would give these evaluations; no verdicts are read."""
    evaluations = list(evaluations)
    naming, found = naming_of(evaluations), []
    for same in _measured_alike(evaluations):
        current = _newest(same)
        rows = make_rows([evaluation.summary for evaluation in current], naming)
        found += [(row.label, next(e for e in current if e.summary is row.summary)) for row in rows]
    return found


def measured_with(section: Section) -> list[tuple[str, list[str]]]:
    """(what, its distinct values) over the section: more than one value means that rows differ in it."""
    manifests = [evaluation.manifest for evaluation in section.current]
    benchmark = [f"{m['benchmark']['name']}, sha256 {m['benchmark']['sha256'][:12]}" for m in manifests]
    return [
        ("benchmark", _distinct(benchmark)),
        ("decoding", _distinct(_words(m["decoding"]) for m in manifests)),
        ("engine", _distinct(_words(m["engine"]) for m in manifests)),
        ("prompt", _distinct(_words(m["prompt"]) for m in manifests)),
        ("grader", _distinct(str(evaluation.summary["grader"]) for evaluation in section.current)),
        ("versions", _distinct(_words(m["versions"]) for m in manifests)),
        ("git commit", _distinct(m["git_commit"] or "none" for m in manifests)),
        ("measured", _distinct(_to_the_second(m["created"]) for m in manifests)),
    ]


def conditions_of(evaluation: Evaluation) -> tuple[str, ...]:
    """What must be equal for two evaluations to be compared, in the order of section titles."""
    benchmark, engine = evaluation.manifest["benchmark"], evaluation.manifest["engine"]
    return (
        benchmark["name"],
        f"{benchmark['limit'] or 0:012}",  # sorts as a number, no limit first
        benchmark["sha256"],
        json.dumps(evaluation.manifest["decoding"], sort_keys=True),
        engine["name"],
        engine["version"],
    )


def _section(
    evaluations: Sequence[Evaluation],
    repeats: Mapping[str, list[Evaluation]],
    ambiguous: bool,
    known: Mapping[str, Graded],
    naming: Naming,
) -> Section:
    current = _newest(evaluations)
    graded = {e.summary["key"]: known.get(e.folder.name) or _graded(e) for e in current}
    group = make_group([evaluation.summary for evaluation in current], graded, naming)
    manifest = current[0].manifest
    return Section(
        id=hashlib.sha256(json.dumps(conditions_of(current[0])).encode()).hexdigest()[:12],
        title=title(group, manifest["benchmark"]["n"]),
        note=f"{_words(manifest['decoding'])}; {_words(manifest['engine'])}" if ambiguous else "",
        group=group,
        graded=graded,
        current=current,
        superseded=tuple(e for e in evaluations if not any(e is kept for kept in current)),
        noise=tuple(_noise_sentences(group, current, graded, repeats)),
        doubts=tuple(_doubt_sentences(group, current)),
        naming=naming,
    )


def _measured_alike(evaluations: Iterable[Evaluation]) -> list[list[Evaluation]]:
    members: dict[tuple[str, ...], list[Evaluation]] = {}
    for evaluation in evaluations:
        if not evaluation.summary.get("repeat"):
            members.setdefault(conditions_of(evaluation), []).append(evaluation)
    return [members[key] for key in sorted(members)]


def _newest(evaluations: Iterable[Evaluation]) -> tuple[Evaluation, ...]:
    """The evaluation of each run, step and change of the prompt whose weights were seen there last."""
    newest: dict[tuple[str, int | None, str], Evaluation] = {}
    for evaluation in sorted(evaluations, key=lambda e: (_seen(e), e.folder.name)):
        summary = evaluation.summary
        newest[summary["run"], summary["step"], summary.get("prompt_variant", "")] = evaluation
    return tuple(newest.values())


def _seen(evaluation: Evaluation) -> str:
    return evaluation.places[0].seen if evaluation.places else str(evaluation.manifest["created"])


def _noise_sentences(
    group: Group,
    current: Sequence[Evaluation],
    graded: Mapping[str, Graded],
    repeats: Mapping[str, list[Evaluation]],
) -> Iterator[str]:
    if not repeats:
        return
    keys = {evaluation.summary["key"]: evaluation for evaluation in current}
    for row in group.rows:
        if again := repeats.get(_without_repeat(keys[row.summary["key"]])):
            floor = noise_floor([graded[row.summary["key"]], *map(_graded, again)])
            yield f"Noise floor of {row.label}: {floor}."


def _doubt_sentences(group: Group, current: Sequence[Evaluation]) -> Iterator[str]:
    """One sentence for each reason, with the rows that it is about."""
    reasons = doubts(current[0].folder.parent, [(e.manifest, e.summary) for e in current])
    keys = {e.summary["key"]: reason for e, reason in zip(current, reasons, strict=True) if reason}
    for reason in dict.fromkeys(keys.values()):
        labels = [row.label for row in group.rows if keys.get(row.summary["key"]) == reason]
        yield f"May be wrong, because {reason}: {join_words(labels)}. Score again with the same command."


def _graded(evaluation: Evaluation) -> Graded:
    return read_graded(evaluation.folder, evaluation.manifest, evaluation.summary["grader"])


def _without_repeat(evaluation: Evaluation) -> str:
    """What an evaluation shares with those that repeat its decoding."""
    inputs = evaluation.manifest["inputs"]
    return json.dumps(inputs | {"decoding": inputs["decoding"] | {"repeat": 0, "max_batch": None}}, sort_keys=True)


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values))


def _to_the_second(moment: str) -> str:
    """An ISO moment without fractions of a second."""
    return re.sub(r"\.\d+", "", moment)


def _words(settings: dict[str, Any]) -> str:
    """{"name": "vllm", "max_tokens": 512} as "name vllm, max tokens 512"; empty values are left out."""
    stated = {name: value for name, value in settings.items() if value not in (None, "", [], {})}
    return ", ".join(f"{name.replace('_', ' ')} {_word(value)}" for name, value in stated.items())


def _word(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else json.dumps(value, sort_keys=True)
