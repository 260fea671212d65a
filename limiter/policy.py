"""What the gate asks of a policy, and the values they speak in. Pure.

A policy says who is turned away, in which class the others go, who may go now, and what a waiting caller is told. One
of your own is one small file: see ``limiter/policies``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import isfinite
from typing import Literal, Protocol

import msgspec

from contracts.messages import AdmissionQuery, ServiceClass
from limiter.limits import Limits, Whose
from limiter.payer import Payer, Shortfall
from limiter.tariff import NANOS, Cost
from limiter.waiter import Place, Waiter
from limiter.waiting_room import WaitingRoom

Reason = Literal[
    "rate_limit_exceeded", "quota_exceeded", "no_workers", "starting", "waiting_room_full", "patience_exhausted"
]

ASSUMED_TOKENS_PER_SECOND = 10.0
"""What a slot is taken to yield while nobody has measured it."""
NEVER = 0.0
"""Of a request that alone is beyond a limit: it can only be made smaller, or the limit greater."""
OWNERS: dict[Whose, str] = {"tenant": "your account", "user": "this user", "key": "this API key"}


class Supply(msgspec.Struct, frozen=True):
    """What the fleet offers for one model: slots of ready workers, their measured speed, whether one is loading."""

    slots: int = 0
    tokens_per_second: float = 0.0
    loading: bool = False


class Counter(msgspec.Struct, frozen=True):
    """One model's side of the gate, as a policy sees it. ``outstanding`` requests are granted and not settled.

    ``from_zero``: a worker is started when somebody asks. ``tokens_per_second`` is the speed at which tokens were
    settled, 0 while unknown, and ``used_share`` the part of the reserved tokens that was used.
    """

    supply: Supply
    outstanding: int
    outstanding_tokens: int
    room: WaitingRoom
    from_zero: bool
    tokens_per_second: float
    used_share: float = 1.0

    @property
    def seconds_per_token(self) -> float:
        """Until a reserved token is settled, behind those before it; never zero."""
        speed = self.tokens_per_second or self.supply.tokens_per_second
        return self.used_share / (speed or ASSUMED_TOKENS_PER_SECOND * max(1, self.supply.slots))


class Refusal(msgspec.Struct, frozen=True):
    reason: Reason
    message: str
    retry_after_seconds: float


class Policy(Protocol):
    """What the gate asks of a policy."""

    def turn_away(self, query: AdmissionQuery, cost: Cost, payer: Payer, counter: Counter) -> Refusal | None:
        """Why a request may not even wait."""
        ...

    def service_class(self, query: AdmissionQuery, cost: Cost, payer: Payer, counter: Counter) -> ServiceClass:
        """The class in which it goes, or waits."""
        ...

    def is_full(self, counter: Counter) -> bool:
        """Whether nobody may go, whoever it is: then nobody is asked about."""
        ...

    def may_go(self, waiter: Waiter, payer: Payer, counter: Counter) -> bool:
        """Whether it may be granted now."""
        ...

    def eta_seconds(self, waiter: Waiter, place: Place, payer: Payer, counter: Counter) -> float:
        """When it is expected to be, from now."""
        ...


def patience_seconds(query: AdmissionQuery, limits: Limits) -> float:
    """How long a caller waits in all: as long as it asks for, within its tenant's limit."""
    return min(query.patience_seconds, limits.wait_seconds)


def beyond_patience(query: AdmissionQuery, cost: Cost, payer: Payer) -> Refusal | None:
    """Turned away at once by a limit that outlasts the caller's patience, even if all that is reserved came back."""
    short = payer.shortfall(cost, at_best=True)
    if short is None or short.seconds <= patience_seconds(query, payer.limits) - query.waited_seconds:
        return None
    return _limit_refusal(short, cost, payer)


def out_of_patience(waiter: Waiter, payer: Payer, eta_seconds: float) -> Refusal:
    """What to tell a caller who has waited as long as it would: what stood in its way, and when to come back."""
    retry_seconds, waited = max(1.0, eta_seconds), (waiter.until_ms - waiter.since_ms) / 1000
    if short := payer.shortfall(waiter.cost):
        message = f"The limit of {_limit(short)}, left no room within {waited:.1f} s. Try again later."
        return Refusal(_limit_reason(short), message, retry_seconds)
    if not payer.is_free:
        message = f"{_crowd(payer)} stayed busy for {waited:.1f} s. Try again later."
        return Refusal("rate_limit_exceeded", message, retry_seconds)
    message = f"All workers for {waiter.query.model} stayed busy for {waited:.1f} s. Try again later."
    return Refusal("patience_exhausted", message, retry_seconds)


def _limit_refusal(short: Shortfall, cost: Cost, payer: Payer) -> Refusal:
    if not isfinite(short.seconds):
        message = f"This request may cost {_asked(short, cost)}, which is beyond the limit of {_limit(short)}."
        return Refusal(_limit_reason(short), f"{message} Shorten it, or lower max_tokens.", NEVER)
    message = f"The limit of {_limit(short)}, is used up. Try again {_when(short, payer)}."
    return Refusal(_limit_reason(short), message, short.seconds)


def _limit_reason(short: Shortfall) -> Reason:
    return "quota_exceeded" if short.quota else "rate_limit_exceeded"


def _limit(short: Shortfall) -> str:
    """Whose it is and how much: ``your account, 1,000 tokens a minute``."""
    return f"{OWNERS[short.whose]}, {short.limit:,.15g} {short.what}"


def _asked(short: Shortfall, cost: Cost) -> str:
    """What a request costs in the unit of the limit that it is beyond."""
    return f"{cost.nanos / NANOS:,.15g} USD" if short.what.startswith("USD") else f"{cost.tokens:,} tokens"


def _when(short: Shortfall, payer: Payer) -> str:
    if not short.quota:
        return f"in {short.seconds:.1f} s"
    ends = datetime.fromtimestamp(payer.now_ms / 1000 + short.seconds, UTC)
    return f"when the period ends, at {ends:%Y-%m-%d %H:%M} UTC"


def _crowd(payer: Payer) -> str:
    """The requests of the account that may not run more: ``All 8 requests that this user may run at once``."""
    whose: Whose = next(whose for whose, account in payer.accounts.items() if not account.is_free)
    return f"All {payer.accounts[whose].caps.concurrency} requests that {OWNERS[whose]} may run at once"
