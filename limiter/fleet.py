"""Who serves which model: read from the workers' heartbeats. The dead are taken off the roll."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import cast

from redis.asyncio import Redis

from contracts import keys, logs
from contracts.errors import DecodeError
from contracts.messages import Heartbeat
from limiter.policy import Supply

LOOK_AT_MOST_SECONDS = 1.0
"""What passes between two looks counts no longer than this: while Redis was away, nobody could announce himself."""
CLOCK_SKEW_SECONDS = 60.0
"""A heartbeat dated further back is a leftover, however the clocks of two machines may differ."""


class Fleet:
    """A worker is stale when its heartbeat has not changed for ``stale_seconds`` in which we kept looking."""

    def __init__(self, redis: Redis, stale_seconds: float, clock: Callable[[], float] = time.monotonic):
        self._redis = redis
        self._stale_seconds = stale_seconds
        self._clock = clock
        self._seen: dict[bytes, tuple[bytes, float]] = {}
        self._looked = 0.0
        self._last_look = clock()

    async def look(self) -> dict[str, Supply]:
        """What each model's workers offer now; stale workers are removed from the hash."""
        beats = cast(dict[bytes, bytes], await self._redis.hgetall(keys.fleet()))
        now = self._look_time()
        self._seen = {worker: self._last_change(worker, beat, now) for worker, beat in beats.items()}
        stale = [worker for worker, (beat, at) in self._seen.items() if self._is_stale(beat, at, now)]
        if stale:
            await self._redis.hdel(keys.fleet(), *stale)
            logs.get().warning(
                "limiter.workers_lost", sentence="Workers stopped announcing themselves.", count=len(stale)
            )
        return supplies(_decode(beat) for worker, beat in beats.items() if worker not in stale)

    def _look_time(self) -> float:
        """Seconds in which we kept looking."""
        before, self._last_look = self._last_look, self._clock()
        self._looked += min(self._last_look - before, LOOK_AT_MOST_SECONDS)
        return self._looked

    def _last_change(self, worker: bytes, beat: bytes, now: float) -> tuple[bytes, float]:
        before = self._seen.get(worker)
        return before if before is not None and before[0] == beat else (beat, now)

    def _is_stale(self, beat: bytes, changed_at: float, now: float) -> bool:
        heartbeat = _decode(beat)
        leftover = heartbeat is None or time.time() - heartbeat.at > CLOCK_SKEW_SECONDS
        return leftover or now - changed_at > self._stale_seconds


def supplies(heartbeats: Iterable[Heartbeat | None]) -> dict[str, Supply]:
    """Sum the heartbeats by model. Workers that drain or are unhealthy offer nothing."""
    found: dict[str, Supply] = {}
    for beat in heartbeats:
        if beat is None:
            continue
        before, ready = found.get(beat.model.name, Supply()), beat.state == "ready"
        found[beat.model.name] = Supply(
            slots=before.slots + (beat.slots if ready else 0),
            tokens_per_second=before.tokens_per_second + (beat.tokens_per_second if ready else 0.0),
            loading=before.loading or beat.state == "loading",
        )
    return found


def _decode(beat: bytes) -> Heartbeat | None:
    try:
        return Heartbeat.decode(beat)
    except DecodeError:
        return None
