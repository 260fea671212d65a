"""Legs: one stretch of load on one server, with the CPU seconds its processes used meanwhile.

``closed`` keeps so many streams open, each asking again when it is answered: it measures tokens a second. ``paced``
asks at given moments, whether or not earlier answers have come, and counts from the moment a question was *due*: it
measures latency, waiting that the server caused included.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.answers import Answer, read
from benchmarks.pool import CLIENT, Messages, Pool, chat_requests, cpu_seconds, undisturbed, used_since
from benchmarks.servers import Server
from benchmarks.wire import Recorded

LEG_SECONDS = 120.0


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


async def closed(server: Server, questions: Sequence[Messages], *, streams: int, answer_tokens: int) -> Leg:
    """Ask all questions, ``streams`` at a time."""
    bodies = chat_requests(server, questions, answer_tokens)
    queue = iter(enumerate(bodies))
    recorded: dict[int, Recorded] = {}

    async def stream(pool: Pool) -> None:
        for number, body in queue:
            recorded[number] = await pool.ask(body, time.perf_counter())

    async with Pool.opened(server.port, streams) as pool:
        with undisturbed():
            cpu, began = cpu_seconds(server), time.perf_counter()
            async with asyncio.timeout(LEG_SECONDS), asyncio.TaskGroup() as group:
                for _ in range(streams):
                    group.create_task(stream(pool))
            seconds, cpu = time.perf_counter() - began, used_since(cpu, cpu_seconds(server))
    return _leg(server, seconds, (recorded[number] for number in range(len(bodies))), answer_tokens, cpu)


async def paced(
    server: Server, questions: Sequence[Messages], moments: Sequence[float], *, answer_tokens: int, connections: int = 1
) -> Leg:
    """Ask question ``k`` at ``moments[k]`` seconds. ``connections`` are opened beforehand, more when needed."""
    bodies = chat_requests(server, questions, answer_tokens)

    async with Pool.opened(server.port, connections) as pool:
        with undisturbed():
            cpu, began = cpu_seconds(server), time.perf_counter()
            async with asyncio.timeout(LEG_SECONDS), asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(pool.ask_at(body, began + moment))
                    for moment, body in zip(moments, bodies, strict=True)
                ]
            seconds, cpu = time.perf_counter() - began, used_since(cpu, cpu_seconds(server))
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


def _leg(
    server: Server, seconds: float, recorded: Iterable[Recorded], answer_tokens: int, cpu: dict[str, float]
) -> Leg:
    return Leg(server.name, seconds, tuple(read(exchange, answer_tokens) for exchange in recorded), cpu)
