"""Who waits for one model, and who is next. Pure.

Classes go in their order; within a class the next is the first in line of the tenant with the least token service so
far (virtual token counter, arXiv 2401.00588). A tenant that comes back from idleness starts where the others are, so
that nobody saves up service by staying away.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from contracts.ids import AccessId, RequestId, TenantId
from contracts.messages import CLASSES, AdmissionQuery, ServiceClass

Line = tuple[ServiceClass, TenantId]


@dataclass(eq=False)
class Waiter:
    """One request that waits. ``access`` is who asked last; ``updates`` counts what its caller was told."""

    query: AdmissionQuery
    since_ms: int
    until_ms: int
    access: AccessId
    updates: int = 0
    told: Place | None = None

    @property
    def id(self) -> RequestId:
        return self.query.id


@dataclass(frozen=True)
class Place:
    """Where a request stands: ``position`` 1 is next; ``own_tokens_ahead`` of the tokens ahead are its own tenant's."""

    position: int
    tokens_ahead: int
    own_tokens_ahead: int


@dataclass(eq=False)
class WaitingRoom:
    """The lines for one model. ``served`` is each tenant's virtual counter, in tokens."""

    waiters: dict[RequestId, Waiter] = field(default_factory=dict)
    served: dict[TenantId, int] = field(default_factory=dict)
    tokens: int = 0
    _lines: dict[Line, deque[Waiter]] = field(default_factory=dict)
    _waiting: dict[TenantId, int] = field(default_factory=dict)
    _last_served: int = 0

    def __len__(self) -> int:
        return len(self.waiters)

    def waiting_of(self, tenant: TenantId) -> int:
        return self._waiting.get(tenant, 0)

    def join(self, waiter: Waiter) -> None:
        """Stand at the end of the tenant's line."""
        tenant = waiter.query.tenant
        if not self.waiting_of(tenant):
            self._lift(tenant)
        self.waiters[waiter.id] = waiter
        self.tokens += waiter.query.tokens
        self._waiting[tenant] = self.waiting_of(tenant) + 1
        self._lines.setdefault((waiter.query.service_class, tenant), deque()).append(waiter)

    def drain(self, may_go: Callable[[Waiter], bool]) -> Iterator[Waiter]:
        """Let go, one by one and in order, whoever may; a line whose first may not go is passed over."""
        for service_class in CLASSES:
            heap = [(self.served[tenant], tenant) for its_class, tenant in self._lines if its_class == service_class]
            heapq.heapify(heap)
            while heap:
                _, tenant = heapq.heappop(heap)
                first = self._lines[service_class, tenant][0]
                if not may_go(first):
                    continue
                self._serve(first)
                if (service_class, tenant) in self._lines:
                    heapq.heappush(heap, (self.served[tenant], tenant))
                yield first

    def leave(self, request_id: RequestId) -> Waiter | None:
        """Take one out: served, withdrawn, or out of patience."""
        waiter = self.waiters.pop(request_id, None)
        if waiter is None:
            return None
        query = waiter.query
        self.tokens -= query.tokens
        self._waiting[query.tenant] -= 1
        if not self._waiting[query.tenant]:
            del self._waiting[query.tenant]
        line = self._lines[query.service_class, query.tenant]
        line.remove(waiter)
        if not line:
            del self._lines[query.service_class, query.tenant]
        return waiter

    def forget(self, tenant: TenantId) -> None:
        """Drop the counter of a tenant that no longer waits; it would be lifted on its return anyway."""
        if not self.waiting_of(tenant):
            self.served.pop(tenant, None)

    def places(self) -> dict[RequestId, Place]:
        """Where everybody stands, if all are let go in order and nobody else comes."""
        places: dict[RequestId, Place] = {}
        served, ahead = dict(self.served), 0
        own: dict[TenantId, int] = {}
        for service_class in CLASSES:
            for waiter in self._in_order(service_class, served):
                tenant, tokens = waiter.query.tenant, waiter.query.tokens
                places[waiter.id] = Place(len(places) + 1, ahead, own.get(tenant, 0))
                own[tenant] = own.get(tenant, 0) + tokens
                ahead += tokens
        return places

    def _in_order(self, service_class: ServiceClass, served: dict[TenantId, int]) -> Iterator[Waiter]:
        lines = {tenant: iter(line) for (its_class, tenant), line in self._lines.items() if its_class == service_class}
        heap = [(served[tenant], tenant) for tenant in lines]
        heapq.heapify(heap)
        while heap:
            _, tenant = heapq.heappop(heap)
            waiter = next(lines[tenant], None)
            if waiter is None:
                continue
            yield waiter
            served[tenant] += waiter.query.tokens
            heapq.heappush(heap, (served[tenant], tenant))

    def _serve(self, waiter: Waiter) -> None:
        self.leave(waiter.id)
        tenant = waiter.query.tenant
        self._last_served = self.served[tenant]
        self.served[tenant] += waiter.query.tokens

    def _lift(self, tenant: TenantId) -> None:
        floor = min((self.served[other] for other in self._waiting), default=self._last_served)
        self.served[tenant] = max(self.served.get(tenant, 0), floor)
