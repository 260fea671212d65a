"""The order in which waiting requests go. Pure.

Classes share the service by their weights, urgent ones first: the next class is the one whose counter would be the
least after its next request (self-clocked fair queueing, Golestani 1994), so that a class with a small share waits
longer but never for ever. Within a class the next is the tenant with the least weighted service
(``limiter/fairness.py``), and of its requests the one that has waited longest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heapreplace, merge
from itertools import count
from operator import attrgetter, itemgetter

from contracts.ids import TenantId
from limiter.eta import Foresights
from limiter.fairness import Shares
from limiter.waiter import Line, Waiter


class Lines:
    """Those who wait in one class, a line for each tenant. ``served`` is the class's counter: tokens by its weight.

    Who is let go is charged what it is expected to use: ``usage`` of its tenant has learned what part of a reservation
    that is. A tenant whose answers are far shorter than reserved would pay for many of them else while each one runs.
    """

    def __init__(self, weight: int, shares: Shares, usage: Foresights[TenantId]):
        self.weight = weight
        self.shares = shares
        self.served = 0.0
        self._usage = usage
        self._lines: dict[TenantId, Line] = {}

    def __bool__(self) -> bool:
        """Whether anybody waits in it."""
        return bool(self._lines)

    def next_line(self, passed: int = 0) -> tuple[TenantId, Line] | None:
        """Of the tenant who is next behind ``passed`` others."""
        if passed >= len(self.shares.order):
            return None
        tenant = self.shares.order[passed][2]
        return tenant, self._lines[tenant]

    def first(self) -> Waiter | None:
        """The first in the next line."""
        found = self.next_line()
        return found[1].first() if found is not None else None

    def tag(self, first: Waiter | None) -> float:
        """Where the class would stand after ``first``; infinite where there is none."""
        return float("inf") if first is None else self.served + self.charge(first) / self.weight

    def charge(self, waiter: Waiter) -> int:
        """The tokens it is expected to use."""
        return max(1, round(waiter.cost.tokens * self._usage.factor(waiter.query.tenant)))

    def join(self, waiter: Waiter) -> None:
        tenant = waiter.query.tenant
        if tenant not in self._lines:
            self._lines[tenant] = Line()
            self.shares.enter(tenant)
        self._lines[tenant].join(waiter)

    def leave(self, waiter: Waiter) -> None:
        tenant = waiter.query.tenant
        self._lines[tenant].leave(waiter)
        if not self._lines[tenant]:
            del self._lines[tenant]
            self.shares.exit(tenant)

    def serve(self, waiter: Waiter, charge: int) -> float:
        """Let one go; answers where its tenant stood."""
        self.served += charge / self.weight
        stood = self.shares.serve(waiter.query.tenant, charge)
        self.leave(waiter)
        return stood

    def adjust(self, tenant: TenantId, tokens: int) -> None:
        self.served += tokens / self.weight
        self.shares.adjust(tenant, tokens)

    def forecast(self) -> Iterator[tuple[float, Waiter]]:
        """Everybody in the order in which they go if all may, each with the class's tag. It changes nothing."""
        served, shares, order = self.served, self.shares, self.shares.order.copy()  # sorted, so it is a heap
        waiters = {tenant: line.in_order() for tenant, line in self._lines.items()}
        for service in count(shares.services + 1):
            if not order:
                return
            stood, _, tenant = order[0]
            charge = self.charge(first := waiters[tenant].popleft())
            served += charge / self.weight
            yield served, first
            if waiters[tenant]:
                heapreplace(order, (shares.after(stood, tenant, charge), service, tenant))
            else:
                heappop(order)


def in_order(classes: Iterable[Lines], may_go: Callable[[Waiter], bool]) -> Iterator[tuple[Waiter, Lines, int]]:
    """Take whoever may go out of ``classes``, of which the earlier is the more urgent, each with what it was charged.

    Whoever may not go is passed over, and with it those behind it who share its purse: they are asked once, charged
    nothing, and in nobody's way.
    """
    walks = [_Walk(lines) for lines in classes if lines]
    try:
        while walks and (first := (walk := min(walks, key=_TAG)).first) is not None:
            if may_go(first):
                _raise_the_barred(walks, walk.lines.served)
                yield first, walk.lines, walk.serve(first)
                for each in walks:  # meanwhile others may have joined or left
                    each.look()
            else:
                walk.pass_over(first)
    finally:
        for walk in walks:
            walk.end()


def order_if_all_go(classes: Iterable[Lines]) -> Iterator[Waiter]:
    """The order in which ``in_order`` would take everybody. It changes nothing, and is several times faster."""
    return (waiter for _, waiter in merge(*(lines.forecast() for lines in classes), key=itemgetter(0)))


class _Walk:
    """One drain's way along the lines of a class. ``first`` is the next to be asked, ``tag`` says when."""

    def __init__(self, lines: Lines):
        self.lines = lines
        self._passed = 0
        self._skipped: defaultdict[TenantId, int] = defaultdict(int)
        self._stood: float | None = None
        self.first: Waiter | None = None
        self.look()

    def look(self) -> None:
        """Find the next; a line in which nobody is left to be asked is passed."""
        self.first = None
        while self.first is None and (found := self.lines.next_line(self._passed)) is not None:
            tenant, line = found
            self.first = line.first(self._skipped[tenant])
            self._passed += self.first is None
        self.tag = self.lines.tag(self.first)

    def pass_over(self, first: Waiter) -> None:
        self._skipped[first.query.tenant] += 1
        self.look()

    def serve(self, first: Waiter) -> int:
        charge = self.lines.charge(first)
        self._stood = self.lines.serve(first, charge)
        return charge

    def end(self) -> None:
        """Who was passed over has no claim to what others then got."""
        if self._stood is not None:
            self.lines.shares.raise_first(self._passed, self._stood)


_TAG = attrgetter("tag")


def _raise_the_barred(walks: Iterable[_Walk], stood: float) -> None:
    """A class of which nobody may go has no claim to what another, which stood at ``stood``, now gets."""
    for walk in walks:
        if walk.first is None:
            walk.lines.served = max(walk.lines.served, stood)
