"""An audit finds what is wrong with a data set, says so in one sentence each, and shows hostile text without obeying it."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import pickle
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import data.audit as processes
from data.__main__ import main
from data.audit import audit, find_instruments
from data.audit_report import findings, show, write_page
from data.decontaminate import load_problems
from data.examine import Instruments, answer_type, box_kind
from data.sources import batches
from data.synthetic import generate
from eval.records import Problem
from graders import extract_boxed
from tests.eval.report_folder import HOSTILE, Page

SILENT = Console(quiet=True)


def clean(count: int = 40) -> list[dict[str, Any]]:
    items = [item for item, _ in zip(generate(0, (3,)), range(count), strict=False)]
    return [row(item.problem, item.solution, item.answer, id=item.id, source=item.kind) for item in items]


def row(problem: str, solution: str, answer: str | None = None, **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": problem}, {"role": "assistant", "content": solution}]
    return {"messages": turns} | ({} if answer is None else {"answer": answer}) | more


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory, smollm2_tokenizer) -> Path:
    folder = tmp_path_factory.mktemp("tokenizers") / "smollm2"
    smollm2_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def instruments(tokenizer_folder):
    problems = [Problem(f"b-{number}", "bench", clean()[number]["messages"][0]["content"], "1") for number in range(3)]
    return Instruments(str(tokenizer_folder), tuple(problems))


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text(
        "".join(item if isinstance(item, str) else json.dumps(item) + "\n" for item in rows), encoding="utf-8"
    )
    return path


FAULTS = {
    "no_box": (row("A new problem?", "The answer is 7.", "7"), {"no_box": 1}),
    "unclosed": (row("A new problem?", "$\\boxed{7$", "7"), {"no_box": 1}),
    "differs": (row("A new problem?", "$\\boxed{8}$", "7"), {"box_differs_from_answer": 1}),
    "form": (row("A new problem?", "$\\boxed{\\frac{1}{2}}$", "0.5"), {}),
    "too_long": (row("A new problem?", f"{'so 1 + 1 = 2, ' * 300} $\\boxed{{7}}$", "7"), {"too_long": 1}),
    "several": (row("A new problem?", "$\\boxed{1}$, no, $\\boxed{7}$", "7"), {}),
    "duplicates": (clean()[7] | {"answer": clean()[7]["answer"]}, {"duplicates": 1}),
    "no answer": (row("A new problem?", "$\\boxed{7}$"), {}),
    "unreadable": ({"text": "no messages"}, {}),
}
COUNTS = ("too_long", "no_box", "box_differs_from_answer", "duplicates", "near_duplicates")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_counted_and_nothing_else_is(name, instruments, tmp_path):
    fault, expected = FAULTS[name]
    figures = audit(str(write(tmp_path / "set.jsonl", [*clean(), fault])), instruments, SILENT)
    assert {key: figures[key] for key in COUNTS} == dict.fromkeys(COUNTS, 0) | expected
    assert figures["rows"] == 41 - (name == "unreadable") and sum(figures["unreadable"].values()) == (
        name == "unreadable"
    )
    answers = figures["answers"]
    assert answers["equivalent"] - answers["strict"] == (name == "form")
    assert answers["compared"] == 41 - (name in ("no_box", "unclosed", "no answer", "unreadable"))
    assert figures["contamination"] == {"bench": {"exact": 3, "near": 0}} and figures["contaminated_rows"] == 3
    for finding in expected:
        (example,) = figures["examples"][finding]
        assert example["row"] == 41 and example["problem"]


@pytest.mark.parametrize(
    ("boxes", "problems", "said", "absent"),
    [
        (["7"], 1, ["the 1 benchmark with 1 problem that was compared", "The one right box is"], "right boxes"),
        (["7", "7"], 2, ["the 1 benchmark with 2 problems that was compared", "All 2 right boxes are"], "one right"),
        (["8"], 1, ["1 of 1 boxes (100.0%) are not the stated answer"], "right box"),
    ],
)
def test_one_and_none_are_counted_in_words_that_fit(boxes, problems, said, absent, tmp_path):
    rows = [row(f"What number is it, {n}?", f"$\\boxed{{{box}}}$", "7") for n, box in enumerate(boxes)]
    others = tuple(Problem(str(n), "bench", f"A very different question, {n}?", "1") for n in range(problems))
    figures = audit(str(write(tmp_path / "set.jsonl", rows)), Instruments(None, others), SILENT)
    text = " ".join(finding.sentence for finding in findings(figures))
    assert all(words in text for words in said) and absent not in text, text


def test_the_json_of_a_data_set_is_the_interface(instruments, tmp_path, monkeypatch, capsys, tokenizer_folder):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "set.jsonl", [*clean(), FAULTS["form"][0]])
    benchmarks = tmp_path / "benchmarks"
    benchmarks.mkdir()
    lines = [{"id": problem.id, "problem": problem.problem, "answer": "1"} for problem in instruments.problems]
    write(benchmarks / "bench.jsonl", lines)
    arguments = ["--benchmarks-dir", str(benchmarks), "--tokenizer", str(tokenizer_folder), "--html", "page.html"]
    assert main(["audit", "set.jsonl", "--json", *arguments]) == 0
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert figures["rows"] == 41 and figures["contamination"] == {"bench": {"exact": 3, "near": 0}}
    assert {"rows", "contamination", *COUNTS} <= figures.keys()
    assert set(figures["sources"]) == {"set.jsonl", *(line["source"] for line in clean())}
    assert sum(source["tokens"] for source in figures["sources"].values()) == figures["tokens"]["total"]
    assert sum(figures["tokens"]["histogram"]["counts"]) == 41 == sum(figures["answer_types"].values())
    assert Page(Path("page.html")).all("svg")
    assert main(["audit", "set.jsonl", *arguments[:4]]) == 0


def test_a_foreign_file_beside_benchmarks_is_named_once(tmp_path, monkeypatch, capfd, tokenizer_folder):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "set.jsonl", clean())
    benchmarks = tmp_path / "benchmarks"
    benchmarks.mkdir()
    write(benchmarks / "bench.jsonl", [{"problem": clean()[0]["messages"][0]["content"], "answer": "1"}])
    (benchmarks / "manifest.json").write_text('{"name": "set"}')
    arguments = ["--benchmarks-dir", str(benchmarks), "--tokenizer", str(tokenizer_folder), "--json"]
    assert main(["audit", "set.jsonl", *arguments]) == 0
    said = capfd.readouterr()
    assert said.err.count("manifest.json (problem is None") == 1
    assert json.loads(said.out)["contamination"]["bench"]["exact"] == 1


def test_a_folder_without_benchmarks_is_refused(tmp_path, monkeypatch, capfd, tokenizer_folder):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "set.jsonl", clean())
    (tmp_path / "benchmarks" / "gsm8k").mkdir(parents=True)
    assert main(["audit", "set.jsonl", "--benchmarks-dir", "benchmarks", "--tokenizer", str(tokenizer_folder)]) == 2
    assert "benchmarks holds no benchmark (folders: gsm8k)" in capfd.readouterr().err


def test_every_kind_of_file_gives_the_same_figures(instruments, tmp_path):
    from datasets import Dataset, DatasetDict

    rows = [*clean(), FAULTS["form"][0] | {"id": "x", "source": "y"}]
    lines = write(tmp_path / "set.jsonl", rows)
    (tmp_path / "zipped.jsonl.gz").write_bytes(gzip.compress(lines.read_bytes()))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "set.parquet")
    built = tmp_path / "built"
    built.mkdir()
    write(built / "train.jsonl", rows)
    write(built / "validation.jsonl", clean(3))
    splits = DatasetDict(train=Dataset.from_list(rows), validation=Dataset.from_list(clean(3)))
    splits.save_to_disk(str(tmp_path / "saved"))
    expected = audit(str(lines), instruments, SILENT)
    for name in ("zipped.jsonl.gz", "set.parquet", "built", "saved"):
        figures = audit(str(tmp_path / name), instruments, SILENT)
        assert figures | {"dataset": ""} == expected | {"dataset": ""}, name


def test_batches_add_up_and_travel_between_processes(instruments, tmp_path, monkeypatch):
    """What a pool would do, without its start: instruments are loaded anew, and all that is sent survives pickling."""
    path = str(write(tmp_path / "set.jsonl", [*clean(), *clean(30), *(fault for fault, _ in FAULTS.values())]))
    whole = audit(path, instruments, SILENT)
    monkeypatch.setattr("data.sources.BATCH_ROWS", 7)

    def parts(source, instruments, workers):
        monkeypatch.setattr(processes, "_here", pickle.loads(pickle.dumps((source, instruments))), raising=False)
        for batch in batches(source):
            yield pickle.loads(pickle.dumps(processes._examine_here(pickle.loads(pickle.dumps(batch)))))

    monkeypatch.setattr(processes, "_parts", parts)
    assert audit(path, Instruments(instruments.tokenizer_name, instruments.problems), SILENT) == whole


def test_without_tokenizer_or_benchmarks_it_says_what_was_not_checked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("data.audit.load_problems", lambda folder: load_problems(tmp_path / "nowhere"))
    write(tmp_path / "set.jsonl", clean())
    assert main(["audit", "set.jsonl", "--json"]) == 0
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    assert figures["too_long"] is None and figures["contamination"] == {}
    said = {finding.name: finding.sentence for finding in findings(figures)}
    assert "pass --tokenizer with a model's folder or hub id" in said["too_long"]
    assert "No benchmark was compared" in said["contamination"]
    write_page(figures, tmp_path / "page.html")
    assert "not checked" in (tmp_path / "page.html").read_text()


def test_a_hub_that_does_not_answer_is_not_waited_for(monkeypatch, capsys):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # discard: nobody listens
    monkeypatch.setattr("data.audit.getproxies", dict)
    console = Console(file=io.StringIO(), width=200)
    assert find_instruments(None, None, console).problems == ()
    assert (
        "no benchmark is compared: http://127.0.0.1:9 does not answer; pass --benchmarks-dir" in console.file.getvalue()
    )


BAD = {
    "nowhere.jsonl": (None, 2, "nowhere.jsonl does not exist"),
    "empty.jsonl": ("", 1, "empty.jsonl has no row that can be read"),
    "columns.jsonl": ('{"text": "x"}\n', 1, "columns.jsonl has no row that can be read: no columns"),
    "torn.jsonl": ('{"messages": [\n', 1, "torn.jsonl has no row that can be read: not JSON (1)"),
    "array.jsonl": ("[\n", 2, "array.jsonl is one JSON array"),
    "not.jsonl.gz": ("plain", 2, "not.jsonl.gz cannot be read"),
    "not.parquet": ("plain", 2, "not.parquet is no readable Parquet file"),
    "text.txt": ("plain", 2, "text.txt is no"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_audited_is_one_sentence(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("data.audit._from_hub", lambda console: ())
    content, code, sentence = BAD[name]
    if content is not None:
        (tmp_path / name).write_text(content)
    assert main(["audit", name, "--html", "page.html"]) == code
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and sentence in error
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--tokenizer", "nowhere", "--tokenizer nowhere: no tokenizer could be had"),
        ("--benchmarks-dir", "nowhere", "nowhere is no folder; --benchmarks-dir names one"),
    ],
)
def test_a_wrong_option_is_named_before_any_row_is_read(option, value, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("data.audit._from_hub", lambda console: ())
    assert main(["audit", "set.jsonl", option, value]) == 2
    assert sentence in capsys.readouterr().err


def test_hostile_text_neither_runs_in_the_page_nor_moves_the_cursor(instruments, tmp_path):
    control = "\x1b[2J\x1b]0;title\x07\r" + "[red]"
    texts = [text.replace("\x00", "").replace("\ud800", "") for text in HOSTILE] + [control]
    rows = [row(text, text + text, text, id=text, source=text) for text in texts]
    rows += [row(text, f"\\boxed{{{text}}}", "1/2", id=text, source=text) for text in texts]
    problems = tuple(Problem(f"{text}-{number}", text, text, text) for number, text in enumerate(texts))
    path = write(tmp_path / "<script>alert(1)<.jsonl", [*rows, HOSTILE[0], "\n"])
    figures = audit(str(path), Instruments(instruments.tokenizer_name, problems), SILENT)
    assert figures["contaminated_rows"] and figures["examples"]["duplicates"]
    write_page(figures, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    assert not page.all("script") and not page.all("img") and not page.all("textarea")
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [a for a in page.all("a") if not str(a["href"]).startswith("#")]
    (policy,) = [str(meta["content"]) for meta in page.all("meta") if "http-equiv" in meta]
    assert "script-src 'none'" in policy and "unsafe" not in policy
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    show(figures, terminal)
    printed = terminal.file.getvalue()
    assert "\x1b[2J" not in printed and "\x1b]" not in printed and "\x07" not in printed and "[red]" in printed


def test_a_row_of_ten_megabytes_costs_a_moment(instruments, tmp_path):
    rows = [*clean(), row("x " * 5_000_000, "$\\boxed{1}$", "1"), row("\\frac1" * 80_000, "$\\boxed{" * 50_000, "1")]
    figures = audit(str(write(tmp_path / "set.jsonl", rows)), instruments, SILENT)
    assert figures["rows"] + sum(figures["unreadable"].values()) == 42
    assert len(json.dumps(figures)) < 200_000


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("", "none stated"), ("B", "choice"), ("\\text{(C)}", "choice"), ("-12", "integer"), ("1,234", "integer"),
        ("10,\\!000", "integer"), ("0.5", "decimal"), ("\\frac{1}{2}", "fraction"), ("3/4", "fraction"), ("\\$12", "percent or money"),
        ("50\\%", "percent or money"), ("12\\text{ cm}", "with a unit"), ("45^\\circ", "with a unit"), ("x=3", "equation or inequality"),
        ("x \\le 4", "equation or inequality"), ("(1,2)", "tuple, set or interval"), ("(-\\infty,0)\\cup(1,2]", "tuple, set or interval"),
        ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "matrix"), ("\\text{Monday}", "words"), ("2\\sqrt{3}", "expression"),
        ("x" * 10_000, "expression"),
    ],
)  # fmt: skip
def test_the_form_of_an_answer(answer, kind):
    assert answer_type(answer) == kind


# What shared/README.md says of the files, and what else an audit of the whole file must say. Boxes and rows were counted
# with `jq`, leaks are as named there; near copies of MATH test in math_train are 166 by its count, which is narrower.
# Tokens, the slow part, are counted for the small files.
@pytest.mark.parametrize(
    ("name", "expected", "contamination"),
    [
        ("cs336_r1_traces", {"rows": 1767, "no_box": 1622, "box_differs_from_answer": 12}, {}),
        ("deepscaler_aime_1983_2023", {"rows": 975, "no_box": 3, "too_long": 4}, {("math-test", "exact"): 46}),
        ("gsm8k_train_boxed", {"rows": 7473, "no_box": 0, "duplicates": 0}, {("gsm8k-test", "exact"): 0}),
        ("jiuzhang3_cot_pretrain_sample", {"rows": 1000, "no_box": 761, "too_long": 3}, {}),
        ("jiuzhang3_finetune_sample", {"rows": 1000, "no_box": 221}, {}),
        (
            "llm_adapters_math_data", {"rows": 3260, "no_box": 3260, "duplicates": 88},
            {("gsm8k-test", "exact"): 1055, ("svamp", "exact"): 800},
        ),
        ("math_train", {"rows": 7500, "none stated": 2}, {("math-test", "near"): 345}),
        ("qwen_math_1.5b_correct_rollouts", {"rows": 6000, "no_box": 5420, "box_differs_from_answer": 8}, {}),
        ("rise_math_val", {"rows": 500, "no_box": 0, "box_differs_from_answer": 3}, {("math-test", "exact"): 421}),
    ],
)  # fmt: skip
def test_the_known_findings_of_the_real_files_appear(name, expected, contamination, shared, real, tmp_path):
    look = real if expected["rows"] <= 1000 else dataclasses.replace(real, tokenizer_name=None)
    vars(look)["index"] = real.index  # made once for all files
    figures = audit(str(shared / "data" / "sft" / f"{name}.jsonl.gz"), look, SILENT)
    figures |= {"none stated": figures["answer_types"].get("none stated", 0)}
    assert {key: figures[key] for key in expected} == expected
    for (benchmark, kind), count in contamination.items():
        found = figures["contamination"][benchmark][kind]
        assert found == count if kind == "exact" else found >= count
    if name == "rise_math_val":
        write_page(figures, tmp_path / "page.html")
        assert len(Page(tmp_path / "page.html").all("svg")) > 4


@pytest.fixture(scope="module")
def real(shared, tokenizer_folder) -> Instruments:
    return Instruments(str(tokenizer_folder), tuple(load_problems(shared / "data" / "benchmarks")))


@pytest.mark.parametrize(
    ("solution", "kind"),
    [
        ("\\boxed{1}", "one"),
        ("\\boxed{1} \\boxed{2}", "several"),
        ("\\boxed{1} \\boxed{2", "never closed"),
        ("\\boxed{1} \\boxed{}", "empty"),
        ("\\boxed 5 and \\boxedx{5}", "none"),
    ],
)
def test_boxes_are_counted_as_the_grader_counts_them(solution, kind):
    assert box_kind(solution, extract_boxed(solution)) == kind


def test_boxes_are_counted_in_linear_time(million):
    began = time.process_time()
    box_kind(million, None)
    assert time.process_time() - began < 2
