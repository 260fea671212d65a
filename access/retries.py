"""OpenAI's library asks again by itself after a broken connection or a 5xx, without an idempotency key.

It says so: ``x-stainless-retry-count`` is 0 the first time and counts on. So the first time is remembered for a minute,
and a retry of the same key and body is given the request that is running already. Two people who ask the same at the
same time both count 0, and are two requests.
"""

from __future__ import annotations

import zlib
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from access.asked import Asked
from access.stored import StoredRequests
from contracts import keys
from contracts.errors import NotFound
from contracts.ids import RequestId, Shard
from contracts.messages import InferenceRequest

ATTACHED_WITHIN = timedelta(seconds=60)


class Retries:
    """The requests of the last minute by who asked what, of clients that count their attempts."""

    def __init__(self, redis: Redis, stored: StoredRequests, shards: int):
        self._redis = redis
        self._stored = stored
        self._shards = shards

    async def remember(self, asked: Asked) -> None:
        """Note which request answers this. Nothing for clients that do not count, or that brought a key."""
        if asked.attempt is None or asked.idempotency_key:
            return
        key = self._key(asked)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hset(key, mapping={"request": asked.id})
            pipe.expire(key, ATTACHED_WITHIN)
            await pipe.execute()

    async def earlier(self, asked: Asked) -> InferenceRequest | None:
        """The live request that an earlier attempt began; ``None`` if this is the first, or nothing lives."""
        if not asked.attempt or asked.idempotency_key:
            return None
        known: Any = await self._redis.hget(self._key(asked), "request")
        if known is None:
            return None
        try:
            found = await self._stored.load(asked.caller, RequestId(known.decode()))
        except NotFound:  # the earlier attempt was refused, or died before it was queued
            return None
        return found.request if found.live else None

    def _key(self, asked: Asked) -> str:
        name = f"retry\n{asked.caller.key}\n{asked.fingerprint}"
        shard = Shard(zlib.crc32(name.encode()) % self._shards)
        return keys.idempotency(shard, asked.caller.tenant, name)
