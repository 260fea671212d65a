"""One reader per process and shard hears of new replies for all open requests at once.

The mailbox is a hint, the log is the truth: a follower that finds a hole in what the mailbox brought reads the log, and
each one looks at the log by itself when it has heard nothing for a while. So a lost, trimmed or expired mailbox costs
time and never a reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from contracts import connection, keys, logs
from contracts.errors import NotFound
from contracts.functions import Protocol
from contracts.functions.protocol import TERMINAL_LETTERS
from contracts.ids import AccessId, Generation, RequestId, Shard
from contracts.messages import Reply, decode_reply

LIFE = timedelta(seconds=30)
RENEW_EVERY = timedelta(seconds=5)
LOOK_EVERY = timedelta(seconds=10)
READ_AT_MOST = 500
PAUSE_AFTER_ERROR = timedelta(seconds=0.2)

log = logs.get()


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry of a request's log: its number, who wrote it (``-`` when no worker did), the reply, whether it ends."""

    seq: int
    generation: Generation
    reply: Reply
    last: bool


@dataclass(eq=False, slots=True)
class _Follower:
    """Replies heard and not yet handed on, and the bell that says there are some."""

    heard: list[Logged] = field(default_factory=list)
    bell: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, logged: Logged) -> None:
        self.heard.append(logged)
        self.bell.set()

    def drain(self) -> list[Logged]:
        heard, self.heard = self.heard, []
        self.bell.clear()
        return heard


class Mailbox:
    """Follows requests for one access process. ``read`` and ``keep`` run once per shard, as tasks of the process."""

    def __init__(self, commands: Redis, reads: Redis, protocol: Protocol, access: AccessId):
        self._commands = commands
        self._reads = reads
        self._protocol = protocol
        self._access = access
        self._followers: dict[RequestId, set[_Follower]] = {}

    @property
    def open_requests(self) -> int:
        return len(self._followers)

    async def follow(self, request_id: RequestId, after: int = 0) -> AsyncIterator[list[Logged]]:
        """Every reply numbered above ``after``, in order, exactly once, in batches as they come; ends with the end.

        Raises:
            NotFound: no such request, or its log has expired.
        """
        follower = _Follower()
        self._followers.setdefault(request_id, set()).add(follower)
        try:
            if await self._protocol.attach(request_id, self._access) is None:
                raise NotFound("This request is not known, or its log has expired.", code="response_not_found")
            batch = await self._read_log(request_id, after)
            while True:
                if batch:
                    after = batch[-1].seq
                    yield batch
                    if batch[-1].last:
                        return
                batch = await self._next(request_id, follower, after)
        finally:
            await self._leave(request_id, follower)

    async def replies(self, request_id: RequestId) -> list[Logged]:
        """The log as it is now, without following it."""
        return await self._read_log(request_id, 0)

    async def open(self, shard: Shard) -> None:
        """Create this process's mailbox on a shard; needed before the first submit."""
        key = keys.mailbox(shard, self._access)
        if not await self._commands.exists(key):
            await self._commands.xadd(key, {"": ""}, maxlen=1)
        await self._commands.expire(key, LIFE)

    async def keep(self, shard: Shard) -> None:
        """Keep the mailbox alive; it is made again after a flush or a long silence. Runs for ever."""
        while True:
            try:
                await self.open(shard)
            except connection.REDIS_UNAVAILABLE:
                log.warning("mailbox.unreachable", sentence="Redis does not answer; the mailbox waits.", shard=shard)
            await asyncio.sleep(RENEW_EVERY.total_seconds())

    async def read(self, shard: Shard) -> None:
        """Hand what arrives in the mailbox to its followers. Runs for ever."""
        last = b"0"  # not "$": what arrives between two reads would be missed
        while True:
            try:
                last = await self._read_once(shard, last)
            except connection.REDIS_UNAVAILABLE:
                log.warning("mailbox.unreachable", sentence="Redis does not answer; reading again.", shard=shard)
                await asyncio.sleep(PAUSE_AFTER_ERROR.total_seconds())

    async def _read_once(self, shard: Shard, last: bytes) -> bytes:
        key = keys.mailbox(shard, self._access)
        block = int(connection.BLOCK.total_seconds() * 1000)
        answer: Any = await self._reads.xread({key: last}, count=READ_AT_MOST, block=block)
        for entries in answer.values():
            for entry, fields in entries:
                last = entry
                for name, payload in fields.items():
                    self._deliver(name, payload)
        return last

    def _deliver(self, name: bytes, payload: bytes) -> None:
        if not name:
            return
        request_id, seq, generation, letter = name.decode().split(":")
        followers = self._followers.get(RequestId(request_id))
        if not followers:
            return
        logged = Logged(int(seq), Generation(generation), decode_reply(payload), letter in TERMINAL_LETTERS)
        for follower in followers:
            follower.hear(logged)

    async def _next(self, request_id: RequestId, follower: _Follower, after: int) -> list[Logged]:
        """What the mailbox brought beyond ``after``; the log itself after a hole or a long silence."""
        try:
            async with asyncio.timeout(LOOK_EVERY.total_seconds()):
                await follower.bell.wait()
        except TimeoutError:
            return await self._read_log(request_id, after)
        fresh = [logged for logged in follower.drain() if logged.seq > after]
        if fresh and [logged.seq for logged in fresh] != list(range(after + 1, after + 1 + len(fresh))):
            return await self._read_log(request_id, after)
        return fresh

    async def _read_log(self, request_id: RequestId, after: int) -> list[Logged]:
        entries: Any = await self._commands.xrange(keys.replies(request_id), min=f"({after}-0" if after else "-")
        return [_logged(entry, fields) for entry, fields in entries]

    async def _leave(self, request_id: RequestId, follower: _Follower) -> None:
        followers = self._followers.get(request_id, set())
        followers.discard(follower)
        if not followers and self._followers.pop(request_id, None) is not None:
            try:
                await self._protocol.detach(request_id, self._access)
            except connection.REDIS_UNAVAILABLE:
                log.info("mailbox.detach_lost", sentence="Redis does not answer; the follower stays registered.")


def _logged(entry: bytes, fields: dict[bytes, bytes]) -> Logged:
    ((name, payload),) = fields.items()
    generation, letter = name.decode().split(":")
    return Logged(int(entry.split(b"-")[0]), Generation(generation), decode_reply(payload), letter in TERMINAL_LETTERS)
