"""How requests come in: pulled, never more than there is room for, urgent ones first, and given back when need be."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Sequence
from datetime import timedelta

from redis.asyncio import Redis

from contracts import keys, logs
from contracts.connection import REDIS_UNAVAILABLE
from contracts.errors import PenstockError
from contracts.functions import Grant, Grants, Protocol
from contracts.functions.protocol import APPEND_AT_MOST
from contracts.ids import Shard, WorkerId, shard_of
from contracts.messages import CLASSES, ServiceClass
from inference_worker.backoff import backoff

IDLE_POLL = timedelta(milliseconds=400)
"""The longest wait for a bell. A lease that ran out rings none: this bounds how late a dead worker's requests move."""
LOWER_CLASS_EVERY = 8


class Intake:
    """Takes requests of one model from all shards."""

    def __init__(
        self,
        protocol: Protocol,
        bells: Redis,
        *,
        worker: WorkerId,
        model: str,
        shards: Sequence[Shard],
        lease: timedelta,
    ):
        self._protocol = protocol
        self._bells = bells
        self._worker = worker
        self._model = model
        self._shards = list(shards)
        self._lease = lease
        self._turn = 0
        self._calls: dict[Shard, str] = {}
        self._refusals = 0
        self._paused_until = 0.0
        self._suspicious: Shard | None = None
        self.took_at = time.monotonic()

    async def take(self, slots: int, running: int) -> list[Grant]:
        """Up to ``slots`` requests beside the ``running`` ones; waits for a bell when there are none, and may still
        return none. A suspect comes alone, and only to who runs nothing."""
        if (pause := self._paused_until - time.monotonic()) > 0:
            await asyncio.sleep(min(pause, IDLE_POLL.total_seconds()))
            return []
        try:
            return await self._take(min(slots, APPEND_AT_MOST), running) or await self._wait()
        except REDIS_UNAVAILABLE as error:
            logs.get().warning("redis.away", sentence="Redis does not answer; trying again.", exc_info=error)
            await asyncio.sleep(IDLE_POLL.total_seconds() / 2)
            return []

    async def release(self, grant: Grant, died: str = "") -> None:
        """Give a request back, so that another worker goes on at once. If Redis is away, its lease runs out.

        ``died``: what the engine died of, under this request.
        """
        try:
            await self._protocol.release(shard_of(grant.id), [(grant.id, grant.generation)], died)
        except REDIS_UNAVAILABLE as error:
            logs.get().warning("release.failed", sentence="Redis is away; the lease runs out.", exc_info=error)

    def pause(self, reason: PenstockError) -> None:
        """The engine had no room after all: take nothing for a while."""
        now = time.monotonic()
        if now < self._paused_until:
            return  # the requests of one refusal come back together: they are one
        self._refusals += 1
        asked = timedelta(seconds=reason.retry_after_seconds)
        wait = backoff(self._refusals, asked, random.random()).total_seconds()  # noqa: S311  (spreads, hides nothing)
        self._paused_until = now + wait
        sentence = "The engine refuses work; taking none for a while."
        logs.get().warning("intake.paused", sentence=sentence, reason=reason.code, seconds=round(wait, 3))

    def resume(self) -> None:
        """The engine answers."""
        self._refusals = 0

    @property
    def paused(self) -> bool:
        return time.monotonic() < self._paused_until

    async def _take(self, slots: int, running: int) -> list[Grant]:
        classes = classes_in_order(self._turn)
        grants: list[Grant] = []
        for shard in self._in_order():
            try:
                taken = await self._take_from(shard, slots - len(grants), classes, running + len(grants))
            except REDIS_UNAVAILABLE:
                if not grants:  # what another shard has given is ours, and is not to wait out its lease
                    raise
                continue
            grants += taken
            self._suspicious = shard if taken.become_idle else None
            if taken.become_idle or len(grants) == slots or any(grant.is_suspect for grant in taken):
                break
        self.took_at = time.monotonic()
        return grants

    def _in_order(self) -> list[Shard]:
        """The shards, from another one each time; but first the one that waits for this worker to be idle."""
        first = self._turn % len(self._shards)
        self._turn += 1
        if self._suspicious is not None:
            first = self._shards.index(self._suspicious)
        return self._shards[first:] + self._shards[:first]

    async def _take_from(self, shard: Shard, slots: int, classes: Sequence[ServiceClass], running: int) -> Grants:
        # A call whose answer was lost is made again under its id, and gets the grants it got then.
        call = self._calls.setdefault(shard, secrets.token_hex(8))
        grants = await self._protocol.take(
            shard, self._model, self._worker, call, slots=slots, lease=self._lease, classes=classes, running=running
        )
        del self._calls[shard]
        return grants

    async def _wait(self) -> list[Grant]:
        bells = [keys.bell(shard, self._model) for shard in self._shards]
        await self._bells.blpop(bells, timeout=IDLE_POLL.total_seconds())
        return []


def classes_in_order(turn: int) -> tuple[ServiceClass, ...]:
    """The classes in the order of take number ``turn`` (from 0): urgent first, but every 8th starts lower.

    The 8th starts from standard, the 16th from batch, and so on, so that no class starves.
    """
    round_number, place = divmod(turn, LOWER_CLASS_EVERY)
    if place != LOWER_CLASS_EVERY - 1:
        return CLASSES
    lower = CLASSES[1 + round_number % (len(CLASSES) - 1)]
    return (lower, *(other for other in CLASSES if other != lower))
