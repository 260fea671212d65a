"""How long to wait before trying again. Pure."""

from __future__ import annotations

from datetime import timedelta

BASE = timedelta(milliseconds=500)
CAP = timedelta(seconds=30)


def backoff(attempt: int, retry_after: timedelta, chance: float) -> timedelta:
    """The pause before attempt ``attempt`` + 1: full jitter, and never shorter than the other side asked for.

    Args:
        attempt: failures in a row, from 1.
        retry_after: what the other side asked for; zero when it did not.
        chance: uniform in 0 to 1. Jitter keeps a hundred workers from coming back at once.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    ceiling = min(CAP, BASE * 2 ** min(attempt, 10))
    return retry_after + ceiling * chance
