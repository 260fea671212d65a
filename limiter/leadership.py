"""One limiter is active at a time: a lock with a TTL, held under an epoch that each commit signs."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from datetime import timedelta
from typing import NoReturn

from contracts import logs
from contracts.connection import REDIS_UNAVAILABLE
from contracts.functions import Deposed, GateBook, Tenure
from limiter.clock import SteadyClock

TRY_SECONDS = 0.1
RESIGN_SECONDS = 1.0
CLOCK_TOLERANCE_MS = 1000


class Leadership:
    """Wins, keeps and hands back the gate, for the limiter ``process``."""

    def __init__(self, book: GateBook, process: str, lock: timedelta):
        self._book = book
        self._lock = lock
        self._settled_at = -math.inf
        # A name of its own for each tenure: what is still on its way from the last one is refused.
        self._names = (f"{process}-{number}" for number in itertools.count(1))

    @property
    def settled(self) -> bool:
        """Whether Redis said a moment ago that some limiter is active: this one or another."""
        return time.monotonic() - self._settled_at < 2 * self._lock.total_seconds()

    async def win(self) -> tuple[Tenure, SteadyClock]:
        """Stand by until no other limiter is active."""
        name = next(self._names)
        while True:
            try:
                tenure, redis_ms = await self._book.takeover(name, self._lock)
            except REDIS_UNAVAILABLE as error:
                logs.get().warning("limiter.blind", sentence="Redis does not answer.", exception=type(error).__name__)
            else:
                self._settled_at = time.monotonic()
                if tenure is not None:
                    return tenure, SteadyClock(redis_ms)
            await asyncio.sleep(TRY_SECONDS)

    async def keep(self, tenure: Tenure, clock: SteadyClock) -> NoReturn:
        """Renew the lock.

        Raises:
            Deposed: it was lost, or Redis's clock was set: the next tenure starts from the time that it shows now.
        """
        while True:
            await asyncio.sleep(self._lock.total_seconds() / 4)
            redis_ms = await self._book.keep(tenure, self._lock)
            self._settled_at = time.monotonic()
            if abs(redis_ms - clock.now_ms()) > CLOCK_TOLERANCE_MS:
                raise Deposed("the clock of Redis was set")

    async def resign(self, tenure: Tenure) -> None:
        """Let a standby in at once. Where Redis does not answer, the lock runs out by itself."""
        try:
            async with asyncio.timeout(RESIGN_SECONDS):
                await self._book.resign(tenure)
        except REDIS_UNAVAILABLE:
            return
