"""One account at the gate: a tenant's, one of its users', one of its keys'. Pure.

Its name tells whose it is: ``(tenant,)``, ``(tenant, "user", user)`` or ``(tenant, "key", key)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from contracts import keys
from contracts.ids import TenantId
from contracts.messages import LimitsView
from limiter.bucket import Bucket
from limiter.limits import Caps, Limits, Whose

AccountName = tuple[str, ...]


def account_names(tenant: TenantId, user: str, key: str, limits: Limits) -> dict[Whose, AccountName]:
    """The accounts that a request is charged to: its user's and its key's only where those are limited."""
    names: dict[Whose, AccountName] = {"tenant": (tenant,)}
    if user and limits.user is not None:
        names["user"] = (tenant, "user", user)
    if key and limits.key is not None:
        names["key"] = (tenant, "key", key)
    return names


@dataclass
class Account:
    """``outstanding`` of its requests are granted and not settled; they hold ``reserved_tokens``."""

    name: AccountName
    caps: Caps
    tokens: Bucket
    requests: Bucket
    used_ms: int
    outstanding: int = 0
    reserved_tokens: int = 0

    @classmethod
    def fresh(cls, name: AccountName, caps: Caps, now_ms: int) -> Account:
        """One that the ledger does not know: full buckets."""
        tokens = Bucket.full(caps.tokens_per_minute, now_ms)
        return cls(name, caps, tokens, Bucket.full(caps.requests_per_minute, now_ms), now_ms)

    @cached_property
    def segment(self) -> str:
        """Its name in a key."""
        return keys.hashed(*self.name)

    @property
    def is_free(self) -> bool:
        """Whether another of its requests may run."""
        return self.outstanding < self.caps.concurrency

    @property
    def share_left(self) -> float:
        """Of its tokens; not below zero."""
        return max(0, self.tokens.grains) / self.caps.tokens_per_minute

    def holds(self, tokens: int) -> bool:
        return self.tokens.holds(tokens) and self.requests.holds(1)

    def refresh(self, now_ms: int) -> None:
        self.tokens, self.requests = self.tokens.at(now_ms), self.requests.at(now_ms)
        self.used_ms = now_ms

    def limit(self, caps: Caps) -> None:
        """Put other limits into force."""
        self.tokens = self.tokens.resized(caps.tokens_per_minute)
        self.requests = self.requests.resized(caps.requests_per_minute)
        self.caps = caps

    def reserve(self, tokens: int) -> None:
        self.tokens, self.requests = self.tokens.take(tokens), self.requests.take(1)
        self.hold(tokens)

    def hold(self, tokens: int) -> None:
        """Count a reservation that the buckets have paid for already."""
        self.outstanding += 1
        self.reserved_tokens += tokens

    def correct(self, reserved: int, tokens: int) -> None:
        """A reservation turns out to need more or fewer; beyond what is there the bucket goes into debt."""
        self.reserved_tokens += tokens - reserved
        self.tokens = self.tokens.give_back(reserved - tokens)

    def settle(self, reserved: int, used: int) -> None:
        """Real usage takes the place of the estimate; beyond it the bucket goes into debt."""
        self._let_go(reserved)
        self.tokens = self.tokens.give_back(reserved - used)

    def refund(self, reserved: int) -> None:
        """As if the request had never come."""
        self._let_go(reserved)
        self.tokens, self.requests = self.tokens.give_back(reserved), self.requests.give_back(1)

    def view(self) -> LimitsView:
        return LimitsView(
            limit_tokens=self.caps.tokens_per_minute,
            remaining_tokens=max(0, self.tokens.tokens),
            reset_tokens_seconds=self.tokens.seconds_until_full,
            limit_requests=self.caps.requests_per_minute,
            remaining_requests=max(0, self.requests.tokens),
            reset_requests_seconds=self.requests.seconds_until_full,
        )

    def _let_go(self, reserved: int) -> None:
        self.outstanding -= 1
        self.reserved_tokens -= reserved
