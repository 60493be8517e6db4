"""Which evaluations were measured alike, and how."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eval import shots
from eval.noise import noise_floor
from eval.report.load import Evaluation, Summary
from eval.report.ranking import Group, make_group, title
from eval.report.seeds import fold_seeds, newest_members, without_seed
from eval.scores import Graded, read_graded


@dataclass(frozen=True)
class Section:
    """Evaluations under equal conditions: same problems, limit, decoding, engine and its version.

    `current` holds the newest evaluation of each checkpoint; `superseded` older ones of the same run and step, whose
    weights or prompt were others. `group` ranks the current ones by their verdicts, `graded`, which are by key. `note`
    tells sections of one benchmark apart. `seeds` has the members of a row that is the mean of several, by its key. `noise`
    says how far repeated decodings differ, a sentence a repeated row.
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
    seeds: Mapping[str, tuple[Evaluation, ...]] = field(default_factory=dict)

    def members_of(self, summary: Summary) -> tuple[Evaluation, ...]:
        """The evaluations behind a row: one, or one a seed, with figures of their own."""
        return self.seeds.get(str(summary["key"])) or (self.evaluation_of(summary),)

    @property
    def members(self) -> list[Evaluation]:
        """Those of all rows."""
        return [member for evaluation in self.current for member in self.members_of(evaluation.summary)]

    def evaluation_of(self, summary: Summary) -> Evaluation:
        """The evaluation of a row."""
        return next(evaluation for evaluation in self.current if evaluation.summary is summary)

    def key_of(self, summary: Summary) -> str:
        """The folder of a row's evaluation."""
        return self.evaluation_of(summary).folder.name


def make_sections(evaluations: Iterable[Evaluation], known: Mapping[str, Graded] | None = None) -> list[Section]:
    """One section for each set of conditions, in order of benchmark name, whole benchmarks before limited ones.

    `known` are verdicts that were read before, by key; others are read.
    """
    members: dict[tuple[str, ...], list[Evaluation]] = {}
    repeats: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        if evaluation.summary.get("repeat"):
            repeats.setdefault(_without_repeat(evaluation), []).append(evaluation)
        else:
            members.setdefault(conditions_of(evaluation), []).append(evaluation)
    ordered = [members[key] for key in sorted(members)]
    names = [(e[0].manifest["benchmark"]["name"], e[0].manifest["benchmark"]["limit"]) for e in ordered]
    return [
        _section(same, repeats, names.count(name) > 1, known or {}) for same, name in zip(ordered, names, strict=True)
    ]


def measured_with(section: Section) -> list[tuple[str, list[str]]]:
    """(what, its distinct values) over the section: more than one value means that rows differ in it."""
    manifests = [evaluation.manifest for evaluation in section.members]
    benchmark = [f"{m['benchmark']['name']}, sha256 {m['benchmark']['sha256'][:12]}" for m in manifests]
    return [
        ("benchmark", _distinct(benchmark)),
        ("decoding", _distinct(_words(m["decoding"]) for m in manifests)),
        ("engine", _distinct(_words(m["engine"]) for m in manifests)),
        ("prompt", _distinct(_prompt_words(m["prompt"]) for m in manifests)),
        ("grader", _distinct(str(evaluation.summary["grader"]) for evaluation in section.current)),
        ("versions", _distinct(_words(m["versions"]) for m in manifests)),
        ("git commit", _distinct(m["git_commit"] or "none" for m in manifests)),
        ("measured", _distinct(m["created"] for m in manifests)),
    ]


def conditions_of(evaluation: Evaluation) -> tuple[str, ...]:
    """What must be equal for two evaluations to be compared, in the order of section titles."""
    benchmark, engine = evaluation.manifest["benchmark"], evaluation.manifest["engine"]
    return (
        benchmark["name"],
        f"{benchmark['limit'] or 0:012}",  # sorts as a number, no limit first
        benchmark["sha256"],
        json.dumps(without_seed(evaluation.manifest["decoding"]), sort_keys=True),
        engine["name"],
        engine["version"],
    )


def _section(
    evaluations: Sequence[Evaluation],
    repeats: Mapping[str, list[Evaluation]],
    ambiguous: bool,
    known: Mapping[str, Graded],
) -> Section:
    same: dict[tuple[object, ...], list[Evaluation]] = {}
    for evaluation in sorted(evaluations, key=lambda e: (e.manifest["created"], e.folder.name)):
        summary = evaluation.summary
        asked = summary.get("asked_in_full", ""), summary.get("prompt_variant", "")
        same.setdefault((summary["run"], summary["step"], *asked), []).append(evaluation)
    members = [newest_members(one) for one in same.values()]
    folded = [fold_seeds(one, [known.get(e.folder.name) or _graded(e) for e in one]) for one in members]
    current = tuple(evaluation for evaluation, _ in folded)
    graded = {evaluation.summary["key"]: scores for evaluation, scores in folded}
    seeds = {one[0].summary["key"]: one for one in members if len(one) > 1}
    group = make_group([evaluation.summary for evaluation in current], graded)
    manifest = current[0].manifest
    return Section(
        id=hashlib.sha256(json.dumps(conditions_of(current[0])).encode()).hexdigest()[:12],
        title=title(group, manifest["benchmark"]["n"]),
        note=f"{_words(without_seed(manifest['decoding']))}; {_words(manifest['engine'])}" if ambiguous else "",
        group=group,
        graded=graded,
        current=current,
        superseded=tuple(e for e in evaluations if not any(e is kept for one in members for kept in one)),
        noise=tuple(_noise_sentences(group, {one[0].summary["key"]: one for one in members}, known, repeats)),
        seeds=seeds,
    )


def _noise_sentences(
    group: Group,
    members: Mapping[str, tuple[Evaluation, ...]],
    known: Mapping[str, Graded],
    repeats: Mapping[str, list[Evaluation]],
) -> Iterator[str]:
    if not repeats:
        return
    for row in group.rows:
        of_row = members[row.summary["key"]]
        for one in of_row:
            if again := repeats.get(_without_repeat(one)):
                floor = noise_floor([known.get(one.folder.name) or _graded(one), *map(_graded, again)])
                which = f", seed {one.manifest['decoding']['seed']}" if len(of_row) > 1 else ""
                yield f"Noise floor of {row.label}{which}: {floor}."


def _graded(evaluation: Evaluation) -> Graded:
    return read_graded(evaluation.folder, evaluation.manifest, evaluation.summary["grader"])


def _without_repeat(evaluation: Evaluation) -> str:
    """What an evaluation shares with those that repeat its decoding."""
    inputs = evaluation.manifest["inputs"]
    return json.dumps(inputs | {"decoding": inputs["decoding"] | {"repeat": 0, "max_batch": None}}, sort_keys=True)


def _distinct(values: Iterable[str]) -> list[str]:
    return sorted(set(values))


def _words(settings: dict[str, Any]) -> str:
    """{"name": "vllm", "max_tokens": 512} as "name vllm, max tokens 512"; empty values are left out."""
    stated = {name: value for name, value in settings.items() if value not in (None, "", [], {})}
    return ", ".join(f"{name.replace('_', ' ')} {_word(value)}" for name, value in stated.items())


def _prompt_words(prompt: dict[str, Any]) -> str:
    """The examples stand in the template already, so their source is enough."""
    drawn = prompt.get("shots")
    return _words(prompt | ({"shots": shots.words(drawn)} if drawn else {}))


def _word(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else json.dumps(value, sort_keys=True)
