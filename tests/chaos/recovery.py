"""How long an answer stands still when its worker is killed: from the kill to the next reply of another one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from contracts import connection, keys
from contracts.ids import RequestId
from tests.chaos.evidence import SHARD
from tests.chaos.fleet import MODEL

LOOK_SECONDS = 0.02
GIVE_UP_SECONDS = 10.0


@dataclass(frozen=True)
class Held:
    """Under which generation a request was run, and how far its log was."""

    generation: str
    seq: int


class Recoveries:
    """Collects ``seconds``, one for each request that a killed worker ran.

    ``disturbances`` counts all faults so far: a recovery during which something else broke says nothing about leases,
    and is left out.
    """

    def __init__(self, redis: Redis, disturbances: Callable[[], int]):
        self.seconds: list[float] = []
        self._redis = redis
        self._disturbances = disturbances

    async def owned(self, worker: str) -> dict[RequestId, Held]:
        """What a worker runs now; nothing when Redis is away."""
        try:
            leased = await self._redis.zrange(keys.leases(SHARD, MODEL), 0, -1)
            ids = [RequestId(name.decode()) for name in leased]
            async with self._redis.pipeline(transaction=False) as pipe:
                for request_id in ids:
                    pipe.hmget(keys.request(request_id), ["owner", "generation"])
                    pipe.xrevrange(keys.replies(request_id), count=1)
                rows: list[Any] = await pipe.execute()
        except connection.REDIS_UNAVAILABLE:
            return {}
        found = zip(ids, rows[::2], rows[1::2], strict=True)
        mine = [(name, row[1].decode(), tail) for name, row, tail in found if row[0] == worker.encode() and row[1]]
        return {name: Held(generation, _tail(tail)[0]) for name, generation, tail in mine}

    async def watch(self, owned: dict[RequestId, Held], killed_at: float) -> None:
        """Wait until each of ``owned`` goes on under another generation."""
        before, waiting = self._disturbances(), dict(owned)
        while waiting and self._disturbances() == before and time.monotonic() - killed_at < GIVE_UP_SECONDS:
            await asyncio.sleep(LOOK_SECONDS)
            for request_id in await self._gone_on(waiting):
                del waiting[request_id]
                self.seconds.append(time.monotonic() - killed_at)

    async def _gone_on(self, waiting: dict[RequestId, Held]) -> list[RequestId]:
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for request_id in waiting:
                    pipe.xrevrange(keys.replies(request_id), count=1)
                tails: list[Any] = await pipe.execute()
        except connection.REDIS_UNAVAILABLE:
            return []
        gone_on: list[RequestId] = []
        for (request_id, held), tail in zip(waiting.items(), tails, strict=True):
            seq, writer = _tail(tail)
            if seq > held.seq and writer != held.generation:
                gone_on.append(request_id)
        return gone_on


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least ``share`` of all do not exceed; 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _tail(entries: Any) -> tuple[int, str]:
    """Number and writer of the last reply in a log."""
    if not entries:
        return 0, ""
    number, fields = entries[0]
    return int(number.split(b"-")[0]), next(iter(fields)).decode().split(":")[0]
