"""Tokens that carry their number and their moment."""

from __future__ import annotations

import json
import time

from benchmarks.stamped import StampedEngine, stamp, stamps
from benchmarks.streams import faults
from benchmarks.wire import Recorded
from contracts.messages import ChatMessage, Generate
from tests.unit.benchmarks.requests_of import request

TASK = Generate(messages=(ChatMessage(role="user", content="tokens=4"),))


def answered(*numbers: int) -> Recorded:
    """A whole stream whose tokens have these numbers."""
    text = "".join(stamp(number, 1) for number in numbers)
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": len(numbers)}},
    ]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    return Recorded(due=0.0, status=200, parts=[(1.0, body)], ended=1.0)


async def test_every_token_has_its_number_and_its_moment() -> None:
    before = time.perf_counter()
    said = "".join([delta.text async for delta in StampedEngine().generate(request(TASK))])
    found = stamps(said)
    assert [number for number, _ in found] == [0, 1, 2, 3]
    assert all(before <= moment <= time.perf_counter() for _, moment in found)


async def test_a_continuation_goes_on_with_the_next_number() -> None:
    said = "".join([delta.text async for delta in StampedEngine().generate(request(TASK), (5, 6))])
    assert [number for number, _ in stamps(said)] == [2, 3]


def test_a_whole_answer_has_no_faults() -> None:
    assert not faults([answered(0, 1, 2, 3)], 4)


def test_a_missing_number_is_a_fault() -> None:
    assert faults([answered(0, 1, 3), answered(0, 1, 1, 2)], 4).total() == 2
