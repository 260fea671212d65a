"""Adaptive coalescing: how long an answer's later tokens may wait for one another, so that several leave as one event.

The window is zero while the process has time, and grows with the share of it that is busy: an event costs much more
than a token. All answers share one timer. A reader that is slow adds to it by itself: what is heard while a write is
held up leaves together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

IDLE = 0.1
"""Up to this busy share every token leaves at once."""
FULL = 0.4
"""From this busy share on the window is as long as it gets."""
MEMORY = timedelta(seconds=0.5)
MEASURED_EVERY = timedelta(seconds=0.05)


class Pace:
    """Rings bells at once, or at the end of a window that is running. Used from one event loop.

    ``busy`` tells the share of the time, 0 to 1, in which the process had work of late.
    """

    def __init__(self, longest: timedelta, busy: Callable[[], float] | None = None):
        self._longest = longest.total_seconds()
        self._busy = busy or Busy()
        self._held: set[asyncio.Event] = set()

    def ring(self, bell: asyncio.Event) -> None:
        """Say that there are later tokens, which are in no hurry."""
        if bell.is_set() or bell in self._held:
            return
        seconds = window(self._busy(), self._longest)
        if not seconds:
            bell.set()
            return
        if not self._held:
            asyncio.get_running_loop().call_later(seconds, self._release)
        self._held.add(bell)

    def _release(self) -> None:
        held, self._held = self._held, set()
        for bell in held:
            bell.set()


def window(busy: float, longest: float) -> float:
    """Seconds that later tokens wait, for a busy share from 0 to 1."""
    return longest * min(1.0, max(0.0, (busy - IDLE) / (FULL - IDLE)))


class Busy:
    """CPU seconds of the calling thread by seconds, of late."""

    def __init__(self) -> None:
        self._share = 0.0
        self._measured = (time.monotonic(), time.thread_time())

    def __call__(self) -> float:
        now = time.monotonic()
        elapsed = now - self._measured[0]
        if elapsed >= MEASURED_EVERY.total_seconds():
            cpu = time.thread_time()
            share = (cpu - self._measured[1]) / elapsed
            self._share += (share - self._share) * min(1.0, elapsed / MEMORY.total_seconds())
            self._measured = now, cpu
        return self._share
