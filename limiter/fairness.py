"""Fair shares of token service among tenants: virtual token counters (VTC, arXiv 2401.00588). Pure.

A tenant's counter is the tokens it was served, by its weight. The next is the tenant with the least. Nobody saves up
service by not taking it: who comes back from idleness starts where the next one stands, and who waits but may not go is
raised to where those stood who went in its place.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Mapping

from contracts.ids import TenantId

Standing = tuple[float, int, TenantId]
"""A tenant's counter, and when it was last served, as a count of services: of equals, the longest unserved is next."""


class Shares:
    """Of one class of requests. ``order`` holds the standings of those who wait, next first; ``services`` counts.

    Each step is O(log n) comparisons, and a move of at most n pointers, for n waiting tenants.
    """

    def __init__(self, weights: Mapping[TenantId, float]):
        self.order: list[Standing] = []
        self._weights = weights
        self._standings: dict[TenantId, Standing] = {}
        self._last: TenantId | None = None
        self.services = 0

    def enter(self, tenant: TenantId) -> None:
        """It begins to wait."""
        served, service, _ = self._standing(tenant)
        self._standings[tenant] = standing = (max(served, self._floor()), service, tenant)
        insort(self.order, standing)

    def exit(self, tenant: TenantId) -> None:
        """It waits no longer."""
        del self.order[bisect_left(self.order, self._standings[tenant])]

    def serve(self, tenant: TenantId, tokens: int) -> float:
        """Charge it; answers where it stood."""
        stood = self._standings[tenant][0]
        self._last = tenant
        self.services += 1
        self._move(tenant, self.after(stood, tenant, tokens), self.services)
        return stood

    def adjust(self, tenant: TenantId, tokens: int) -> None:
        """It was charged ``tokens`` too few (or too many, negative)."""
        if tenant in self._standings:
            served, service, _ = self._standings[tenant]
            self._move(tenant, self.after(served, tenant, tokens), service)

    def raise_first(self, count: int, stood: float) -> None:
        """The first ``count`` could not take what one who stood at ``stood`` then got."""
        for served, service, tenant in self.order[:count]:
            if served < stood:
                self._move(tenant, stood, service)

    def forget(self, tenant: TenantId) -> None:
        """Drop the counter of one who does not wait. That of the last one served says where newcomers start."""
        if tenant != self._last:
            self._standings.pop(tenant, None)

    def after(self, stood: float, tenant: TenantId, tokens: int) -> float:
        """Where one who stood at ``stood`` stands when it is charged."""
        return stood + tokens / self._weights.get(tenant, 1.0)

    def _standing(self, tenant: TenantId) -> Standing:
        return self._standings.get(tenant, (0.0, 0, tenant))

    def _floor(self) -> float:
        """Where the next one stands, or the last one where nobody waits."""
        if self.order:
            return self.order[0][0]
        return self._standings[self._last][0] if self._last is not None else 0.0

    def _move(self, tenant: TenantId, served: float, service: int) -> None:
        before, after = self._standings[tenant], (served, service, tenant)
        self._standings[tenant] = after
        index = bisect_left(self.order, before)
        if index < len(self.order) and self.order[index] == before:
            del self.order[index]
            insort(self.order, after)
