"""What our rivals send is read by the same eyes as what we send."""

from __future__ import annotations

import json

import msgspec
import pytest

from benchmarks.answers import read
from benchmarks.chat import last_chunks, request_of, text_chunk
from benchmarks.wire import Recorded


def test_the_chunks_are_a_whole_answer() -> None:
    body = text_chunk('say "water" ') + text_chunk("twice ") + last_chunks("stop", 3, 2)
    answer = read(Recorded(due=1.0, status=200, parts=[(1.5, body)], ended=2.0), limit=8)
    assert (answer.text, answer.tokens, answer.prompt_tokens, answer.problem) == ('say "water" twice ', 2, 3, "")


def test_a_body_becomes_a_request_of_the_engine() -> None:
    body = {"model": "scripted", "stream": True, "max_tokens": 5, "messages": [{"role": "user", "content": "tokens=3"}]}
    task = request_of(json.dumps(body).encode()).task
    assert (task.messages[0].content, task.parameters.max_tokens) == ("tokens=3", 5)


def test_a_body_without_messages_is_refused() -> None:
    with pytest.raises(msgspec.MsgspecError):
        request_of(b"{}")
