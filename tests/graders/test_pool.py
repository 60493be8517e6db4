"""Hard limits, by the clock: a stuck pair is killed, the others are not touched, nothing starts without need."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graders import grade_answer, grade_answers, pool

ROOT = Path(__file__).resolve().parents[2]
# Readable, small, and more than the CPU limit allows: hundreds of sines of numbers with 1,900 digits.
STUCK = "+".join(rf"\sin({k}x+10^{{1900}})" for k in range(2, 60))
ALSO_STUCK = STUCK.replace("sin", "cos")
OPEN = (r"\ln 8", r"3\ln 2")


def test_a_stuck_pair_ends_as_timeout_and_the_rest_is_judged_in_order() -> None:
    started = time.perf_counter()
    pairs = [OPEN, (STUCK, ALSO_STUCK), OPEN, ("1", "2"), (r"\ln 9", r"2\ln 3"), (r"\ln 9", r"3\ln 3")]
    verdicts = grade_answers(pairs, workers=2)
    assert [v.status for v in verdicts] == ["correct", "timeout", "correct", "wrong", "correct", "wrong"]
    assert verdicts[1].rule == "limit: CPU seconds"
    assert not verdicts[1].correct
    assert time.perf_counter() - started < 60  # two seconds of CPU; unbounded it would not end


def test_a_hundred_stuck_pairs_are_bounded_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of each on two workers; the pairs between them are judged as if the others were not there."""
    monkeypatch.setattr(pool, "CPU_SECONDS", 0.1)
    monkeypatch.setattr(pool, "_idle", [])
    stuck = [(f"{STUCK}+{k}", f"{ALSO_STUCK}+{k}") for k in range(100)]
    tower = ("5^(5^(5^(5^5)))", "1")
    pairs = [pair for each in stuck for pair in (each, OPEN, tower)]
    started = time.perf_counter()
    statuses = [verdict.status for verdict in grade_answers(pairs, workers=2)]
    seconds = time.perf_counter() - started
    pool.shut_down()
    assert statuses == ["timeout", "correct", "timeout"] * 100
    assert seconds < 300  # 10 s of CPU and the starts of workers; unbounded it would not end, and machines are busy


@pytest.mark.parametrize(
    "answer",
    ["5^(5^(5^(5^5)))", "9^9^9^9", "9**9**9", "2^{2^{2^{49}}}", "100000!", "((9!)!)!", r"\binom{10^9}{5\cdot 10^8}",
     r"\sqrt{" * 100 + "1" + "}" * 100, "(a+b+c+d+e)^{40}", "x^{x^{x^{x^{x^x}}}}",
     r"\sin(\sin(" * 30 + "x" + "))" * 30],
)  # fmt: skip
def test_resource_attacks_are_bounded(answer: str) -> None:
    started = time.perf_counter()
    assert not grade_answer(answer, "1").correct
    assert time.perf_counter() - started < 5


def test_cheap_batches_start_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool.subprocess, "Popen", None)
    monkeypatch.setattr(pool, "_idle", [])
    assert [v.correct for v in grade_answers([("0.5", r"\frac12"), ("(x+1)^2", "x^2+2x+1")])] == [True, True]


def test_an_interrupted_batch_leaves_nothing_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[pool._Worker] = []

    class Recorded(pool._Worker):
        def __init__(self) -> None:
            super().__init__()
            started.append(self)

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pool, "_Worker", Recorded)
    monkeypatch.setattr(pool, "_idle", [])
    with pytest.raises(KeyboardInterrupt):
        pool.judge_many([OPEN, (STUCK, ALSO_STUCK)], 2, interrupt)
    assert [worker.process.poll() is None for worker in started if worker not in pool._idle] == [False]
    pool.shut_down()


def test_what_the_kernel_kills_is_a_limit_and_costs_one_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory, the kernel picks the child that judges. No later pair may get the reply of this one."""
    monkeypatch.setattr(pool, "_idle", [])
    assert grade_answer(*OPEN).correct
    (worker,) = pool._idle
    child = Path(f"/proc/{worker.process.pid}/task/{worker.process.pid}/children").read_text().split()[0]
    worker.ask(0, STUCK, ALSO_STUCK)
    os.kill(int(child), 9)
    reply = None
    while reply is None:
        reply = worker.read()
    assert (reply.equal, reply.rule, worker.usable) == (None, "limit: worker ended by signal 9", False)
    assert grade_answer(r"\ln 9", r"2\ln 3").correct


def test_a_dead_worker_is_replaced() -> None:
    assert grade_answer(*OPEN).correct
    for worker in pool._idle:
        worker.process.kill()
        worker.process.wait()
    statuses = [grade_answer(rf"\ln {2**k}", rf"{k}\ln 2").status for k in (3, 4, 5)]
    assert statuses == ["correct"] * 3


def test_a_worker_that_cannot_start_is_an_error_not_a_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_idle", [])
    monkeypatch.setattr(pool.sys, "executable", "/bin/false")
    verdict = grade_answer(*OPEN)
    assert (verdict.status, verdict.correct) == ("error", False)


def test_payloads_are_not_executed(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    payloads = [
        f"__import__('os').system('touch {marker}')",
        f"open('{marker}','w')",
        f"exec(\"open('{marker}','w')\")",
        f"(lambda: open('{marker}','w'))()",
        rf"\input{{|touch {marker}}}",
    ]
    assert [v.correct for v in grade_answers([(text, "1") for text in payloads])] == [False] * len(payloads)
    assert not marker.exists()


def test_the_parent_stays_light() -> None:
    code = (
        "import sys, graders; graders.grade_answer('0.5', '1/2');"
        "heavy = {'sympy', 'mpmath', 'torch', 'math_verify', 'numpy'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_scripts_without_a_main_guard_work(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("from graders import grade_answer\nprint(grade_answer(r'\\ln 8', r'3\\ln 2').status)\n")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["correct"], done.stderr
