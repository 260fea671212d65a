"""Who waits for one model, who is next, and where everybody stands. Pure.

A drain asks O(lines) questions when nobody may go, a line being that of one tenant in one class, or of one of its users
or keys where those are limited; it takes O(log lines) for each who goes. Telling all places takes O(waiters).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from contracts.ids import RequestId, TenantId
from contracts.messages import CLASSES, ServiceClass
from limiter.eta import Foresights
from limiter.fairness import Shares
from limiter.lines import Lines, in_order, order_if_all_go
from limiter.waiter import Place, Waiter

CLASS_WEIGHTS: dict[ServiceClass, int] = {"interactive": 16, "standard": 4, "batch": 1}


class WaitingRoom:
    """The lines for one model. ``tokens`` is what all ``waiters`` are expected to cost."""

    def __init__(self) -> None:
        self.waiters: dict[RequestId, Waiter] = {}
        self.tokens = 0
        self._weights: dict[TenantId, float] = {}
        self._usage = Foresights[TenantId]()
        self._classes = {name: Lines(CLASS_WEIGHTS[name], Shares(self._weights), self._usage) for name in CLASSES}
        self._last: Lines | None = None
        self._tickets = 0
        self._charges: dict[RequestId, tuple[Waiter, int]] = {}
        self._waiting: dict[TenantId, int] = {}
        self._odometer = _Odometer()

    def __len__(self) -> int:
        return len(self.waiters)

    def waiting_of(self, tenant: TenantId) -> int:
        return self._waiting.get(tenant, 0)

    def weigh(self, tenant: TenantId, weight: float) -> None:
        """Set a tenant's share, above zero; 1 unless set. What it was served before keeps its weight."""
        self._weights[tenant] = weight

    def join(self, waiter: Waiter) -> None:
        """Stand in the tenant's line, by the time since when it waits."""
        self._tickets += 1
        waiter.ticket = self._tickets
        lines, tenant = self._classes[waiter.service_class], waiter.query.tenant
        if lines.first() is None:
            lines.served = max(lines.served, self._floor())
        lines.join(waiter)
        self.waiters[waiter.id] = waiter
        self.tokens += waiter.cost.tokens
        self._waiting[tenant] = self.waiting_of(tenant) + 1

    def leave(self, request_id: RequestId) -> Waiter | None:
        """Take one out who withdrew or is out of patience."""
        if (waiter := self.waiters.get(request_id)) is not None:
            self._classes[waiter.service_class].leave(waiter)
            self._dismiss(waiter)
        return waiter

    def drain(self, may_go: Callable[[Waiter], bool]) -> Iterator[Waiter]:
        """Let go, one by one and in order, whoever may; who may not is passed over, and those behind it in its line who
        share its purse. It may be broken off."""
        for waiter, lines, charge in in_order(self._classes.values(), may_go):
            self._last = lines
            self._charges[waiter.id] = (waiter, charge)
            self._dismiss(waiter)
            self._odometer.let_go(waiter)
            yield waiter

    def adjust(self, request_id: RequestId, used_tokens: int) -> None:
        """One that was let go has ended, or will never begin (0): what it really used takes the place of its charge.

        Tell it of everybody who was let go: until then the room remembers them.
        """
        if (found := self._charges.pop(request_id, None)) is None:
            return
        waiter, charge = found
        self._classes[waiter.service_class].adjust(waiter.query.tenant, used_tokens - charge)
        if used_tokens:
            self._usage.learn(waiter.query.tenant, waiter.cost.tokens, used_tokens)

    def places(self) -> dict[RequestId, Place]:
        """Where everybody stands, if all are let go in order and nobody else comes."""
        places: dict[RequestId, Place] = {}
        ahead, own = 0, dict.fromkeys(self._waiting, 0)
        for position, waiter in enumerate(order_if_all_go(self._classes.values()), 1):
            tenant, tokens = waiter.query.tenant, waiter.cost.tokens
            self._odometer.found(waiter, ahead)
            places[waiter.id] = Place(position, ahead, own[tenant])
            own[tenant] += tokens
            ahead += tokens
        return places

    def foresight(self, waiter: Waiter) -> float:
        """How many times the tokens that stood ahead went before others of its line of late: some come later and go
        first, some give up."""
        return self._odometer.foresight(waiter)

    def forget(self, tenant: TenantId) -> None:
        """Drop what is known of a tenant that no longer waits; its counter would be raised on its return anyway."""
        if self.waiting_of(tenant):
            return
        self._weights.pop(tenant, None)
        self._usage.forget(tenant)
        self._odometer.forget(tenant)
        for lines in self._classes.values():
            lines.shares.forget(tenant)

    def _floor(self) -> float:
        """Where the class of the next one stands, or that of the last one where nobody waits."""
        following = min(self._classes.values(), key=lambda lines: lines.tag(lines.first()))
        if following.first() is not None:
            return following.served
        return self._last.served if self._last is not None else 0.0

    def _dismiss(self, waiter: Waiter) -> None:
        tenant = waiter.query.tenant
        del self.waiters[waiter.id]
        self.tokens -= waiter.cost.tokens
        self._waiting[tenant] -= 1
        if not self._waiting[tenant]:
            del self._waiting[tenant]


class _Odometer:
    """Counts the tokens let go, and so learns what goes before those of a line, beside what they find before them."""

    def __init__(self) -> None:
        self._tokens = 0
        self._classes = {name: Foresights[TenantId]() for name in CLASSES}

    def found(self, waiter: Waiter, ahead: int) -> None:
        """Note what stands before it when it is first placed."""
        if waiter.found is None:
            waiter.found = (ahead, self._tokens)

    def let_go(self, waiter: Waiter) -> None:
        if waiter.found is not None:
            ahead, since = waiter.found
            self._classes[waiter.service_class].learn(waiter.query.tenant, ahead, self._tokens - since)
        self._tokens += waiter.cost.tokens

    def foresight(self, waiter: Waiter) -> float:
        return self._classes[waiter.service_class].factor(waiter.query.tenant)

    def forget(self, tenant: TenantId) -> None:
        for lines in self._classes.values():
            lines.forget(tenant)
