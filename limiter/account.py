"""One tenant at the gate: its limits, its buckets, what it holds. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.ids import TenantId
from contracts.messages import LimitsView
from limiter.bucket import Bucket


@dataclass(frozen=True)
class Limits:
    """What one tenant may do. ``wait_seconds`` bounds its callers' patience."""

    tokens_per_minute: int
    requests_per_minute: int
    concurrency: int
    wait_seconds: float


@dataclass
class Account:
    """``outstanding`` requests of the tenant are granted and not settled; they hold ``reserved_tokens``."""

    tenant: TenantId
    limits: Limits
    tokens: Bucket
    requests: Bucket
    used_ms: int
    outstanding: int = 0
    reserved_tokens: int = 0

    @classmethod
    def fresh(cls, tenant: TenantId, limits: Limits, now_ms: int) -> Account:
        """A tenant that the ledger does not know: full buckets."""
        tokens = Bucket.full(limits.tokens_per_minute, now_ms)
        return cls(tenant, limits, tokens, Bucket.full(limits.requests_per_minute, now_ms), now_ms)

    def refresh(self, now_ms: int) -> None:
        self.tokens, self.requests = self.tokens.at(now_ms), self.requests.at(now_ms)

    def limit(self, limits: Limits) -> None:
        """Put other limits into force."""
        self.tokens = self.tokens.resized(limits.tokens_per_minute)
        self.requests = self.requests.resized(limits.requests_per_minute)
        self.limits = limits

    def reserve(self, tokens: int) -> None:
        self.tokens, self.requests = self.tokens.take(tokens), self.requests.take(1)
        self.hold(tokens)

    def hold(self, tokens: int) -> None:
        """Count a reservation that the buckets have paid for already."""
        self.outstanding += 1
        self.reserved_tokens += tokens

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
            limit_tokens=self.limits.tokens_per_minute,
            remaining_tokens=max(0, self.tokens.tokens),
            reset_tokens_seconds=self.tokens.seconds_until_full,
            limit_requests=self.limits.requests_per_minute,
            remaining_requests=max(0, self.requests.tokens),
            reset_requests_seconds=self.requests.seconds_until_full,
        )

    def _let_go(self, reserved: int) -> None:
        self.outstanding -= 1
        self.reserved_tokens -= reserved
