"""The gate as values: who asks, who waits, who holds what. Pure: time is a parameter, effects are returned as entries.

It is a copy of what the ledger in Redis says, held by the active limiter. Where the two might differ, the tenure ends
and the next one loads the ledger again.
"""

from __future__ import annotations

import heapq
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from contracts.functions.gate import Answered, Entry, Granted, Levels, Refunded, Repeated, Settled
from contracts.ids import AccessId, RequestId, TenantId
from contracts.messages import AdmissionQuery, ModelStatus, Verdict
from limiter.account import Account, Limits
from limiter.policy import Counter, Policy, Refusal, Supply, out_of_patience, patience_seconds
from limiter.waiting_room import Place, Waiter, WaitingRoom

UPDATE_MS = 500
ACCOUNT_IDLE_MS = 60_000


@dataclass(frozen=True)
class Reservation:
    """Tokens held for a granted request. ``grant_end_ms`` is Redis time: until then it may be submitted."""

    tokens: int
    tenant: TenantId
    model: str
    grant_end_ms: int


@dataclass
class Gate:
    """Tell it what was heard (``ask``, ``settle``, ``withdraw``, ``refund``), then let it ``decide``."""

    policy: Policy
    grant_holds: timedelta
    accounts: dict[TenantId, Account] = field(default_factory=dict)
    reservations: dict[RequestId, Reservation] = field(default_factory=dict)
    supplies: Mapping[str, Supply] = field(default_factory=dict)
    decisions: Tally[str] = field(default_factory=Tally)
    _rooms: dict[str, WaitingRoom] = field(default_factory=dict)
    _outstanding: Tally[str] = field(default_factory=Tally)
    _outstanding_tokens: Tally[str] = field(default_factory=Tally)
    _patience: list[tuple[int, RequestId, str]] = field(default_factory=list)
    _entries: list[Entry] = field(default_factory=list)
    _touched: set[TenantId] = field(default_factory=set)
    _updated_ms: int = 0

    def open(self, accounts: Iterable[Account]) -> None:
        """Take in accounts as the ledger has them."""
        self.accounts.update((account.tenant, account) for account in accounts)

    def restore(self, reservations: Mapping[RequestId, Reservation]) -> None:
        """Begin where the ledger stands; the accounts of the tenants in ``reservations`` are open."""
        for request_id, held in reservations.items():
            self._hold(request_id, held)
            self.accounts[held.tenant].hold(held.tokens)

    def ask(self, query: AdmissionQuery, now_ms: int) -> None:
        """A request wants to go; its tenant's account is open. Asked again, it is told again what was decided."""
        if query.id in self.reservations:
            self._entries.append(Repeated(query.access, query.id))
            return
        room = self._room(query.model)
        if (waiter := room.waiters.get(query.id)) is not None:
            waiter.access, waiter.told = query.access, None
            return
        account = self._account(query.tenant, now_ms)
        if refusal := self.policy.turn_away(query, account, self._counter(query.model)):
            self._refuse(query.id, query.access, refusal, account)
            return
        until_ms = now_ms + int(patience_seconds(query, account) * 1000)
        room.join(Waiter(query, since_ms=now_ms, until_ms=until_ms, access=query.access))
        heapq.heappush(self._patience, (until_ms, query.id, query.model))

    def settle(self, request_id: RequestId, used_tokens: int, now_ms: int) -> None:
        """A request has ended: its usage takes the place of its reservation, once. One that still waits leaves."""
        held = self._release(request_id)
        if held is None:
            self._leave(request_id)
            return
        self._changing(held.tenant, now_ms).settle(held.tokens, used_tokens)
        self._entries.append(Settled(request_id, used_tokens))

    def withdraw(self, request_id: RequestId, now_ms: int) -> None:
        """The caller has gone and will not submit."""
        self._leave(request_id)
        self.refund(request_id, now_ms)

    def refund(self, request_id: RequestId, now_ms: int) -> None:
        """A grant was not used and never will be."""
        if (held := self._release(request_id)) is not None:
            self._changing(held.tenant, now_ms).refund(held.tokens)
            self._entries.append(Refunded(request_id))

    def decide(self, now_ms: int) -> list[Entry]:
        """Let go who may, refuse who is out of patience, tell the others where they stand; what to commit."""
        for room in self._rooms.values():
            for waiter in room.drain(lambda waiter: self._may_go(waiter, now_ms)):
                self._grant(waiter, now_ms)
        self._end_patience(now_ms)
        self._tell_places(now_ms)
        self._note_levels()
        entries, self._entries = self._entries, []
        return entries

    def take_back(self, known: Iterable[RequestId], now_ms: int) -> None:
        """The book held a final verdict on these already, so nothing was written for them."""
        for request_id in known:
            self._leave(request_id)
            if (held := self._release(request_id)) is not None:
                self._changing(held.tenant, now_ms).refund(held.tokens)

    def limit(self, tenant: TenantId, limits: Limits, now_ms: int) -> None:
        """Put a tenant's limits into force."""
        if (account := self.accounts.get(tenant)) is not None and account.limits != limits:
            self._changing(tenant, now_ms).limit(limits)

    def close_idle_accounts(self, now_ms: int) -> None:
        """Forget tenants that hold nothing and have not come for a while; the ledger remembers them."""
        for tenant, account in list(self.accounts.items()):
            waits = any(room.waiting_of(tenant) for room in self._rooms.values())
            if not account.outstanding and not waits and now_ms - account.used_ms > ACCOUNT_IDLE_MS:
                del self.accounts[tenant]
                for room in self._rooms.values():
                    room.forget(tenant)

    def status(self) -> dict[str, ModelStatus]:
        """Each model's load: what to scale on."""
        models = {*self._rooms, *self.supplies, *(model for model, count in self._outstanding.items() if count)}
        return {model: self._status(model) for model in sorted(models)}

    @property
    def anyone_waits(self) -> bool:
        return any(len(room) for room in self._rooms.values())

    def _may_go(self, waiter: Waiter, now_ms: int) -> bool:
        query = waiter.query
        return self.policy.may_go(waiter, self._account(query.tenant, now_ms), self._counter(query.model))

    def _grant(self, waiter: Waiter, now_ms: int) -> None:
        query, account = waiter.query, self._changing(waiter.query.tenant, now_ms)
        grant_end_ms = now_ms + int(self.grant_holds.total_seconds() * 1000)
        account.reserve(query.tokens)
        self._hold(query.id, Reservation(query.tokens, query.tenant, query.model, grant_end_ms))
        self.decisions["granted"] += 1
        verdict = Verdict(id=query.id, decision="granted", grant_until=grant_end_ms / 1000, limits=account.view())
        self._entries.append(Granted(waiter.access, verdict, query.tenant, query.model, query.tokens, grant_end_ms))

    def _refuse(self, request_id: RequestId, access: AccessId, refusal: Refusal, account: Account) -> None:
        self.decisions[refusal.reason] += 1
        verdict = Verdict(
            id=request_id,
            decision="refused",
            reason=refusal.reason,
            message=refusal.message,
            retry_after_seconds=refusal.retry_after_seconds,
            limits=account.view(),
        )
        self._entries.append(Answered(access, verdict))

    def _end_patience(self, now_ms: int) -> None:
        places: dict[str, Mapping[RequestId, Place]] = {}  # once for all who go: to count them anew is quadratic
        while self._patience and self._patience[0][0] <= now_ms:
            _, request_id, model = heapq.heappop(self._patience)
            room = self._rooms[model]
            waiter = room.waiters.get(request_id)
            if waiter is None or waiter.until_ms > now_ms:
                continue
            if model not in places:
                places[model] = room.places()
            place = places[model][request_id]
            account = self._account(waiter.query.tenant, now_ms)
            eta = self.policy.eta_seconds(waiter, place, account, self._counter(model))
            room.leave(request_id)
            self._refuse(request_id, waiter.access, out_of_patience(waiter, account, eta), account)

    def _tell_places(self, now_ms: int) -> None:
        """Who has just come or asked again is told at once; the others twice a second, if they moved."""
        due = now_ms - self._updated_ms >= UPDATE_MS
        for room in self._rooms.values():
            if not due and all(waiter.told for waiter in room.waiters.values()):
                continue
            for request_id, place in room.places().items():
                waiter = room.waiters[request_id]
                if waiter.told is None or (due and waiter.told != place):
                    self._tell(waiter, place, now_ms)
        if due:
            self._updated_ms = now_ms

    def _tell(self, waiter: Waiter, place: Place, now_ms: int) -> None:
        query, account = waiter.query, self._account(waiter.query.tenant, now_ms)
        waiter.told, waiter.updates = place, waiter.updates + 1
        verdict = Verdict(
            id=query.id,
            decision="queued",
            number=waiter.updates,
            position=place.position,
            tokens_ahead=place.tokens_ahead,
            eta_seconds=round(self.policy.eta_seconds(waiter, place, account, self._counter(query.model)), 1),
            limits=account.view(),
        )
        self._entries.append(Answered(waiter.access, verdict))

    def _note_levels(self) -> None:
        for tenant in self._touched:
            account = self.accounts[tenant]
            self._entries.append(Levels(tenant, account.tokens.grains, account.requests.grains, account.tokens.at_ms))
        self._touched.clear()

    def _account(self, tenant: TenantId, now_ms: int) -> Account:
        account = self.accounts[tenant]
        account.refresh(now_ms)
        account.used_ms = now_ms
        return account

    def _changing(self, tenant: TenantId, now_ms: int) -> Account:
        self._touched.add(tenant)
        return self._account(tenant, now_ms)

    def _hold(self, request_id: RequestId, held: Reservation) -> None:
        self.reservations[request_id] = held
        self._outstanding[held.model] += 1
        self._outstanding_tokens[held.model] += held.tokens

    def _release(self, request_id: RequestId) -> Reservation | None:
        held = self.reservations.pop(request_id, None)
        if held is not None:
            self._outstanding[held.model] -= 1
            self._outstanding_tokens[held.model] -= held.tokens
        return held

    def _leave(self, request_id: RequestId) -> None:
        for room in self._rooms.values():
            room.leave(request_id)

    def _room(self, model: str) -> WaitingRoom:
        return self._rooms.setdefault(model, WaitingRoom())

    def _counter(self, model: str) -> Counter:
        return Counter(
            supply=self.supplies.get(model, Supply()),
            outstanding=self._outstanding[model],
            outstanding_tokens=self._outstanding_tokens[model],
            room=self._room(model),
        )

    def _status(self, model: str) -> ModelStatus:
        counter = self._counter(model)
        return ModelStatus(
            waiting=len(counter.room),
            waiting_tokens=counter.room.tokens,
            outstanding=counter.outstanding,
            slots=counter.supply.slots,
        )
