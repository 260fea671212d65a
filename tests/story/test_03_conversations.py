"""A conversation remembers, and others may speak in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from openai import OpenAI

from contracts import keys
from contracts.ids import COMPLETION_PREFIX, RequestId, parse_public
from contracts.messages import Generate, InferenceRequest
from tests.stack import Stack
from tests.story.conftest import QUESTION


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


def _prompt(store: Any, completion_id: str) -> list[tuple[str, str]]:
    body = store.hget(keys.request(RequestId(parse_public(completion_id, COMPLETION_PREFIX))), "body")
    assert isinstance(body, bytes)
    task = InferenceRequest.decode(body).task
    assert isinstance(task, Generate)
    return [(message.role, message.content) for message in task.messages]
