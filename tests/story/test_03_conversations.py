"""A conversation remembers, and others may speak in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openai import OpenAI

from benchmarks.reuse import Turn, reuse, shared
from contracts import keys
from contracts.ids import COMPLETION_PREFIX, RESPONSE_PREFIX, RequestId, parse_public
from contracts.messages import Generate, InferenceRequest
from inference_worker.engines.prompting import Prompter
from tests.stack import ROOT, Stack
from tests.story.conftest import FAQ, QUESTION


def test_a_second_turn_sees_the_first_and_the_engine_reuses_its_prefix(
    penstock: Stack, client: OpenAI, redis_of: Callable[[Stack], Any]
) -> None:
    conversation = client.conversations.create()
    first = client.responses.create(model="faq-bot", input=QUESTION, conversation=conversation.id)
    second = client.chat.completions.create(
        model="faq-bot",
        messages=[{"role": "user", "content": "And how do I track it?"}],
        extra_body={"conversation": conversation.id},
    )

    said = _prompt(redis_of(penstock), second.id)
    assert said[1:3] == [("user", QUESTION), ("assistant", first.output_text)]
    assert second.usage is not None
    assert second.usage.prompt_tokens_details is not None
    assert (second.usage.prompt_tokens_details.cached_tokens or 0) > 0


def test_ten_turns_with_knowledge_compute_again_next_to_nothing_that_stands_unchanged(
    penstock: Stack, client: OpenAI, redis_of: Callable[[Stack], Any]
) -> None:
    conversation = client.conversations.create()
    count_as_the_model = _tokens_of(ROOT / "models" / "penstock-faq")
    turns: list[Turn] = []
    for question in _questions(10):
        response = client.responses.create(
            model="faq-bot", input=question, conversation=conversation.id, max_output_tokens=40
        )
        prompt = count_as_the_model(_task(redis_of(penstock), RequestId(parse_public(response.id, RESPONSE_PREFIX))))
        assert len(prompt) == response.usage.input_tokens
        turns.append(Turn(prompt, [], response.usage.input_tokens_details.cached_tokens))

    found = reuse(turns)
    assert found.of_unchanged >= 0.9
    # Passages before the history would leave the instructions unchanged, and nothing else.
    instructions = shared(turns[0].prompt, turns[1].prompt)
    assert found.hits > 3 * instructions * (len(turns) - 1)


def test_a_push_from_another_service_becomes_part_of_what_the_model_sees(
    penstock: Stack, client: OpenAI, redis_of: Callable[[Stack], Any]
) -> None:
    conversation = client.conversations.create()
    client.conversations.items.create(
        conversation.id,
        items=[{"type": "message", "role": "assistant", "content": "Your kettle has been shipped."}],
    )
    answer = client.chat.completions.create(
        model="faq-bot",
        messages=[{"role": "user", "content": QUESTION}],
        extra_body={"conversation": conversation.id},
    )
    assert ("assistant", "Your kettle has been shipped.") in _prompt(redis_of(penstock), answer.id)


def test_what_is_known_of_a_user_stands_in_the_prompt(
    penstock: Stack, client: OpenAI, redis_of: Callable[[Stack], Any]
) -> None:
    client.put("/users/ana/profile", body={"facts": {"name": "Ana", "plan": "premium"}}, cast_to=object)
    answer = client.chat.completions.create(
        model="faq-bot", messages=[{"role": "user", "content": QUESTION}], safety_identifier="ana"
    )
    assert "name: Ana\nplan: premium" in _prompt(redis_of(penstock), answer.id)[0][1]


def test_a_name_that_was_told_is_known_in_the_next_turn(client: OpenAI) -> None:
    conversation = client.conversations.create()
    client.responses.create(model="faq-bot", input="My name is Ada.", conversation=conversation.id)
    answer = client.responses.create(model="faq-bot", input="What is my name?", conversation=conversation.id)
    assert answer.output_text == "Your name is Ada."


def test_a_name_that_was_registered_is_known_from_the_first_turn_on(client: OpenAI) -> None:
    client.put("/users/ines/profile", body={"facts": {"name": "Ines", "plan": "premium"}}, cast_to=object)
    answer = client.responses.create(model="faq-bot", input="What is my name?", safety_identifier="ines")
    assert answer.output_text == "Your name is Ines."


def _prompt(store: Any, completion_id: str) -> list[tuple[str, str]]:
    task = _task(store, RequestId(parse_public(completion_id, COMPLETION_PREFIX)))
    return [(message.role, message.content) for message in task.messages]


def _task(store: Any, request_id: RequestId) -> Generate:
    body = store.hget(keys.request(request_id), "body")
    assert isinstance(body, bytes)
    task = InferenceRequest.decode(body).task
    assert isinstance(task, Generate)
    return task


def _tokens_of(model: Path) -> Callable[[Generate], list[int]]:
    from transformers import AutoTokenizer

    return Prompter(AutoTokenizer.from_pretrained(model)).token_ids


def _questions(count: int) -> list[str]:
    """Of the sample FAQ, in its own words."""
    return [json.loads(line)["question"] for line in FAQ.read_text(encoding="utf-8").splitlines()[:count]]
