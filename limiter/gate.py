"""The gate: who asks, who waits, who goes. Pure: time is a parameter, effects are returned as entries.

Its books are a copy of what the ledger in Redis says. Where the two might differ, the tenure ends and the next one
loads the ledger again.
"""

from __future__ import annotations

import heapq
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from contracts.functions.gate import Answered, Entry, Granted, Repeated
from contracts.ids import AccessId, RequestId, TenantId
from contracts.messages import AdmissionQuery, Correction, ModelStatus, Usage, Verdict, Withdrawal
from limiter.books import Books
from limiter.eta import Accuracy, Pace
from limiter.limits import Limits
from limiter.payer import Payer
from limiter.policy import Counter, Policy, Refusal, Supply, out_of_patience, patience_seconds
from limiter.waiting_room import Place, Waiter, WaitingRoom

UPDATE_MS = 500
WAITERS_PER_MS = 20
"""So many are placed in about a tenth of a millisecond."""


_NOTHING = Supply()


@dataclass
class Window:
    """One model's side of the gate: who waits for it, how fast it goes, how well waits were foretold."""

    room: WaitingRoom = field(default_factory=WaitingRoom)
    pace: Pace = field(default_factory=Pace)
    accuracy: Accuracy = field(default_factory=Accuracy)
    told_ms: int = 0

    def has_news(self, now_ms: int) -> bool:
        """Whether somebody is to be told where it stands. To find out takes the longer the more there are, so in a full
        room those who come wait for one another."""
        waiters = self.room.waiters
        rested = now_ms - self.told_ms >= len(waiters) // WAITERS_PER_MS
        return rested and any(waiter.told is None for waiter in waiters.values())


@dataclass
class Gate:
    """Tell it what was heard (``ask``, ``correct``, ``settle``, ``withdraw``, …), then let it ``decide``."""

    policy: Policy
    books: Books
    grant_holds: timedelta
    supplies: Mapping[str, Supply] = field(default_factory=dict[str, Supply])
    decisions: Tally[str] = field(default_factory=Tally[str])
    _windows: dict[str, Window] = field(default_factory=dict[str, Window])
    _arrived: list[Waiter] = field(default_factory=list[Waiter])
    _patience: list[tuple[int, RequestId, str]] = field(default_factory=list[tuple[int, RequestId, str]])
    _updated_ms: int = 0

    def ask(self, query: AdmissionQuery, now_ms: int) -> None:
        """A request wants to go; its accounts are open. Asked again, it is told again what was decided. A later attempt
        ends the earlier one, whose withdrawal may have been lost; what comes late of an earlier one is nothing."""
        latest = self._latest_attempt(query)
        if latest is not None and query.attempt < latest:
            return
        if latest is not None and query.attempt > latest:
            self.withdraw(Withdrawal(query.id, latest), now_ms)
        if query.id in self.books.held:
            self.books.note(Repeated(query.access, query.id))
            return
        room = self._window(query.model).room
        if (waiter := room.waiters.get(query.id)) is not None:
            waiter.access, waiter.told = query.access, None
            return
        payer, counter = self.books.payer(query, now_ms), self._counter(query.model, now_ms)
        cost = self.books.cost(query, query.service_class)
        if refusal := self.policy.turn_away(query, cost, payer, counter):
            self._refuse(query, query.access, refusal, payer)
            return
        service_class = self.policy.service_class(query, cost, payer, counter)
        if service_class != query.service_class:
            cost = self.books.cost(query, service_class)
        since_ms = now_ms - int(query.waited_seconds * 1000)
        until_ms = since_ms + int(patience_seconds(query, payer.limits) * 1000)
        waiter = Waiter(query, cost, service_class, since_ms, until_ms, query.access, payer.purse)
        room.weigh(query.tenant, payer.limits.weight)
        room.join(waiter)
        self._arrived.append(waiter)

    def correct(self, correction: Correction, now_ms: int) -> None:
        """A granted request's prompt was composed."""
        self.books.correct(correction.id, correction.prompt_tokens, now_ms)

    def settle(self, request_id: RequestId, usage: Usage, state: str, now_ms: int) -> None:
        """A request has ended: its usage takes the place of its reservation, once. One that still waits leaves."""
        settled = self.books.settle(request_id, usage, state, now_ms)
        if settled is None:
            self._leave(request_id)
            return
        held, used = settled
        window = self._window(held.reservation.model)
        window.room.adjust(request_id, used.tokens)
        window.pace.settled(held.reservation.tokens, used.tokens, now_ms)

    def withdraw(self, withdrawal: Withdrawal, now_ms: int) -> None:
        """The caller has gone and will not submit, unless it has asked anew since."""
        request_id, attempt = withdrawal.id, withdrawal.attempt
        for window in self._windows.values():
            waiter = window.room.waiters.get(request_id)
            if waiter is not None and waiter.query.attempt <= attempt:
                window.room.leave(request_id)
        held = self.books.held.get(request_id)
        if held is not None and held.reservation.attempt <= attempt:
            self._refund(request_id, now_ms)

    def refund_unused(self, request_id: RequestId, grant_end_ms: int, now_ms: int) -> None:
        """Nobody has submitted under the grant that ended at ``grant_end_ms``, and nobody can any more."""
        held = self.books.held.get(request_id)
        if held is not None and held.reservation.grant_end_ms == grant_end_ms:
            self._refund(request_id, now_ms)

    def _refund(self, request_id: RequestId, now_ms: int) -> None:
        if (held := self.books.refund(request_id, now_ms)) is not None:
            self._window(held.reservation.model).room.adjust(request_id, 0)

    def decide(self, now_ms: int) -> list[Entry]:
        """Let go who may, refuse who is out of patience, tell the others where they stand; what to commit."""
        for model, window in self._windows.items():
            self._let_go(model, window, now_ms)
        self._watch_patience()
        self._end_patience(now_ms)
        self._tell_places(now_ms)
        return self.books.entries()

    def take_back(self, known: Iterable[RequestId], now_ms: int) -> None:
        """The book held a final verdict on these already, so nothing was written for them."""
        for request_id in known:
            self._leave(request_id)
            if (held := self.books.take_back(request_id, now_ms)) is not None:
                self._window(held.reservation.model).room.adjust(request_id, 0)

    def limit(self, tenant: TenantId, limits: Limits, now_ms: int) -> None:
        """Put a tenant's limits into force."""
        self.books.limit(tenant, limits, now_ms)
        for window in self._windows.values():
            if window.room.waiting_of(tenant):
                window.room.weigh(tenant, limits.weight)

    def close_idle(self, now_ms: int) -> None:
        """Forget tenants that hold nothing and have not come for a while; the ledger remembers them."""
        waiting = {waiter.query.tenant for window in self._windows.values() for waiter in window.room.waiters.values()}
        for tenant in self.books.close_idle(waiting, now_ms):
            for window in self._windows.values():
                window.room.forget(tenant)

    def status(self, now_ms: int) -> dict[str, ModelStatus]:
        """Each model's load: what to scale on."""
        busy = (model for model, count in self.books.outstanding.items() if count)
        return {model: self._status(model, now_ms) for model in sorted({*self._windows, *self.supplies, *busy})}

    @property
    def anyone_waits(self) -> bool:
        return any(len(window.room) for window in self._windows.values())

    def _let_go(self, model: str, window: Window, now_ms: int) -> None:
        counter = self._counter(model, now_ms)

        def may_go(waiter: Waiter) -> bool:
            return self.policy.may_go(waiter, self.books.payer(waiter.query, now_ms), counter)

        if window.room.waiters and not self.policy.is_full(counter):
            for waiter in window.room.drain(may_go):
                self._grant(waiter, window, now_ms)
                counter = self._counter(model, now_ms)
                if self.policy.is_full(counter):
                    break
        if not self.policy.is_full(counter):
            window.pace.rest()

    def _grant(self, waiter: Waiter, window: Window, now_ms: int) -> None:
        query = waiter.query
        grant_end_ms = now_ms + int(self.grant_holds.total_seconds() * 1000)
        held = self.books.reserve(query, waiter.cost, waiter.service_class, grant_end_ms, now_ms)
        if waiter.first_eta is not None:
            window.accuracy.note(waiter.first_eta, (now_ms - waiter.since_ms) / 1000)
        self.decisions["granted"] += 1
        verdict = Verdict(
            id=query.id,
            decision="granted",
            attempt=query.attempt,
            grant_until=grant_end_ms / 1000,
            tokens=held.tokens,
            service_class=waiter.service_class,
            limits=self.books.payer(query, now_ms).view(),
        )
        self.books.note(Granted(waiter.access, verdict, held))

    def _refuse(self, query: AdmissionQuery, access: AccessId, refusal: Refusal, payer: Payer) -> None:
        self.decisions[refusal.reason] += 1
        verdict = Verdict(
            id=query.id,
            decision="refused",
            attempt=query.attempt,
            reason=refusal.reason,
            message=refusal.message,
            retry_after_seconds=refusal.retry_after_seconds,
            limits=payer.view(),
        )
        self.books.note(Answered(access, verdict))

    def _watch_patience(self) -> None:
        """Of those who have come and did not go at once."""
        for waiter in self._arrived:
            if self._window(waiter.query.model).room.waiters.get(waiter.id) is waiter:
                heapq.heappush(self._patience, (waiter.until_ms, waiter.id, waiter.query.model))
        self._arrived.clear()

    def _end_patience(self, now_ms: int) -> None:
        places: dict[str, Mapping[RequestId, Place]] = {}  # once for all who go: to count them anew is quadratic
        while self._patience and self._patience[0][0] <= now_ms:
            _, request_id, model = heapq.heappop(self._patience)
            room = self._window(model).room
            if (waiter := room.waiters.get(request_id)) is None:
                continue
            if model not in places:
                places[model] = room.places()
            payer, place = self.books.payer(waiter.query, now_ms), places[model][request_id]
            eta = self.policy.eta_seconds(waiter, place, payer, self._counter(model, now_ms))
            room.leave(request_id)
            self._refuse(waiter.query, waiter.access, out_of_patience(waiter, payer, eta), payer)

    def _tell_places(self, now_ms: int) -> None:
        """Who has just come or asked again is told soon; the others twice a second, if they moved."""
        due = now_ms - self._updated_ms >= UPDATE_MS
        for window in self._windows.values():
            if due or window.has_news(now_ms):
                self._tell_window(window, due, now_ms)
        if due:
            self._updated_ms = now_ms

    def _tell_window(self, window: Window, due: bool, now_ms: int) -> None:
        window.told_ms = now_ms
        for request_id, place in window.room.places().items():
            waiter = window.room.waiters[request_id]
            if waiter.told is None or (due and waiter.told != place):
                self._tell(waiter, place, now_ms)

    def _tell(self, waiter: Waiter, place: Place, now_ms: int) -> None:
        query, payer = waiter.query, self.books.payer(waiter.query, now_ms)
        eta = self.policy.eta_seconds(waiter, place, payer, self._counter(query.model, now_ms))
        waiter.told, waiter.updates = place, waiter.updates + 1
        if waiter.first_eta is None:
            waiter.first_eta = (now_ms - waiter.since_ms) / 1000 + eta
        verdict = Verdict(
            id=query.id,
            decision="queued",
            attempt=query.attempt,
            number=waiter.updates,
            position=place.position,
            tokens_ahead=place.tokens_ahead,
            eta_seconds=round(eta, 1),
            limits=payer.view(),
        )
        self.books.note(Answered(waiter.access, verdict))

    def _latest_attempt(self, query: AdmissionQuery) -> int | None:
        """The attempt under which this request is held or waits; ``None`` where it does neither."""
        if (held := self.books.held.get(query.id)) is not None:
            return held.reservation.attempt
        waiter = self._window(query.model).room.waiters.get(query.id)
        return None if waiter is None else waiter.query.attempt

    def _leave(self, request_id: RequestId) -> None:
        for window in self._windows.values():
            window.room.leave(request_id)

    def _window(self, model: str) -> Window:
        window = self._windows.get(model)
        if window is None:
            window = self._windows[model] = Window()
        return window

    def _counter(self, model: str, now_ms: int) -> Counter:
        window = self._window(model)
        return Counter(
            supply=self.supplies.get(model, _NOTHING),
            outstanding=self.books.outstanding[model],
            outstanding_tokens=self.books.outstanding_tokens[model],
            room=window.room,
            from_zero=self.books.tariff.of(model).from_zero,
            tokens_per_second=window.pace.per_second(now_ms),
            used_share=window.pace.used_share,
        )

    def _status(self, model: str, now_ms: int) -> ModelStatus:
        counter = self._counter(model, now_ms)
        return ModelStatus(
            waiting=len(counter.room),
            waiting_tokens=counter.room.tokens,
            outstanding=counter.outstanding,
            slots=counter.supply.slots,
            tokens_per_second=round(counter.tokens_per_second, 1),
            eta_error=round(self._window(model).accuracy.error, 3),
            estimate_error=round(self.books.estimate_error(model), 3),
        )
