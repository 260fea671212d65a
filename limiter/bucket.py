"""A token bucket in exact arithmetic. Pure: time is a parameter, in whole milliseconds.

The level is counted in grains, 60,000 to a token, so that a limit per minute refills a whole number of grains in each
millisecond: no rounding, and callers who race for the last tokens get exactly what is there.
"""

from __future__ import annotations

import msgspec

GRAINS = 60_000


class Bucket(msgspec.Struct, frozen=True):
    """Refills at ``per_minute`` up to one minute's worth. In debt (below zero) when more was used than was reserved."""

    per_minute: int
    grains: int
    at_ms: int

    @classmethod
    def full(cls, per_minute: int, now_ms: int) -> Bucket:
        return cls(per_minute, per_minute * GRAINS, now_ms)

    @property
    def tokens(self) -> int:
        """Whole tokens in it; negative in debt."""
        return self.grains // GRAINS

    def at(self, now_ms: int) -> Bucket:
        """The bucket at ``now_ms``. A clock that went back refills nothing."""
        if now_ms == self.at_ms:
            return self
        elapsed = max(0, now_ms - self.at_ms)
        return Bucket(self.per_minute, min(self._brim, self.grains + elapsed * self.per_minute), now_ms)

    def holds(self, tokens: int) -> bool:
        return self.grains >= tokens * GRAINS

    def take(self, tokens: int) -> Bucket:
        return Bucket(self.per_minute, self.grains - tokens * GRAINS, self.at_ms)

    def give_back(self, tokens: int) -> Bucket:
        return Bucket(self.per_minute, min(self._brim, self.grains + tokens * GRAINS), self.at_ms)

    def resized(self, per_minute: int) -> Bucket:
        """The bucket under another limit: what was used stays used."""
        return Bucket(per_minute, self.grains + (per_minute - self.per_minute) * GRAINS, self.at_ms)

    def seconds_until(self, tokens: int) -> float:
        """Until it holds ``tokens`` if nobody takes any; infinite for more than it can ever hold."""
        return self.seconds_to_refill(tokens) if tokens <= self.per_minute else float("inf")

    def seconds_to_refill(self, tokens: int) -> float:
        """Until ``tokens`` have been in it, of which the first are taken before the last come."""
        missing = max(0, tokens * GRAINS - self.grains)
        return -(-missing // self.per_minute) / 1000

    @property
    def seconds_until_full(self) -> float:
        return self.seconds_until(self.per_minute)

    @property
    def _brim(self) -> int:
        return self.per_minute * GRAINS
