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

# Labels, metadata, markup, small words, and how to write the answer, in many languages; each is its own name.
BOOKS = [
    "Übung 5: %",
    "Exercice n° 3 : %",
    "Bài 5: %",
    "Questão 5: %",
    "Esercizio 7. %",
    "№ 12. %",
    "第3题:%",
    "5、%",
    "問5 %",
    "#5 %",
    "## 5\n%",
    "Q1/10: %",
    "Question 5 of 20\n%",
    "Uppgift 4: %",
    "प्रश्न 5: %",
    "السؤال 5: %",
    "문제 5. %",
    "Zadanie 12.\n%",
    "Câu 3. %",
    "Tehtävä 8) %",
    "Ex. 4: %",
    "Soal No. 7: %",
    "Item 3/40\n%",
    "例5:%",
    "第 12 問 %",
    "No. 5: %",
    "Level: 5\n%",
    "%\nDifficulty: 3.5",
    "ID: 4123\n%",
    "2023-05-01 %",
    "[Difficulty: 3/5] %",
    "%\n(Source: AoPS 2015, p. 12)",
    "Subject: Algebra\nLevel: 3\n%",
    "Date: May 1, 2023\n%",
    "%\n\nTime limit: 10 minutes",
    "%\nSource: Larson, 9th edition, p. 212",
    "[id=412] %",
    "{difficulty: 4} %",
    "Problem ID: MATH-4123\n%",
    "01/05/2023: %",
    "%\nNiveau : 4",
    "% [Level 5, Algebra, 2021]",
    "Points: 5/10\n%",
    "May 5, 2021\n%",
    "% Odpowiedź podaj w ramce.",
    "Vyřeš s postupem: %",
    "Riješi zadatak u koracima: %",
    "% Odpověď uveď v rámečku.",
    "Rozwiąż zadanie z wyjaśnieniem: %",
    "%\nOdgovor zapiši u okvir.",
    "% Výsledok zapíš k riešeniu v rámčeku.",
    "<![CDATA[%]]>",
    "<p style='x'>%</p>",
    "<div id=q1>%</div>",
    "| Problem | % |",
    "| Problem | Answer |\n|---|---|\n| % | 4 |",
    '"algebra","%","4"',
    '12,"%",4',
    '<td class="a" width=5>%</td>',
    "<br/>%<br>",
    "<a href='http://x.y/z?q=1'>%</a>",
    "<!-- q --> %",
    "% Round to 2 decimal places.",
    "% Write your final answer as a fraction a/b.",
    "% Give the answer to 3 significant figures.",
    "% Express your answer in the form $\\frac{a}{b}$.",
    "% Answer correct to two decimal places.",
    "% Round your answer to the nearest tenth.",
    "% Give exact values, or round to 3 d.p.",
    "% Double-check your answer.",
    "% Check it twice and box it.",
    "% Write it as a decimal.",
    "% Put the result in a box.",
    "% Then explain the result.",
    "% Do not use a calculator.",
    "% Simplify your answer.",
    "% Finally, state the answer clearly.",
    "% Réponds en français, et encadre le résultat.",
    "% Gib nur das Ergebnis an.",
    "% 请写出答案。",
    "% Explain it to a child.",
    "% Use LaTeX for the answer.",
    "% Verify the result.",
    "Calculate the answer to: %",
    "Give the solution of: %",
    "Translate into French: %",
]
WRAPPERS |= {wrapper: wrapper for wrapper in BOOKS}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
def test_a_short_problem_is_word_for_word_behind_a_wrapper(wrapper, index):
    for number, problem in enumerate(SHORT):
        in_one_line = " ".join(problem.split()) if wrapper.startswith(("| ", '"', "12,")) else problem  # a cell
        leaks = index.find_all(wrapper.replace("%", in_one_line))
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


# What is done with the problem or its answer; "%" is the problem.
CHANGES = [
    "% Halve it.",
    "% Negate the result.",
    "Take the negative of: %",
    "% Then take the logarithm.",
    "Find the number of digits in: %",
    "% 求结果的平方。",
    "% Puis élevez le résultat au carré.",
    "% Subtrahiere eins.",
    "% Then triple it.",
    "% Invert the result.",
    "% Reverse the digits of the answer.",
    "% Now take the absolute value.",
    "% Verdopple das Ergebnis.",
    "% Ajoutez trois au résultat.",
    "% Suma dos al resultado.",
    "% 然后加上三。",
    "% 結果を二乗してください。",
    "% 결과를 제곱하세요.",
    "% Прибавьте три.",
    "% Dodaj trzy do wyniku.",
    "% Increase it by five.",
    "% Raise it to the fourth power.",
    "% Take its square root.",
    "% Count the digits of the result.",
    "Double the value of: %",
    "Compute the logarithm of: %",
    "Negate: %",
    "% Find its reciprocal.",
    "% Square the answer.",
    "% Moltiplica il risultato per due.",
    "% Divida o resultado por dois.",
    "Radius: 5\n%",
    "Tom has 5.\n%",
    "The price is 5. %",
    "%\nLength: 4 cm",
    "% And then cube that.",
    "% Flip the sign of your answer.",
    "% Give the opposite of the answer.",
    "% Report the square of your answer.",
    "Soit k la réponse. %",
    "% Let k be that.",
    "% Write the result backwards.",
    "% Convert it to hexadecimal.",
    "% Give the answer in base three.",
    "% Take the cosine of the result.",
    "% Add up the digits.",
    "Add 3 to: %",
    "% Ziehe drei ab.",
    "% Multiplica por dos el resultado.",
    "% Answer with the negative.",
    "Half of the following: %",
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_problem_whose_answer_is_worked_on_is_no_leak(change, index):
    for problem in SHORT:
        assert index.find(change.replace("%", problem)) is None, problem


@pytest.mark.parametrize("indent", [None, 2])
def test_a_short_problem_is_found_in_json_within_a_text(indent, index):
    for number, problem in enumerate(SHORT):
        rows = [
            {"problem": problem},
            {"id": 12, "question": problem, "answer": "4"},
            [{"role": "user", "content": problem}],
        ]
        for row in rows:
            found = index.find_all(f"Solve this:\n{json.dumps(row, indent=indent)}")
            assert [leak.id for leak in found] == [str(number)], row


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
    '{"', '{"a":', '"', '",', "|", " | ", "1 ", "a 1", "(a:b", "[a ", "\n#", "5、", "\n|",
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
