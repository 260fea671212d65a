"""A follow-up is answered from the entry that it means, whether the session or the client knows what was said."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from openai import OpenAI
from openai.types.responses import Response

from contracts import keys
from contracts.ids import RESPONSE_PREFIX, RequestId, parse_public
from contracts.messages import InferenceRequest
from tests.integration.access.conftest import Client
from tests.stack import Stack

MUSEUM = """key,question,answer
ticket,What does a ticket cost?,"An adult ticket costs 12 euros, and kids under 14 pay 6 euros."
hours,When is the museum open?,"From ten to six every day, on Thursdays until nine in the evening."
parking,Where can I park my car?,Behind the town hall; the first two hours are free.
dogs,May I bring my dog?,"Only guide dogs may come in, on a lead."
photos,May I take photographs?,"Yes, without a flash and without a tripod."
cafe,Is there a café?,The café on the roof serves cake and soup until five.
guide,Do you offer guided tours?,"Every Sunday at eleven, in English and in French."
lockers,Where can I leave my bag?,Lockers beside the entrance take a coin of one euro.
wheelchair,Can I get in with a wheelchair?,"Every floor has a lift, and wheelchairs are lent at the desk."
shop,What does the shop sell?,"Catalogues, postcards and prints of the collection."
"""
TOURS = "Do you offer guided tours?"
SUNDAY = "and on Sunday?"


@pytest.fixture
def ask(house: Stack, sdk: OpenAI, client: Client) -> Iterator[Callable[..., list[str]]]:
    """Asks the plain model beside the museum's FAQ; returns the keys of the entries that it was shown."""
    store_id = client.post("/v1/vector_stores", {"name": "museum"}).json()["id"]
    file_id = client.upload("museum.csv", MUSEUM.encode()).json()["id"]
    assert client.post(f"/v1/vector_stores/{store_id}/files", {"file_id": file_id}).status_code == 200
    tools: Any = [{"type": "file_search", "vector_store_ids": [store_id]}]
    with contextlib.closing(redis.Redis.from_url(house.redis_url)) as stored:

        def asked(question: Any, **more: Any) -> list[str]:
            made = sdk.responses.create(model="scripted", input=question, tools=tools, **more)
            return shown(stored, made)

        yield asked


def shown(stored: Any, made: Response) -> list[str]:
    request_id = RequestId(parse_public(made.id, RESPONSE_PREFIX))
    request = InferenceRequest.decode(stored.hget(keys.request(request_id), "body"))
    assert request.retrieval_skipped is None
    return [passage.source.partition("#")[2] for passage in request.passages]


def test_a_session_knows_what_a_follow_up_is_about(sdk: OpenAI, ask: Callable[..., list[str]]) -> None:
    conversation = sdk.conversations.create().id
    assert ask(TOURS, conversation=conversation)[0] == "guide"
    assert ask(SUNDAY, conversation=conversation)[0] == "guide"


def test_messages_that_the_client_sends_tell_it_as_well(ask: Callable[..., list[str]]) -> None:
    said = [{"role": "user", "content": TOURS}, {"role": "assistant", "content": "In English and in French."}]
    assert ask([*said, {"role": "user", "content": SUNDAY}])[0] == "guide"


def test_without_what_was_said_nothing_is_found(ask: Callable[..., list[str]]) -> None:
    assert ask(SUNDAY) == []


def test_a_change_of_topic_is_found_as_it_is(sdk: OpenAI, ask: Callable[..., list[str]]) -> None:
    conversation = sdk.conversations.create().id
    ask(TOURS, conversation=conversation)
    assert ask("May I bring my dog?", conversation=conversation)[0] == "dogs"


def test_a_follow_up_about_what_no_entry_knows_finds_nothing(sdk: OpenAI, ask: Callable[..., list[str]]) -> None:
    conversation = sdk.conversations.create().id
    ask(TOURS, conversation=conversation)
    assert ask("and for astronauts?", conversation=conversation) == []


def test_a_search_says_which_text_it_searched(client: Client, ask: Callable[..., list[str]]) -> None:
    [museum] = client.get("/v1/vector_stores").json()["data"]
    body = {"query": SUNDAY, "history": ["Where can I park my car?", TOURS]}
    found = client.post(f"/v1/vector_stores/{museum['id']}/search", body).json()
    assert found["search_query"] == [f"{TOURS} {SUNDAY}"]
    assert found["data"][0]["source"] == "museum.csv#guide"
