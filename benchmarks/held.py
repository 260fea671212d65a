"""Streams that are all open at once, measured in a window while none begins or ends.

What a request costs at its begin and end stays outside, so the CPU of a window divided by its events is what one more
event costs.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from benchmarks.answers import pieces, read
from benchmarks.load import Leg
from benchmarks.pool import CLIENT, Messages, Pool, chat_requests, cpu_seconds, outcomes, undisturbed, used_since
from benchmarks.scripts import checked
from benchmarks.servers import Server

SETTLE_SECONDS = 1.0
"""Between the last begin and the window, and between the window and the first end."""


@dataclass(frozen=True)
class Plan:
    """When what happens: begins evenly spread over ``ramp_seconds``, then the window. ``pace`` is tokens a second."""

    streams: int
    pace: float
    ramp_seconds: float
    window_seconds: float
    patience_seconds: float = 60.0

    @property
    def opens_at(self) -> float:
        return self.ramp_seconds + SETTLE_SECONDS

    @property
    def closes_at(self) -> float:
        return self.opens_at + self.window_seconds

    @property
    def tokens(self) -> int:
        """How long an answer must be so that the first to begin ends after the window."""
        return math.ceil((self.closes_at + SETTLE_SECONDS) * self.pace)


@dataclass(frozen=True)
class Held:
    """One leg. ``events``, ``tokens``, ``gaps`` (seconds) and ``cpu`` (seconds by process) are those of the window."""

    leg: Leg
    seconds: float
    events: int
    tokens: int
    gaps: tuple[float, ...]
    cpu: dict[str, float]

    @property
    def served_cpu(self) -> dict[str, float]:
        """Without the client."""
        return {name: used for name, used in self.cpu.items() if name != CLIENT}

    @property
    def cpu_per_event(self) -> float:
        """Microseconds, over all processes of the server."""
        return 1e6 * sum(self.served_cpu.values()) / max(1, self.events)

    @property
    def tokens_per_core_second(self) -> float:
        return self.tokens / max(1e-9, sum(self.served_cpu.values()))

    def checked(self, questions: Sequence[Messages], tokens: int) -> Held:
        """The same leg, each answer compared with what the engine said."""
        return replace(self, leg=checked(self.leg, questions, tokens))

    def data(self) -> dict[str, Any]:
        """For the results file; the whole leg has no place there, its window has."""
        shown = {"seconds": self.seconds, "events": self.events, "tokens": self.tokens, "cpu_seconds": self.cpu}
        return {"server": self.leg.server, "streams": len(self.leg.answers), **shown}


async def held(server: Server, questions: Sequence[Messages], plan: Plan) -> Held:
    """One leg; every question is one stream."""
    bodies = chat_requests(server, questions, plan.tokens)
    async with Pool.opened(server.port, 1) as pool:
        with undisturbed():
            began, before = time.perf_counter(), cpu_seconds(server)
            spacing = plan.ramp_seconds / len(bodies)
            asked = [
                asyncio.create_task(pool.ask_at(body, began + number * spacing)) for number, body in enumerate(bodies)
            ]
            opened, at_open = await _reading(server, began + plan.opens_at)
            closed, at_close = await _reading(server, began + plan.closes_at)
            recorded = await outcomes(asked, plan.patience_seconds)
            ended, after = time.perf_counter(), cpu_seconds(server)
    answers = tuple(read(exchange, plan.tokens) for exchange in recorded)
    leg = Leg(server.name, ended - began, answers, used_since(before, after))
    moments = [[piece for piece in pieces(exchange) if opened <= piece[0] < closed] for exchange in recorded]
    return Held(
        leg,
        closed - opened,
        events=sum(len(of_one) for of_one in moments),
        tokens=sum(text.count(" ") for of_one in moments for _, text in of_one),
        gaps=tuple(later - earlier for of_one in moments for (earlier, _), (later, _) in pairwise(of_one)),
        cpu=used_since(at_open, at_close),
    )


async def _reading(server: Server, moment: float) -> tuple[float, dict[str, float]]:
    await asyncio.sleep(moment - time.perf_counter())
    return time.perf_counter(), cpu_seconds(server)
