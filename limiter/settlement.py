"""Settling: what ended requests really used, read from each shard's ``usage`` stream.

All limiters read as one consumer, so what a predecessor had read and not acknowledged comes first, and now and then
again: a limiter that was frozen in its read may have been given what it can no longer settle. An entry is acknowledged
once its settlement is committed; one that comes twice finds no reservation and changes nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from contracts import keys, logs
from contracts.connection import BLOCK
from contracts.errors import DecodeError
from contracts.ids import RequestId, Shard, TenantId
from contracts.messages import Usage

GROUP = "limiter"
CONSUMER = "any"
READ_AT_MOST = 200
LOOK_BACK_SECONDS = 5.0
GATHER_SECONDS = 0.01
"""Between two batches: under load each holds what ended meanwhile, and one that ends alone is settled at once."""


@dataclass(frozen=True)
class UsageRecord:
    """What one ended request used."""

    id: RequestId
    tenant: TenantId
    model: str
    state: str
    usage: Usage


Settle = Callable[[Sequence[UsageRecord]], Awaitable[None]]
"""Settles and returns once that is committed."""


class Settlement:
    """Reads one shard's usage. ``redis`` is for commands, ``reading`` for blocking reads."""

    def __init__(self, redis: Redis, reading: Redis, shard: Shard):
        self._redis = redis
        self._reading = reading
        self._stream = keys.usage(shard)

    async def run(self, settle: Settle) -> NoReturn:
        """Read, settle, acknowledge: first what was left unacknowledged, then what is new."""
        after, looked_back = "0", time.monotonic()
        while True:
            if time.monotonic() - looked_back > LOOK_BACK_SECONDS:
                after, looked_back = "0", time.monotonic()
            try:
                entries = await self._read(after)
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                await self._create_group()
                continue
            if entries:
                await settle([record for _, fields in entries if (record := _record(fields))])
                await self._acknowledge([entry for entry, _ in entries])
                await asyncio.sleep(GATHER_SECONDS)
            elif after == "0":
                after = ">"

    async def _read(self, after: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        answer: Any = await self._reading.xreadgroup(
            GROUP, CONSUMER, {self._stream: after}, count=READ_AT_MOST, block=int(BLOCK.total_seconds() * 1000)
        )
        return [entry for entries in (answer or {}).values() for entry in entries]

    async def _create_group(self) -> None:
        """From the start of the stream: what was written while there was no group is owed too."""
        try:
            await self._redis.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _acknowledge(self, entries: Sequence[bytes]) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xack(self._stream, GROUP, *entries)
            pipe.xdel(self._stream, *entries)
            await pipe.execute()


def _record(fields: dict[bytes, bytes]) -> UsageRecord | None:
    """Read one entry; ``usage`` is empty where nothing was generated. What cannot be read is acknowledged unread."""
    try:
        usage = Usage.decode(fields[b"usage"]) if fields[b"usage"] else Usage()
        return UsageRecord(
            id=RequestId(fields[b"id"].decode()),
            tenant=TenantId(fields[b"tenant"].decode()),
            model=fields[b"model"].decode(),
            state=fields[b"state"].decode(),
            usage=usage,
        )
    except (KeyError, UnicodeDecodeError, DecodeError) as error:
        logs.get().error(
            "limiter.bad_usage", sentence="A usage entry could not be read.", exception=type(error).__name__
        )
        return None
