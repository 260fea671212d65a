"""First come, first served: one queue, from which as many go as the fleet has slots. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.schemes import Ask, Word
from benchmarks.schemes.line import Line

LOOK_MS = 25


class FirstCome:
    def __init__(self, slots: int):
        self._free = slots
        self._line = Line()

    def ask(self, ask: Ask, now_ms: int) -> None:
        self._line.join(ask, now_ms)

    def ended(self, ask: Ask, now_ms: int) -> None:  # noqa: ARG002  (a port's)
        self._free += 1

    def decide(self, now_ms: int) -> Iterable[Word]:
        gone = list(self._line.let_go(self._free))
        self._free -= len(gone)
        return [*gone, *self._line.impatient(now_ms)]

    def again_ms(self, now_ms: int) -> int | None:
        return now_ms + LOOK_MS if len(self._line) else None
