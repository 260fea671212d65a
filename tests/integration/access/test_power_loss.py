"""Redis comes back without its last writes, while clients have read further: they are told, and nothing is joined."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from openai import APIError

from contracts import keys
from contracts.ids import RESPONSE_PREFIX, RequestId, Shard
from tests.servers import wait_until
from tests.stack import Stack

TWO_SECONDS = "tokens=40 pause=0.05"
Loss = Callable[[int], None]
Saved = dict[bytes, tuple[bytes, int]]
"""What is on disk: each key as it is dumped, and the milliseconds it has left (below 0: no end)."""


@pytest.fixture
def loss(pair: Stack, store: Any) -> Loss:
    """To be told of every token: Redis is saved at the fifth, the power fails at the twelfth, with the worker's."""
    saved: Saved = {}

    def token(number: int) -> None:
        if number == 5:
            saved.update({key: (store.dump(key), store.pttl(key)) for key in store.scan_iter() if store.exists(key)})
        elif number == 12:
            worker = next(child for child in pair.children if child.name.startswith("inference_worker"))
            worker.kill()
            pair.children.remove(worker)
            power_loss(store, saved)
            pair.worker()

    return token


def test_a_response_is_reset_and_its_text_begins_again(pair: Stack, loss: Loss) -> None:
    client = pair.client()
    kinds: list[str] = []
    texts = [""]
    for event in client.responses.create(model="plain", input=TWO_SECONDS, stream=True):
        kinds.append(event.type)
        if event.type == "response.output_text.delta":
            texts[-1] += event.delta
            loss(kinds.count(event.type))
        elif event.type == "response.output_text.reset":  # type: ignore[comparison-overlap]  # ours
            texts.append("")

    assert kinds[-1] == "response.completed"
    assert kinds.count("response.output_text.reset") == 1
    assert len(texts[-1].split()) == 40
    assert texts[-1] == client.responses.retrieve(event.response.id).output_text  # type: ignore[union-attr]


def test_a_completion_ends_with_an_error_that_says_so(pair: Stack, loss: Loss) -> None:
    messages: Any = [{"role": "user", "content": TWO_SECONDS}]
    text: list[str] = []

    def read() -> None:
        for chunk in pair.client().chat.completions.create(model="plain", messages=messages, stream=True):
            if content := chunk.choices[0].delta.content:
                text.append(content)
                loss(len(text))

    with pytest.raises(APIError) as told:
        read()
    assert told.value.code == "stream_reset"


def test_a_submit_that_is_lost_ends_the_request_whose_client_has_gone_with_its_id(pair: Stack, store: Any) -> None:
    """Its access process believes it queued, and must not go on keeping it for the ten minutes of its deadline."""
    client = pair.client()
    response = client.responses.create(model="plain", input="tokens=1", background=True)
    wait_until(lambda: client.responses.retrieve(response.id).status == "completed", "its end")
    request = RequestId(response.id.removeprefix(RESPONSE_PREFIX))
    with store.pipeline(transaction=True) as pipe:  # as it was before the submit
        pipe.delete(keys.replies(request))
        pipe.hset(keys.request(request), "state", "waiting")
        pipe.hdel(keys.request(request), "entry", "generation", "owner")
        pipe.persist(keys.request(request))
        pipe.zadd(keys.deadlines(Shard(0)), {request: (time.time() + 600) * 1000})
        pipe.execute()
    wait_until(lambda: client.responses.retrieve(response.id).status == "failed", "its other end", 40)
    assert client.responses.retrieve(response.id).error.code == "access_lost"  # type: ignore[union-attr]


def power_loss(store: Any, saved: Saved) -> None:
    """What was on disk, and nothing else, at one moment."""
    with store.pipeline(transaction=True) as pipe:
        pipe.flushdb()
        for key, (value, milliseconds) in saved.items():
            pipe.restore(key, max(0, milliseconds), value)
        pipe.execute()
