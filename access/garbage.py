"""Garbage collection in short steps: what is alive is not looked through while answers stream.

A full collection looks at every object there is. With 10,000 streams open that took 1.0 to 1.4 seconds, a few times a
minute, in which nothing was sent. So what survives a second is frozen: it is freed as ever when nobody refers to it any
more, and no collection looks at it. What is left are cycles that were frozen alive; they are found in a full collection
when nothing is open, or at last after ``LONGEST_SECONDS``.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from typing import NoReturn

STEP_SECONDS = 1.0
QUIET_SECONDS = 60.0
"""Between two full collections while nothing is open."""
LONGEST_SECONDS = 1800.0
"""Between two whatever is open."""


async def collect_in_steps(
    open_requests: Callable[[], int], step_seconds: float = STEP_SECONDS, quiet_seconds: float = QUIET_SECONDS
) -> NoReturn:
    """Runs for ever."""
    full_at = time.monotonic()
    while True:
        await asyncio.sleep(step_seconds)
        longest = LONGEST_SECONDS if open_requests() else quiet_seconds
        if time.monotonic() - full_at >= longest:
            gc.unfreeze()
            gc.collect()
            full_at = time.monotonic()
        else:
            gc.collect(1)
        gc.freeze()
