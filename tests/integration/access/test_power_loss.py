"""Redis comes back without its last writes, while clients have read further: they are told, and nothing is joined."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from openai import APIError

from tests.stack import Stack

TWO_SECONDS = "tokens=40 pause=0.05"
Loss = Callable[[int], None]


@pytest.fixture
def loss(pair: Stack, store: Any) -> Loss:
    """To be told of every token: Redis is saved at the fifth, the power fails at the twelfth, with the worker's."""
    saved: dict[bytes, bytes] = {}

    def token(number: int) -> None:
        if number == 5:
            saved.update({key: store.dump(key) for key in store.scan_iter() if store.exists(key)})
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


def power_loss(store: Any, saved: dict[bytes, bytes]) -> None:
    """What was on disk, and nothing else, at one moment."""
    with store.pipeline(transaction=True) as pipe:
        pipe.flushdb()
        for key, value in saved.items():
            pipe.restore(key, 0, value)
        pipe.execute()
