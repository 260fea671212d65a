"""The worker's regular word to the fleet: what it serves, how much room it has, how fast it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Literal

from redis.asyncio import Redis

from contracts import keys
from contracts.connection import REDIS_UNAVAILABLE
from contracts.ids import WorkerId
from contracts.messages import Heartbeat, ModelFacts
from inference_worker.engines.port import Description

BEAT = timedelta(seconds=1)
TOKENIZER_TTL = timedelta(hours=24)
_SMOOTHING = 0.5


class Heart:
    """Writes a heartbeat every second, and the tokenizer under its hash as long as this worker serves it."""

    def __init__(self, redis: Redis, worker: WorkerId, description: Description, pulse: Callable[[], Heartbeat]):
        self._redis = redis
        self._worker = worker
        self._description = description
        self._pulse = pulse

    async def beat(self) -> None:
        """Beat for ever. Redis away is no reason to stop: the fleet sees the worker stale, and then again."""
        while True:
            try:
                await self.once()
            except REDIS_UNAVAILABLE:
                pass
            await asyncio.sleep(BEAT.total_seconds())

    async def once(self) -> None:
        """One heartbeat."""
        await self._redis.hset(keys.fleet(), self._worker, self._pulse().encode())
        sha256 = self._description.facts.tokenizer_sha256
        if sha256 and not await self._redis.expire(keys.tokenizer(sha256), TOKENIZER_TTL):
            await self._redis.set(keys.tokenizer(sha256), self._description.tokenizer, ex=TOKENIZER_TTL)

    async def leave(self) -> None:
        """Take this worker out of the fleet; if Redis is away or slow, it goes stale."""
        try:
            async with asyncio.timeout(BEAT.total_seconds()):
                await self._redis.hdel(keys.fleet(), self._worker)
        except (TimeoutError, *REDIS_UNAVAILABLE):
            pass


async def announce_loading(redis: Redis, worker: WorkerId, model: str, kind: Literal["generate", "embed"]) -> None:
    """Say every second that ``model`` will be served here: its callers hear ``starting``, not ``no_workers``.

    A worker that finds its model's name in the weights is heard of when they are loaded. Runs until cancelled.
    """
    if not model:
        return
    facts = ModelFacts(name=model, revision="", kind=kind, max_model_len=0)
    while True:
        beat = Heartbeat(
            worker=worker,
            model=facts,
            state="loading",
            slots=0,
            free_slots=0,
            cache_room=0.0,
            tokens_per_second=0.0,
            shards=(),
            at=time.time(),
        )
        try:
            await redis.hset(keys.fleet(), worker, beat.encode())
        except REDIS_UNAVAILABLE:
            pass
        await asyncio.sleep(BEAT.total_seconds())


class Speed:
    """Tokens per second, smoothed over a few seconds. Pure but for what it is told."""

    def __init__(self, now: float):
        self._at = now
        self._tokens = 0
        self.per_second = 0.0

    def tell(self, tokens: int, now: float) -> float:
        """``tokens`` is the running total at ``now`` (monotonic seconds)."""
        elapsed = now - self._at
        if elapsed > 0.1:
            rate = (tokens - self._tokens) / elapsed
            self.per_second += _SMOOTHING * (rate - self.per_second)
            self._at, self._tokens = now, tokens
        return self.per_second
