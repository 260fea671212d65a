"""What becomes of an answer whose client leaves: by kind of request, by its own choice, and while it still waits."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from contracts import keys
from contracts.ids import COMPLETION_PREFIX, RESPONSE_PREFIX, RequestId, parse_public
from tests.servers import wait_until
from tests.stack import API_KEY, Stack

LONG = "tokens=2000 pause=0.05"
SHORT = "tokens=20 pause=0.05"
LINGER = {"x-penstock-leave": "linger"}
CANCEL = {"x-penstock-leave": "cancel"}
RUN = {"x-penstock-leave": "run"}
NEVER_MIND = "tokens=3 Never mind."


def test_an_unstored_completion_is_cancelled_at_once(pair: Stack, store: Any) -> None:
    request_id = left_completion(pair.client(), LONG)
    wait_until(lambda: state(store, request_id) == "cancelled", "the cancellation", 10)


def test_a_stored_response_may_be_come_back_for(pair: Stack, store: Any) -> None:
    here, there = (pair.client(port) for port in pair.access_ports)
    response = left_response(here, SHORT)
    rest = list(there.responses.retrieve(response, stream=True, starting_after=0))
    assert rest[-1].type == "response.completed"


def test_a_stored_response_that_nobody_comes_back_for_is_cancelled(pair: Stack, store: Any) -> None:
    request_id = request_of(left_response(pair.client(), LONG))
    time.sleep(0.5)
    assert state(store, request_id) == "running"
    wait_until(lambda: state(store, request_id) == "cancelled", "the cancellation", 15)


def test_a_background_response_runs_to_its_end_however_its_reader_leaves(pair: Stack, store: Any) -> None:
    client = pair.client()
    with client.responses.create(model="plain", input="tokens=80 pause=0.05", background=True, stream=True) as stream:
        response = next(iter(stream)).response  # type: ignore[union-attr]
    wait_until(lambda: state(store, request_of(response.id)) == "done", "the end", 20)


def test_a_completion_may_be_told_to_run_on(pair: Stack, store: Any) -> None:
    request_id = left_completion(pair.client(), "tokens=60 pause=0.05", extra_headers=RUN)
    wait_until(lambda: state(store, request_id) == "done", "the end", 20)


def test_a_completion_may_be_told_to_linger(pair: Stack, store: Any) -> None:
    request_id = left_completion(pair.client(), LONG, extra_headers=LINGER)
    time.sleep(0.5)
    assert state(store, request_id) == "running"
    wait_until(lambda: state(store, request_id) == "cancelled", "the cancellation", 15)


def test_a_stored_response_may_be_told_to_end_with_its_client(pair: Stack, store: Any) -> None:
    request_id = request_of(left_response(pair.client(), LONG, extra_headers=CANCEL))
    wait_until(lambda: state(store, request_id) == "cancelled", "the cancellation", 10)


def test_a_client_that_leaves_while_it_waits_comes_back_to_another_process_and_is_answered(
    pair: Stack, store: Any
) -> None:
    here, there = crowded(pair, "waits")
    running = here.responses.create(model="plain", input="tokens=50 pause=0.05", background=True)
    wait_until(lambda: state(store, request_of(running.id)) == "running", "the first one running", 10)

    response = left_response(here, "tokens=5", extra_headers={"x-penstock-wait": "60"})
    assert state(store, request_of(response)) == "waiting"
    events = list(there.responses.retrieve(response, stream=True))

    assert events[-1].type == "response.completed"
    assert there.responses.retrieve(response).output_text


@pytest.mark.parametrize("path", ["/chat/completions", "/responses"])
def test_a_client_that_leaves_while_another_answer_keeps_its_conversation_busy_has_asked_nothing(
    pair: Stack, path: str
) -> None:
    client = pair.client()
    conversation = client.conversations.create().id
    client.responses.create(model="plain", input=SHORT, conversation=conversation, background=True)
    second = {"model": "plain", "conversation": conversation, "stream": True}
    asked = {"messages": [{"role": "user", "content": NEVER_MIND}]} if "chat" in path else {"input": NEVER_MIND}
    headers = {"authorization": f"Bearer {API_KEY}"} | CANCEL
    with pytest.raises(httpx2.ReadTimeout):  # nothing is sent while it waits; then the connection is closed
        httpx2.post(f"{pair.url()}{path}", json=second | asked, headers=headers, timeout=0.5)

    client.responses.create(model="plain", input="tokens=2", conversation=conversation)
    items: Any = client.conversations.items.list(conversation, order="asc").data
    assert [item.content[0].text for item in items if item.role == "user"] == [SHORT, "tokens=2"]


def test_a_client_that_leaves_while_it_waits_and_does_not_come_back_waits_no_longer(pair: Stack, store: Any) -> None:
    here, _ = crowded(pair, "gone")
    running = here.responses.create(model="plain", input=LONG, background=True)
    wait_until(lambda: state(store, request_of(running.id)) == "running", "the first one running", 10)

    request_id = request_of(left_response(here, "tokens=5", extra_headers={"x-penstock-wait": "600"}))
    assert state(store, request_id) == "waiting"
    wait_until(lambda: state(store, request_id) == "cancelled", "the cancellation", 15)
    here.responses.cancel(running.id)


def left_completion(client: OpenAI, words: str, **more: Any) -> RequestId:
    """The id of a completion whose client has left after the first chunk."""
    messages: Any = [{"role": "user", "content": words}]
    with client.chat.completions.create(model="plain", messages=messages, stream=True, **more) as stream:
        first = next(iter(stream))
    return RequestId(first.id.removeprefix(COMPLETION_PREFIX))


def left_response(client: OpenAI, words: str, **more: Any) -> str:
    """The public id of a stored response whose client has left after the first event."""
    with client.responses.create(model="plain", input=words, stream=True, **more) as stream:
        return next(iter(stream)).response.id  # type: ignore[union-attr]


def crowded(pair: Stack, tenant: str) -> tuple[OpenAI, OpenAI]:
    """Clients of a tenant that may run one request at a time, one on each process."""
    admin = pair.client()
    admin.put(f"/../admin/limits/{tenant}", body={"concurrency": 1, "wait_seconds": 600}, cast_to=object)
    made: Any = admin.post(
        "/../admin/keys", body={"name": "k", "tenant": tenant, "scopes": ["inference"]}, cast_to=object
    )
    here, there = (pair.client(port, made["key"]) for port in pair.access_ports)
    return here, there


def request_of(response_id: str) -> RequestId:
    return RequestId(parse_public(response_id, RESPONSE_PREFIX))


def state(store: Any, request_id: RequestId) -> str:
    found: bytes | None = store.hget(keys.request(request_id), "state")
    return found.decode() if found else ""
