"""A token bucket in a list: a timer pushes tokens, callers BLPOP one, whoever waits longest gets the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.schemes import Ask, Word
from benchmarks.schemes.line import Line

LOOK_MS = 25


class TokenBucket:
    """``per_second`` requests go in the mean, ``burst`` at once; it knows neither tenants nor the fleet."""

    def __init__(self, per_second: float, burst: int):
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._filled_ms = 0
        self._line = Line()

    def ask(self, ask: Ask, now_ms: int) -> None:
        self._line.join(ask, now_ms)

    def ended(self, ask: Ask, now_ms: int) -> None:
        """Tokens come by the clock alone."""

    def decide(self, now_ms: int) -> Iterable[Word]:
        refilled = self._tokens + self._per_second * (now_ms - self._filled_ms) / 1000
        self._tokens, self._filled_ms = min(float(self._burst), refilled), now_ms
        gone = list(self._line.let_go(int(self._tokens)))
        self._tokens -= len(gone)
        return [*gone, *self._line.impatient(now_ms)]

    def again_ms(self, now_ms: int) -> int | None:
        return now_ms + LOOK_MS if len(self._line) else None
