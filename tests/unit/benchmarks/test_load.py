"""Legs against a small server of our own: what is asked, how often at once, and when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from benchmarks.load import arrivals, closed, paced
from benchmarks.servers import Server

QUESTIONS = [[{"role": "user", "content": str(number)}] for number in range(12)]


@dataclass
class Echo:
    """Answers each question with its own words, one event, after ``pause`` seconds."""

    pause: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    open: int = 0
    most_open: int = 0
    connections: int = 0
    drops: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = int(head.partition("content-length: ")[2].split("\r\n")[0])
                await self._answer(json.loads(await reader.readexactly(length)), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.asked.append(body)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(self.pause)
        self.open -= 1
        if self.drops:
            raise ConnectionError
        events = _events(body["messages"][-1]["content"])
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(f"{len(events):x}\r\n".encode() + events + b"\r\n0\r\n\r\n")


def _events(text: str) -> bytes:
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}},
    ]
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


@asynccontextmanager
async def serving(echo: Echo) -> AsyncGenerator[Server]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    try:
        yield Server("echo", server.sockets[0].getsockname()[1], "echo-model", "", ())
    finally:
        server.close()


async def test_a_closed_leg_asks_every_question_once_and_keeps_their_order() -> None:
    async with serving(Echo()) as server:
        leg = await closed(server, QUESTIONS, streams=3, answer_tokens=8)
    assert [answer.text for answer in leg.answers] == [str(number) for number in range(12)]
    assert leg.tokens == 12


async def test_a_closed_leg_keeps_so_many_streams_open_and_no_more() -> None:
    echo = Echo(pause=0.02)
    async with serving(echo) as server:
        await closed(server, QUESTIONS, streams=3, answer_tokens=8)
    assert (echo.most_open, echo.connections) == (3, 3)


async def test_a_paced_leg_does_not_wait_for_answers() -> None:
    echo = Echo(pause=0.1)
    async with serving(echo) as server:
        leg = await paced(server, QUESTIONS[:4], [0, 0.01, 0.02, 0.03], answer_tokens=8)
    assert echo.most_open == 4
    assert leg.seconds < 0.4


async def test_a_paced_leg_counts_from_the_scheduled_moment() -> None:
    async with serving(Echo(pause=0.05)) as server:
        leg = await paced(server, QUESTIONS[:1], [0.05], answer_tokens=8)
    assert 0.05 <= leg.answers[0].first_token < leg.seconds


async def test_both_kinds_ask_for_a_stream_with_usage_and_greedy_decoding() -> None:
    echo = Echo()
    async with serving(echo) as server:
        await paced(server, QUESTIONS[:1], [0], answer_tokens=8)
    asked = echo.asked[0]
    assert (asked["model"], asked["max_tokens"], asked["temperature"]) == ("echo-model", 8, 0)
    assert asked["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    "ask",
    [
        lambda server: closed(server, QUESTIONS, streams=2, answer_tokens=8),
        lambda server: paced(server, QUESTIONS[:3], [0, 0, 0], answer_tokens=8),
    ],
)
async def test_a_dropped_connection_is_told_by_every_answer_it_cost(ask: Callable[[Server], Awaitable[Any]]) -> None:
    async with serving(Echo(drops=True)) as server:
        leg = await ask(server)
    assert all("connection lost" in answer.problem for answer in leg.answers)


async def test_a_server_that_is_gone_is_a_problem_and_no_crash() -> None:
    async with serving(Echo(drops=True)) as server:
        pass
    with pytest.raises(OSError, match="Connect call failed"):
        await closed(server, QUESTIONS[:1], streams=1, answer_tokens=8)


def test_arrivals_are_the_same_for_the_same_seed() -> None:
    assert arrivals(50, 10.0, seed=3) == arrivals(50, 10.0, seed=3) != arrivals(50, 10.0, seed=4)


def test_arrivals_keep_their_rate() -> None:
    assert arrivals(5000, 10.0, seed=3)[-1] == pytest.approx(500, rel=0.05)


def test_even_arrivals_are_evenly_spaced() -> None:
    assert arrivals(3, 10.0, seed=3, even=True) == [0, 0.1, 0.2]
