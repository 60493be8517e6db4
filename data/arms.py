"""What an ablation compares: recipes, data sets that are built already, and arms that bring a template or settings of their own.

A submission is config, sft_utils.py and data, so an arm is a YAML file that may change each of the three:

    # python -m data ablate data/ablations/clean.yaml data/ablations/no-eos.yaml --seeds 0 1 …
    recipe: data/ablations/clean.yaml        # or a folder with train.jsonl and validation.jsonl
    sft_utils: data/ablations/no_eos.py      # used instead of sft_utils.py, in training and in evaluation
    settings: {learning_rate: 1.0e-04}       # over the config's
    allow: [eos]                             # checks of preflight that may fail

Paths are relative to the project.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from eval.files import read_mapping
from eval.records import UserError

RECIPES = Path("data/recipes")
KEYS = {"recipe": str, "name": str, "sft_utils": str, "settings": dict, "allow": list}


@dataclass(frozen=True)
class Arm:
    """One thing to compare: `recipe` is a recipe's file or the folder of a data set."""

    name: str
    recipe: Path
    sft_utils: Path | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    allow: tuple[str, ...] = ()

    @property
    def own(self) -> str:
        """What it changes beside the data, in words."""
        said = [f"{key}: {value}" for key, value in self.settings.items()]
        said += [f"sft_utils: {self.sft_utils}"] if self.sft_utils else []
        return ", ".join([*said, *(f"{check} allowed to fail" for check in self.allow)])


def read_arms(names: Sequence[str], root: Path) -> list[Arm]:
    """An arm for each name. Raises UserError for what is no recipe, data set or arm, and for two of one name."""
    arms = [read_arm(name, root) for name in names]
    for place, arm in enumerate(arms):
        if any(other.name == arm.name for other in arms[:place]):
            raise UserError(f"two arms are called {arm.name!r}; give one another `name`.")
    return arms


def read_arm(asked: str, root: Path) -> Arm:
    """The arm behind a folder, a YAML file, or the name of a recipe in data/recipes."""
    path = Path(asked)
    if not (root / path).exists() and (root / RECIPES / f"{asked}.yaml").is_file():
        path = RECIPES / f"{asked}.yaml"
    if is_data_set(root / path):
        return Arm(path.resolve().name if path.name in ("", "..") else path.name, path)
    if not (root / path).is_file():
        raise UserError(f"{asked} is no recipe, no arm and no folder with train.jsonl{_nearest(asked, root)}")
    settings = read_mapping(root / path)
    if "recipe" not in settings:
        return Arm(str(settings.get("name") or path.stem), path)
    return _arm(path, settings, root)


def is_data_set(folder: Path) -> bool:
    """Whether `sft_utils.load_datasets` would take the folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "train.jsonl").is_file()


def leave_one_out(recipe: Path, folder: Path) -> list[Path]:
    """Writes a recipe for each source of `recipe`, without it, into `folder`; returns their paths.

    Raises UserError where there are fewer than two sources. Weights and caps of the source that is left out go with it.
    """
    whole = read_mapping(recipe)
    sources = whole.get("sources")
    if not isinstance(sources, list) or len(sources) < 2 or not all(isinstance(one, dict) for one in sources):
        raise UserError(f"{recipe}: --leave-one-out needs a recipe with at least two sources.")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for left_out in sources:
        source = str(left_out.get("name"))
        name = f"{str(whole.get('name') or recipe.stem)[:30]}-without-{source[:20]}"
        kept = [one for one in sources if one is not left_out]
        steps = [_without(step, source) for step in whole.get("steps") or []]
        path = folder / f"{name}.yaml"
        text = yaml.safe_dump(
            whole | {"name": name, "sources": kept, "steps": steps}, sort_keys=False, allow_unicode=True
        )
        path.write_text(f"# {recipe} without its source {source}\n{text}", encoding="utf-8")
        paths.append(path)
    return paths


def source_names(recipe: Path) -> set[str]:
    """The names of a recipe's sources."""
    sources = read_mapping(recipe).get("sources")
    return {str(one.get("name")) for one in sources if isinstance(one, dict)} if isinstance(sources, list) else set()


def check_sources(arm: Arm, root: Path, copies: Sequence[str]) -> None:
    """Raises UserError where a source of the arm's recipe is a file that is not there, and no copy of it is named."""
    if is_data_set(root / arm.recipe):
        return
    sources = read_mapping(root / arm.recipe).get("sources")
    given = dict(copy.partition("=")[::2] for copy in copies)
    for source in sources if isinstance(sources, list) else ():
        if not isinstance(source, dict):
            continue
        name = str(source.get("name"))
        if (path := given.get(name, source.get("path"))) and not (root / str(path)).exists():
            raise UserError(
                f"{arm.recipe}: source {name} is {path}, which is not there; mend the path, or pass --source {name}=PATH."
            )


def _arm(path: Path, settings: dict[str, Any], root: Path) -> Arm:
    for key, value in settings.items():
        if key not in KEYS:
            near = difflib.get_close_matches(str(key), KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are: {', '.join(KEYS)}."
            raise UserError(f"{path}: unknown key {key!r}; {hint}")
        if not isinstance(value, KEYS[key]):
            raise UserError(f"{path}: {key} is {value!r:.60}; it must be {KEYS[key].__name__}.")
    recipe = Path(settings["recipe"])
    if not is_data_set(root / recipe) and not (root / recipe).is_file():
        raise UserError(
            f"{path}: recipe {recipe} is neither a recipe nor a folder with train.jsonl; paths start at the project."
        )
    utils = Path(settings["sft_utils"]) if "sft_utils" in settings else None
    if utils and not (root / utils).is_file():
        raise UserError(f"{path}: sft_utils {utils} is not there; paths start at the project.")
    name = str(settings.get("name") or path.stem)
    return Arm(name, recipe, utils, settings.get("settings", {}), tuple(map(str, settings.get("allow", []))))


def _without(step: Any, source: str) -> Any:
    """A step that no longer names `source` among its weights or caps."""
    if not isinstance(step, dict):
        return step
    return {name: _drop(parameters, source) for name, parameters in step.items()}


def _drop(parameters: Any, source: str) -> Any:
    if not isinstance(parameters, dict):
        return parameters
    kept = dict(parameters)
    if isinstance(kept.get("weights"), dict):
        kept["weights"] = _others(kept["weights"], source)
    if isinstance(kept.get("caps"), dict) and isinstance(kept["caps"].get("source"), dict):
        kept["caps"] = kept["caps"] | {"source": _others(kept["caps"]["source"], source)}
    return kept


def _others(by_pattern: dict[str, Any], source: str) -> dict[str, Any]:
    """Without the patterns of a source: its name, or a part of it such as numina/olympiads."""
    return {name: value for name, value in by_pattern.items() if str(name).partition("/")[0] != source}


def _nearest(asked: str, root: Path) -> str:
    known = list(_known(root))
    near = difflib.get_close_matches(asked, known, n=1) or difflib.get_close_matches(Path(asked).stem, known, n=1)
    return f"; did you mean {near[0]}?" if near else "; see data/recipes."


def _known(root: Path) -> Iterator[str]:
    for path in sorted((root / RECIPES).glob("*.yaml")):
        yield path.stem
        yield str(RECIPES / path.name)
