"""One who waits, where it stands, and the line that it stands in. Pure."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass
from operator import attrgetter
from typing import NamedTuple

from contracts.ids import AccessId, RequestId
from contracts.messages import AdmissionQuery, ServiceClass
from limiter.account import AccountName
from limiter.tariff import Cost

Purse = tuple[AccountName, ...]
"""The accounts that may hold a request back beside its tenant's: its user's and its key's, where those are limited."""


class Place(NamedTuple):
    """Where a request stands: ``position`` 1 is next; ``own_tokens_ahead`` of the tokens ahead are its own tenant's."""

    position: int
    tokens_ahead: int
    own_tokens_ahead: int


@dataclass(eq=False)
class Waiter:
    """One request that waits. ``access`` is who asked last. ``updates`` counts what its caller was told: ``told`` last,
    and first that it would go ``first_eta`` seconds after ``since_ms``.

    The room's own: ``ticket`` counts who joined, and ``found`` is the tokens ahead, and the tokens let go in all, when
    it was first placed.
    """

    query: AdmissionQuery
    cost: Cost
    service_class: ServiceClass
    since_ms: int
    until_ms: int
    access: AccessId
    purse: Purse = ()
    updates: int = 0
    told: Place | None = None
    first_eta: float | None = None
    ticket: int = 0
    found: tuple[int, int] | None = None

    @property
    def id(self) -> RequestId:
        return self.query.id


class Line:
    """One tenant's in one class: who has waited longest is first.

    Those of one purse stand behind one another, and in nobody else's way: a user at its limit does not hold up the next
    user. Each step is O(log n) comparisons and O(n) moves of pointers.
    """

    def __init__(self) -> None:
        self._queues: dict[Purse, deque[Waiter]] = {}
        self._firsts: list[tuple[int, int, Purse]] = []

    def __bool__(self) -> bool:
        return bool(self._queues)

    def first(self, skipped: int = 0) -> Waiter | None:
        """The first of those who are first of their purses, or of those behind ``skipped`` of them."""
        return self._queues[self._firsts[skipped][2]][0] if skipped < len(self._firsts) else None

    def join(self, waiter: Waiter) -> None:
        queue = self._queues.setdefault(waiter.purse, deque())
        before = queue[0] if queue else None
        insort(queue, waiter, key=_BY_TURN)
        if queue[0] is waiter:
            if before is not None:
                self._no_longer_first(before)
            insort(self._firsts, _first(waiter))

    def leave(self, waiter: Waiter) -> None:
        queue = self._queues[waiter.purse]
        if queue[0] is waiter:
            self._no_longer_first(waiter)
            queue.popleft()
            if queue:
                insort(self._firsts, _first(queue[0]))
            else:
                del self._queues[waiter.purse]
        else:
            queue.remove(waiter)

    def in_order(self) -> deque[Waiter]:
        """All of them, in a list of its own."""
        if len(self._queues) == 1:
            return next(iter(self._queues.values())).copy()
        return deque(sorted((one for queue in self._queues.values() for one in queue), key=_BY_TURN))

    def _no_longer_first(self, waiter: Waiter) -> None:
        del self._firsts[bisect_left(self._firsts, _first(waiter))]


_BY_TURN = attrgetter("since_ms", "ticket")


def _first(waiter: Waiter) -> tuple[int, int, Purse]:
    return waiter.since_ms, waiter.ticket, waiter.purse
