"""Legs: one stretch of load on one server, with the CPU seconds its processes used meanwhile.

``closed`` keeps so many streams open, each asking again when it is answered: it measures tokens a second. ``paced``
asks at given moments, whether or not earlier answers have come, and counts from the moment a question was *due*: it
measures latency, waiting that the server caused included.
"""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from benchmarks.answers import Answer, read
from benchmarks.servers import Server
from benchmarks.wire import Connection, Recorded, connect, post

PATH = "/v1/chat/completions"
LEG_SECONDS = 120.0
CLIENT = "client"
_STALE_SECONDS = 3.0
"""Servers close a connection that was idle for five seconds; one that was idle this long is not used again."""


@dataclass(frozen=True)
class Leg:
    """What one leg brought. ``answers`` stand in the order of the questions; ``cpu`` is seconds by process."""

    server: str
    seconds: float
    answers: tuple[Answer, ...]
    cpu: dict[str, float]

    @property
    def tokens(self) -> int:
        return sum(answer.tokens for answer in self.answers)

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds

    @property
    def served_cpu(self) -> dict[str, float]:
        """CPU seconds without the client, which is no part of what is measured."""
        return {name: used for name, used in self.cpu.items() if name != CLIENT}

    def data(self) -> dict[str, Any]:
        """For the results file."""
        return {
            "server": self.server,
            "seconds": self.seconds,
            "tokens": self.tokens,
            "prompt_tokens": sum(answer.prompt_tokens for answer in self.answers),
            "cpu_seconds": self.cpu,
            "first_token_seconds": [round(answer.first_token, 6) for answer in self.answers],
            "answer_seconds": [round(answer.ended, 6) for answer in self.answers],
        }


Messages = list[dict[str, Any]]


async def closed(server: Server, questions: Sequence[Messages], *, streams: int, answer_tokens: int) -> Leg:
    """Ask all questions, ``streams`` at a time."""
    bodies = _bodies(server, questions, answer_tokens)
    queue = iter(enumerate(bodies))
    recorded: dict[int, Recorded] = {}

    async def stream(pool: _Pool) -> None:
        for number, body in queue:
            recorded[number] = await pool.ask(body, time.perf_counter())

    async with _Pool.opened(server.port, streams) as pool:
        with _undisturbed():
            cpu, began = _cpu(server), time.perf_counter()
            async with asyncio.timeout(LEG_SECONDS), asyncio.TaskGroup() as group:
                for _ in range(streams):
                    group.create_task(stream(pool))
            seconds, cpu = time.perf_counter() - began, _since(cpu, _cpu(server))
    return _leg(server, seconds, (recorded[number] for number in range(len(bodies))), answer_tokens, cpu)


async def paced(
    server: Server, questions: Sequence[Messages], moments: Sequence[float], *, answer_tokens: int, connections: int = 1
) -> Leg:
    """Ask question ``k`` at ``moments[k]`` seconds. ``connections`` are opened beforehand, more when needed."""
    bodies = _bodies(server, questions, answer_tokens)

    async def at(moment: float, body: bytes, pool: _Pool) -> Recorded:
        await asyncio.sleep(moment - time.perf_counter())
        return await pool.ask(body, moment)

    async with _Pool.opened(server.port, connections) as pool:
        with _undisturbed():
            cpu, began = _cpu(server), time.perf_counter()
            async with asyncio.timeout(LEG_SECONDS), asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(at(began + moment, body, pool))
                    for moment, body in zip(moments, bodies, strict=True)
                ]
            seconds, cpu = time.perf_counter() - began, _since(cpu, _cpu(server))
    return _leg(server, seconds, (task.result() for task in tasks), answer_tokens, cpu)


def arrivals(count: int, per_second: float, *, seed: int, even: bool = False) -> list[float]:
    """``count`` moments from 0 on: Poisson arrivals, or evenly spaced ones."""
    if even:
        return [number / per_second for number in range(count)]
    chosen, moment, moments = random.Random(seed), 0.0, list[float]()
    for _ in range(count):
        moments.append(moment)
        moment += chosen.expovariate(per_second)
    return moments


class _Pool:
    """Connections to one server; the one used last is used first."""

    def __init__(self, port: int):
        self._port = port
        self._idle: list[Connection] = []

    @classmethod
    @asynccontextmanager
    async def opened(cls, port: int, count: int) -> AsyncGenerator[_Pool]:
        pool = cls(port)
        pool._idle = [await connect(port) for _ in range(count)]
        try:
            yield pool
        finally:
            for connection in pool._idle:
                connection.close()

    async def ask(self, request: bytes, due: float) -> Recorded:
        try:
            connection = self._usable() or await connect(self._port)
        except OSError as error:
            return Recorded(due, ended=time.perf_counter(), problem=f"no connection: {error}")
        recorded = await connection.exchange(request, due)
        if connection.is_open:
            self._idle.append(connection)
        return recorded

    def _usable(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and time.perf_counter() - connection.idle_since < _STALE_SECONDS:
                return connection
            connection.close()
        return None


def _bodies(server: Server, questions: Iterable[Messages], answer_tokens: int) -> list[bytes]:
    asked = {
        "model": server.model,
        "max_tokens": answer_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return [post(PATH, msgspec.json.encode(asked | {"messages": messages}), key=server.key) for messages in questions]


@contextmanager
def _undisturbed() -> Generator[None]:
    """No garbage collection in the client while it measures."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _cpu(server: Server) -> dict[str, float]:
    return {**server.cpu_seconds(), CLIENT: time.process_time()}


def _since(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: used - before.get(name, 0.0) for name, used in after.items()}


def _leg(
    server: Server, seconds: float, recorded: Iterable[Recorded], answer_tokens: int, cpu: dict[str, float]
) -> Leg:
    return Leg(server.name, seconds, tuple(read(exchange, answer_tokens) for exchange in recorded), cpu)
