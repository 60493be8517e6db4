"""A project whose training and evaluation take no time: the files that an ablation starts as processes, in place of the real ones.

Training copies the share of right answers that the data promise into its checkpoints; evaluation writes a store in which a
model answers that share. Every start is a line in trace.jsonl. With KILL_AT="train" (or "evaluate", "build") the step
kills the call that started it half-way and lives on, as orphans do.
"""

from __future__ import annotations

import json
from pathlib import Path

COMMON = """
import hashlib, json, os, pathlib, signal, sys, time
def trace(**what):
    with open(os.environ["TRACE"], "a") as file:
        file.write(json.dumps(what) + "\\n")
def die(step):
    if os.environ.get("KILL_AT") == step:
        os.kill(int(os.environ["DRIVER"]), signal.SIGKILL)
        time.sleep(60)
        trace(step="orphan lived")
"""

LAUNCH = (
    COMMON
    + """
import shutil
config = {}
for line in open("sft_config.yaml"):
    key, found, value = line.partition(": ")
    if found and not line.startswith("#"):
        config[key] = value.strip().strip("'")
train = [json.loads(line) for line in open(pathlib.Path(config["dataset_name_or_path"], "train.jsonl"))]
run = pathlib.Path(config["output_dir"], config["run_name"])
resume = "--resume" in sys.argv
if "--preflight" in sys.argv:
    trace(step="preflight", run=run.name, argv=sys.argv[1:], utils=open("sft_utils.py").read())
    if train[0].get("refused"):
        print("error: preflight stops this run (eos: rows).", file=sys.stderr); sys.exit(1)
    sys.exit(0)
trace(step="train", run=run.name, resume=resume, utils=open("sft_utils.py").read(), argv=sys.argv[1:])
if not resume and run.exists():
    sys.exit("error: there is a run already")
if train[0].get("fails"):
    print("noise"); print("error: preflight stops this run (eos: rows).", file=sys.stderr); sys.exit(1)
for step in (1, 2):
    folder = run / f"checkpoint-{step}"
    if (folder / "run.json").exists():
        continue
    folder.mkdir(parents=True, exist_ok=True)
    facts = {"share": train[0]["share"] * step / 2, "seed": int(config["seed"])}
    (folder / "config.json").write_text(json.dumps(facts))
    if step == 2:
        die("train")
    (folder / "optimizer.pt").write_text("")
    (folder / "trainer_state.json").write_text("{}")
    (folder / "run.json").write_text(json.dumps({"step": step, "tokens_seen": 1000 * step}))
(run / "finished.json").write_text("{}")
"""
)

EVALUATE = (
    COMMON
    + """
names, options = sys.argv[2:], {}
place = next(i for i, name in enumerate(names) if name.startswith("--"))
models, rest = names[:place], names[place:]
if "--check" in rest:
    trace(step="check", models=models, options=rest)
    sys.exit("error: its context of 8 tokens is too short" if "--max-tokens" in rest and "9999" in rest else 0)
options = dict(zip(rest[::2], rest[1::2]))
reports, n = pathlib.Path(options["--reports"]), 80
threads = [os.environ.get(name) for name in ("OMP_NUM_THREADS", "VLLM_CPU_OMP_THREADS_BIND")]
trace(step="evaluate", models=models, utils=open("sft_utils.py").read(), threads=threads)
blank = {"subject": None, "level": None, "source": None}
problems = [{"id": f"p{k}", "benchmark": "b", "problem": f"What is {k}?", "answer": str(k), **blank} for k in range(n)]
digest = hashlib.sha256(b"b").hexdigest()
file = f"benchmarks/b-{digest[:12]}.jsonl"
def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\\n" for row in rows))
lines(reports / file, problems)
shown = []
for name in models:
    for folder in sorted(pathlib.Path(name).glob("checkpoint-*")) or [pathlib.Path(name)]:
        facts = json.loads((folder / "config.json").read_text())
        right = {k for k in range(n) if (k * 37 + 11 * facts["seed"]) % n < facts["share"] * n}
        step = int(folder.name.split("-")[-1]) if "checkpoint" in folder.name else None
        run = folder.parent.name if step else folder.name
        key = hashlib.sha256(str([str(folder), facts]).encode()).hexdigest()[:16]
        answers = [str(k) if k in right else str(k + 1) for k in range(n)]
        lines(reports / key / "predictions.jsonl", (
            {"id": f"p{k}", "sample": 0, "text": f"\\\\boxed{{{a}}}", "finish_reason": "stop", "output_tokens": 3,
             "token_ids_sha": ""} for k, a in enumerate(answers)))
        die("evaluate")
        lines(reports / key / "verdicts.1.jsonl", (
            {"id": f"p{k}", "sample": 0, "status": "correct" if k in right else "wrong", "correct": k in right,
             "strict": k in right, "normalized": k in right, "extracted": a, "rule": "exact", "cpu_ms": 0.1}
            for k, a in enumerate(answers)))
        share = len(right) / n
        summary = {"checkpoint": str(folder), "run": run, "step": step, "benchmark": "b", "n": n, "key": key, "grader": "1"}
        summary |= {level: share for level in ("strict", "normalized", "equivalent")}
        summary |= {"ci95": [max(0, share - .1), min(1, share + .1)], "truncated": 0.0, "no_box": 0.0, "limit": None}
        summary |= {"statuses": {"correct": len(right), "wrong": n - len(right)}, "output_tokens": 3 * n}
        manifest = {
            "key": key, "inputs": {"decoding": {}}, "versions": {}, "git_commit": None, "command": "",
            "checkpoint": {"path": str(folder), "run": run, "step": step, "weights_sha": key},
            "benchmark": {"name": "b", "sha256": digest, "n": n, "file": file, "limit": None},
            "prompt": {"fingerprint": "f", "next_problem": ""}, "decoding": {"max_tokens": 8, "n_samples": 1},
            "engine": {"name": "fake", "version": "1"}, "created": "2026-01-01T12:00:00Z",
        }
        (reports / key / "manifest.json").write_text(json.dumps(manifest))
        (reports / key / "summary.json").write_text(json.dumps(summary))
        (reports / key / "DONE").touch()
        shown.append(summary)
print(json.dumps(shown))
"""
)

BUILD = (
    COMMON
    + """
recipe = pathlib.Path(sys.argv[2])
name, share = recipe.stem, 0.5
for line in open(recipe):
    if line.startswith("share: "):
        share = float(line.split()[1])
trace(step="build", recipe=str(recipe), options=sys.argv[3:])
if share < 0:
    print("error: source web has no rows.", file=sys.stderr); sys.exit(1)
folder = pathlib.Path("data/built", name)
die("build")
folder.mkdir(parents=True, exist_ok=True)
for split in ("train", "validation"):
    (folder / f"{split}.jsonl").write_text(json.dumps({"share": share}) + "\\n")
print(json.dumps({"folder": str(folder), "reused": False}))
"""
)


def write_project(root: Path) -> Path:
    """The project at `root`: a config, a base model, an sft_utils.py and the three fakes."""
    files = {
        "launch.py": LAUNCH,
        "sft.py": "",
        "tests/b.jsonl": '{"id": "p0", "problem": "What is 0?", "answer": "0"}\n',
        "sft_utils.py": "ordinary",
        "deepspeed_zero3.yaml": "",
        "data/__init__.py": "",
        "data/__main__.py": BUILD,
        "eval/__init__.py": "",
        "eval/__main__.py": EVALUATE,
        "models/base/config.json": json.dumps({"share": 0.1, "seed": 0}),
        "config.yaml": "model_name_or_path: models/base\noutput_dir: checkpoints\nlearning_rate: 1.0e-4\n",
        "sft_config.yaml": "the user's own",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def write_data(root: Path, name: str, share: float, **more: object) -> str:
    """A data set that promises `share`; returns how it is named on the command line."""
    folder = root / "data" / "built" / name
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_text(json.dumps({"share": share} | more) + "\n", encoding="utf-8")
    return f"data/built/{name}"
