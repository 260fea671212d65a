"""Other services speak: by HTTP or through their own stream, once by id, and only to whom they may."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from contracts import connection, keys
from contracts.functions import Library, PushQuota
from contracts.ids import CONVERSATION_PREFIX, SessionId, Shard, TenantId, parse_public
from tests.integration.access.devices import ITEM, device
from tests.servers import wait_until
from tests.stack import API_KEY, ROOT, Stack, scripted_pair

PUBLISHERS = {"hotels": {"tenants": ["default"]}, "orders": {"tenants": ["acme"]}}
MOST = 300
"""Pushes of one publisher to one user in an hour."""
STREAM, REJECTED = keys.push("hotels"), keys.rejected_pushes("hotels")
Http = httpx2.Client


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two access processes that hear two publishers and write out the finished turns of one tenant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_ACCESS__PUBLISHERS", json.dumps(PUBLISHERS))
        patch.setenv("PENSTOCK_ACCESS__WATCHED_TENANTS", '["default"]')
        patch.setenv("PENSTOCK_ACCESS__USER_PUSHES_PER_HOUR", str(MOST))
        with scripted_pair(
            tmp_path_factory.mktemp("pushes"), {"plain": {"model": "scripted"}}, abandon_after="2"
        ) as made:
            yield made


@pytest.fixture
def store(served: Stack) -> Iterator[Any]:
    opened = redis.Redis.from_url(served.redis_url, decode_responses=True)
    yield opened
    opened.close()


@pytest.fixture
def here(served: Stack) -> Iterator[Http]:
    with raw(served, 0) as opened:
        yield opened


@pytest.fixture
def there(served: Stack) -> Iterator[Http]:
    with raw(served, 1) as opened:
        yield opened


@pytest.fixture
def conversation(here: Http) -> str:
    return here.post("/v1/conversations", json={}).json()["id"]


def test_a_push_reaches_all_devices_and_those_who_come_later(
    served: Stack, here: Http, store: Any, conversation: str
) -> None:
    with device(served.access_ports[0], conversation) as one, device(served.access_ports[1], conversation) as other:
        say(store, conversation, "Your room is ready.", metadata={"room": "7"})
        one.until(ITEM)
        other.until(ITEM)
    with device(served.access_ports[1], conversation) as late:
        [item] = late.events[0].data["items"]
    assert one.events[-1].data["item"] == other.events[-1].data["item"] == item
    assert (item["role"], item["publisher"], item["metadata"]) == ("assistant", "hotels", {"room": "7"})
    assert item["content"][0]["text"] == "Your room is ready."
    assert said(here, conversation) == ["Your room is ready."]


def test_a_push_is_part_of_what_the_model_sees(here: Http, store: Any, conversation: str) -> None:
    ask(here, conversation, "tokens=2")
    say(store, conversation, "Your room is ready.")
    wait_until(lambda: len(said(here, conversation)) == 3, "the push")
    response = ask(here, conversation, "tokens=2")["id"]
    body = store_bytes(store).hget(keys.request(parse_public(response, "resp_")), "body")
    assert b"Your room is ready." in body


def test_the_same_id_is_one_message_however_it_comes(here: Http, store: Any, conversation: str) -> None:
    for _ in range(20):
        say(store, conversation, "Once.", push_id="once-" + conversation)
    say(store, conversation, "Then.")
    wait_until(lambda: "Then." in said(here, conversation), "the last push")
    wait_until(lambda: store.xlen(STREAM) == 0, "the stream being empty")
    assert sorted(said(here, conversation)) == ["Once.", "Then."]


def test_the_same_key_on_two_processes_at_once_is_one_message(here: Http, there: Http, conversation: str) -> None:
    body = {"items": [{"role": "assistant", "content": "Once."}, {"role": "assistant", "content": "Twice."}]}
    headers = {"idempotency-key": secrets.token_hex(8)}
    path = f"/v1/conversations/{conversation}/items"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        calls = [pool.submit((here, there)[n % 2].post, path, json=body, headers=headers) for n in range(20)]
        answers = [call.result() for call in calls]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert sorted(said(here, conversation)) == ["Once.", "Twice."]


def test_an_id_that_was_used_for_another_message_is_refused(here: Http, conversation: str) -> None:
    path = f"/v1/conversations/{conversation}/items"
    here.post(path, json={"items": [{"role": "assistant", "content": "One.", "id": "x-" + conversation}]})
    answer = here.post(path, json={"items": [{"role": "assistant", "content": "Two.", "id": "x-" + conversation}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "idempotency_conflict")
    assert said(here, conversation) == ["One."]


def test_a_push_by_http_names_its_key_and_keeps_its_metadata(here: Http, conversation: str) -> None:
    pushed = {"role": "assistant", "content": "Ping.", "metadata": {"order": "7"}}
    [item] = here.post(f"/v1/conversations/{conversation}/items", json={"items": [pushed]}).json()["data"]
    assert (item["publisher"], item["metadata"]) == ("bootstrap", {"order": "7"})
    assert here.get(f"/v1/conversations/{conversation}/items/{item['id']}").json() == item


def test_a_push_to_a_user_goes_to_the_newest_conversation_or_a_new_one(here: Http, store: Any) -> None:
    user = f"ada-{secrets.token_hex(4)}"
    for text in ("First.", "Second."):
        store.xadd(STREAM, entry(text, user=user, conversation=""))
        wait_until(lambda text=text: text in said_to(here, user), f"the push {text}")
    assert len(here.get("/v1/conversations", params={"user": user}).json()["data"]) == 1
    assert said_to(here, user) == ["First.", "Second."]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tenant": "acme"}, "tenant_not_allowed"),
        ({"tenant": ""}, "tenant_not_allowed"),
        ({"conversation": "conv_s0_" + "0" * 32}, "conversation_not_found"),
        ({"conversation": "conv_}{"}, "conversation_not_found"),
        ({"conversation": ""}, "invalid_target"),
        ({"user": "ada"}, "invalid_target"),
        ({"id": ""}, "invalid_field"),
        ({"id": "x" * 129}, "invalid_field"),
        ({"id": b"\xff"}, "invalid_field"),
        ({"type": "shout"}, "invalid_field"),
        ({"payload": "{"}, "invalid_payload"),
        ({"payload": '{"text": 7}'}, "invalid_payload"),
        ({"payload": '{"text": ""}'}, "invalid_payload"),
        ({"payload": b'{"text": "\xff"}'}, "invalid_payload"),
        ({"payload": "[" * 5000}, "invalid_payload"),
        ({"payload": json.dumps({"text": "x" * 32_001})}, "invalid_payload"),
        ({"payload": json.dumps({"text": "x" * 200_000})}, "too_large"),
        ({"type": "prompt", "payload": '{"model": "none", "prompt": "Hello"}'}, "model_not_found"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason_and_nothing_else_happens(
    here: Http, store: Any, conversation: str, changes: dict[str, Any], reason: str
) -> None:
    store.delete(REJECTED)
    store.xadd(STREAM, entry("Wrong.", conversation=conversation) | changes)
    wait_until(lambda: store.xlen(REJECTED) == 1, "the refusal")
    [(_, told)] = store_bytes(store).xrange(REJECTED)
    assert told[b"reason"].decode() == reason
    assert store.xlen(STREAM) == 0
    assert said(here, conversation) == []


def test_a_strangers_conversation_is_not_there(here: Http, store: Any) -> None:
    made = here.post("/admin/keys", json={"name": "k", "tenant": "acme", "scopes": ["inference"]}).json()
    headers = {"authorization": f"Bearer {made['key']}"}
    theirs = here.post("/v1/conversations", json={}, headers=headers).json()["id"]
    store.delete(REJECTED)
    say(store, theirs, "Spoof.")
    wait_until(lambda: store.xlen(REJECTED) == 1, "the refusal")
    assert here.get(f"/v1/conversations/{theirs}/items", headers=headers).json()["data"] == []


def test_nobody_reads_the_stream_of_a_publisher_that_no_setting_names(
    here: Http, store: Any, conversation: str
) -> None:
    store.xadd(keys.push("nobody"), entry("Spoof.", conversation=conversation))
    say(store, conversation, "Heard.")
    wait_until(lambda: said(here, conversation) != [], "the other push")
    assert said(here, conversation) == ["Heard."]
    assert store.xlen(keys.push("nobody")) == 1


def test_what_a_dead_process_has_read_is_delivered_once_by_another(here: Http, store: Any, conversation: str) -> None:
    """Read, and never heard of again: as a process leaves it that is killed between reading and appending."""
    with store.pipeline(transaction=True) as pipe:
        pipe.xadd(STREAM, entry("Left behind.", conversation=conversation))
        pipe.xreadgroup("access", "access", {STREAM: ">"})
        pipe.execute()
    wait_until(lambda: said(here, conversation) == ["Left behind."], "the push", 20)
    wait_until(lambda: store.xlen(STREAM) == 0, "the stream being empty")
    assert said(here, conversation) == ["Left behind."]


def test_a_prompts_answer_is_pushed_and_the_prompt_is_not_shown(
    served: Stack, here: Http, store: Any, conversation: str
) -> None:
    payload = json.dumps({"model": "plain", "prompt": "tokens=5", "metadata": {"why": "test"}})
    for _ in range(3):
        asked = entry("", conversation=conversation, push_id="ask-" + conversation)
        store.xadd(STREAM, asked | {"type": "prompt", "payload": payload})
    with device(served.access_ports[1], conversation) as listening:
        wait_until(lambda: len(said(here, conversation)) > 0, "the answer")
    wait_until(lambda: store.xlen(STREAM) == 0, "the stream being empty")
    [item] = here.get(f"/v1/conversations/{conversation}/items").json()["data"]
    assert (item["push"], item["publisher"], item["metadata"]) == (True, "hotels", {"why": "test"})
    assert len(item["content"][0]["text"].split()) == 5
    assert listening.status == 200


def test_more_than_the_quota_is_refused_over_http_and_what_was_said_may_be_repeated(
    here: Http, there: Http, conversation: str
) -> None:
    path = f"/v1/conversations/{conversation}/items"
    for first in range(0, MOST, 20):
        assert here.post(path, json=batch(conversation, first)).status_code == 200
    refused = there.post(path, json=batch(conversation, MOST))
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "push_quota_exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 20 * 3600 / MOST
    assert there.post(path, json=batch(conversation, 0)).status_code == 200
    other = here.post("/v1/conversations", json={}).json()["id"]
    assert here.post(f"/v1/conversations/{other}/items", json=batch(other, 0)).status_code == 200


@pytest.mark.parametrize(
    ("kind", "payload"), [("message", {"text": "Too much."}), ("prompt", {"model": "plain", "prompt": "tokens=2"})]
)
def test_more_than_the_quota_is_refused_with_its_reason_before_a_model_is_asked(
    served: Stack, here: Http, store: Any, kind: str, payload: dict[str, str]
) -> None:
    """The conversations of a user share it."""
    user = f"bob-{secrets.token_hex(4)}"
    conversation = here.post("/v1/conversations", json={"user": user}).json()["id"]
    asyncio.run(use_up(served.redis_url, conversation, user))
    store.delete(REJECTED)
    answered = len(store.keys(keys.shard_prefix(Shard(0)) + "request:*"))
    store.xadd(STREAM, entry("", conversation=conversation) | {"type": kind, "payload": json.dumps(payload)})
    wait_until(lambda: store.xlen(REJECTED) == 1, "the refusal")
    [(_, told)] = store.xrange(REJECTED)
    assert told["reason"] == "push_quota_exceeded"
    assert re.fullmatch(
        r"'hotels' may push 300 messages an hour to one user. Send this again in \d+ s.", told["message"]
    )
    assert said(here, conversation) == []
    assert len(store.keys(keys.shard_prefix(Shard(0)) + "request:*")) == answered


def test_finished_turns_are_written_out_for_the_tenants_of_the_setting_alone(
    here: Http, store: Any, conversation: str
) -> None:
    response = ask(here, conversation, "tokens=3 finished")
    [turn] = [one for _, one in store.xrange(keys.finished_turns(0, "default")) if one["conversation"] == conversation]
    assert turn["question"] == "tokens=3 finished"
    assert turn["answer"] == response["output"][0]["content"][0]["text"]
    assert (turn["response"], turn["status"]) == (response["id"], "done")
    assert 0 < store.ttl(keys.finished_turns(0, "default")) <= 86400
    assert store.exists(keys.finished_turns(0, "acme")) == 0


def test_the_example_service_follows_up_once(served: Stack, here: Http, store: Any, conversation: str) -> None:
    ask(here, conversation, "tokens=3 What should I see in Beijing?")
    ask(here, conversation, "tokens=3 And where do I eat?")
    for _ in range(2):  # started again, it reads the same turns again
        with service(served):
            wait_until(lambda: len(said(here, conversation)) == 5, "the offer")
            wait_until(lambda: store.xlen(STREAM) == 0, "the stream being empty")
    offers = [text for text in said(here, conversation) if "Lotus Court" in text]
    assert len(offers) == 1


def test_a_process_that_is_killed_loses_no_push(served: Stack, here: Http, there: Http, store: Any) -> None:
    """The last test of this file: one of the two is gone afterwards. What is delivered again is not counted again: the
    quota has room for each once."""
    conversation = here.post("/v1/conversations", json={}).json()["id"]
    for number in range(MOST):
        say(store, conversation, str(number), push_id=f"{conversation}-{number}")
        if number == 50:
            served.child("access-1").kill()
    wait_until(lambda: store.xlen(STREAM) == 0, "the stream being empty", 30)
    turns = store.xrange(keys.turns(SessionId(parse_public(conversation, CONVERSATION_PREFIX))))
    assert sorted(int(turn["text"]) for _, turn in turns) == list(range(MOST))


def raw(served: Stack, node: int) -> Http:
    base = f"http://127.0.0.1:{served.access_ports[node]}"
    return httpx2.Client(base_url=base, headers={"authorization": f"Bearer {API_KEY}"}, timeout=60)


def store_bytes(store: Any) -> Any:
    return redis.Redis.from_url("redis://{host}:{port}/{db}".format(**store.connection_pool.connection_kwargs))


def entry(
    text: str, *, conversation: str, push_id: str = "", user: str = "", metadata: dict[str, str] | None = None
) -> Any:
    payload = json.dumps({"text": text, "metadata": metadata or {}})
    target = {"user": user} if user else {"conversation": conversation}
    return {"id": push_id or secrets.token_hex(8), "tenant": "default", "type": "message", "payload": payload, **target}


def say(store: Any, conversation: str, text: str, *, push_id: str = "", metadata: dict[str, str] | None = None) -> None:
    store.xadd(STREAM, entry(text, conversation=conversation, push_id=push_id, metadata=metadata))


def batch(conversation: str, first: int) -> dict[str, Any]:
    """As many pushes as one call takes."""
    ids = [f"{conversation}-{number}" for number in range(first, first + 20)]
    return {"items": [{"role": "assistant", "content": "Ping.", "id": push_id} for push_id in ids]}


async def use_up(redis_url: str, conversation: str, user: str) -> None:
    """All that the publisher may push to a user has been counted a moment ago."""
    client = connection.commands(redis_url)
    quota = PushQuota(Library(client), 10 * MOST, MOST)
    session, ids = SessionId(parse_public(conversation, CONVERSATION_PREFIX)), [f"{user}-{n}" for n in range(MOST)]
    assert await quota.charge(TenantId("default"), "hotels", session, user, ids) is None
    await client.aclose()


def said(here: Http, conversation: str) -> list[str]:
    items = here.get(f"/v1/conversations/{conversation}/items", params={"order": "asc"}).json()["data"]
    return [item["content"][0]["text"] for item in items]


def said_to(here: Http, user: str) -> list[str]:
    found = here.get("/v1/conversations", params={"user": user}).json()["data"]
    return [text for one in found for text in said(here, one["id"])]


def ask(here: Http, conversation: str, question: str) -> dict[str, Any]:
    body = {"model": "plain", "conversation": conversation, "input": question}
    answer = here.post("/v1/responses", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


@contextlib.contextmanager
def service(served: Stack) -> Generator[None]:
    """The example, as a process of its own."""
    environment = {**os.environ, "REDIS_URL": served.redis_url, "TENANT": "default", "PUBLISHER": "hotels"}
    process = subprocess.Popen([sys.executable, Path(ROOT, "examples/followups/service.py")], env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)
