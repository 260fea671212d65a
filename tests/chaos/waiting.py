"""Waiting for what announces itself nowhere: a log line, a process that answers, a queue that is empty."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from math import inf


async def until(condition: Callable[[], bool], *, every: float = 0.02, seconds: float = inf) -> bool:
    """Look ``every`` so many seconds whether ``condition`` holds; whether it did within ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        if condition():
            return True
        if time.monotonic() > end:
            return False
        await asyncio.sleep(every)
