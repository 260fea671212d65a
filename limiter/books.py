"""The books of the gate as values: tenants, their accounts, and what is held for whom. Pure: time is a parameter.

They are a copy of what the ledger in Redis says, held by the active limiter. Every change, and every word to a caller,
is noted as an entry; ``entries`` hands them over for the commit in the order in which they happened.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil

import msgspec

from contracts.functions.gate import Corrected, Entry, Learned, Levels, Refunded, Reservation, Settled
from contracts.ids import RequestId, TenantId
from contracts.messages import AdmissionQuery, ServiceClass, Usage
from limiter.account import Account, AccountName, account_names
from limiter.estimates import Estimate
from limiter.limits import Caps, Limits, Whose
from limiter.payer import Payer
from limiter.spending import Spending, period
from limiter.tariff import Cost, Tariff

IDLE_MS = 60_000
LEVELS_KEPT_SECONDS = 60
"""Beyond the moment at which the buckets are full."""
ANSWERED = ("done", "incomplete")
"""Ends after which an answer's length says something about the next one's."""


@dataclass
class Tenant:
    """What is known of one tenant beside its accounts. ``estimates`` is by model."""

    limits: Limits
    spending: Spending = field(default_factory=Spending)
    estimates: dict[str, Estimate] = field(default_factory=dict[str, Estimate])


class Held(msgspec.Struct, frozen=True):
    """A reservation, and the accounts that were charged for it."""

    reservation: Reservation
    accounts: Mapping[Whose, AccountName]

    @property
    def cost(self) -> Cost:
        return Cost(self.reservation.tokens, self.reservation.nanos)


@dataclass
class Books:
    """Open what ``missing`` names, then charge. ``answer_tokens`` is what is expected before anything was learned."""

    tariff: Tariff
    answer_tokens: int
    tenants: dict[TenantId, Tenant] = field(default_factory=dict[TenantId, Tenant])
    accounts: dict[AccountName, Account] = field(default_factory=dict[AccountName, Account])
    held: dict[RequestId, Held] = field(default_factory=dict[RequestId, Held])
    outstanding: Tally[str] = field(default_factory=Tally[str])
    outstanding_tokens: Tally[str] = field(default_factory=Tally[str])
    _entries: list[Entry] = field(default_factory=list[Entry])
    _touched: set[AccountName] = field(default_factory=set[AccountName])
    _learned: set[tuple[TenantId, str]] = field(default_factory=set[tuple[TenantId, str]])
    _payers: dict[tuple[str, str, str], Payer] = field(default_factory=dict[tuple[str, str, str], Payer])
    _payers_ms: int = 0

    def unknown_accounts(self, payers: Iterable[tuple[TenantId, str, str]]) -> dict[AccountName, Caps]:
        """Accounts of known tenants that are not open yet, with their caps; ``payers`` are tenant, user, key."""
        found: dict[AccountName, Caps] = {}
        for tenant, user, key in payers:
            if (known := self.tenants.get(tenant)) is None:
                continue
            for whose, name in account_names(tenant, user, key, known.limits).items():
                if name not in self.accounts:
                    found[name] = _caps(known.limits, whose)
        return found

    def restore(self, reservations: Mapping[RequestId, Reservation]) -> None:
        """Begin where the ledger stands; the tenants and accounts in ``reservations`` are open."""
        for request_id, reservation in reservations.items():
            names = self._names(reservation.tenant, reservation.user, reservation.key)
            self._hold(request_id, Held(reservation, names))
            for name in names.values():
                self.accounts[name].hold(reservation.tokens)
            self.tenants[reservation.tenant].spending.reserved += Cost(reservation.tokens, reservation.nanos)

    def payer(self, query: AdmissionQuery, now_ms: int) -> Payer:
        """Whoever pays for a request. The same one at the same moment: it is asked about several times in a turn."""
        if now_ms != self._payers_ms:
            self._payers.clear()
            self._payers_ms = now_ms
        whose = (query.tenant, query.user, query.key)
        if (payer := self._payers.get(whose)) is None:
            payer = self._payers[whose] = self._payer(query.tenant, self._names(*whose), now_ms)
        return payer

    def cost(self, query: AdmissionQuery, service_class: ServiceClass) -> Cost:
        """What a request is expected to cost in a class."""
        return self.tariff.cost(query.model, service_class, query.prompt_tokens, self._answer_tokens(query))

    def reserve(
        self, query: AdmissionQuery, cost: Cost, service_class: ServiceClass, grant_end_ms: int, now_ms: int
    ) -> Reservation:
        """Charge a granted request. The caller commits the reservation."""
        reservation = Reservation(
            tokens=cost.tokens,
            nanos=cost.nanos,
            tenant=query.tenant,
            model=query.model,
            user=query.user,
            key=query.key,
            service_class=service_class,
            prompt_tokens=query.prompt_tokens,
            answer_tokens=self._answer_tokens(query),
            sequences=query.sequences,
            learns=not query.answer_tokens and query.sequences > 0,
            grant_end_ms=grant_end_ms,
            attempt=query.attempt,
        )
        payer = self.payer(query, now_ms)
        names: dict[Whose, AccountName] = {whose: account.name for whose, account in payer.accounts.items()}
        self._hold(query.id, Held(reservation, names))
        self._touched.update(names.values())
        payer.reserve(cost)
        return reservation

    def correct(self, request_id: RequestId, prompt_tokens: int, now_ms: int) -> None:
        """The prompt was composed, and is of another size than expected."""
        if (held := self.held.get(request_id)) is None:
            return
        before = held.reservation
        cost = self.tariff.cost(before.model, before.service_class, prompt_tokens, before.answer_tokens)
        after = msgspec.structs.replace(before, tokens=cost.tokens, nanos=cost.nanos, prompt_tokens=prompt_tokens)
        self._release(request_id)
        self._hold(request_id, Held(after, held.accounts))
        self._changing(before.tenant, held.accounts, now_ms).correct(held.cost, cost)
        self.note(Corrected(request_id, after))

    def settle(self, request_id: RequestId, usage: Usage, state: str, now_ms: int) -> tuple[Held, Cost] | None:
        """Usage takes the place of a reservation, once: the reservation, and what was really used."""
        if (held := self._release(request_id)) is None:
            return None
        reserved = held.reservation
        used = self.tariff.cost(reserved.model, reserved.service_class, usage.prompt_tokens, usage.completion_tokens)
        self._changing(reserved.tenant, held.accounts, now_ms).settle(held.cost, used)
        day, month = period("day", now_ms), period("month", now_ms)
        self.note(Settled(request_id, used.tokens, used.nanos, day, month))
        if reserved.learns and state in ANSWERED:
            self._learn(reserved, usage.completion_tokens)
        return held, used

    def refund(self, request_id: RequestId, now_ms: int) -> Held | None:
        """A grant was not used and never will be: what was held for it."""
        if (held := self.take_back(request_id, now_ms)) is not None:
            self.note(Refunded(request_id))
        return held

    def take_back(self, request_id: RequestId, now_ms: int) -> Held | None:
        """Undo a reservation that was never written: what was held."""
        if (held := self._release(request_id)) is not None:
            self._changing(held.reservation.tenant, held.accounts, now_ms).refund(held.cost)
        return held

    def limit(self, tenant: TenantId, limits: Limits, now_ms: int) -> None:
        """Put a tenant's limits into force, for its users and keys too."""
        known = self.tenants.get(tenant)
        if known is None or known.limits == limits:
            return
        known.limits = limits
        self._payers.clear()
        for name, account in self.accounts.items():
            caps = _caps_named(limits, name)
            if name[0] == tenant and caps is not None:
                account.refresh(now_ms)
                account.limit(caps)
                self._touched.add(name)

    def close_idle(self, waiting: set[TenantId], now_ms: int) -> set[TenantId]:
        """Forget accounts that hold nothing and have not been used for a while, unless their tenant waits; the tenants
        that are gone with them. The ledger remembers all."""
        idle = [
            name
            for name, account in self.accounts.items()
            if not account.outstanding and now_ms - account.used_ms > IDLE_MS and name[0] not in waiting
        ]
        for name in idle:
            del self.accounts[name]
        self._payers.clear()
        gone = self.tenants.keys() - {TenantId(name[0]) for name in self.accounts}
        for tenant in gone:
            del self.tenants[tenant]
        return gone

    def estimate_error(self, model: str) -> float:
        """The mean error of what was expected of a model's answers, over the tenants that asked of late."""
        errors = [tenant.estimates[model].error for tenant in self.tenants.values() if model in tenant.estimates]
        return sum(errors) / len(errors) if errors else 0.0

    def note(self, entry: Entry) -> None:
        """Something else that the commit is to write, behind all that was noted before."""
        self._entries.append(entry)

    def entries(self) -> list[Entry]:
        """What was noted since the last call, where the buckets stand now, and what is now expected of answers."""
        entries, self._entries = self._entries, []
        entries += [_levels(self.accounts[name]) for name in self._touched if name in self.accounts]
        entries += [self._expectation(tenant, model) for tenant, model in self._learned if tenant in self.tenants]
        self._touched.clear()
        self._learned.clear()
        return entries

    def _answer_tokens(self, query: AdmissionQuery) -> int:
        if query.answer_tokens:
            return query.answer_tokens * query.sequences
        return self._estimate(query.tenant, query.model).expected * query.sequences

    def _estimate(self, tenant: TenantId, model: str) -> Estimate:
        return self.tenants[tenant].estimates.get(model) or Estimate.before_any(self.answer_tokens)

    def _learn(self, reserved: Reservation, answer_tokens: int) -> None:
        estimate = self._estimate(reserved.tenant, reserved.model).learned(answer_tokens // reserved.sequences)
        self.tenants[reserved.tenant].estimates[reserved.model] = estimate
        self._learned.add((reserved.tenant, reserved.model))

    def _expectation(self, tenant: TenantId, model: str) -> Learned:
        return Learned(tenant, model, self._estimate(tenant, model).text)

    def _names(self, tenant: TenantId, user: str, key: str) -> dict[Whose, AccountName]:
        return account_names(tenant, user, key, self.tenants[tenant].limits)

    def _payer(self, tenant: TenantId, names: Mapping[Whose, AccountName], now_ms: int) -> Payer:
        known = self.tenants[tenant]
        accounts: dict[Whose, Account] = {
            whose: self._account(name, known.limits, whose, now_ms) for whose, name in names.items()
        }
        return Payer(known.limits, accounts, known.spending, now_ms)

    def _account(self, name: AccountName, limits: Limits, whose: Whose, now_ms: int) -> Account:
        account = self.accounts.get(name)
        if account is None:  # its limit was set while it waited, so the ledger knows nothing of it
            account = self.accounts[name] = Account.fresh(name, _caps(limits, whose), now_ms)
        account.refresh(now_ms)
        return account

    def _changing(self, tenant: TenantId, names: Mapping[Whose, AccountName], now_ms: int) -> Payer:
        self._touched.update(names.values())
        return self._payer(tenant, names, now_ms)

    def _hold(self, request_id: RequestId, held: Held) -> None:
        self.held[request_id] = held
        self.outstanding[held.reservation.model] += 1
        self.outstanding_tokens[held.reservation.model] += held.reservation.tokens

    def _release(self, request_id: RequestId) -> Held | None:
        held = self.held.pop(request_id, None)
        if held is not None:
            self.outstanding[held.reservation.model] -= 1
            self.outstanding_tokens[held.reservation.model] -= held.reservation.tokens
        return held


def _caps(limits: Limits, whose: Whose) -> Caps:
    caps = {"tenant": limits.tenant, "user": limits.user, "key": limits.key}[whose]
    return caps or limits.tenant


def _caps_named(limits: Limits, name: AccountName) -> Caps | None:
    """The caps of an open account; ``None`` where its kind is no longer limited."""
    return limits.tenant if len(name) == 1 else limits.user if name[1] == "user" else limits.key


def _levels(account: Account) -> Levels:
    full = max(account.tokens.seconds_until_full, account.requests.seconds_until_full)
    return Levels(
        account=account.segment,
        tokens=account.tokens.grains,
        requests=account.requests.grains,
        at_ms=account.tokens.at_ms,
        seconds=ceil(full) + LEVELS_KEPT_SECONDS,
    )
