"""Leaks are found however they are dressed, and common phrases are none. The leaks of real files are in test_audit.py."""

import pytest

from data.decontaminate import build, load_problems
from eval.records import Problem, UserError

TOM = (
    "Tom has 12 apples and gives 5 of them to his sister Ann, who already had three. Their mother then halves what each "
    "of them holds. How many apples does Ann have in the end?"
)
ELLIPSE = (
    r"Find the area of the region bounded by the graph of \[r = \frac{9}{5 - 4 \cos \theta}.\] Give an exact value."
)
SHORT = r"Compute $\sin 45^\circ$."
FORM = "Enter your answer in the form $Ax + By + Cz + D = 0$ where $A, B, C, D$ are integers and $A > 0$."
PLANES = [
    f"Find the equation of the plane which contains the point $(1,4,-2)$ and the origin and the x-axis. {FORM}",
    f"What plane bisects the angle between the planes $3x - 6y + 2z + 5 = 0$ and $x = y$? {FORM}",
    f"Three points lie on a plane, each at distance one from all axes of the coordinate system. {FORM}",
]
LINES = (
    "In the figure, lines AB and CD enclose 40 degrees and line EF meets both of them at 70 degrees. Find angle GFD. {}"
)
DRAWN = LINES.format("[asy] draw((0,0)--(1,1)); [/asy]")
SHADED = "Find the area of the shaded region in this figure. [asy] draw((0,0)--(1,1)); [/asy]"
TEXTS = [TOM, ELLIPSE, SHORT, *PLANES, SHADED, DRAWN]
PROBLEMS = [Problem(f"b-{number}", "bench", text, "1") for number, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def index():
    return build([*PROBLEMS, Problem("other-0", "other", TOM.upper(), "1")])


LEAKS = [
    (TOM, "b-0", "exact"),
    (TOM.lower().replace(", ", " "), "b-0", "exact"),
    (f"Question: {TOM}\nAnswer:", "b-0", "exact"),
    (f"Solve the following math problem step by step.\n\n{TOM}", "b-0", "exact"),
    (f"{TOM} Please reason step by step, and put your final answer within \\boxed{{}}.", "b-0", "exact"),
    (f"{TOM}\n\n## Step-by-Step Solution", "b-0", "exact"),
    (ELLIPSE.replace(r"\frac", r"\dfrac").replace(r"\[", "$").replace(r"\]", "$"), "b-1", "exact"),
    (r"compute \( \sin 45^{\circ} \)", "b-2", "exact"),
    (f"Here are two exercises. First, count to ten. Then this one. {TOM} And write it all down.", "b-0", "13-gram"),
    (TOM.replace("mother", "old grandmother"), "b-0", "13-gram"),
    (TOM.replace("How many apples does Ann have", "How many apples does Tom have"), "b-0", "13-gram"),
    (TOM.replace("12", "80").replace("5", "33").replace("three", "4"), "b-0", "template"),
    (LINES.format("").replace("40", "55").replace("70", "80"), "b-7", "template"),  # its figure was lost
    (DRAWN.replace("40", "55").replace("70", "80").replace("(1,1)", "(2,3)"), "b-7", "template"),
    (PLANES[1].split("?")[0] + "?", "b-4", "13-gram"),
]


@pytest.mark.parametrize(("text", "identity", "reason"), LEAKS)
def test_a_leak_is_found_with_its_reason(text, identity, reason, index):
    leak = index.find(text)
    assert leak is not None
    assert (leak.benchmark, leak.id, leak.reason) == ("bench", identity, reason)
    assert leak.problem == TEXTS[int(identity[2:])] and 0.5 <= leak.share <= 1


NO_LEAKS = [
    "",
    "...",
    r"Compute $\sin 30^\circ$.",  # a kind of exercise
    r"Compute $\cos 45^\circ$.",
    "Tom has 12 apples and gives 5 of them to his sister Ann, who eats two. How many are left?",  # a beginning in common
    f"Find a plane through the points $(2,0,0)$, $(0,-5,0)$ and $(0,0,-4)$ by hand. {FORM}",  # boilerplate of three problems
    "Find the area of the shaded region in this figure. [asy] fill((0,0)--(9,1)--(3,4)--cycle); [/asy]",
    DRAWN.replace("40", "55").replace("70", "80").replace("draw(", "fill(circle(1),red); dot("),  # another figure
    ELLIPSE.replace(r"r = \frac{9}{5 - 4 \cos \theta}", r"y = x^3 - 4x"),  # what is asked in common
]


@pytest.mark.parametrize("text", NO_LEAKS)
def test_what_is_merely_alike_is_no_leak(text, index):
    assert index.find(text) is None


def test_a_text_of_several_benchmarks_leaks_all_of_them(index):
    assert {(leak.benchmark, leak.id) for leak in index.find_all(TOM)} == {("bench", "b-0"), ("other", "other-0")}


@pytest.mark.parametrize("piece", ["answer ", "question ", "[asy]", TOM[:40], "1 ", "\\"])
def test_a_row_of_megabytes_is_bounded(piece, index):
    assert index.find(piece * (5_000_000 // len(piece))) is None


def test_a_folder_of_benchmarks_that_is_none_is_named(tmp_path):
    with pytest.raises(UserError, match="is no folder; --benchmarks-dir names one"):
        load_problems(tmp_path / "nowhere")


def test_a_foreign_file_beside_benchmarks_is_left_out(tmp_path):
    (tmp_path / "sums.jsonl").write_text('{"problem": "1 + 1?", "answer": "2"}\n')
    (tmp_path / "train.jsonl").write_text('{"id": "x", "answer": "5", "messages": []}\n')
    (tmp_path / "manifest.json").write_text("{}")
    assert [(one.benchmark, one.problem) for one in load_problems(tmp_path)] == [("sums", "1 + 1?")]
    (tmp_path / "sums.jsonl").write_text('{"problem": "1 + 1?", "answer": "2"}\n{"problem": "1 +')
    with pytest.raises(UserError, match=r"sums\.jsonl:2"):
        load_problems(tmp_path)
