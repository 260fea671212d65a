"""Keeps the leases of requests that have nothing to say, and takes its turn at sweeping."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from contracts.connection import REDIS_UNAVAILABLE
from contracts.functions import Protocol
from contracts.functions.protocol import APPEND_AT_MOST
from contracts.ids import Shard
from inference_worker.replies import Outbox, Replies

SWEEP_EVERY = timedelta(seconds=1)


class Leases:
    """The timers of one worker."""

    def __init__(self, protocol: Protocol, replies: Replies, lease: timedelta):
        self._protocol = protocol
        self._replies = replies
        self._lease = lease
        self._tick = min(lease / 4, timedelta(seconds=0.5)).total_seconds()

    async def renew(self, shard: Shard) -> None:
        """Renew what was not renewed by an append, for ever. A lease that could not be renewed in time is lost."""
        while True:
            await asyncio.sleep(self._tick)
            now = time.monotonic()
            for outbox in self._replies.unconfirmed(shard, now - self._lease.total_seconds()):
                self._replies.drop(outbox)
            await self._renew(shard, self._replies.unconfirmed(shard, now - self._tick))

    async def sweep(self, shard: Shard) -> None:
        """End and mend what nobody else would, for ever. One of all workers and the limiter sweeps in each second."""
        while True:
            await asyncio.sleep(SWEEP_EVERY.total_seconds())
            try:
                await self._protocol.sweep(shard, every=SWEEP_EVERY)
            except REDIS_UNAVAILABLE:
                continue  # the next round is a second away

    async def _renew(self, shard: Shard, outboxes: list[Outbox]) -> None:
        for first in range(0, len(outboxes), APPEND_AT_MOST):
            some = outboxes[first : first + APPEND_AT_MOST]
            try:
                async with asyncio.timeout(self._lease.total_seconds()):
                    answers = await self._protocol.renew(shard, [(box.id, box.generation) for box in some], self._lease)
            except REDIS_UNAVAILABLE:
                return
            for outbox, answer in zip(some, answers, strict=True):
                if outbox.ended.done() or outbox.is_ending:
                    continue  # its last append tells
                if answer.status == "ok":
                    outbox.confirmed_at = time.monotonic()
                self._replies.heed(outbox, answer)
