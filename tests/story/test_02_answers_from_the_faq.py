"""The bundled model, real vLLM and real retrieval answer from the FAQ, through the OpenAI SDK as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from access.prompt import REFUSAL
from contracts import keys
from contracts.ids import RESPONSE_PREFIX, RequestId, parse_public
from contracts.messages import InferenceRequest
from tests.stack import ROOT, Stack
from tests.story.conftest import FAQ, QUESTION

ENTRIES = [json.loads(line) for line in FAQ.read_text(encoding="utf-8").splitlines()]
ANSWER = next(entry["answer"] for entry in ENTRIES if entry["question"] == QUESTION)


def test_the_sdk_gets_the_stored_answer_with_its_citation(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="faq-bot", messages=[{"role": "user", "content": QUESTION}])

    message = completion.choices[0].message
    assert message.content is not None
    assert message.content.startswith(ANSWER)
    assert message.annotations is not None
    assert message.annotations[0].url_citation.title == QUESTION
    assert completion.usage is not None
    assert completion.usage.completion_tokens > 10


@pytest.mark.parametrize("question", [QUESTION, "How do I descale the kettle?"])
def test_the_answers_that_a_guide_shows_are_those_of_the_bundled_model(client: OpenAI, question: str) -> None:
    guide = (ROOT / "docs" / "guides" / "chat-frontend.md").read_text(encoding="utf-8")
    assert f'"{question}"' in guide
    assert f"\n{client.responses.create(model='faq-bot', input=question).output_text}\n" in guide


def test_a_stream_says_the_same_as_the_whole_answer(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="faq-bot",
        messages=[{"role": "user", "content": QUESTION}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.startswith(ANSWER)
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None
    assert not chunks[-1].choices


async def test_the_async_client_streams_too(async_client: AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(
        model="faq-bot", messages=[{"role": "user", "content": QUESTION}], stream=True
    )
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text.startswith(ANSWER)


def test_a_response_cites_the_passage_it_copied(client: OpenAI) -> None:
    response = client.responses.create(model="faq-bot", input=QUESTION)

    assert response.status == "completed"
    assert response.output_text.startswith(ANSWER)
    (citation,) = response.output[0].content[0].annotations
    assert citation.type == "file_citation"
    assert citation.filename == "faq.jsonl#ship-time"


def test_any_openai_client_can_bring_its_own_knowledge_to_the_plain_model(
    penstock: Stack, client: OpenAI, redis_of: Callable[[Stack], Any]
) -> None:
    (store,) = [found for found in client.vector_stores.list() if found.name == "faq"]
    response = client.responses.create(
        model="penstock-faq", input=QUESTION, tools=[{"type": "file_search", "vector_store_ids": [store.id]}]
    )
    request_id = RequestId(parse_public(response.id, RESPONSE_PREFIX))
    shown = InferenceRequest.decode(redis_of(penstock).hget(keys.request(request_id), "body")).passages
    assert shown[0].source == "faq.jsonl#ship-time"


def test_what_the_faq_does_not_know_is_said_so(client: OpenAI) -> None:
    response = client.responses.create(model="faq-bot", input="Who won the chess championship in Reykjavik?")
    assert response.output_text == REFUSAL
