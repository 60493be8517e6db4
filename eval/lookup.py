"""Which evaluations a name stands for: a label of the report, a folder however it is spelled, or the end of its path."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from eval.names import join_parts, printable, printable_parts, suffixes
from eval.places import Place
from eval.records import UserError
from eval.report.conditions import labelled
from eval.report.load import Evaluation
from eval.report.ranking import changes_of

KEY_PREFIX = re.compile(r"[0-9a-f]{4,16}")
STEP_LABEL = re.compile(r"(.+) step (\d+)(?: \+ (.+))?")
MOST_CHOICES = 6


def find_named(asked: str, known: Sequence[Evaluation]) -> list[Evaluation]:
    """The evaluations of the model or run that `asked` names; none where nothing has that name.

    Raises UserError, with the choices, where several have it.
    """
    found = _at(asked, known, _is_here) or _by_label(asked, known) or _at(asked, known, _was_typed)
    return found or _at(asked, known, _ends_in) or _by_longer_label(asked, known)


def find_key(asked: str, known: Iterable[Evaluation]) -> list[Evaluation]:
    """The evaluations whose key begins with `asked`."""
    return [evaluation for evaluation in known if evaluation.folder.name.startswith(asked)]


def is_known_here(asked: str, known: Iterable[Evaluation]) -> bool:
    """Whether something was evaluated in this very folder, or in a run that is this folder."""
    return any(_is_here(asked, place, folder) for e in known for place in e.places for folder in _folders(place))


def similar_name(asked: str, known: Iterable[Evaluation]) -> str:
    """The nearest name of an evaluation, as " (did you mean …?)"; "" where none is near."""
    names = {str(name) for e in known for name in (e.summary["run"], *(place.path for place in e.places))}
    near = difflib.get_close_matches(asked, sorted(names), n=1)
    return f" (did you mean {printable(near[0])}?)" if near else ""


def _by_label(asked: str, known: Sequence[Evaluation]) -> list[Evaluation]:
    rows = [evaluation for label, evaluation in labelled(known) if label == asked]
    models = {_model(evaluation): evaluation for evaluation in rows}
    _refuse_several(asked, [_choice(asked, _model_folder(e), e) for e in models.values()])
    return [evaluation for evaluation in known if _model(evaluation) in models]


def _by_longer_label(asked: str, known: Sequence[Evaluation]) -> list[Evaluation]:
    """Those of "<run> step <N>" where the run's name is longer than it need be by now, or a step is no row any more."""
    if not (parts := STEP_LABEL.fullmatch(asked)):
        return []
    run, step, variant = parts.groups()
    found = find_named(run, known)
    return [e for e in found if e.summary["step"] == int(step) and _variant(e) == (variant or "")]


def _at(asked: str, known: Sequence[Evaluation], fits: Callable[[str, Place, str], bool]) -> list[Evaluation]:
    """Those at the one folder that fits; places that are not shown count where no shown one fits."""
    for places in ([e.places[:1] for e in known], [e.places[1:] for e in known]):
        found: dict[str, list[Evaluation]] = {}
        for evaluation, candidates in zip(known, places, strict=True):
            for folder in {f for place in candidates for f in _folders(place) if fits(asked, place, f)}:
                found.setdefault(folder, []).append(evaluation)
        keys = [frozenset(e.folder.name for e in each) for each in found.values()]
        if len(set(keys)) > 1:
            _refuse_several(asked, [_choice(asked, folder, each[0]) for folder, each in found.items()])
        if found:
            return next(iter(found.values()))
    return []


def _folders(place: Place) -> set[str]:
    return {place.folder, place.home}


def _is_here(asked: str, place: Place, folder: str) -> bool:
    try:
        return not place.hub and Path(folder) == Path(asked).absolute().resolve()
    except (OSError, ValueError):
        return False


def _was_typed(asked: str, place: Place, folder: str) -> bool:
    typed = Path(place.path) if folder == place.folder else Path(place.path).parent
    return asked.rstrip("/") == place.path.rstrip("/") if folder == place.folder else Path(asked) == typed


def _ends_in(asked: str, place: Place, folder: str) -> bool:
    wanted = join_parts(printable_parts(asked.rstrip("/")))
    return bool(wanted.strip("/")) and wanted in suffixes(printable_parts(folder))


def _refuse_several(asked: str, choices: Iterable[str]) -> None:
    names = sorted(set(choices))
    if len(names) > 1:
        more = f", or one of {len(names) - MOST_CHOICES} more" if len(names) > MOST_CHOICES else ""
        raise UserError(
            f"{asked} stands for {len(names)} models; name one of them: {', '.join(names[:MOST_CHOICES])}{more}."
        )


def _choice(asked: str, folder: str, evaluation: Evaluation) -> str:
    """A name of the folder that nothing else has."""
    place, run = evaluation.places[0], str(evaluation.summary["run"])
    inside = place.step is not None and folder == place.folder
    name = f"{run}/{Path(folder).name}" if inside else run
    known = folder in _folders(place) and name != asked and "(" not in name
    return join_parts(printable_parts(folder)) if not known else name


def _model(evaluation: Evaluation) -> tuple[str, int | None, str, str]:
    checkpoint = evaluation.manifest["checkpoint"]
    step: int | None = evaluation.summary["step"]
    return str(evaluation.summary["run"]), step, _variant(evaluation), str(checkpoint["weights_sha"])


def _model_folder(evaluation: Evaluation) -> str:
    return evaluation.places[0].folder


def _variant(evaluation: Evaluation) -> str:
    return " + ".join(changes_of(evaluation.summary))
