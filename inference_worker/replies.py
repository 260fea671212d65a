"""The way of replies into Redis: all running requests in one call, again and again.

Theory of operation. Each request has an ``Outbox``. What is added to it waits there until the shard's round begins; a
round is one ``append`` for up to 64 requests. While a round is in flight, new deltas gather and merge, so the batch
grows with the load by itself and an idle system writes each token at once. A reply gets its number when its round is
first sent and keeps it: Redis skips numbers it has, so a round whose answer was lost is simply sent again. Sent replies
stay in the outbox until the end, because a Redis that lost its last second asks for them again (``gap``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Literal

from contracts.connection import REDIS_UNAVAILABLE
from contracts.functions import Appended, Chunk, Ending, Grant, Protocol
from contracts.functions.protocol import APPEND_AT_MOST
from contracts.ids import RequestId, Shard, shard_of
from contracts.messages import Delta, Reply

RETRY = timedelta(milliseconds=50)

Interruption = Literal["cancel", "deadline", "lost", "release", "crash"]
"""Why a generation must stop: its caller, its deadline, another owner, this process leaving, or its engine gone."""


class Outbox:
    """The replies of one request, numbered from behind the log's tail at its take."""

    def __init__(self, grant: Grant, interrupt: Callable[[Interruption], None], ready: Callable[[Outbox], None]):
        self.id: RequestId = grant.id
        self.generation = grant.generation
        self.shard: Shard = shard_of(grant.id)
        self.interrupt = interrupt
        self.confirmed_at = time.monotonic()
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.idle = asyncio.Event()
        self._ready = ready
        self._base = self._acked = grant.tail
        self.idle.set()
        self._sent: list[Reply] = []
        self._waiting: list[Reply] = []
        self._ending: Ending | None = None

    def add(self, replies: Iterable[Reply], ending: Ending | None = None) -> None:
        """Queue replies for the next round; ``ending`` goes with the last."""
        if self.ended.done():
            return
        for reply in replies:
            last = self._waiting[-1] if self._waiting else None
            merged = merge(last, reply) if last is not None else None
            if merged is not None:
                self._waiting[-1] = merged
            else:
                self._waiting.append(reply)
        self._ending = ending or self._ending
        self.idle.clear()
        self._ready(self)

    @property
    def is_ending(self) -> bool:
        return self._ending is not None

    @property
    def is_idle(self) -> bool:
        """Whether Redis has everything."""
        return not self._waiting and self._acked == self._base + len(self._sent)

    @property
    def written(self) -> int:
        """The number of the last reply Redis has."""
        return self._acked

    def chunk(self) -> Chunk:
        """All that Redis does not have yet. Waiting replies get their numbers now."""
        self._sent += self._waiting
        self._waiting = []
        return Chunk(self.id, self.generation, self._acked + 1, self._sent[self._acked - self._base :], self._ending)

    def confirm(self, tail: int) -> bool:
        """Redis has everything up to ``tail``; false when that is less than what another worker had written."""
        self._acked = min(tail, self._base + len(self._sent))
        if self.is_idle:
            self.idle.set()
        self.confirmed_at = time.monotonic()
        return self._acked >= self._base


class Replies:
    """The outboxes of this worker and the rounds that empty them."""

    def __init__(self, protocol: Protocol, lease: timedelta, shards: Iterable[Shard]):
        self._protocol = protocol
        self._lease = lease
        self._open: dict[RequestId, Outbox] = {}
        self._rounds = {shard: _Round() for shard in shards}

    def open(self, grant: Grant, interrupt: Callable[[Interruption], None]) -> Outbox:
        """An outbox for a request just taken. ``interrupt`` is told why to stop, at most a few times."""
        if (former := self._open.get(grant.id)) is not None:
            self.drop(former)  # taken again after its lease ran out here: the former generation is fenced
        outbox = Outbox(grant, interrupt, self._rounds[shard_of(grant.id)].add)
        self._open[grant.id] = outbox
        return outbox

    def unconfirmed(self, shard: Shard, since: float) -> list[Outbox]:
        """Those whose lease was last renewed before ``since`` (monotonic seconds)."""
        return [outbox for outbox in self._open.values() if outbox.shard == shard and outbox.confirmed_at < since]

    async def run(self, shard: Shard) -> None:
        """Write the rounds of one shard, for ever."""
        while True:
            outboxes = await self._rounds[shard].next()
            try:
                async with asyncio.timeout(self._lease.total_seconds()):
                    answers = await self._protocol.append(shard, [box.chunk() for box in outboxes], self._lease)
            except REDIS_UNAVAILABLE:
                # Nothing is lost: the replies keep their numbers, and gather until the lease runs out.
                self._again(outboxes)
                await asyncio.sleep(RETRY.total_seconds())
                continue
            for outbox, answer in zip(outboxes, answers, strict=True):
                self._appended(outbox, answer)

    def heed(self, outbox: Outbox, answer: Appended) -> None:
        """Act on what ``append`` or ``renew`` said about a request."""
        if answer.status in ("fenced", "ended"):
            self.drop(outbox)
        elif answer.cancel:
            outbox.interrupt(answer.cancel)

    def drop(self, outbox: Outbox) -> None:
        """Let go of a request that is no longer ours: stop its engine, forget its replies."""
        self._close(outbox, ours=False)
        outbox.interrupt("lost")

    async def flush(self, outbox: Outbox, patience: timedelta) -> None:
        """Wait until Redis has what is in the outbox, or patience ends."""
        try:
            async with asyncio.timeout(patience.total_seconds()):
                await outbox.idle.wait()
        except TimeoutError:
            pass  # what is not written will be generated again

    def _appended(self, outbox: Outbox, answer: Appended) -> None:
        if outbox.ended.done():
            return
        if answer.status == "ended" and outbox.is_ending:
            self._close(outbox, ours=True)  # our own end, whose answer was lost on the way
            return
        if answer.status in ("ok", "gap") and not outbox.confirm(answer.tail):
            self.drop(outbox)  # the log rolled back into another worker's part, which we do not have
            return
        self.heed(outbox, answer)
        if outbox.is_idle and outbox.is_ending:
            self._close(outbox, ours=True)
        elif not outbox.is_idle:
            self._rounds[outbox.shard].add(outbox)

    def _again(self, outboxes: Iterable[Outbox]) -> None:
        for outbox in outboxes:
            if not outbox.ended.done():
                self._rounds[outbox.shard].add(outbox)

    def _close(self, outbox: Outbox, *, ours: bool) -> None:
        self._rounds[outbox.shard].discard(outbox)
        if self._open.get(outbox.id) is outbox:
            del self._open[outbox.id]
        if not outbox.ended.done():
            outbox.ended.set_result(ours)


class _Round:
    """Who has something to say on one shard, in the order of asking."""

    def __init__(self) -> None:
        self._ready: dict[Outbox, None] = {}
        self._wake = asyncio.Event()

    def add(self, outbox: Outbox) -> None:
        self._ready[outbox] = None
        self._wake.set()

    def discard(self, outbox: Outbox) -> None:
        self._ready.pop(outbox, None)

    async def next(self) -> list[Outbox]:
        """Up to 64 outboxes; waits for the first."""
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        # One turn of the loop: the other requests of the same engine step come along.
        await asyncio.sleep(0)
        chosen = list(self._ready)[:APPEND_AT_MOST]
        for outbox in chosen:
            del self._ready[outbox]
        return chosen or await self.next()


def merge(first: Reply, second: Reply) -> Delta | None:
    """One delta for two consecutive ones of the same sequence; ``None`` where that is not the same."""
    if not (isinstance(first, Delta) and isinstance(second, Delta)) or first.index != second.index:
        return None
    if first.vector is not None or second.vector is not None:
        return None
    return Delta(index=first.index, text=first.text + second.text, token_ids=first.token_ids + second.token_ids)
