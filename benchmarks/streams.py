"""``streams``: 10,000 open streams on one access process, 1 % of them read by slow clients.

Every token carries the moment at which the engine gave it, so delivery is measured token by token, from the engine's
hand to the client's, and a token that is missing is named. Memory per stream is what access grew by above idle. Slow
readers read for a moment every two seconds; they must lose nothing either, and do not count in the delivery.

Usage: ``python -m benchmarks.streams --rounds 1``
"""

from __future__ import annotations

import asyncio
import math
import sys
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from redis import Redis

from benchmarks import runner, scripts, stats
from benchmarks.answers import pieces, read
from benchmarks.chat import MODEL
from benchmarks.held import Plan
from benchmarks.load import closed
from benchmarks.plots import distribution
from benchmarks.pool import Pool, chat_requests, cpu_seconds, outcomes, undisturbed, used_since
from benchmarks.processes import Processes
from benchmarks.report import Figure
from benchmarks.servers import Fleet, Server
from benchmarks.stamped import stamps
from benchmarks.wire import Connection, Recorded, SlowConnection

QUICK = {"streams": 40, "ramp": 1.0, "seconds": 2.0, "pause": 0.5}
SLOTS = 4000
SLOW_SHARE = 0.01
WARM_UP = 40


@dataclass(frozen=True)
class Seen:
    """One leg. ``delivery``: seconds from engine to client, each token in the window, slow readers left out."""

    seconds: float
    tokens: int
    delivery: tuple[float, ...]
    kilobytes_per_stream: float
    readers: int
    cpu: dict[str, float]
    problems: Counter[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("streams", "10,000 open streams on one access process.", arguments, QUICK, _add)
    return runner.run("streams", given, lambda processes, folder: _measure(processes, folder, given))


def figures(legs: Sequence[Seen]) -> list[Figure]:
    every = stats.flat([leg.delivery for leg in legs])
    tail, memory = stats.percentile(every, 0.99), stats.spread([leg.kilobytes_per_stream for leg in legs])
    readers = max(leg.readers for leg in legs)
    return [
        Figure("delivery p50", "ms", 1000 * stats.percentile(every, 0.5)),
        Figure("delivery p99", "ms", 1000 * tail, goal="≤ 250", reached=tail <= 0.25),
        Figure("memory per stream", "kB", memory.value, spread=memory, goal="≤ 16", reached=memory.value <= 16),
        Figure("Redis readers of access", "", float(readers), goal="1 a shard", reached=readers == 1),
    ]


def faults(recorded: Sequence[Recorded], tokens: int) -> Counter[str]:
    """What is missing or twice, answer by answer."""
    found: Counter[str] = Counter()
    for one in recorded:
        answer = read(one, tokens)
        if answer.problem:
            found[answer.problem] += 1
        elif [number for number, _ in stamps(answer.text)] != list(range(tokens)):
            found["tokens lost, doubled or reordered"] += 1
    return found


def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:
    (folder / "redis").mkdir()
    fleet = Fleet(processes, folder / "redis", MODEL)
    slots = ("--slots", str(min(SLOTS, given.streams)), "--served-name", MODEL, "--engine", "scripted")
    for _ in range(math.ceil(given.streams / SLOTS)):
        fleet.start_worker(*slots, program="benchmarks.stamped")
    server = fleet.ready()
    legs: list[Seen] = []
    idle = uvloop.run(_warm(fleet, server))
    for number in range(2 * given.rounds):
        legs.append(uvloop.run(_leg(fleet, server, given, number, idle)))
        tail = 1000 * stats.percentile(legs[-1].delivery, 0.99)
        print(f"leg {number + 1} of {2 * given.rounds}: p99 {tail:.0f} ms, {legs[-1].tokens} tokens", flush=True)
    return runner.Result(
        f"streams: {given.streams} open, a token each {given.pause:g} s, {SLOW_SHARE:.0%} read slowly",
        figures(legs),
        sum((leg.problems for leg in legs), Counter[str]()),
        cpu=runner.cpu_per({"penstock": legs}, lambda leg: leg.tokens / 1e6),
        cpu_unit="in µs per token",
        data={"legs": [{"seconds": leg.seconds, "tokens": leg.tokens, "cpu_seconds": leg.cpu} for leg in legs]},
        plots=[
            distribution(
                "delivery", "From engine to client", "s", {"penstock": stats.flat([leg.delivery for leg in legs])}
            )
        ],
    )


async def _warm(fleet: Fleet, server: Server) -> int:
    """Have everything imported and every cache filled; the bytes access then holds."""
    await closed(server, scripts.ask(WARM_UP, -1, tokens=4), streams=4, answer_tokens=4)
    return fleet.access.resident_bytes()


async def _leg(fleet: Fleet, server: Server, given: Namespace, number: int, idle: int) -> Seen:
    plan = Plan(given.streams, 1 / given.pause, given.ramp, given.seconds)
    asked = scripts.ask(plan.streams, number, tokens=plan.tokens, pause=given.pause)
    slow_every = max(1, round(1 / SLOW_SHARE))
    kinds = [SlowConnection if place % slow_every == slow_every - 1 else Connection for place in range(plan.streams)]
    async with Pool.opened(server.port, 1) as pool:
        with undisturbed():
            began = time.perf_counter()
            tasks = [
                asyncio.create_task(pool.ask_at(body, began + place * plan.ramp_seconds / plan.streams, kind))
                for place, (body, kind) in enumerate(zip(chat_requests(server, asked, plan.tokens), kinds, strict=True))
            ]
            await asyncio.sleep(began + plan.opens_at - time.perf_counter())
            opened, cpu = time.perf_counter(), cpu_seconds(server)
            await asyncio.sleep(began + plan.closes_at - time.perf_counter())
            closed, used = time.perf_counter(), used_since(cpu, cpu_seconds(server))
            grown, readers = fleet.access.resident_bytes() - idle, await asyncio.to_thread(_readers, fleet.redis_url)
            # The last to begin ends as long after the window as the streams took to begin.
            recorded = await outcomes(tasks, plan.ramp_seconds + plan.patience_seconds)
    quick = [one for one, kind in zip(recorded, kinds, strict=True) if kind is Connection]
    delivery = tuple(
        moment - given_at
        for one in quick
        for moment, text in pieces(one)
        if opened <= moment < closed
        for _, given_at in stamps(text)
    )
    return Seen(
        closed - opened,
        len(delivery),
        delivery,
        grown / plan.streams / 1000,
        readers,
        used,
        faults(recorded, plan.tokens),
    )


def _readers(url: str) -> int:
    """Connections that wait in an XREAD, as those of mailboxes do."""
    with Redis.from_url(url) as client:
        return sum(found["cmd"] == "xread" for found in client.client_list())


def _add(parser: Any) -> None:
    parser.add_argument("--streams", type=int, default=10_000, help="streams that are open at once")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two tokens of a stream")
    parser.add_argument("--ramp", type=float, default=100.0, help="seconds over which the streams begin")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long the window lasts")
    parser.set_defaults(rounds=1)


if __name__ == "__main__":
    sys.exit(main())
