"""Streams of finished turns, for services that watch a tenant. They carry what users say, so they are off by default.

The end of a turn is written to the tenant's stream in the step that ends it, if the stream is there: that happens once,
whoever follows the answer and whichever access process lives. Access has only to make the stream for the tenants that
its settings name. When it stops doing so the stream goes, with all that is in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any, NoReturn

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from contracts import keys, logs
from contracts.connection import REDIS_UNAVAILABLE
from contracts.ids import Shard, TenantId

KEPT = timedelta(hours=24)
RENEW_EVERY = timedelta(seconds=30)
READ_AT_ONCE = 500
_MAKER = "maker"

log = logs.get()


async def keep_finished_turns(redis: Redis, shards: Sequence[Shard], tenants: Sequence[str]) -> NoReturn:
    """Keep the streams of these tenants; they are made again after a flush. Runs for ever."""
    while True:
        try:
            for shard in shards:
                for tenant in tenants:
                    await _make(redis, keys.finished_turns(shard, TenantId(tenant)))
        except REDIS_UNAVAILABLE:
            log.warning("turns.unreachable", sentence="Redis does not answer; finished turns are not written.")
        await asyncio.sleep(RENEW_EVERY.total_seconds())


async def remove_finished_turns(redis: Redis, stream: str, conversations: Collection[str]) -> int:
    """Take the turns of these conversations (their public ids) out of a stream; how many there were."""
    removed, after = 0, "-"
    while True:
        page: Any = await redis.xrange(stream, min=after, count=READ_AT_ONCE)
        theirs = [entry for entry, fields in page if fields.get(b"conversation", b"").decode() in conversations]
        removed += await redis.xdel(stream, *theirs) if theirs else 0
        if len(page) < READ_AT_ONCE:
            return removed
        after = f"({page[-1][0].decode()}"


async def _make(redis: Redis, stream: str) -> None:
    """An empty stream where there is none. A group makes one without an entry, and nobody needs the group."""
    if not await redis.exists(stream):
        try:
            await redis.xgroup_create(stream, _MAKER, mkstream=True)
            await redis.xgroup_destroy(stream, _MAKER)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
    await redis.expire(stream, KEPT)
