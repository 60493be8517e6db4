"""Runs a script of `inside/` beside a submission: in a process of its own, with a scrubbed environment, limits, and no
network where the kernel allows that (elsewhere the script's audit hook refuses it).

This keeps a careless submission from doing harm and from seeing this machine. It is no wall against a hostile one.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from eval.records import UserError

INSIDE = Path(__file__).parent / "inside"
MEMORY_BYTES = 16 * 2**30
FILE_BYTES = 8 * 2**30
# The tokenizers of 100,000 rows take one to two minutes on two cores.
TIMEOUT_S = 900
POLL_S = 0.1
# A socket's path has at most 107 bytes, and `multiprocessing` takes 32 of them below the temporary folder.
LONGEST_TMPDIR = 75


@dataclass
class Run:
    """A script that is running: `wait` gives what it told."""

    process: subprocess.Popen[bytes]
    name: str
    out: Path
    log: Path
    short: Path | None = None

    def wait(self, timeout_s: float = TIMEOUT_S, advance: Callable[[int], None] = lambda done: None) -> dict[str, Any]:
        """The script's JSON, with "error" where it failed or told nothing; `advance` hears how many rows it has done."""
        try:
            return self.followed(timeout_s, advance)
        finally:
            if self.short:
                shutil.rmtree(self.short.parent)

    def followed(self, timeout_s: float, advance: Callable[[int], None]) -> dict[str, Any]:
        started, before = time.monotonic(), 0
        try:
            while self.process.poll() is None:
                if time.monotonic() - started > timeout_s:
                    self.stop()
                    return {"stage": "time", "error": f"it was stopped after {timeout_s:.0f} s"}
                time.sleep(POLL_S)
                if (done := self.done()) > before:
                    advance(done)
                    before = done
        except BaseException:
            self.stop()
            raise
        if not self.out.is_file():
            last = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or [
                "it said nothing"
            ]
            return {"stage": self.name, "error": f"it died (exit code {self.process.returncode}): {last[0][:300]}"}
        told: dict[str, Any] = json.loads(self.out.read_text(encoding="utf-8"))
        if "error" in told:  # it quotes the submission, which may hold a terminal's control codes
            told["error"] = "".join(letter if letter.isprintable() else " " for letter in str(told["error"]))
        return told

    def done(self) -> int:
        """Rows that the script says it has done."""
        try:
            return int((self.out.parent / "writable" / "progress").read_text())
        except (OSError, ValueError):
            return 0

    def stop(self) -> None:
        """Ends the process with all its children."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(
    script: str, submission: Path, work: Path, job: dict[str, Any], python: str = sys.executable, **environment: str
) -> Run:
    """Starts inside/`script` in `submission`, with everything it may write under `work`; `job` goes with it as JSON."""
    driver, writable = work / "driver", work / "writable"
    if not driver.is_dir():
        shutil.copytree(INSIDE, driver, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(writable, ignore_errors=True)  # it holds the caches, which identify files by path and time
    writable.mkdir(parents=True)
    paths = {"submission": str(submission.resolve()), "writable": str(writable.resolve())}
    (work / "job.json").write_text(json.dumps(job | paths), encoding="utf-8")
    out, log = work / "out.json", work / "log"
    out.unlink(missing_ok=True)
    short = short_name(writable.resolve())
    temporary = {"TMPDIR": str(short)} if short else {}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*without_network(), python, str(driver / script), str(work / "job.json"), str(out)],
            cwd=submission,
            env=scrubbed(writable) | temporary | environment,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=limit,
        )
    return Run(process, script, out, log, short)


def short_name(folder: Path) -> Path | None:
    """A link to `folder` in a new folder of /tmp, where its own path is too long for a socket; else None."""
    if len(os.fsencode(folder)) <= LONGEST_TMPDIR:
        return None
    link = Path(tempfile.mkdtemp(prefix="s-", dir="/tmp")) / "t"
    link.symlink_to(folder)
    return link


def scrubbed(home: Path) -> dict[str, str]:
    """An environment that says nothing of this machine: offline, no credentials, caches under `home`."""
    kept = {
        name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH", "OMP_NUM_THREADS") if name in os.environ
    }
    there = {"HOME": str(home), "HF_HOME": str(home / "hf"), "TMPDIR": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "WANDB_MODE": "offline", "CUDA_VISIBLE_DEVICES": ""}
    plain = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", "DS_ACCELERATOR": "cpu"}
    return kept | there | offline | plain | {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}


def limit() -> None:
    """Hard limits of memory and file size for the process that is about to start."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@functools.cache
def without_network() -> tuple[str, ...]:
    """The command that starts another one in a network namespace with nothing in it; empty where that is not allowed."""
    command = ("unshare", "--map-root-user", "--net")
    if shutil.which("unshare") is None:
        return ()
    done = subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if done.returncode == 0 else ()


def stock_python(root: Path, console: Console) -> str:
    """The Python of .venv-stock, which requirements/stock.sh makes on first use. Raises UserError in its words."""
    command = ["bash", str(root / "requirements" / "stock.sh")]
    said = ""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as setup:
        for line in setup.stderr or ():
            said = line.rstrip()
            if not said.startswith("error: "):
                console.print(said, markup=False)
    if setup.returncode:
        raise UserError(said.removeprefix("error: ") or "requirements/stock.sh failed; see setup-stock.log.", 1)
    return str(root / ".venv-stock" / "bin" / "python")
