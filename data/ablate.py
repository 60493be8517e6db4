"""Recipes held against a control: build -> train -> evaluate all checkpoints -> one paired table.

    python -m data ablate gsm8k-math data/recipes/synthetic.yaml --seeds 0 1 --benchmark gsm8k-test --budget tokens=5000000

Every (recipe, seed) is a cell (`data.cells`); what is done is not done again, whenever the call was ended. With --ray each
cell is a task of a cluster whose machines see this checkout under the same path; with --score-together all are trained
first and scored by one engine, which saves its start a cell where trainings take minutes.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from data.arms import Arm, check_sources, is_data_set, leave_one_out, read_arms, source_names
from data.budget import with_budget
from data.cells import WORK, Cell, Scoring, make_cell
from data.content import benchmark_files, data_files, digest_of, key_of, read_json, slug
from data.ready import check_arms
from data.steps import run_cell, run_cells
from eval import benchmarks
from eval.cluster import connect
from eval.console import progress
from eval.files import read_mapping, write_json
from eval.records import UserError, first_line, split_names
from eval.report import ablation, write_report

SEEDS = 1 << 32  # numpy takes no others


@dataclass(frozen=True)
class Plan:
    """What is asked for. `budget` counts training tokens; `processes` are those of one training, one a GPU."""

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    config: Path
    scoring: Scoring
    benchmarks: tuple[str, ...]
    benchmarks_dir: Path | None = None
    control: str | None = None
    leave_one_out: bool = False
    budget: int | None = None
    build_options: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    processes: int = 1
    gpu: bool = False
    together: bool = False
    ray: bool = False
    cpus: int | None = None
    root: Path = Path()


def make_plan(args: Any, root: Path) -> Plan:
    """The plan of a command line. Raises UserError for what cannot be meant."""
    if len(set(args.seeds)) < len(args.seeds):
        raise UserError(f"--seeds {' '.join(map(str, args.seeds))}: a seed comes twice; name each once.")
    if wrong := [seed for seed in args.seeds if not 0 <= seed < SEEDS]:
        raise UserError(f"--seeds {wrong[0]}: a seed must be a whole number from 0 to {SEEDS - 1}.")
    for option, value in (("--limit", args.limit), ("--max-tokens", args.max_tokens), ("--processes", args.processes)):
        if value is not None and value < 1:
            raise UserError(f"{option} {value}: it must be a whole number above 0.")
    if args.score_together and args.ray:
        raise UserError(
            "--score-together is for one machine, and --ray gives each cell an engine; leave one of them out."
        )
    gpus = count_gpus()
    copied = {"--limit": args.limit, "--max-tokens": args.max_tokens, "--engine": args.engine}
    names = split_names(args.benchmark)
    arguments = ["--benchmark", ",".join(names)]
    build_options = ["--tokenizer", args.tokenizer] if args.tokenizer else []
    if args.benchmarks_dir:
        folder = str((root / args.benchmarks_dir).resolve())
        arguments += ["--benchmarks-dir", folder]
        build_options += ["--benchmarks-dir", folder]
    arguments += [text for option, value in copied.items() if value is not None for text in (option, str(value))]
    return Plan(
        names=tuple(args.recipes),
        seeds=tuple(args.seeds),
        config=args.config,
        scoring=Scoring(tuple(arguments), (root / args.reports).resolve()),
        benchmarks=names,
        benchmarks_dir=root / args.benchmarks_dir if args.benchmarks_dir else None,
        control=args.control,
        leave_one_out=args.leave_one_out,
        budget=parse_budget(args.budget) if args.budget else None,
        build_options=tuple(build_options),
        copies=tuple(args.source),
        processes=args.processes or max(1, gpus),
        gpu=gpus > 0,
        together=args.score_together,
        ray=args.ray,
        cpus=args.cpus,
        root=root,
    )


def parse_budget(text: str) -> int:
    """The N of tokens=N. Raises UserError otherwise."""
    what, _, number = text.partition("=")
    digits = number.replace(",", "").replace("_", "")
    if what != "tokens" or not digits.isdigit() or int(digits) == 0:
        raise UserError(f"--budget {text}: write tokens=N, such as tokens=5000000.")
    return int(digits)


def count_gpus() -> int:
    """GPUs that training may use here; on a cluster this machine stands for the others."""
    if shutil.which("nvidia-smi") is None:
        return 0
    import torch

    return torch.cuda.device_count()


def ablate(plan: Plan, console: Console) -> tuple[ablation.Ablation, list[str]]:
    """Runs what is missing; (the ablation with its tables, a sentence for each cell without a result or not to be trusted).

    Raises UserError for a wrong request, before anything is trained, where a recipe cannot be built, and where training's
    preflight or evaluation would refuse an arm.
    """
    for name in plan.benchmarks:
        benchmarks.load(name, plan.benchmarks_dir, limit=1)  # raises where there is none: before hours of training
    arms = choose_arms(plan)
    control = choose_control(plan, arms)
    read_config(plan)  # this and all sources are looked at before the first recipe is built
    for arm in arms:
        check_sources(arm, plan.root, plan.copies)
    folders = {arm.name: build(arm, plan, console) for arm in arms}
    cells = make_cells(plan, arms, folders, console)
    tell_appended(cells, console)
    check_arms(cells, console)
    folder = plan.scoring.reports / ablation.FOLDER / identity(plan, cells, control)
    record = describe(plan, arms, folders, control)
    before = read_json(folder / ablation.CELLS) or {}
    record["created"] = before.get("created") or datetime.now(UTC).isoformat(timespec="seconds")
    known = {(told["arm"], told["seed"]): told for told in before.get("cells", [])}
    for told in run_all(plan, cells, console):
        known[told["arm"], told["seed"]] = told
        places = ((cell.arm.name, cell.seed) for cell in cells)
        record["cells"] = [known[place] for place in places if place in known]
        write_json(folder / ablation.CELLS, record)
    write_report(plan.scoring.reports)
    return ablation.load_ablation(folder), problems(record)


def choose_arms(plan: Plan) -> list[Arm]:
    """The arms, those of --leave-one-out among them."""
    arms = read_arms(plan.names, plan.root)
    if plan.leave_one_out:
        if len(arms) != 1 or is_data_set(plan.root / arms[0].recipe):
            raise UserError("--leave-one-out takes one recipe, and makes the others from it.")
        made = leave_one_out(plan.root / arms[0].recipe, plan.root / WORK / "recipes")
        arms += [
            Arm(path.stem, path.relative_to(plan.root), arms[0].sft_utils, arms[0].settings, arms[0].allow)
            for path in made
        ]
    if len(arms) < 2:
        raise UserError("an ablation needs at least two recipes; name another, or pass --leave-one-out.")
    return arms


def choose_control(plan: Plan, arms: Sequence[Arm]) -> str:
    """The name of the control: the first arm, or the one that --control names as it was named or as it is called."""
    if plan.control is None:
        return arms[0].name
    asked = (
        read_arms([plan.control], plan.root)[0].name if plan.control not in {arm.name for arm in arms} else plan.control
    )
    if asked not in {arm.name for arm in arms}:
        raise UserError(f"--control {plan.control} is none of the recipes: {', '.join(arm.name for arm in arms)}.")
    return asked


# Building, as a process that knows by itself what is built already


def build(arm: Arm, plan: Plan, console: Console) -> Path:
    """The folder of an arm's data set, relative to the project where it lies in it."""
    if is_data_set(plan.root / arm.recipe):
        data_files(plan.root / arm.recipe)  # raises where a file is missing
        return arm.recipe
    command = [sys.executable, "-m", "data", "build", str(arm.recipe), "--json", *plan.build_options]
    names = source_names(plan.root / arm.recipe)
    for copy in plan.copies:
        if copy.partition("=")[0] in names:
            command += ["--source", copy]
    with console.status(f"building {ablation.plain(arm.name)}"):
        done = subprocess.run(command, cwd=plan.root, capture_output=True, text=True, errors="replace", check=False)
    try:
        folder = Path(json.loads(done.stdout)["folder"])
    except (ValueError, KeyError, TypeError):
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line.removeprefix("error: ") for line in reversed(said) if line.startswith("error: ")), "")
        raise UserError(
            f"recipe {arm.recipe} could not be built: {reason or (said or ['it said nothing'])[-1][:300]}",
            done.returncode or 1,
        ) from None
    return folder if not folder.is_absolute() else Path(os.path.relpath(folder, plan.root.resolve()))


# Cells


def make_cells(plan: Plan, arms: Sequence[Arm], folders: Mapping[str, Path], console: Console) -> list[Cell]:
    """Arms by seeds, all arms of the first seed first: a table can be read early. The first ordinary cell scores the base."""
    config = read_config(plan)
    settings = {arm.name: {**config, **arm.settings} for arm in arms}
    if plan.budget:
        for arm in arms:
            place = (plan.processes, plan.root, console)
            settings[arm.name] = with_budget(arm, folders[arm.name], settings[arm.name], plan.budget, *place)
    first = next((arm.name for arm in arms if arm.sft_utils is None), None)
    return [
        make_cell(
            arm, seed, folders[arm.name], settings[arm.name], plan.root, plan.scoring,
            processes=plan.processes, gpu=plan.gpu, base=arm.name == first and seed == plan.seeds[0],
        )
        for seed in plan.seeds
        for arm in arms
    ]  # fmt: skip


def tell_appended(cells: Sequence[Cell], console: Console) -> None:
    """A line for each arm that may leave out EOS, and whose examples get it all the same."""
    arms = {cell.arm.name for cell in cells if "eos" in cell.arm.allow and cell.settings.get("packing", True)}
    for name in sorted(arms):
        line = f"{ablation.plain(name)}: packing appends EOS to every example, so allow: [eos] measures nothing; set packing: false"
        console.print(line, markup=False, soft_wrap=True)


def read_config(plan: Plan) -> dict[str, Any]:
    """The config that cells share. Raises UserError where it does not say what an ablation needs."""
    config = read_mapping(plan.root / plan.config)
    for key in ("model_name_or_path", "output_dir"):
        if key not in config:
            raise UserError(f"{plan.config}: {key} is missing; add a line `{key}: …`.")
    return config


def run_all(plan: Plan, cells: Sequence[Cell], console: Console) -> Iterator[dict[str, Any]]:
    """Yields what each cell gave, as it finishes."""
    with progress(console, "ablate", len(cells), "cell") as advance:
        results = run_on_ray(plan, cells) if plan.ray else run_here(plan, cells, advance)
        for done, told in enumerate(results, start=1):
            if told["error"]:
                console.print(f"failed: {told['error']}", markup=False, style="bold red", soft_wrap=True)
            advance(done, f"{ablation.plain(told['arm'])} seed {told['seed']}")
            yield told


def run_here(plan: Plan, cells: Sequence[Cell], advance: Any) -> Iterator[dict[str, Any]]:
    done = 0

    def say(line: str) -> None:
        advance(done, ablation.plain(line))

    for group in [cells] if plan.together else [[cell] for cell in cells]:
        for told in run_cells(group, say):
            done += 1
            yield told


def run_on_ray(plan: Plan, cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
    """Each cell as a task with its GPUs, or its CPU cores: by default all of a machine, because training takes them."""
    import ray

    connect(log_to_driver=False)
    try:
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        most = max(int(node["Resources"].get("CPU", 0)) for node in nodes if node["Alive"])
        cores, gpus = min(plan.cpus or most, most), plan.processes if plan.gpu else 0
        environment = {"env_vars": {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}}
        task = ray.remote(num_cpus=cores, num_gpus=gpus, max_retries=2, runtime_env=environment)(run_cell)
        waiting: dict[Any, Cell] = {task.remote(replace(cell, cores=cores)): cell for cell in cells}
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            cell = waiting.pop(done)
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                yield {
                    "arm": cell.arm.name,
                    "seed": cell.seed,
                    "run": str(cell.run),
                    "key": cell.key,
                    "error": first_line(error),
                }
    finally:
        ray.shutdown()


# The record


def identity(plan: Plan, cells: Sequence[Cell], control: str) -> str:
    """The ablation's folder: what was trained, how it was scored, and against what."""
    arguments = plan.scoring.arguments
    place = arguments.index("--benchmarks-dir") + 1 if "--benchmarks-dir" in arguments else None
    content = {
        "cells": sorted(cell.key for cell in cells),
        "control": control,
        "scoring": [one for position, one in enumerate(arguments) if position != place],  # files may move
        "benchmarks": digest_of(benchmark_files(arguments)),
    }
    return f"{slug(control)}-{key_of(content)[:8]}"


def describe(plan: Plan, arms: Sequence[Arm], folders: Mapping[str, Path], control: str) -> dict[str, Any]:
    """cells.json, but for the cells, which come as they finish."""
    return {
        "command": shlex.join(sys.argv),
        "control": control,
        "benchmarks": list(plan.benchmarks),
        "budget_tokens": plan.budget,
        "seeds": list(plan.seeds),
        "arms": [describe_arm(arm, folders[arm.name], plan.root) for arm in arms],
    }


def describe_arm(arm: Arm, folder: Path, root: Path) -> dict[str, str]:
    """What the page says of an arm."""
    manifest = read_json(root / folder / "manifest.json") or {}
    digest = str(manifest.get("digest") or digest_of(data_files(root / folder)))
    return {"name": arm.name, "recipe": str(arm.recipe), "folder": str(folder), "digest": digest, "own": arm.own}


def problems(record: Mapping[str, Any]) -> list[str]:
    """A sentence for each cell without a result, and for each that is not to be trusted."""
    cells = record["cells"]
    failed = [f"{cell['arm']} seed {cell['seed']} has no result: {cell['error']}" for cell in cells if cell["error"]]
    return [*failed, *(sentence for cell in cells for sentence in cell.get("untrusted") or [])]
