"""Chat templates of other people's models: system turns, arguments, earlier turns, and templates that mean no good."""

from __future__ import annotations

import copy
import json
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sft_utils
from eval import chat, prompts
from eval.records import UserError
from eval.shots import Shots

PLAIN = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
THINKING = PLAIN + "{% if enable_thinking is defined and enable_thinking is false %}<no>{% endif %}{{ date_string }}"
GEMMA = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + PLAIN
DEAF = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
LAST = "{{ messages[-1].content }}"
SHOTS = Shots("f.jsonl", 0, (("One?", "It is \\boxed{1}"),), 0, 0).described()


@pytest.fixture(scope="module")
def tokenizer(byte_llama: Path) -> Any:
    return sft_utils.get_tokenizer(str(byte_llama))


@pytest.fixture
def having(tokenizer: Any) -> Callable[[Any], Any]:
    """having(template): the tokenizer with that chat template."""

    def give(template: Any) -> Any:
        kind = copy.deepcopy(tokenizer)
        kind.chat_template = template
        return kind

    return give


def shown(kind: Any, **more: Any) -> str:
    return str(kind.decode(prompts.chat_ids("Why?", kind, more)))


def test_a_system_turn_and_earlier_turns_stand_before_the_problem(having: Callable[[Any], Any]) -> None:
    ask = f"\n\n{prompts.INSTRUCTION}"
    assert shown(having(PLAIN), system="Be brief.", shots=SHOTS) == (
        f"<system>Be brief.<user>One?{ask}<assistant>It is \\boxed{{1}}<user>Why?{ask}<assistant>"
    )
    assert shown(having(PLAIN)) == f"<user>Why?{ask}<assistant>"


def test_an_argument_reaches_the_template_and_may_set_the_date(having: Callable[[Any], Any]) -> None:
    assert "<no>" not in shown(having(THINKING)) and shown(having(THINKING)).endswith("26 Jul 2024")
    told = shown(having(THINKING), template_args={"enable_thinking": False, "date_string": "1 May 2025"})
    assert told.endswith("<no>1 May 2025")


def test_each_of_them_is_another_prompt_and_is_spelled_out(having: Callable[[Any], Any]) -> None:
    kind = having(THINKING)
    asked: list[dict[str, Any]] = [
        {},
        {"system": "Be brief."},
        {"system": "Be long."},
        {"shots": SHOTS},
        {"template_args": {"enable_thinking": False}},
    ]
    described = [prompts.describe_chat(kind, [], more) for more in asked]
    assert len({one["fingerprint"] for one in described}) == len(asked)
    for one, more in zip(described, asked, strict=True):
        assert more.items() <= one.items()
    assert [", ".join(prompts.changes_of(one)) for one in described] == [
        "",
        "system prompt",
        "system prompt",
        "1-shot",
        "enable_thinking=false",
    ]
    first, second = (", ".join(prompts.changes_of(one).values()) for one in described[1:3])
    assert first != second, "two system prompts can be told apart"


def test_the_prompt_is_what_it_was_before_there_was_anything_to_add(having: Callable[[Any], Any]) -> None:
    tokenizer = having(THINKING)
    turn = [{"role": "user", "content": f"Why?\n\n{prompts.INSTRUCTION}"}]
    whole = tokenizer.apply_chat_template(
        turn, add_generation_prompt=True, tokenize=True, return_dict=False, date_string=prompts.DATE
    )
    assert prompts.chat_ids("Why?", tokenizer) == list(whole)


@pytest.mark.parametrize(
    ("template", "more", "words"),
    [
        (GEMMA, {"system": "Be brief."}, ["with system", "System role not supported", "leave out --system"]),
        (DEAF, {"system": "Be brief."}, ["--system: this chat template does not show a system turn"]),
        (LAST, {"shots": SHOTS}, ["--shots: this chat template does not show earlier turns"]),
        (
            THINKING,
            {"template_args": {"enable_thinkin": True}},
            ["never reads enable_thinkin", "did you mean enable_th"],
        ),
        (PLAIN, {"template_args": {"today": 1}}, ["never reads today", "it reads no argument"]),
        (THINKING, {"template_args": {"xyz": 1}}, ["it reads date_string, enable_thinking."]),
        (PLAIN, {"template_args": {"messages": []}}, ["--template-arg messages: the evaluation sets that itself"]),
        (PLAIN, {"template_args": {"tokenize": True}}, ["--template-arg tokenize: the evaluation sets that itself"]),
        ("{% set n = 1 %}" + PLAIN + "{{ n }}", {"template_args": {"n": 2}}, ["never reads n"]),
        ("Hello.", {}, ["does not show the problem"]),
        ("{{ messages", {}, ["the chat template fails"]),
        ("{{ raise_exception('a\x1b[2Jb') }}", {}, ["the chat template fails (a [2Jb)"]),
        ("{{ 1 / 0 }}", {}, ["division by zero"]),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", {}, ["calls itself without end"]),
        ("{{ ''.__class__.__mro__ }}", {}, ["the chat template fails", "unsafe"]),
        ({"one": PLAIN, "two": PLAIN}, {}, ["multiple chat templates"]),
        ("{{ 'x' * 2000000 }}" + PLAIN, {}, ["more than 1,000,000 characters"]),
        ("{{ ('x' * 100000000000) | length }}" + PLAIN, {}, ["more than 1 GB of memory"]),
    ],
)
def test_a_template_that_does_not_do_is_one_sentence(
    template: Any, more: dict[str, Any], words: list[str], having: Callable[[Any], Any]
) -> None:
    with pytest.raises(UserError) as refused:
        prompts.describe_chat(having(template), [], more)
    assert all(word in str(refused.value) for word in words), refused.value
    assert str(refused.value).isprintable()


def test_a_template_without_end_is_ended_and_leaves_the_process_as_it_was(
    having: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "SECONDS", 0.2)
    before = signal.getsignal(signal.SIGALRM), resource.getrlimit(resource.RLIMIT_AS)
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}" + PLAIN
    with pytest.raises(UserError, match=r"did not end within 0\.2 seconds\); use --prompt current"):
        prompts.describe_chat(having(endless), [])
    assert (signal.getsignal(signal.SIGALRM), resource.getrlimit(resource.RLIMIT_AS)) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("enable_thinking=false", ("enable_thinking", False)),
        ("enable_thinking=False", ("enable_thinking", False)),
        ("enable_thinking=True", ("enable_thinking", True)),
        ("date=None", ("date", None)),
        ("n=3", ("n", 3)),
        ('date="26 Jul"', ("date", "26 Jul")),
        ("date=26 Jul = now", ("date", "26 Jul = now")),
        ("empty=", ("empty", "")),
        ("many=[1, 2]", ("many", [1, 2])),
        ("x=NaN", ("x", "NaN")),
        ("x=" + "[" * 100_000, ("x", "[" * 100_000)),
    ],
)
def test_a_value_is_json_or_else_text(text: str, parsed: tuple[str, Any]) -> None:
    assert chat.parse_argument(text) == parsed
    json.dumps(parsed, allow_nan=False)


@pytest.mark.parametrize(
    "text", ["enable_thinking", "=1", "x=no", "x=FALSE", "x= Off", "a b=1", "1a=2", 'x="\\ud800"', "x=\udcff"]
)
def test_what_is_no_argument_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as enable_thinking=false|is not UTF-8|write true or false"):
        chat.parse_argument(text)


RUN = ["run", "model", "--benchmark=sums", "--benchmarks-dir=benchmarks", "--max-tokens=64"]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (["--system=Be brief."], ["--system is for chat templates", "--prompt tokenizer"]),
        (["--prompt=current", "--template-arg=a=1"], ["--template-arg is for chat templates", "--prompt tokenizer"]),
        (["--prompt=tokenizer", "--template-arg=a=1", "--template-arg=a=2"], ["a is given 2 times"]),
        (["--prompt=tokenizer", "--system=@none.txt"], ["none.txt cannot be read (No such file"]),
        (["--prompt=tokenizer", "--system=@bad.txt"], ["bad.txt cannot be read (it is not UTF-8)"]),
        (["--prompt=tokenizer", "--system= "], ["holds no text"]),
        (["--prompt=tokenizer", "--template-arg=a"], ["'a' is not KEY=VALUE"]),
        (["--shots-from=x.jsonl"], ["--shots-from x.jsonl needs --shots K"]),
        (["--shots=0"], ["'0' is no whole number above 0"]),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_loaded(
    asked: list[str],
    words: list[str],
    cli: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    done = cli(*RUN, *asked)
    assert (done.code, done.out) == (2, "") and all(word in done.err for word in words), done.err
    assert not (tmp_path / "reports").exists()


def test_a_system_prompt_out_of_a_file_shows_in_manifest_and_pages(
    make_model: Callable[..., Path],
    write_benchmark: Callable[..., Path],
    use_engine: Callable[..., Any],
    cli: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_benchmark("sums", {"2 + 2?": "4"})
    kind = sft_utils.get_tokenizer(str(make_model(tmp_path / "model")))
    kind.chat_template = THINKING
    kind.save_pretrained(tmp_path / "model")
    (tmp_path / "system.txt").write_text("You <b>add</b>.\n")
    use_engine()
    asked = ["--device=cpu", "--workers=1", "--prompt=tokenizer"]
    assert cli(*RUN, *asked).code == 0
    done = cli(*RUN, *asked, "--system=@system.txt", "--template-arg=enable_thinking=false", "--json")
    assert done.code == 0, done.err
    (summary,) = json.loads(done.out)
    assert summary["asked"] == "system prompt, enable_thinking=false"
    manifest = json.loads((tmp_path / "reports" / summary["key"] / "manifest.json").read_text())
    assert manifest["prompt"]["system"] == "You <b>add</b>."
    assert manifest["prompt"]["template_args"] == {"enable_thinking": False}
    page = (tmp_path / "reports" / summary["key"] / "index.html").read_text()
    assert "model + system prompt, enable_thinking=false" in page
    assert "You &lt;b&gt;add&lt;/b&gt;." in page and "<b>add" not in page
    assert "model + system prompt" in (tmp_path / "reports" / "report.md").read_text(), "beside the plain row"
