"""Two shards on one server: requests and conversations spread over both, and nothing that a client sees tells of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterator

import pytest
import redis
from openai import OpenAI

from contracts import keys
from contracts.ids import COMPLETION_PREFIX, CONVERSATION_PREFIX, RESPONSE_PREFIX, Shard, parse_public, shard_of
from penstock import embedded_redis
from tests.servers import redis_server, wait_until
from tests.stack import Stack, stack

SHARDS = (Shard(0), Shard(1))
MANY = 24
"""So many land on one shard alone once in eight million runs."""


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two access nodes, a limiter and two workers, all told of two shards."""
    folder = tmp_path_factory.mktemp("two-shards")
    settings = {f"PENSTOCK_{role}__SHARDS": "2" for role in ("ACCESS", "LIMITER", "WORKER")}
    settings |= {"MILVUS_URI": "http://127.0.0.1:9", "PENSTOCK_WORKER__LEASE_SECONDS": "1"}
    with (
        redis_server(embedded_redis.bundled_binary(), folder) as redis_url,
        stack(redis_url, folder, **settings) as made,
    ):
        presets = json.dumps({"plain": {"model": "scripted"}})
        made.limiter()
        made.worker()
        made.worker()
        made.access(PENSTOCK_ACCESS__PRESETS=presets)
        made.access(PENSTOCK_ACCESS__PRESETS=presets)
        made.ready()
        yield made


@pytest.fixture
def nodes(sharded: Stack) -> tuple[OpenAI, OpenAI]:
    here, there = (sharded.client(port) for port in sharded.access_ports)
    return here, there


def test_answers_come_from_both_shards(nodes: tuple[OpenAI, OpenAI]) -> None:
    here, _ = nodes
    answers = [_completion(here, f"tokens=5 question {number}") for number in range(MANY)]
    assert {shard for shard, _ in answers} == set(SHARDS)
    assert all(len(text.split()) == 5 for _, text in answers)


def test_a_response_of_either_shard_is_streamed_from_the_other_node(nodes: tuple[OpenAI, OpenAI]) -> None:
    here, there = nodes
    submitted = [
        here.responses.create(model="plain", input=f"tokens=10 pause=0.02 {number}", background=True)
        for number in range(MANY)
    ]
    for response in submitted:
        events = list(there.responses.retrieve(response.id, stream=True))
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        assert events[-1].type == "response.completed"
        assert text == here.responses.retrieve(response.id).output_text
    assert {shard_of(parse_public(response.id, RESPONSE_PREFIX)) for response in submitted} == set(SHARDS)


def test_a_conversation_and_its_answers_share_a_shard(nodes: tuple[OpenAI, OpenAI]) -> None:
    here, there = nodes
    for shard in SHARDS:
        conversation = _conversation_on(here, shard)
        for node in (here, there):
            answer = node.responses.create(model="plain", input="tokens=3", conversation=conversation)
            assert shard_of(parse_public(answer.id, RESPONSE_PREFIX)) == shard
        items = there.conversations.items.list(conversation, order="asc")
        assert [item.role for item in items] == ["user", "assistant"] * 2


def test_an_idempotency_key_finds_its_shard_again_on_the_other_node(nodes: tuple[OpenAI, OpenAI]) -> None:
    for number in range(4):
        header = {"idempotency-key": f"key-{number}"}
        answers = [node.responses.create(model="plain", input="tokens=4", extra_headers=header) for node in nodes]
        assert answers[0].id == answers[1].id


def test_cancelling_works_on_both_shards(nodes: tuple[OpenAI, OpenAI]) -> None:
    here, there = nodes
    running = [
        here.responses.create(model="plain", input="tokens=2000 pause=0.05", background=True) for _ in range(MANY)
    ]
    assert [there.responses.cancel(response.id).status for response in running] == ["cancelled"] * MANY


def test_a_killed_workers_requests_go_on_in_both_shards(sharded: Stack, nodes: tuple[OpenAI, OpenAI]) -> None:
    here, _ = nodes
    running = [
        here.responses.create(model="plain", input=f"tokens=60 pause=0.05 {number}", background=True)
        for number in range(MANY)
    ]
    victim = sharded.child("inference_worker-1")
    with _redis_of(sharded) as store:
        wait_until(lambda: sum(store.zcard(keys.leases(shard, "scripted")) for shard in SHARDS) == MANY, "all running")
        victim.kill()
        sharded.children.remove(victim)
        wait_until(lambda: all(here.responses.retrieve(one.id).status == "completed" for one in running), "all ending")
    assert all(len(here.responses.retrieve(one.id).output_text.split()) == 60 for one in running)


def test_nothing_is_left_pending_on_either_shard(sharded: Stack, nodes: tuple[OpenAI, OpenAI]) -> None:
    assert _completion(nodes[0], "tokens=2")[1]
    with _redis_of(sharded) as store:
        for shard in SHARDS:
            for key in (
                keys.leases(shard, "scripted"),
                keys.deadlines(shard),
                keys.requests(shard, "scripted", "interactive"),
                keys.requests(shard, "scripted", "standard"),
                keys.usage(shard),
            ):
                wait_until(lambda key=key: _length(store, key) == 0, f"{key} becoming empty")


def _completion(client: OpenAI, question: str) -> tuple[Shard, str]:
    answer = client.chat.completions.create(model="plain", messages=[{"role": "user", "content": question}])
    return shard_of(parse_public(answer.id, COMPLETION_PREFIX)), answer.choices[0].message.content or ""


def _conversation_on(client: OpenAI, shard: Shard) -> str:
    for _ in range(64):
        made = client.conversations.create().id
        if shard_of(parse_public(made, CONVERSATION_PREFIX)) == shard:
            return made
    raise AssertionError(f"no conversation was made on shard {shard}")


def _length(store: redis.Redis, key: str) -> int:
    return store.zcard(key) if store.type(key) == b"zset" else store.xlen(key)  # type: ignore[return-value]


@contextlib.contextmanager
def _redis_of(made: Stack) -> Generator[redis.Redis]:
    with contextlib.closing(redis.Redis.from_url(made.redis_url)) as store:
        yield store
