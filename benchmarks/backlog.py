"""``backlog``: do 1,000,000 waiting requests make any step of the protocol dearer than 1,000 do?

Two Redis servers: one keeps 1,000 requests waiting, the other more and more. Every step is run on both in turn, on as
many requests as it takes from the queue and puts there, so both keep their backlog. What is compared is the time inside
Redis (``INFO commandstats``), without client or network.

Usage: ``python -m benchmarks.backlog --rounds 5``
"""

from __future__ import annotations

import asyncio
import sys
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvloop
from redis.asyncio import Redis

from benchmarks import runner, servers, stats
from benchmarks.plots import Plot
from benchmarks.processes import Process, Processes, ProcessFailed
from benchmarks.report import Figure
from contracts import connection
from contracts.functions import Chunk, Ending, Grant, Library, Protocol, Submission
from contracts.ids import AccessId, RequestId, Shard, TenantId, WorkerId, new_request_id
from contracts.messages import (
    ChatMessage,
    Delta,
    Finished,
    Generate,
    InferenceRequest,
    Started,
    Usage,
)
from penstock import ports

QUICK = {"sizes": [2000], "base": 200, "requests": 20}
GOAL = 1.10
SHARD = Shard(0)
MODEL = "scripted"
ACCESS = AccessId("access-bench")
LEASE = timedelta(minutes=10)
FILL_AT_ONCE = 64

Costs = dict[str, float]
"""Microseconds inside Redis, by step."""
Step = tuple[str, Callable[[Protocol, Grant], Awaitable[object]]]


@dataclass(frozen=True)
class Side:
    """One server and its backlog."""

    process: Process
    redis: Redis
    protocol: Protocol


@dataclass(frozen=True)
class Compared:
    """The legs at one size of the backlog."""

    size: int
    base: list[Costs]
    large: list[Costs]

    def ratio(self, step: str) -> stats.Spread:
        return stats.paired([leg[step] for leg in self.large], [leg[step] for leg in self.base])

    def figures(self) -> list[Figure]:
        found: list[Figure] = []
        for step in self.base[0]:
            large, base = (stats.spread([leg[step] for leg in legs]).value for legs in (self.large, self.base))
            ratio = self.ratio(step)
            found.append(
                Figure(
                    f"{step}, {self.size:,} waiting",
                    "µs",
                    large,
                    base,
                    ratio,
                    goal=f"ratio ≤ {GOAL:.2f}",
                    reached=ratio.value <= GOAL,
                )
            )
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; see ``runner.run`` for the exit status."""
    given = runner.options("backlog", "The cost of each step beside a growing backlog.", arguments, QUICK, _add)
    return runner.run("backlog", given, lambda processes, folder: uvloop.run(_measure(processes, folder, given)))


async def _measure(processes: Processes, folder: Path, given: Namespace) -> runner.Result:
    base, large = [await _side(processes, folder, name) for name in ("base redis", "redis")]
    await _fill(base, given.base)
    compared: list[Compared] = []
    filled, began = 0, time.perf_counter()
    for size in sorted(given.sizes):
        await _fill(large, size - filled)
        filled = size
        print(f"{size:,} waiting after {time.perf_counter() - began:.0f} s", flush=True)
        compared.append(await _compare(base, large, size, given))
    cpu = {name: value for side in (base, large) for name, value in side.process.cpu_seconds().items()}
    for side in (base, large):
        await side.redis.aclose()
    return runner.Result(
        f"backlog: against {given.base:,} waiting, {given.rounds} rounds of {given.requests} requests",
        [figure for one in compared for figure in one.figures()],
        runner.nothing_lost(),
        cpu={"penstock": cpu},
        cpu_unit="in s, whole run with filling",
        data={"sizes": [{"waiting": one.size, "base": one.base, "large": one.large} for one in compared]},
        plots=[_plot(compared)],
    )


async def _side(processes: Processes, folder: Path, name: str) -> Side:
    (port,), own = ports.free(1), folder / name.replace(" ", "-")
    own.mkdir()
    process = servers.redis(processes, name, own, port)
    redis = connection.commands(f"redis://127.0.0.1:{port}/0")
    end = time.monotonic() + 30
    while not await _answers(redis):
        if time.monotonic() > end:
            raise ProcessFailed(f"{name} does not answer:\n{process.last_words()}")
        await asyncio.sleep(0.05)
    # A rewrite of the append-only file forks in the middle of a leg and copies pages; both sides go without.
    await redis.config_set("auto-aof-rewrite-percentage", 0)
    library = Library(redis)
    await library.load()
    return Side(process, redis, Protocol(library))


async def _answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except connection.REDIS_UNAVAILABLE:
        return False


async def _fill(side: Side, count: int) -> None:
    for first in range(0, count, FILL_AT_ONCE):
        await asyncio.gather(*(_submit(side.protocol, _request()) for _ in range(min(FILL_AT_ONCE, count - first))))


async def _compare(base: Side, large: Side, size: int, given: Namespace) -> Compared:
    compared = Compared(size, [], [])
    both = ((base, compared.base), (large, compared.large))
    for side, _ in both:
        await _leg(side, given.requests)
    for number in range(2 * given.rounds):
        for side, legs in both if number % 2 == 0 else reversed(both):
            legs.append(await _leg(side, given.requests))
    return compared


async def _leg(side: Side, count: int) -> Costs:
    """Every step on ``count`` requests, one call each."""
    protocol, costs = side.protocol, Costs()
    fresh = [_request() for _ in range(count)]
    costs["submit"] = await _cost(side, [lambda one=one: _submit(protocol, one) for one in fresh])
    grants: list[Grant] = []

    async def take(number: int) -> None:
        worker = WorkerId(f"worker-{number}")
        classes = ("interactive", "standard", "batch")
        grants.extend(
            await protocol.take(SHARD, MODEL, worker, f"{fresh[0].id}-{number}", slots=1, lease=LEASE, classes=classes)
        )

    costs["take"] = await _cost(side, [lambda number=number: take(number) for number in range(count)])
    for name, step in STEPS:
        costs[name] = await _cost(side, [lambda grant=grant, step=step: step(protocol, grant) for grant in grants])
    early = [_request() for _ in range(count)]
    costs["wait"] = await _cost(side, [lambda one=one: protocol.wait(_submission(one)) for one in early])
    costs["cancel, waiting"] = await _cost(side, [lambda one=one: protocol.cancel(one.id) for one in early])
    costs["sweep"] = await _cost(side, [lambda: protocol.sweep(SHARD)] * count)
    return costs


async def _cost(side: Side, calls: Sequence[Callable[[], Awaitable[object]]]) -> float:
    """Microseconds per call inside Redis."""
    await side.redis.config_resetstat()
    for call in calls:
        await call()
    told: Any = await side.redis.info("commandstats")
    return float(told["cmdstat_fcall"]["usec"]) / len(calls)


def _chunk(grant: Grant, first: int, reply: Any, ending: Ending | None = None) -> Chunk:
    return Chunk(grant.id, grant.generation, first, [reply], ending)


def _append(first: int, reply: Any, ending: Ending | None = None) -> Callable[[Protocol, Grant], Awaitable[object]]:
    return lambda protocol, grant: protocol.append(SHARD, [_chunk(grant, first, reply, ending)], LEASE)


STEPS: tuple[Step, ...] = (
    ("attach", lambda protocol, grant: protocol.attach(grant.id, ACCESS)),
    ("append", _append(1, Started(worker=WorkerId("worker-0")))),
    ("append, again", _append(2, Delta(text="water ", token_ids=(1,)))),
    ("renew", lambda protocol, grant: protocol.renew(SHARD, [(grant.id, grant.generation)], LEASE)),
    ("detach", lambda protocol, grant: protocol.detach(grant.id, ACCESS)),
    ("cancel, running", lambda protocol, grant: protocol.cancel(grant.id)),
    ("append, the end", _append(3, Finished(usage=Usage()), Ending("done", "water", Usage()))),
)
"""What happens to a request that was taken, in the order of its life."""


def _request() -> InferenceRequest:
    return InferenceRequest(
        id=RequestId(new_request_id(SHARD)),
        tenant=TenantId("bench"),
        user="",
        key="",
        model=MODEL,
        service_class="interactive",
        task=Generate(messages=(ChatMessage(role="user", content="How long is the queue?"),)),
        created_at=time.time(),
        deadline_seconds=86_400,
    )


def _submission(request: InferenceRequest) -> Submission:
    return Submission(request, retention=timedelta(seconds=60))


async def _submit(protocol: Protocol, request: InferenceRequest) -> None:
    submitted = await protocol.submit(_submission(request), queue_bound=100_000_000)
    assert submitted.outcome == "ok", submitted


def _plot(compared: Sequence[Compared]) -> Plot:
    lines: Mapping[str, Sequence[tuple[float, float]]] = {
        step: [(float(one.size), one.ratio(step).value) for one in compared] for step in compared[0].base[0]
    }
    return Plot(
        "cost", "Cost of a step beside a backlog", "requests waiting", "times the cost with few", lines, log_x=True
    )


def _add(parser: Any) -> None:
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="requests waiting")
    parser.add_argument("--base", type=int, default=1000, help="requests waiting on the server that is compared with")
    parser.add_argument("--requests", type=int, default=200, help="calls of each step in a leg")


if __name__ == "__main__":
    sys.exit(main())
