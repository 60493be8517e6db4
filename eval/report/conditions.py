"""Which evaluations were measured alike, and how."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eval import shots
from eval.doubts import doubts
from eval.noise import noise_floor
from eval.report.load import Evaluation, Summary
from eval.report.ranking import Group, Naming, join_words, make_group, make_rows, naming_over, title
from eval.report.seeds import fold_seeds, newest_members, without_seed
from eval.scores import Graded, read_graded


@dataclass(frozen=True)
class Section:
    """Evaluations under equal conditions: same problems, limit, decoding, engine and its version.

    `current` holds the newest evaluation of each checkpoint; `superseded` older ones of the same run and step, whose
    weights or prompt were others. `group` ranks the current ones by their verdicts, `graded`, which are by key. `note`
    tells sections of one benchmark apart. `noise` says how far repeated decodings differ, a sentence a repeated row,
    and `doubts` which rows an earlier version may have got wrong. `naming` is that of all sections beside it. `seeds` has
    the members of a row that is the mean of several, by its key.
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
    return naming_over([[one[0].summary for one in _newest(same)] for same in _measured_alike(evaluations)])


def labelled(evaluations: Iterable[Evaluation]) -> list[tuple[str, Evaluation]]:
    """(label, evaluation) of every row that `make_sections` would give these evaluations; no verdicts are read."""
    evaluations = list(evaluations)
    naming, found = naming_of(evaluations), []
    for same in _measured_alike(evaluations):
        current = [one[0] for one in _newest(same)]
        rows = make_rows([evaluation.summary for evaluation in current], naming)
        found += [(row.label, next(e for e in current if e.summary is row.summary)) for row in rows]
    return found


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
        ("measured", _distinct(_to_the_second(m["created"]) for m in manifests)),
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
    naming: Naming,
) -> Section:
    members = _newest(evaluations)
    folded = [fold_seeds(one, [known.get(e.folder.name) or _graded(e) for e in one]) for one in members]
    current = tuple(evaluation for evaluation, _ in folded)
    graded = {evaluation.summary["key"]: scores for evaluation, scores in folded}
    seeds = {one[0].summary["key"]: one for one in members if len(one) > 1}
    group = make_group([evaluation.summary for evaluation in current], graded, naming)
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
        doubts=tuple(_doubt_sentences(group, members)),
        naming=naming,
        seeds=seeds,
    )


def _measured_alike(evaluations: Iterable[Evaluation]) -> list[list[Evaluation]]:
    members: dict[tuple[str, ...], list[Evaluation]] = {}
    for evaluation in evaluations:
        if not evaluation.summary.get("repeat"):
            members.setdefault(conditions_of(evaluation), []).append(evaluation)
    return [members[key] for key in sorted(members)]


def _newest(evaluations: Iterable[Evaluation]) -> list[tuple[Evaluation, ...]]:
    """The evaluations of each run, step and way to ask whose weights were seen there last: one, or one a seed."""
    same: dict[tuple[object, ...], list[Evaluation]] = {}
    for evaluation in sorted(evaluations, key=lambda e: (e.seen, e.folder.name)):
        summary = evaluation.summary
        asked = summary.get("asked_in_full", ""), summary.get("prompt_variant", "")
        same.setdefault((summary["run"], summary["step"], *asked), []).append(evaluation)
    return [newest_members(one) for one in same.values()]


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


def _doubt_sentences(group: Group, members: Sequence[tuple[Evaluation, ...]]) -> Iterator[str]:
    """One sentence for each reason, with the rows that it is about."""
    every = [(one[0].summary["key"], evaluation) for one in members for evaluation in one]
    reasons = doubts(every[0][1].folder.parent, [(e.manifest, e.summary) for _, e in every])
    doubtful = {(key, reason) for (key, _), reason in zip(every, reasons, strict=True) if reason}
    for reason in sorted({reason for _, reason in doubtful}):
        labels = [row.label for row in group.rows if (row.summary["key"], reason) in doubtful]
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


def _prompt_words(prompt: dict[str, Any]) -> str:
    """The examples stand in the template already, so their source is enough."""
    drawn = prompt.get("shots")
    return _words(prompt | ({"shots": shots.words(drawn)} if drawn else {}))


def _word(value: object) -> str:
    return str(value) if isinstance(value, str | int | float) else json.dumps(value, sort_keys=True)
