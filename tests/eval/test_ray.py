"""Ray actors with a vLLM engine each give what one engine gives, also when one of them is killed on the way."""

import json
import shutil
import threading
import time

import pytest

from eval import prompts
from eval.engines.base import Prompt, Stops
from eval.engines.hf import HuggingFace
from eval.engines.ray import CHUNK_PROMPTS, RayActors
from eval.engines.vllm import Vllm
from eval.records import Decoding, UserError

DECODING, STOPS = Decoding(max_tokens=24), Stops((2,))
QUESTIONS = 3 * CHUNK_PROMPTS["cpu"]


@pytest.fixture(scope="module")
def ids(smollm2_tokenizer):
    return [
        Prompt(f"q{n}", prompts.generation_ids(prompts.example_of(f"What is {n} + {n}?"), smollm2_tokenizer))
        for n in range(QUESTIONS)
    ]


@pytest.fixture(scope="module")
def alone(tiny_llama, ids, device):
    """What one engine gives."""
    if device == "cuda":
        pytest.skip("bfloat16 kernels differ in their last bits, so tokens are only compared in float32 on a CPU")
    engine = Vllm(device)
    engine.max_model_tokens = 128
    engine.load(tiny_llama)
    outputs = dict(engine.generate(ids, DECODING, STOPS))
    engine.close()
    return outputs


@pytest.fixture(scope="module")
def actors():
    engine = RayActors("cpu", samples=True, actors=2)
    engine.max_model_tokens = 128
    yield engine
    engine.close()


def test_two_actors_give_what_one_engine_gives(alone, actors, tiny_llama, ids):
    assert actors.load(tiny_llama).start_s > 0
    assert len(actors._actors) == 2
    outputs = list(actors.generate(ids, DECODING, STOPS))
    assert sorted(index for index, _ in outputs) == list(range(len(ids))), "nothing lost, nothing twice"
    assert dict(outputs) == alone


def test_the_weights_are_swapped_in_every_actor(actors, tiny_llama):
    swapped = actors.load(tiny_llama)
    assert swapped.start_s == 0 < swapped.swap_s


def test_samples_are_those_of_one_engine_whichever_actor_draws_them(actors, tiny_llama, ids, device):
    sampling = Decoding(max_tokens=8, temperature=1.0, n_samples=2)
    beside = HuggingFace(device)
    beside.load(tiny_llama)
    actors.load(tiny_llama)
    assert dict(actors.generate(ids, sampling, STOPS)) == dict(beside.generate(ids, sampling, STOPS))


def test_actors_start_anew_for_equal_weights_under_another_config(actors, tiny_llama, ids, tmp_path, device):
    other = tmp_path / "other"
    shutil.copytree(tiny_llama, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 0.5}))
    actors.load(tiny_llama)
    assert actors.load(other).start_s > 0
    beside = HuggingFace(device)
    beside.load(other)
    assert dict(actors.generate(ids, DECODING, STOPS)) == dict(beside.generate(ids, DECODING, STOPS))


def test_the_problems_of_a_killed_actor_go_to_the_other(alone, actors, tiny_llama, ids):
    import ray

    actors.load(tiny_llama)
    victim = actors._actors[0]
    killer = threading.Timer(0.3, lambda: ray.kill(victim))
    killer.start()
    outputs = []
    for finished in actors.generate(ids, DECODING, STOPS):
        outputs.append(finished)
        time.sleep(0.01)  # so that there is something left to do when the actor dies
    killer.join()
    assert actors._actors == [actor for actor in actors._actors if actor != victim] and len(actors._actors) == 1
    assert sorted(index for index, _ in outputs) == list(range(len(ids))), "nothing lost, nothing twice"
    assert dict(outputs) == alone


def test_an_address_without_a_cluster_is_refused(monkeypatch, tiny_llama):
    import ray

    ray.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    engine = RayActors("cpu", actors=1)
    with pytest.raises(UserError, match=r"RAY_ADDRESS '127\.0\.0\.1:1' is no cluster that answers"):
        engine.load(tiny_llama)
