"""A fixed window: INCR a tenant's counter, EXPIRE it when it is new, refuse beyond the limit. Pure.

Who is refused is told when the window ends, so all of them come back at that moment.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.schemes import Ask, Granted, Refused, Word
from contracts.ids import TenantId

WINDOW_MS = 60_000


class FixedWindow:
    """``limit`` requests of each tenant in a minute, which begins with the first of them."""

    def __init__(self, limit: int):
        self._limit = limit
        self._counters: dict[TenantId, tuple[int, int]] = {}
        self._words: list[Word] = []

    def ask(self, ask: Ask, now_ms: int) -> None:
        count, until_ms = self._counters.get(ask.tenant, (0, 0))
        if now_ms >= until_ms:
            count, until_ms = 0, now_ms + WINDOW_MS
        self._counters[ask.tenant] = (count + 1, until_ms)
        allowed = count < self._limit
        self._words.append(Granted(ask.id) if allowed else Refused(ask.id, (until_ms - now_ms) / 1000))

    def ended(self, ask: Ask, now_ms: int) -> None:
        """A counter knows nothing of ends."""

    def decide(self, now_ms: int) -> Iterable[Word]:  # noqa: ARG002  (a port's)
        words, self._words = self._words, []
        return words

    def again_ms(self, now_ms: int) -> int | None:  # noqa: ARG002  (likewise)
        return None
