"""One reader per process and shard hears of new replies for all open requests at once.

The mailbox is a hint, the log is the truth: a follower that finds a hole in what the mailbox brought reads the log, and
the tails of all open logs are looked at now and then. So a lost, trimmed or expired mailbox costs time and never a
reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from contracts import connection, keys, logs
from contracts.errors import CallerError, NotFound
from contracts.functions import Protocol
from contracts.functions.protocol import TERMINAL_LETTERS
from contracts.ids import AccessId, Generation, RequestId, Shard
from contracts.messages import Reply, decode_reply
from contracts.states import TERMINAL

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
class Follower:
    """One reader of one request: the replies heard and not yet handed on, and the bell that says there is news.

    ``seen`` is the last reply handed on. ``behind`` says that the log is ahead of what was heard.
    """

    request_id: RequestId
    heard: list[Logged] = field(default_factory=list)
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    seen: int = 0
    behind: bool = False

    def hear(self, logged: Logged) -> None:
        self.heard.append(logged)
        self.bell.set()

    def fall_behind(self) -> None:
        self.behind = True
        self.bell.set()

    def drain(self) -> list[Logged] | None:
        """What was heard beyond ``seen``; ``None`` when there is a hole in it and only the log can say."""
        self.bell.clear()
        heard, self.heard = [logged for logged in self.heard if logged.seq > self.seen], []
        numbers = [logged.seq for logged in heard]
        if self.behind or numbers != list(range(self.seen + 1, self.seen + 1 + len(heard))):
            self.behind = False
            return None
        return heard


class Mailbox:
    """Follows requests for one access process. ``read``, ``keep`` and ``look`` run once per shard, as its tasks."""

    def __init__(self, commands: Redis, reads: Redis, protocol: Protocol, access: AccessId):
        self._commands = commands
        self._reads = reads
        self._protocol = protocol
        self._access = access
        self._followers: dict[RequestId, set[Follower]] = {}

    @property
    def open_requests(self) -> int:
        return len(self._followers)

    def expect(self, request_id: RequestId) -> Follower:
        """A follower of a request that is about to be submitted with this process as its follower.

        It hears every reply from the first one on, so its log need not be read. To be given to ``follow``, or
        to ``forget`` if the request is not submitted.
        """
        follower = Follower(request_id)
        self._followers.setdefault(request_id, set()).add(follower)
        return follower

    def forget(self, follower: Follower) -> None:
        """Stop hearing for a follower. Redis is not told: nothing was submitted."""
        followers = self._followers.get(follower.request_id, set())
        followers.discard(follower)
        if not followers:
            self._followers.pop(follower.request_id, None)

    async def follow(self, request_id: RequestId, expected: Follower | None = None) -> AsyncGenerator[list[Logged]]:
        """Every reply, in order, exactly once, in batches as they come; ends with the end.

        Raises:
            NotFound: no such request, or its log has expired.
        """
        follower = expected or self.expect(request_id)
        try:
            if expected is None:
                await self._attach(follower)
            while True:
                await follower.bell.wait()
                batch = follower.drain()
                if batch is None:
                    batch = await self._read_log(request_id, follower.seen)
                if batch:
                    follower.seen = batch[-1].seq
                    yield batch
                    if batch[-1].last:
                        return
        finally:
            await self.leave(follower)

    async def leave(self, follower: Follower) -> None:
        """Stop hearing for a follower, and have nothing more sent for the last one. May be called again."""
        self.forget(follower)
        request_id = follower.request_id
        if request_id in self._followers:
            return
        try:
            await self._protocol.detach(request_id, self._access)
            if others := self._followers.get(request_id):  # who came meanwhile was detached with us
                await self._protocol.attach(request_id, self._access)
                for other in others:
                    other.fall_behind()
        except connection.REDIS_UNAVAILABLE:
            log.info("mailbox.detach_lost", sentence="Redis does not answer; the follower stays registered.")

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

    async def look(self) -> None:
        """Compare every open request with the tail of its log, so that even a lost end is found. Runs for ever."""
        while True:
            await asyncio.sleep(LOOK_EVERY.total_seconds())
            try:
                await self._look_once()
            except connection.REDIS_UNAVAILABLE:
                log.warning("mailbox.unreachable", sentence="Redis does not answer; looking again later.")

    async def _look_once(self) -> None:
        request_ids = list(self._followers)
        async with self._commands.pipeline(transaction=False) as pipe:
            for request_id in request_ids:
                pipe.xrevrange(keys.replies(request_id), count=1)
            tails: list[Any] = await pipe.execute()
        for request_id, tail in zip(request_ids, tails, strict=True):
            for follower in self._followers.get(request_id, ()):
                if tail and _seq(tail[0][0]) > follower.seen:
                    follower.fall_behind()

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

    async def _read_log(self, request_id: RequestId, after: int) -> list[Logged]:
        entries: Any = await self._commands.xrange(keys.replies(request_id), min=f"({after}-0" if after else "-")
        return [_logged(entry, fields) for entry, fields in entries]

    async def _attach(self, follower: Follower) -> None:
        known = await self._protocol.attach(follower.request_id, self._access)
        if known is None:
            raise NotFound("This request is not known, or its log has expired.", code="response_not_found")
        state, tail = known
        if state in TERMINAL and not tail:
            raise CallerError("The log of this request has expired.", code="log_expired")
        follower.fall_behind()


def _seq(entry: bytes) -> int:
    return int(entry.split(b"-")[0])


def _logged(entry: bytes, fields: dict[bytes, bytes]) -> Logged:
    ((name, payload),) = fields.items()
    generation, letter = name.decode().split(":")
    return Logged(_seq(entry), Generation(generation), decode_reply(payload), letter in TERMINAL_LETTERS)
