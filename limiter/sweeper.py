"""Sweeping: requests past their deadline are ended, stranded ones mended, grants that nobody used are found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from itertools import islice
from typing import NoReturn

from redis.asyncio import Redis

from contracts import keys
from contracts.functions import Protocol
from contracts.ids import RequestId, Shard, shard_of
from contracts.states import TERMINAL
from limiter.books import Held

SWEEP_EVERY = timedelta(seconds=1)
LOOK_AGAIN_MS = 10_000
LOOKS_AT_MOST = 1000

Overdue = Callable[[], Mapping[RequestId, int]]
"""Requests whose grants are past their end, with that end in ms of Redis time."""


class Sweeper:
    """Looks after all shards, once a second; of the workers and the limiter, one sweeps a shard in each second."""

    def __init__(self, redis: Redis, protocol: Protocol, shards: int):
        self._redis = redis
        self._protocol = protocol
        self._shards = [Shard(number) for number in range(shards)]

    async def run(self, overdue: Overdue, refund: Callable[[Mapping[RequestId, int]], None]) -> NoReturn:
        """End what is late; hand to ``refund`` those of the ``overdue`` grants that are unused."""
        while True:
            for shard in self._shards:
                await self._protocol.sweep(shard, every=SWEEP_EVERY)
            if granted := overdue():
                refund(await self.unused(granted))
            await asyncio.sleep(SWEEP_EVERY.total_seconds())

    async def unused(self, granted: Mapping[RequestId, int]) -> dict[RequestId, int]:
        """Those under which nothing runs, nor will: without a state, or still stored as waiting, which past the grant's
        end can no longer be submitted; or ended with no usage left to settle: granted again after a power loss, say.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for request_id in granted:
                pipe.hget(keys.request(request_id), "state")
                pipe.xlen(keys.usage(shard_of(request_id)))
            found = await pipe.execute()
        return {
            request_id: grant_end_ms
            for (request_id, grant_end_ms), state, owed in zip(granted.items(), found[::2], found[1::2], strict=True)
            if state in (None, b"waiting") or (state.decode() in TERMINAL and not owed)
        }


class Overdues:
    """Which grants are past their end by more than ``slack_ms``. One found in use is looked at again later."""

    def __init__(self, slack_ms: int):
        self._slack_ms = slack_ms
        self._look_at: dict[RequestId, int] = {}

    def among(self, held: Mapping[RequestId, Held], now_ms: int) -> dict[RequestId, int]:
        ends = {request_id: one.reservation.grant_end_ms for request_id, one in held.items()}
        late = (
            (request_id, end)
            for request_id, end in ends.items()
            if max(self._look_at.get(request_id, 0), end + self._slack_ms) <= now_ms
        )
        due = dict(islice(late, LOOKS_AT_MOST))
        self._look_at = {known: at for known, at in self._look_at.items() if known in held}
        self._look_at.update((request_id, now_ms + LOOK_AGAIN_MS) for request_id in due)
        return due
