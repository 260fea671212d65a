"""The time of one tenure: Redis time at its start, carried on by this machine's steady clock.

It cannot jump, so buckets and patience never do; and it is near enough to Redis time to say until when a grant holds.
Where Redis's clock is set, the two come apart, and the tenure ends (see ``limiter/leadership.py``).
"""

from __future__ import annotations

import time


class SteadyClock:
    def __init__(self, redis_ms: int):
        self._redis_ms = redis_ms
        self._started = time.monotonic()

    def now_ms(self) -> int:
        return self._redis_ms + int((time.monotonic() - self._started) * 1000)
