"""The result is a log in Redis: a stream outlives its client, its access node and its worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from openai import APIStatusError, APITimeoutError, OpenAI

from contracts import keys
from contracts.ids import RESPONSE_PREFIX, RequestId, Shard, parse_public
from tests.servers import wait_until
from tests.stack import Stack

TWO_SECONDS = "tokens=40 pause=0.05"


def test_submit_on_one_node_and_stream_from_the_other(scripted: Stack) -> None:
    here, there = (scripted.client(port) for port in scripted.access_ports)
    submitted = here.responses.create(model="plain", input=TWO_SECONDS, background=True)

    events = list(there.responses.retrieve(submitted.id, stream=True))

    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))
    assert events[-1].type == "response.completed"
    assert _text(events) == here.responses.retrieve(submitted.id).output_text


def test_a_client_that_comes_back_goes_on_where_it_was(scripted: Stack) -> None:
    here, there = (scripted.client(port) for port in scripted.access_ports)
    seen = []
    with here.responses.create(model="plain", input=TWO_SECONDS, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if len(seen) == 12:
                break
    rest = list(there.responses.retrieve(seen[0].response.id, stream=True, starting_after=seen[-1].sequence_number))

    assert rest[0].sequence_number > seen[-1].sequence_number
    whole = there.responses.retrieve(seen[0].response.id).output_text
    assert _text(seen) + _text(rest) == whole
    assert len(whole.split()) == 40


def test_another_worker_goes_on_when_one_is_killed_in_mid_answer(scripted: Stack) -> None:
    client = scripted.client()
    uninterrupted = client.responses.create(model="plain", input="tokens=40 pause=0.05 ").output_text
    other = scripted.worker()
    wait_until(lambda: "worker.started" in other.log, "a second worker")
    victim, text, killed_at, gap = None, "", 0.0, 0.0

    for event in client.responses.create(model="plain", input="tokens=40 pause=0.05 ", stream=True):
        if event.type != "response.output_text.delta":
            continue
        if killed_at and not gap:
            gap = time.monotonic() - killed_at
        text += event.delta
        if victim is None and len(text.split()) >= 10:
            victim = _owner(scripted, client, event.item_id)
            victim.kill()
            killed_at = time.monotonic()

    assert text == uninterrupted
    assert 0 < gap < 3, "the lease is one second"
    scripted.children.remove(victim)
    survivor = [child for child in scripted.children if child.name.startswith("inference_worker")]
    # The worker says so when it has let go of the request: a moment after its client has the end.
    wait_until(lambda: any(line.get("continued_from") for child in survivor for line in child.lines), "the line", 5)


def test_cancelling_stops_the_engine_and_frees_its_slot(scripted: Stack, redis_of: Callable[[Stack], Any]) -> None:
    client, store = scripted.client(), redis_of(scripted)
    running = client.responses.create(model="plain", input="tokens=2000 pause=0.05", background=True)
    request_id = RequestId(parse_public(running.id, RESPONSE_PREFIX))
    wait_until(lambda: store.xlen(keys.replies(request_id)) > 5, "the answer being generated")

    cancelled = client.responses.cancel(running.id)

    assert cancelled.status == "cancelled"
    length = store.xlen(keys.replies(request_id))
    time.sleep(0.3)
    assert store.xlen(keys.replies(request_id)) == length, "nothing comes after the end"
    ended = [line for child in scripted.children for line in child.lines if line.get("request") == request_id]
    assert [line["outcome"] for line in ended if line["event"] == "request.ended"] == ["cancelled"]


def test_a_completion_nobody_waits_for_is_cancelled(scripted: Stack, redis_of: Callable[[Stack], Any]) -> None:
    client, store = scripted.client(), redis_of(scripted)
    with client.chat.completions.create(
        model="plain", messages=[{"role": "user", "content": "tokens=2000 pause=0.05"}], stream=True
    ) as stream:
        first = next(iter(stream))
    request_id = RequestId(first.id.removeprefix("chatcmpl-"))
    wait_until(lambda: store.hget(keys.request(request_id), "state") == b"cancelled", "the abandoned request ending", 5)
    assert store.ttl(keys.replies(request_id)) > 0


def test_a_whole_answer_nobody_waits_for_is_cancelled_too(scripted: Stack, redis_of: Callable[[Stack], Any]) -> None:
    client, store = scripted.client(), redis_of(scripted)
    before = set(store.zrange(keys.leases(Shard(0), "scripted"), 0, -1))
    with pytest.raises(APITimeoutError):
        client.chat.completions.create(
            model="plain", messages=[{"role": "user", "content": "tokens=3000 pause=0.05"}], timeout=0.5
        )
    (request_id,) = set(store.zrange(keys.leases(Shard(0), "scripted"), 0, -1)) - before
    state = keys.request(RequestId(request_id.decode()))
    wait_until(lambda: store.hget(state, "state") == b"cancelled", "the abandoned request ending", 5)


def test_an_answer_in_a_conversation_waits_a_while_for_its_client(
    scripted: Stack, redis_of: Callable[[Stack], Any]
) -> None:
    client, store = scripted.client(), redis_of(scripted)
    with client.responses.create(model="plain", input="tokens=3000 pause=0.05", stream=True) as stream:
        response = next(iter(stream)).response
    state = keys.request(RequestId(parse_public(response.id, RESPONSE_PREFIX)))
    time.sleep(0.5)
    assert store.hget(state, "state") == b"running", "here a client has one second to come back"
    wait_until(lambda: store.hget(state, "state") == b"cancelled", "the abandoned response ending", 5)


def test_the_same_idempotency_key_runs_once_even_on_two_nodes(scripted: Stack) -> None:
    answers = [
        scripted.client(port).responses.create(
            model="plain", input="tokens=12", extra_headers={"idempotency-key": "k-1"}
        )
        for port in scripted.access_ports
    ]
    assert answers[0].id == answers[1].id
    assert answers[0].output_text == answers[1].output_text
    with pytest.raises(APIStatusError) as refused:
        scripted.client().responses.create(model="plain", input="tokens=13", extra_headers={"idempotency-key": "k-1"})
    assert refused.value.status_code == 422


def test_two_quick_messages_in_one_conversation_are_answered_one_after_the_other(scripted: Stack) -> None:
    client = scripted.client()
    conversation = client.conversations.create()
    first = client.responses.create(
        model="plain", input="tokens=20 pause=0.05", conversation=conversation.id, background=True
    )
    second = client.responses.create(model="plain", input="tokens=3", conversation=conversation.id)

    assert second.status == "completed"
    assert client.responses.retrieve(first.id).status == "completed"
    items = list(client.conversations.items.list(conversation.id, order="asc"))
    assert [item.role for item in items] == ["user", "assistant", "user", "assistant"]


def test_a_caller_over_its_budget_learns_when_to_come_back(scripted: Stack) -> None:
    admin = scripted.client()
    admin.put("/../admin/limits/small", body={"tokens_per_minute": 600, "wait_seconds": 0}, cast_to=object)
    made = admin.post("/../admin/keys", body={"name": "s", "tenant": "small", "scopes": ["inference"]}, cast_to=object)
    client = scripted.client(key=made["key"])  # type: ignore[index]  # the SDK gives plain JSON as an object
    time.sleep(1.1)
    client.responses.create(model="plain", input="tokens=300", max_output_tokens=500)
    with pytest.raises(APIStatusError) as refused:
        client.responses.create(
            model="plain", input="tokens=3", max_output_tokens=500, extra_headers={"x-penstock-wait": "0"}
        )
    assert refused.value.status_code == 429
    assert int(refused.value.response.headers["retry-after"]) > 0
    assert refused.value.response.headers["x-request-id"]


def _text(events: list) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def _owner(scripted: Stack, client: OpenAI, item_id: str):
    """The worker process that runs the request of an output item."""
    request_id = RequestId(item_id.removeprefix("msg_"))
    with redis.Redis.from_url(scripted.redis_url) as store:
        owner = store.hget(keys.request(request_id), "owner").decode()
    return next(
        child for child in scripted.children if child.name.startswith("inference_worker") and owner in child.log
    )
