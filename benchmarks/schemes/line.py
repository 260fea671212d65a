"""Callers in a line, each with its patience: what the schemes that let wait have in common. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.schemes import Ask, Granted, Refused, Word
from contracts.ids import RequestId


class Line:
    """First come, first gone; who is out of patience leaves and is not told when to come back."""

    def __init__(self) -> None:
        self._waiting: dict[RequestId, tuple[Ask, int]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, ask: Ask, now_ms: int) -> None:
        self._waiting[ask.id] = (ask, now_ms + ask.patience_ms)

    def impatient(self, now_ms: int) -> Iterator[Word]:
        for request_id in [one for one, (_, until_ms) in self._waiting.items() if until_ms <= now_ms]:
            del self._waiting[request_id]
            yield Refused(request_id, 0.0)

    def let_go(self, count: int) -> Iterator[Word]:
        for request_id in list(self._waiting)[:count]:
            del self._waiting[request_id]
            yield Granted(request_id)
