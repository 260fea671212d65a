"""One reader per process and shard hears of new replies for all open requests at once.

The mailbox is a hint, the log is the truth: a follower reads the log whenever what the mailbox brought does not fit
what it has handed on, and the tails of all open logs are looked at now and then. So a lost, trimmed or expired mailbox
costs time and never a reply, and a log that was rolled back is noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from typing import Any

from redis.asyncio import Redis

from access.follower import NOBODY, ROLLED_BACK, Follower, Logged
from access.pace import Pace
from contracts import connection, keys, logs
from contracts.errors import CallerError, DependencyDown, NotFound
from contracts.functions import Protocol
from contracts.functions.protocol import TERMINAL_LETTERS
from contracts.ids import AccessId, Generation, RequestId, Shard
from contracts.messages import decode_reply
from contracts.states import TERMINAL

LIFE = timedelta(seconds=30)
RENEW_EVERY = timedelta(seconds=5)
LOOK_EVERY = timedelta(seconds=10)
GRACE = timedelta(seconds=1)
"""How long a hint may be on its way before the log is read instead."""
LOOKED_AT_ONCE = 200
READ_AT_MOST = 50
PAUSE_AFTER_ERROR = timedelta(seconds=0.2)

Position = tuple[int, Generation]

log = logs.get()


class Mailbox:
    """Follows requests for one access process. ``read``, ``keep`` (once per shard) and ``look`` run as its tasks."""

    def __init__(self, commands: Redis, reads: Redis, protocol: Protocol, access: AccessId, pace: Pace):
        self._commands = commands
        self._reads = reads
        self._protocol = protocol
        self._access = access
        self._pace = pace
        self._followers: dict[RequestId, set[Follower]] = {}
        self._last: dict[Shard, bytes] = {}
        self._disturbed = asyncio.Event()
        reads.set_response_callback("XREAD", _as_it_is)  # the client's own form costs more than all else here

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
        """Stop hearing for a follower. Redis is not told: nothing was submitted, or all has been said."""
        followers = self._followers.get(follower.request_id, set())
        followers.discard(follower)
        if not followers:
            self._followers.pop(follower.request_id, None)

    async def follow(self, request_id: RequestId, expected: Follower | None = None) -> AsyncGenerator[list[Logged]]:
        """Every reply, in order, exactly once, in batches as they come; ends with the end.

        When Redis has lost what was handed on, a batch begins with ``ROLLED_BACK``, and the whole log follows.

        Raises:
            NotFound: no such request.
            CallerError: its log has expired.
            DependencyDown: Redis has lost the request while it was followed.
        """
        follower = expected or self.expect(request_id)
        follower.following = True
        try:
            if expected is None:
                try:
                    await self._attach(request_id)
                except connection.REDIS_UNAVAILABLE as error:
                    raise DependencyDown("The request store does not answer. Try again in a moment.") from error
                follower.fall_behind()
            while not follower.ended:
                await follower.bell.wait()
                if batch := await self._next(follower):
                    follower.hand_on(batch)
                    yield batch
        finally:
            if follower.ended:
                self.forget(follower)
            else:
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
        return await self._read_log(request_id)

    async def open(self, shard: Shard) -> None:
        """Create this process's mailbox on a shard; needed before the first submit."""
        key = keys.mailbox(shard, self._access)
        if await self._commands.expire(key, LIFE):
            return
        self._last[shard] = b"0"  # a new stream: its ids may begin lower, if the server's clock was set back
        # In one step: a process that is killed in between would leave a mailbox that never expires.
        async with self._commands.pipeline(transaction=True) as pipe:
            pipe.xadd(key, {"": ""}, maxlen=1)
            pipe.expire(key, LIFE)
            await pipe.execute()

    async def keep(self, shard: Shard) -> None:
        """Keep the mailbox alive, and let go of what was read: it holds what users are told. It is made again after a
        flush or a long silence. Runs for ever.
        """
        while True:
            try:
                await self.open(shard)
                await self._empty(shard)
            except connection.REDIS_UNAVAILABLE:
                log.warning("mailbox.unreachable", sentence="Redis does not answer; the mailbox waits.", shard=shard)
            await asyncio.sleep(RENEW_EVERY.total_seconds())

    async def read(self, shard: Shard) -> None:
        """Hand what arrives in the mailbox to its followers. Runs for ever."""
        while True:
            try:
                await self._read_once(shard)
            except connection.REDIS_UNAVAILABLE:
                log.warning("mailbox.unreachable", sentence="Redis does not answer; reading again.", shard=shard)
                self._disturbed.set()
                await asyncio.sleep(PAUSE_AFTER_ERROR.total_seconds())

    async def look(self) -> None:
        """Compare every open request with the tail of its log, so that even a lost end is found. Runs for ever.

        Now and then, and at once after Redis was away: it may have lost what it had said.
        """
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY.total_seconds()):
                    await self._disturbed.wait()
            self._disturbed.clear()
            try:
                await self.look_once()
            except connection.REDIS_UNAVAILABLE:
                log.warning("mailbox.unreachable", sentence="Redis does not answer; looking again later.")
                await asyncio.sleep(PAUSE_AFTER_ERROR.total_seconds())
                self._disturbed.set()

    async def look_once(self) -> None:
        """One look at all open requests: who does not get to the tail of its log within ``GRACE`` reads the log."""
        followed = [one for one, followers in self._followers.items() if any(each.following for each in followers)]
        suspects: list[tuple[Follower, Position]] = []
        for first in range(0, len(followed), LOOKED_AT_ONCE):
            suspects += await self._suspects(followed[first : first + LOOKED_AT_ONCE])
        if suspects:
            await asyncio.sleep(GRACE.total_seconds())
        for follower, at in suspects:
            if follower.at == at:
                follower.fall_behind()

    async def _empty(self, shard: Shard) -> None:
        if (last := self._last.get(shard, b"0")) != b"0":
            milliseconds, number = last.decode().split("-")
            unread = f"{milliseconds}-{int(number) + 1}"
            await self._commands.xtrim(keys.mailbox(shard, self._access), minid=unread, approximate=False)

    async def _suspects(self, request_ids: Sequence[RequestId]) -> list[tuple[Follower, Position]]:
        """Those who are not at the tail of their log, and where they are."""
        async with self._commands.pipeline(transaction=False) as pipe:
            for request_id in request_ids:
                pipe.xrevrange(keys.replies(request_id), count=1)
                pipe.hmget(keys.request(request_id), ["state", "followers"])
            answers: list[Any] = await pipe.execute()
        found: list[tuple[Follower, Position]] = []
        for request_id, tail, (state, registered) in zip(request_ids, answers[::2], answers[1::2], strict=True):
            end: Position = (_seq(tail[0][0]), _writer(tail[0][1])) if tail else (0, NOBODY)
            for follower in self._followers.get(request_id, ()):
                if state is None:
                    follower.lose()
                elif follower.at != end:
                    found.append((follower, follower.at))
            if state is not None and self._access.encode() not in (registered or b"").split():
                await self._protocol.attach(request_id, self._access)
        return found

    async def _next(self, follower: Follower) -> list[Logged]:
        """What may be handed on now; nothing where Redis has to come back first."""
        if follower.lost:
            raise _lost()
        batch = follower.drain()
        if batch is not None:
            return batch
        try:
            return await self._from_log(follower)
        except connection.REDIS_UNAVAILABLE:
            await asyncio.sleep(PAUSE_AFTER_ERROR.total_seconds())
            follower.fall_behind()
            return []

    async def _from_log(self, follower: Follower) -> list[Logged]:
        """What the log has beyond what was handed on; the whole of it when that is not in it any more."""
        found = await self._read_log(follower.request_id, follower.seen)
        if not follower.seen:
            return found
        if found and (found[0].seq, found[0].generation) == (follower.seen, follower.writer):
            return found[1:]
        try:
            await self._attach(follower.request_id)  # that we follow may have been lost as well
        except NotFound:
            raise _lost() from None
        return [ROLLED_BACK, *await self._read_log(follower.request_id)]

    async def _attach(self, request_id: RequestId) -> None:
        known = await self._protocol.attach(request_id, self._access)
        if known is None:
            raise NotFound("This request is not known, or its log has expired.", code="response_not_found")
        state, tail = known
        if state in TERMINAL and not tail:
            raise CallerError("The log of this request has expired.", code="log_expired")

    async def _read_log(self, request_id: RequestId, first: int = 0) -> list[Logged]:
        entries: Any = await self._commands.xrange(keys.replies(request_id), min=f"{first}-0" if first else "-")
        return [_logged(entry, fields) for entry, fields in entries]

    async def _read_once(self, shard: Shard) -> None:
        key = keys.mailbox(shard, self._access)
        last = self._last.get(shard, b"0")  # never "$": what arrives between two reads would be missed
        block = int(connection.BLOCK.total_seconds() * 1000)
        answer: Any = await self._reads.xread({key: last}, count=READ_AT_MOST, block=block)
        for entries in (answer or {}).values():
            for entry, fields in entries:
                self._last[shard] = entry
                for at in range(0, len(fields), 2):
                    self._deliver(fields[at], fields[at + 1])

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
            if logged.last or not follower.flowing:  # the first token and the end are not kept waiting
                follower.bell.set()
            else:
                self._pace.ring(follower.bell)


def _lost() -> DependencyDown:
    return DependencyDown("This request was lost when its storage failed. Ask again.", code="request_lost")


def _as_it_is(response: Any, **_kwargs: Any) -> Any:
    """Stream → list of (id, flat list of field, value), as RESP3 has it."""
    return response


def _seq(entry: bytes) -> int:
    return int(entry.split(b"-")[0])


def _writer(fields: dict[bytes, bytes]) -> Generation:
    (name,) = fields
    return Generation(name.decode().split(":")[0])


def _logged(entry: bytes, fields: dict[bytes, bytes]) -> Logged:
    ((name, payload),) = fields.items()
    generation, letter = name.decode().split(":")
    return Logged(_seq(entry), Generation(generation), decode_reply(payload), letter in TERMINAL_LETTERS)
