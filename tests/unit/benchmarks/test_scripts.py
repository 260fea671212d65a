"""The scripted engine's right answer is known beforehand, so every loss is named."""

from __future__ import annotations

from benchmarks import scripts
from benchmarks.answers import Answer
from benchmarks.load import Leg
from contracts.messages import ChatMessage, Generate, InferenceRequest
from inference_worker.engines.scripted import ScriptedEngine
from tests.unit.benchmarks.requests_of import request

WORDS = ["the", "gate", "lets", "through"]


async def test_what_is_expected_is_what_the_engine_says() -> None:
    (messages,) = scripts.ask(1, 7, tokens=40)
    asked: InferenceRequest = request(Generate(messages=(ChatMessage(role="user", content=messages[0]["content"]),)))
    said = "".join([delta.text async for delta in ScriptedEngine().generate(asked)])
    assert said.split() == scripts.expected(messages, 40)


def test_every_prompt_is_another() -> None:
    prompts = [messages[0]["content"] for seed in (1, 2) for messages in scripts.ask(50, seed, tokens=4)]
    assert len(set(prompts)) == 100


def test_the_right_answer_has_no_fault() -> None:
    assert scripts.fault("the gate lets through ", WORDS) == ""


def test_a_missing_word_is_a_lost_token() -> None:
    assert scripts.fault("the lets through", WORDS) == "tokens lost"


def test_a_word_too_many_is_a_doubled_token() -> None:
    assert scripts.fault("the gate gate lets through", WORDS) == "tokens doubled"


def test_other_places_are_reordered_tokens() -> None:
    assert scripts.fault("gate the lets through", WORDS) == "tokens reordered"


def test_one_lost_and_one_doubled_are_both_told() -> None:
    assert scripts.fault("the the lets through", WORDS) == "tokens lost and doubled"


def test_a_checked_leg_keeps_the_first_problem_of_an_answer() -> None:
    (question,) = scripts.ask(1, 7, tokens=2)
    broken = Answer(0.1, 0.2, (), "", 1, 0, "", problem="no [DONE]")
    silent = Answer(0.1, 0.2, (), "", 1, 2, "stop")
    leg = scripts.checked(Leg("ours", 1.0, (broken, silent), {}), [question, question], 2)
    assert [answer.problem for answer in leg.answers] == ["no [DONE]", "tokens lost"]
