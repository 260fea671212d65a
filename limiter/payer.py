"""Who pays for one request: the accounts of its tenant, its user and its key, and the tenant's quotas. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter

import msgspec

from contracts.messages import LimitsView
from limiter.account import Account, AccountName
from limiter.limits import Limits, Whose
from limiter.spending import KINDS, PeriodKind, Spending, seconds_left
from limiter.tariff import NANOS, NOTHING, Cost


class Shortfall(msgspec.Struct, frozen=True):
    """A limit that stands in a request's way. ``seconds`` until it no longer does; infinite where the request alone is
    beyond it. ``limit`` is in the unit of ``what``: ``tokens a minute``, ``USD a month``, … A ``quota`` is a period's.
    """

    whose: Whose
    what: str
    limit: float
    seconds: float
    quota: bool = False


class Payer(msgspec.Struct, frozen=True):
    """``accounts`` are those that the request is charged to, all of them refreshed at ``now_ms``."""

    limits: Limits
    accounts: Mapping[Whose, Account]
    spending: Spending
    now_ms: int

    @property
    def is_free(self) -> bool:
        """Whether another request may run."""
        return all(account.is_free for account in self.accounts.values())

    @property
    def purse(self) -> tuple[AccountName, ...]:
        """The accounts that hold it back beside its tenant's: its user's and its key's, where those are limited."""
        return tuple(account.name for whose, account in self.accounts.items() if whose != "tenant")

    def holds(self, cost: Cost) -> bool:
        """Whether every bucket and every quota can pay now."""
        return all(account.holds(cost.tokens) for account in self.accounts.values()) and not any(self._over(cost))

    def shortfall(self, cost: Cost, *, at_best: bool = False) -> Shortfall | None:
        """The limit that lasts longest of those in the way; ``at_best``: if all that is reserved came back unused."""
        found = [*self._short(cost, at_best=at_best), *self._over(cost, at_best=at_best)]
        return max(found, key=lambda one: one.seconds, default=None)

    def seconds_until(self, cost: Cost, tokens_ahead: int = 0) -> float:
        """Until the buckets hold it, behind ``tokens_ahead`` of the same payer's, which leave as the bucket fills."""
        return max(_seconds_until(account, cost.tokens + tokens_ahead) for account in self.accounts.values())

    def reserve(self, cost: Cost) -> None:
        for account in self.accounts.values():
            account.reserve(cost.tokens)
        self.spending.reserved += cost

    def correct(self, reserved: Cost, cost: Cost) -> None:
        for account in self.accounts.values():
            account.correct(reserved.tokens, cost.tokens)
        self.spending.reserved += cost - reserved

    def settle(self, reserved: Cost, used: Cost) -> None:
        for account in self.accounts.values():
            account.settle(reserved.tokens, used.tokens)
        self.spending.settle(reserved, used, self.now_ms)

    def refund(self, reserved: Cost) -> None:
        for account in self.accounts.values():
            account.refund(reserved.tokens)
        self.spending.reserved -= reserved

    def view(self) -> LimitsView:
        """The account with the smallest share of its tokens left."""
        return min(self.accounts.values(), key=_SHARE_LEFT).view()

    def _short(self, cost: Cost, *, at_best: bool) -> Iterator[Shortfall]:
        for whose, account in self.accounts.items():
            tokens = account.tokens.give_back(account.reserved_tokens) if at_best else account.tokens
            if seconds := tokens.seconds_until(cost.tokens):
                yield Shortfall(whose, "tokens a minute", account.caps.tokens_per_minute, seconds)
            if seconds := account.requests.seconds_until(1):
                yield Shortfall(whose, "requests a minute", account.caps.requests_per_minute, seconds)

    def _over(self, cost: Cost, *, at_best: bool = False) -> Iterator[Shortfall]:
        back = self.spending.reserved if at_best else NOTHING
        for kind in KINDS:
            quota = getattr(self.limits, kind)
            if quota.is_endless:
                continue
            left = self.spending.left(kind, quota, self.now_ms)
            if left.tokens is not None and cost.tokens > left.tokens + back.tokens:
                yield self._spent(kind, "tokens", quota.tokens, beyond=cost.tokens > quota.tokens)
            if left.nanos is not None and cost.nanos > left.nanos + back.nanos:
                yield self._spent(kind, "USD", quota.nanos / NANOS, beyond=cost.nanos > quota.nanos)

    def _spent(self, kind: PeriodKind, what: str, limit: float, *, beyond: bool) -> Shortfall:
        seconds = float("inf") if beyond else seconds_left(kind, self.now_ms)
        return Shortfall("tenant", f"{what} a {kind}", limit, seconds, quota=True)


_SHARE_LEFT = attrgetter("share_left")


def _seconds_until(account: Account, tokens: int) -> float:
    return max(account.tokens.seconds_to_refill(tokens), account.requests.seconds_until(1))
