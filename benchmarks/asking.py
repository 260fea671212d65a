"""A process that asks the gate as an access process does, or asks one of its rivals, at given moments.

It waits for orders in a list of the Redis that is measured, and reports there when one is done. All processes of a
machine share the clock of ``time.perf_counter``, so an order says when it begins.

Usage: ``python -m benchmarks.asking NUMBER REDIS_URL``
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
import uvloop
from redis.asyncio import Redis

from access.admission import Admission
from benchmarks.bare import Bare
from benchmarks.load import arrivals
from benchmarks.pool import undisturbed
from contracts import connection, keys, logs
from contracts.errors import PenstockError
from contracts.ids import AccessId, RequestId, Shard, TenantId, new_request_id
from contracts.messages import AdmissionQuery, Usage

REPORTS = "bench:reports"
TOKENS = "bench:tokens"
MODEL = "plenty"
PROMPT_TOKENS, ANSWER_TOKENS = 60, 40
COST = PROMPT_TOKENS + ANSWER_TOKENS
HANG_SECONDS = 15.0
GRANTED, HANG = "granted", "hang"

Fate = Literal["ends", "runs on", "is withdrawn"]
_ENDS: tuple[Fate, ...] = ("ends",)
MIXED: tuple[Fate, ...] = ("is withdrawn", "runs on", *_ENDS * 8)
_SHARD = Shard(0)
_SETTLE_SECONDS = 0.02
_WINDOW = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], 60) end
return count <= tonumber(ARGV[1])
"""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """``count`` asks, ``per_second``, from the moment ``begin`` on.

    ``way``: ``gate``, ``bare``, ``window`` or ``bucket``. ``deaf``: the share of verdict messages that are dropped.
    Ask ``k`` is of tenant ``k`` and its grant meets fate ``k``, of as many as there are.
    """

    way: str
    count: int
    per_second: float
    begin: float
    seed: int
    tenants: tuple[str, ...] = ("load",)
    deaf: float = 0.0
    patience_seconds: float = 10.0
    fates: tuple[Fate, ...] = _ENDS


class Report(msgspec.Struct, kw_only=True):
    """Of each ask: when it was due after the beginning, how long it took from then, what it was told."""

    due: list[float]
    seconds: list[float]
    told: list[str]
    granted: int = 0
    used: int = 0
    running: int = 0
    dropped: int = 0


def orders(number: int) -> str:
    """The list from which asker ``number`` takes its orders."""
    return f"bench:orders:{number}"


class Asker:
    """One asking process."""

    def __init__(self, number: int, url: str):
        self._orders = orders(number)
        self._access = AccessId(f"access-{number}")
        self._redis, self._blocking = connection.commands(url), connection.blocking(url, connections=256)
        self._admission = HardOfHearing(self._redis, self._blocking, self._access)
        self._bare = Bare(self._redis, self._blocking, self._access)
        self._ends = Ends(self._redis)
        self._window = self._redis.register_script(_WINDOW)
        self._ways: dict[str, Callable[[AdmissionQuery], Awaitable[str]]] = {
            "gate": self._ask_gate,
            "bare": self._ask_bare,
            "window": self._ask_window,
            "bucket": self._ask_bucket,
        }

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for part in (self._admission, self._bare, self._ends):
                tasks.create_task(part.run())
            while True:
                found: Any = await self._blocking.blpop([self._orders], timeout=2)
                if found:
                    order = msgspec.msgpack.decode(found[1], type=Order)
                    report = await self._carry_out(order)
                    await self._redis.rpush(REPORTS, msgspec.msgpack.encode(report))

    async def _carry_out(self, order: Order) -> Report:
        report = Report(due=[], seconds=[], told=[])
        self._admission.deaf, self._admission.dropped = order.deaf, 0
        moments = arrivals(order.count, order.per_second, seed=order.seed)
        with undisturbed():
            async with asyncio.TaskGroup() as tasks:
                for number, moment in enumerate(moments):
                    if (early := order.begin + moment - time.perf_counter()) > 0:
                        await asyncio.sleep(early)
                    tasks.create_task(self._one(order, number, moment, report))
        await self._ends.written()
        report.dropped = self._admission.dropped
        return report

    async def _one(self, order: Order, number: int, moment: float, report: Report) -> None:
        query = self._query(order, number)
        try:
            async with asyncio.timeout(HANG_SECONDS):
                told = await self._ways[order.way](query)
        except TimeoutError:
            told = HANG
        except PenstockError as error:
            told = error.code
        report.due.append(moment)
        report.seconds.append(time.perf_counter() - order.begin - moment)
        report.told.append(told)
        if order.way == "gate" and told == GRANTED:
            self._go_on(query, order.fates[number % len(order.fates)], report)

    def _go_on(self, query: AdmissionQuery, fate: Fate, report: Report) -> None:
        """What becomes of a grant."""
        report.granted += COST
        match fate:
            case "is withdrawn":
                self._admission.withdraw(query.id)
            case "runs on":
                self._ends.run_on(query.id)
                report.running += COST
            case "ends":
                usage = Usage(prompt_tokens=PROMPT_TOKENS, completion_tokens=random.randint(0, ANSWER_TOKENS))
                self._ends.end(query, usage)
                report.used += usage.prompt_tokens + usage.completion_tokens

    async def _ask_gate(self, query: AdmissionQuery) -> str:
        return (await self._admission.ask(query)).decision

    async def _ask_bare(self, query: AdmissionQuery) -> str:
        await self._bare.ask(query.id)
        return GRANTED

    async def _ask_window(self, query: AdmissionQuery) -> str:
        allowed: Any = await self._window(keys=[f"bench:window:{query.tenant}"], args=[1_000_000_000])
        return GRANTED if allowed else "refused"

    async def _ask_bucket(self, query: AdmissionQuery) -> str:
        found: Any = await self._blocking.blpop([TOKENS], timeout=query.patience_seconds)
        return GRANTED if found else "refused"

    def _query(self, order: Order, number: int) -> AdmissionQuery:
        return AdmissionQuery(
            id=new_request_id(_SHARD),
            access=self._access,
            tenant=TenantId(order.tenants[number % len(order.tenants)]),
            user="",
            key="",
            model=MODEL,
            service_class="interactive",
            prompt_tokens=PROMPT_TOKENS,
            answer_tokens=ANSWER_TOKENS,
            patience_seconds=order.patience_seconds,
        )


class HardOfHearing(Admission):
    """Drops the share ``deaf`` of the messages that bring verdicts, as a network may."""

    deaf = 0.0
    dropped = 0

    def _hear(self, wire: bytes) -> None:
        if self.deaf and random.random() < self.deaf:
            self.dropped += 1
            return
        super()._hear(wire)


class Ends:
    """Writes what workers write when requests end: usage for the limiter, many at a time."""

    def __init__(self, redis: Redis):
        self._redis = redis
        self._ended: list[tuple[AdmissionQuery, Usage]] = []
        self._running: list[RequestId] = []

    def end(self, query: AdmissionQuery, usage: Usage) -> None:
        self._ended.append((query, usage))

    def run_on(self, request_id: RequestId) -> None:
        """It was submitted, and does not end."""
        self._running.append(request_id)

    async def written(self) -> None:
        """Write what is still to be written."""
        (ended, self._ended), (running, self._running) = (self._ended, []), (self._running, [])
        if not ended and not running:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
            for request_id in running:
                pipe.hset(keys.request(request_id), "state", "running")
            for query, usage in ended:
                fields = {"id": query.id, "tenant": query.tenant, "model": query.model, "state": "done"}
                pipe.xadd(keys.usage(_SHARD), {**fields, "usage": usage.encode()})
            await pipe.execute()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_SETTLE_SECONDS)
            await self.written()


def main() -> None:
    number, url = int(sys.argv[1]), sys.argv[2]
    logs.configure("access", f"asker-{number}")
    uvloop.run(Asker(number, url).run())


if __name__ == "__main__":
    main()
