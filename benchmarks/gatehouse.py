"""A gate as it runs: one Redis, limiters, processes that ask, and a fleet that exists in heartbeats alone."""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from benchmarks import asking, servers
from benchmarks.asking import MODEL, REPORTS, TOKENS, Order, Report
from benchmarks.bare import CHANNEL
from benchmarks.pool import used_since
from benchmarks.processes import Process, Processes, ProcessFailed
from benchmarks.verdicts import Leg, Sums
from contracts import connection, keys
from contracts.functions.gate import Reservation
from contracts.ids import TenantId, WorkerId
from contracts.messages import Heartbeat, ModelFacts
from penstock import ports

ASKERS = 4
SLOTS = 10_000_000
READY_SECONDS = 60.0
_UNBOUNDED = "1000000000"
_LIFTED = ("TOKENS_PER_MINUTE", "REQUESTS_PER_MINUTE", "CONCURRENCY", "ROOM", "ROOM_PER_TENANT")
_BEFORE_SECONDS = 0.3
_BEAT_SECONDS = 0.5


class Gatehouse:
    """Start it with ``open``."""

    def __init__(self, processes: Processes, folder: Path):
        self._processes = processes
        (port,) = ports.free(1)
        self.url = f"redis://127.0.0.1:{port}/0"
        self._store = servers.redis(processes, "redis", folder, port)
        self._askers: list[Process] = []
        self._echo: Process | None = None
        self._started = 0
        self.limiters: dict[int, Process] = {}
        self.redis = connection.commands(self.url)

    @classmethod
    @asynccontextmanager
    async def opened(cls, processes: Processes, folder: Path) -> AsyncGenerator[Gatehouse]:
        """With one limiter that decides, and askers that wait for orders."""
        house = cls(processes, folder)
        await _until(house._redis_answers, "Redis answering")
        beats = asyncio.create_task(house._beat())
        try:
            await house.add_limiter()
            house._start_askers()
            await _until(house._all_listen, "all askers listening")
            yield house
        finally:
            beats.cancel()
            await asyncio.wait([beats])
            await house.redis.aclose()

    async def add_limiter(self) -> None:
        """One more, ready to decide or to stand by."""
        (port,) = ports.free(1)
        own = {f"PENSTOCK_LIMITER__{name}": _UNBOUNDED for name in _LIFTED}
        own |= {"REDIS_URL": self.url, "PENSTOCK_LIMITER__HEALTH_PORT": str(port), "LOG_FORMAT": "json"}
        self._started += 1
        name = f"limiter {self._started}" if self._started > 1 else "limiter"
        self.limiters[port] = self._processes.start(name, servers.module("limiter"), own)
        await asyncio.to_thread(self._processes.until_ok, f"http://127.0.0.1:{port}/readyz", READY_SECONDS)

    async def kill_active(self) -> float:
        """kill -9 of the limiter that decides; the moment of it."""
        port = await asyncio.to_thread(self._active)
        victim = self.limiters.pop(port)
        moment = time.perf_counter()
        victim.kill()
        self._processes.forget(victim)
        return moment

    async def leg(self, way: str, per_second: float, seconds: float, seed: int, **more: Any) -> Leg:
        """One order, a quarter of it for each asker."""
        count = max(1, round(per_second * seconds / ASKERS))
        return await self.order(way, count, per_second / ASKERS, seed, **more)

    async def order(self, way: str, count: int, per_second: float, seed: int, **more: Any) -> Leg:
        """The same order for every asker, carried out; ``count`` and ``per_second`` are each one's."""
        if way == "bucket":
            await self._fill(ASKERS * count)
        before, began = self.cpu_seconds(), time.perf_counter() + _BEFORE_SECONDS
        for number in range(ASKERS):
            order = Order(way=way, count=count, per_second=per_second, begin=began, seed=ASKERS * seed + number, **more)
            await _int(self.redis.rpush(asking.orders(number), msgspec.msgpack.encode(order)))
        patience = count / per_second + asking.HANG_SECONDS + 30
        reports = [await self._report(began + patience) for _ in range(ASKERS)]
        lasted = time.perf_counter() - began
        return _leg(way, reports, used_since(before, self.cpu_seconds()), began, lasted)

    async def sums(self, tenants: Sequence[str]) -> Sums:
        """All of one moment."""
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.hvals(keys.reservations())
            for tenant in tenants:
                pipe.hgetall(keys.ledger(TenantId(tenant)))
            held, *ledgers = await pipe.execute()
        reservations = [Reservation.decode(wire) for wire in held]
        totals: Counter[str] = Counter()
        for ledger in ledgers:
            totals.update({name.decode(): int(value) for name, value in ledger.items()})
        names = ("granted", "settled", "reserved", "refunded")
        return Sums(
            **{name: totals[f"{name}:tokens:{MODEL}"] for name in names},
            held=sum(one.tokens for one in reservations if one.tenant in tenants),
        )

    async def limit(self, tenant: str, **limits: int) -> None:
        await _int(self.redis.hset(keys.limits(TenantId(tenant)), mapping=cast(Any, limits)))

    def cpu_seconds(self) -> dict[str, float]:
        """Used so far; that of all askers together as ``asking``."""
        served = [self._store, *self.limiters.values(), *([self._echo] if self._echo else [])]
        used = {name: seconds for process in served for name, seconds in process.cpu_seconds().items()}
        return used | {"asking": sum(sum(process.cpu_seconds().values()) for process in self._askers)}

    def _start_askers(self) -> None:
        self._echo = self._processes.start("echo", servers.module("benchmarks.bare", self.url))
        for number in range(ASKERS):
            command = servers.module("benchmarks.asking", str(number), self.url)
            self._askers.append(self._processes.start(f"asker {number}", command))

    async def _redis_answers(self) -> bool:
        with contextlib.suppress(*connection.REDIS_UNAVAILABLE):
            return bool(await self.redis.ping())
        return False

    async def _all_listen(self) -> bool:
        """Everybody hears what will be said to it."""
        for process in self._askers:
            if process.popen.poll() is not None:
                raise ProcessFailed(f"{process.name} ended:\n{process.last_words()}")
        access = [f"access-{number}" for number in range(ASKERS)]
        channels = [keys.verdicts_channel(cast(Any, name)) for name in access]
        told: Any = await self.redis.pubsub_numsub(*channels, CHANNEL, *(f"{CHANNEL}:{name}" for name in access))
        return all(count for _, count in told)

    async def _beat(self) -> None:
        """A fleet with room for all."""
        model = ModelFacts(name=MODEL, revision="1", kind="generate", max_model_len=4096)
        while True:
            beat = Heartbeat(
                worker=WorkerId("worker-1"),
                model=model,
                state="ready",
                slots=SLOTS,
                free_slots=SLOTS,
                cache_room=1.0,
                tokens_per_second=1e6,
                shards=(0,),
                at=time.time(),
            )
            await _int(self.redis.hset(keys.fleet(), beat.worker, beat.encode()))
            await asyncio.sleep(_BEAT_SECONDS)

    async def _fill(self, count: int) -> None:
        await self.redis.delete(TOKENS)
        for first in range(0, count, 10_000):
            await _int(self.redis.rpush(TOKENS, *["1"] * min(10_000, count - first)))

    async def _report(self, until: float) -> Report:
        while time.perf_counter() < until:
            found: Any = await self.redis.blpop([REPORTS], timeout=1)
            if found:
                return msgspec.msgpack.decode(found[1], type=Report)
        said = "\n".join(process.last_words() for process in self._askers)
        raise ProcessFailed(f"An asker did not report.\n{said}")

    def _active(self) -> int:
        for port in self.limiters:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                if b"penstock_limiter_active 1.0" in answer.read():
                    return port
        raise ProcessFailed("No limiter says that it decides.")


def _leg(way: str, reports: Sequence[Report], cpu: dict[str, float], began: float, lasted: float) -> Leg:
    return Leg(
        way=way,
        lasted=lasted,
        due=[due for report in reports for due in report.due],
        seconds=[seconds for report in reports for seconds in report.seconds],
        told=Counter(told for report in reports for told in report.told),
        cpu=cpu,
        granted=sum(report.granted for report in reports),
        used=sum(report.used for report in reports),
        running=sum(report.running for report in reports),
        dropped=sum(report.dropped for report in reports),
        began=began,
    )


async def _int(answer: Awaitable[int] | int) -> int:
    """redis-py types a command's answer for both of its kinds of client."""
    return await cast(Awaitable[int], answer)


async def _until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    end = time.monotonic() + READY_SECONDS
    while not await condition():
        if time.monotonic() > end:
            raise ProcessFailed(f"{what} did not happen within {READY_SECONDS:g} s")
        await asyncio.sleep(0.05)
