r"""Short problems are found behind any wrapper, and not inside other problems; the wrappers of real trainers, on real problems."""

import dataclasses
import gzip
import json

import pytest

from data.decontaminate import build, load_problems
from eval.records import Problem

SHORT = [
    r"Compute $\dbinom{5}{1}$.",
    "What is 2+2?",
    "Simplify $2x$.",
    r"Solve: $x^2=4$",
    r"$441+2(21)(19)=x$. Solve for $x$.",
    "How many positive three-digit integers are there?",
    r"Find the derivative of the function: $\cot x$",
    "Simplify\n\\[\\frac{\\sec x}{\\sin x}.\\]",
]


@pytest.fixture(scope="module")
def index():
    return build(Problem(str(number), "bench", text, "1") for number, text in enumerate(SHORT))


R1_ZERO = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. The assistant first "
    "thinks about the reasoning process in the mind and then provides the user with the answer. The reasoning process and "
    "answer are enclosed within <think> </think> and <answer> </answer> tags, respectively, i.e., <think> reasoning process "
    "here </think> <answer> answer here </answer>. User: % Assistant:"
)
DAPO = (
    "Solve the following math problem step by step. The last line of your response should be of the form Answer: $Answer "
    "(without quotes) where $Answer is the answer to the problem.\n\n%\n\n"
    'Remember to put your answer on its own line after "Answer:".'
)
ALPACA = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n%\n\n### Response:"
)
LLAMA = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: "
    "26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n%<|eot_id|><|start_header_id|>assistant"
    "<|end_header_id|>\n\n"
)
FEW_SHOT = (
    "Problem:\nFind the domain of $\\sqrt{x-2}$.\n\nSolution:\nThe final answer is $[2,\\infty)$. I hope it is correct.\n\n"
    "Problem:\n%\n\nSolution:"
)
WRAPPERS = {
    "none": "%",
    "verl": "% Let's think step by step and output the final answer within \\boxed{}.",
    "verl, GSM8K": '% Let\'s think step by step and output the final answer after "####".',
    "DAPO": DAPO,
    "Alpaca": ALPACA,
    "Qwen": "%\nPlease reason step by step, and put your final answer within \\boxed{}.",
    "Qwen, inline": "% Please reason step by step, and put your final answer within \\boxed{}.",
    "R1-Zero": R1_ZERO,
    "ChatML": "<|im_start|>system\nYou are Qwen.<|im_end|>\n<|im_start|>user\n%<|im_end|>\n<|im_start|>assistant\n",
    "Llama 3": LLAMA,
    "Llama 2": "<s>[INST] <<SYS>>\nYou are a helpful assistant.\n<</SYS>>\n\n% [/INST]",
    "Gemma": "<start_of_turn>user\n%<end_of_turn>\n<start_of_turn>model\n",
    "question and answer": "Question: % Answer:",
    "two lines": "Question: %\nAnswer:",
    "problem": "Problem: %",
    "bold": "**Problem**\n%",
    "bold, inline": "**Problem 3.** %",
    "all bold": "**%**",
    "12.": "12. %",
    "(12)": "(12) %",
    "12)": "12) %",
    "**1.**": "**1.** %",
    "(a)": "(a) %",
    "example": "Example 3. %",
    "exercise": "Exercise 3.2: %",
    "Q": "Q: %",
    "Q and A": "Q: %\nA:",
    "AIME before": "[AIME 2024] %",
    "AIME behind": "% (AIME 2024)",
    "contest": "(AIME I 2020, Problem 4) %",
    "heading": "## Problem 4\n\n%\n\n## Solution\n",
    "homework": "Homework 4, due Friday\n\n%",
    "grade": "Here is a math problem for 8th graders:\n\n%",
    "points": "(5 points) %",
    "marks": "% (3 marks)",
    "system prompt": "You are a helpful math tutor. %",
    "system prompt with numbers": "You have 3 attempts. Follow these rules:\n1. Think step by step.\n2. Box your answer.\n\n%",
    "roles": "System: You are a calculator.\nUser: %\nAssistant:",
    "few-shot": FEW_SHOT,
    "few-shot, French": "Question : Combien font 3 et 4 ?\nRéponse : 7\n\nQuestion : %\nRéponse :",
    "few-shot, numbered": "Solve the problems.\n\nP1: Find $x$ if $x+1=2$.\nS1: $x=1$\n\nP2: %\nS2:",
    "few-shot, one line": "Example 1: What is 3 times 4? Answer: 12\nExample 2: % Answer:",
    "French": "Résolvez le problème suivant étape par étape et mettez la réponse finale dans \\boxed{}.\n\n%",
    "Spanish": "Resuelve el siguiente problema paso a paso. % Pon tu respuesta final en \\boxed{}.",
    "German": "Löse die folgende Aufgabe: %\nDenke Schritt für Schritt nach.",
    "Polish": "Rozwiąż zadanie krok po kroku:\n%\nOdpowiedź:",
    "Russian": "Решите задачу: %\nОтвет:",
    "Chinese": "%\n请逐步推理,并将最终答案放在\\boxed{}中。",
    "Chinese without a space": "请解决以下数学问题:%请一步一步思考。",
    "Korean": "다음 문제를 푸세요: %",
    "invitation": "Solve this.\n\n%",
    "text behind": "% Show all your work. Good luck!",
    "paragraph behind": "%\n\nThis problem was taken from a textbook on algebra.",
    "form of the answer": "% Round your answer to 2 decimal places.",
    "range of the answer": "%\nYour answer should be an integer between 0 and 999. Put it in \\boxed{}.",
    "positive": "% Give your answer as a positive integer.",
    "lower case": "% please think step by step",
    "talk": "I'm preparing for an exam and came across this problem: % How do I solve it?",
    "JSON": '{"question": "%", "answer": ""}',
    "XML": "<question>%</question>",
    "HTML": '<div class="problem">%</div>',
    "quotes": 'Solve this problem: "%" Explain your reasoning.',
    "LaTeX": "\\begin{problem}\n%\n\\end{problem}",
    "LaTeX, bold": "\\textbf{Problem 7.} %",
    "LaTeX, section": "\\section*{Problem 12}\n%",
    "item": "\\item %",
    "bullet": "- %",
    "quoted mail": "> %",
    "switch": "% /no_think",
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
def test_a_short_problem_is_word_for_word_behind_a_wrapper(wrapper, index):
    for number, problem in enumerate(SHORT):
        leaks = index.find_all(wrapper.replace("%", problem))
        assert [(leak.id, leak.reason, leak.share) for leak in leaks] == [(str(number), "exact", 1.0)], problem


# The bench's problems are inside, or nearly; none is the row's problem.
OTHERS = r"""
Simplify $2x+3$.
Simplify $2x$ + 3.
Simplify $2x$ when $x = 3$.
Simplify $2x$, and then add 3.
Simplify $2x$. Then substitute $x=5$.
Simplify $2x$.\\+ 3
Simplify $2x$.\\Then substitute $x=5$.
Let $x = 3$. Simplify $2x$.
Problem: Let $y=2x$. Simplify $2x$. Answer:
In triangle $ABC$ the bisectors meet. Simplify $2x$.
Let n be the answer to: What is 2+2? Find n^2.
Tom asks Anna: What is 2+2? She answers 5. How far off is she?
Tom asks Anna: What is 2+2? She answers wrong. How far off is she?
What is 2+2? Multiply your answer by 3.
What is 2+2?\\Multiply your answer by three.
What is 2+2? What is 3+3?
What is 2+2? What is the square of that?
What is 2+2?\\What is 3+3?
What is 2+2 times 3?
What is 2+2+2?
What is 12+2?
What is 2+2!?
(a) What is 2+2? (b) What is 3+3?
Let $f(x)=x^2$.\\1. What is 2+2?\\2. Find $f(3)$.
Let $f(x)=x^2$.\\(a) What is 2+2?\\(b) Find $f(3)$.
A robot prints "What is 2+2?" 100 times. How many characters is that?
What is 2+2? Give your answer in base 3.
What is 2+2? Write the answer as a sum of two primes.
John has 3 apples. What is 2+2?
Question: John has 3 apples and buys 5. What is 2+2?
How many digits are in the answer to this: What is 2+2?
If the answer to "What is 2+2?" is doubled, what do you get?
Take the answer of the following and square it. What is 2+2?
What is 2+2? That many cats sit on a wall. Each cat has four legs. How many legs are there?
Compute $\dbinom{5}{1}$. Use it to find the number of ways to choose a captain.
Compute $\dbinom{5}{1}$ and $\dbinom{5}{2}$.
Compute $\dbinom{5}{1}\cdot\dbinom{4}{1}$.
Compute $\dbinom{5}{1}$. Express the result in binary.
In a class the teacher writes: Compute $\dbinom{5}{1}$. Two of 30 pupils fail. How many succeed?
Solve: $x^2=4$. Find the sum of the roots.
Solve: $x^2=4$. What is the larger solution?
Solve: $x^2=4$ for positive $x$.
Solve: $x^2=4y$
How many positive three-digit integers are there that are even?
How many positive three-digit integers are there? How many of them are even?
Find the derivative of the function: $\cot x + 1$
Find the derivative of the function: $\cot x$ at $x = 2$
"""


@pytest.mark.parametrize("text", [line.replace("\\\\", "\n\n") for line in OTHERS.strip().splitlines()])
def test_a_short_problem_inside_another_one_is_no_leak(text, index):
    assert index.find(text) is None


def test_what_could_be_prose_is_looked_for_as_a_whole_row_only():
    index = build([Problem("0", "bench", "Find the area.", "1")])
    assert index.find("find the AREA") is not None
    assert index.find("Look at the figure. Find the area.") is None


def test_problems_whose_runs_are_boilerplate_are_found_behind_a_wrapper():
    texts = [f"A number is selected at random from 1 through 100, inclusive. Is it {what}?" for what in "abcd"]
    index = build(Problem(str(number), "bench", text, "1") for number, text in enumerate(texts))
    found = index.find_all(DAPO.replace("%", texts[2]))
    assert [(leak.id, leak.reason) for leak in found] == [("2", "exact")]


HOSTILE = [
    "Simplify $2x$. ", "What is 2+2? ", "What is 2+2?\n", "$", "$$a", "\\[", "boxed{", "boxed{{}", "-", "=", "!", "! ", " ", "\n ",
    "question:", "?:", "问", "问a", "a:\n", "<a", "<|", "(A", "[A", "**", "step by step ", "1.", "1\\", "A ",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_row_ends(piece, index):
    """Around a problem, so that the row is looked at; a quadratic expression would take minutes here."""
    filling = piece * (1_000_000 // len(piece))
    index.find_all(f"What is 2+2? {filling}")
    index.find_all(f"{filling[:90_000]} What is 2+2?")


@pytest.fixture(scope="module")
def real(shared):
    return build(load_problems(shared / "data/benchmarks"))


@pytest.mark.parametrize("name", ["verl", "DAPO", "Alpaca", "12.", "bold", "few-shot", "Chinese"])
def test_all_of_math_500_is_found_behind_a_wrapper(name, real):
    wrapped = {
        problem.id: WRAPPERS[name].replace("%", problem.problem)
        for problems in real.owners
        for problem in problems
        if problem.benchmark == "math500"
    }
    missed = [key for key, text in wrapped.items() if key not in {leak.id for leak in real.find_all(text)}]
    assert len(wrapped) == 500 and missed == []


def test_no_row_of_real_files_is_called_a_leak_for_a_short_problem_inside_it(real, shared):
    """Every fifth row of nine files: the runs of tokens find what they found before, and whole rows the rest."""
    without, more = dataclasses.replace(real, short={}), []
    for path in sorted((shared / "data/sft").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts = [json.loads(line)["messages"][0]["content"] for line in list(lines)[::5]]
        more += [text for text in texts if len(real.find_all(text)) > len(without.find_all(text))]
    assert more == []
