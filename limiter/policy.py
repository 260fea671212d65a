"""The policy: who is turned away, who may go now, what a waiting caller is told. Pure.

Another policy is another class with these three methods; it sees values and returns values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from contracts.messages import AdmissionQuery
from limiter.account import Account
from limiter.waiting_room import Place, Waiter, WaitingRoom

Reason = Literal["rate_limit_exceeded", "no_workers", "starting", "waiting_room_full", "patience_exhausted"]

STARTING_RETRY_SECONDS = 5.0
NO_WORKERS_RETRY_SECONDS = 30.0
ASSUMED_TOKENS_PER_SECOND = 10.0
"""What a slot is taken to yield while no worker has measured its speed."""


@dataclass(frozen=True)
class Supply:
    """What the fleet offers for one model: slots of ready workers, their measured speed, whether one is loading."""

    slots: int = 0
    tokens_per_second: float = 0.0
    loading: bool = False

    @property
    def speed(self) -> float:
        """Tokens a second; never zero."""
        return self.tokens_per_second or ASSUMED_TOKENS_PER_SECOND * max(1, self.slots)


@dataclass(frozen=True)
class Counter:
    """One model's side of the gate, as a policy sees it. ``outstanding`` requests are granted and not settled."""

    supply: Supply
    outstanding: int
    outstanding_tokens: int
    room: WaitingRoom


@dataclass(frozen=True)
class Refusal:
    reason: Reason
    message: str
    retry_after_seconds: float


class Policy(Protocol):
    """What the gate asks of a policy."""

    def turn_away(self, query: AdmissionQuery, account: Account, counter: Counter) -> Refusal | None:
        """Why a request may not even wait."""
        ...

    def may_go(self, waiter: Waiter, account: Account, counter: Counter) -> bool:
        """Whether it may be granted now."""
        ...

    def eta_seconds(self, waiter: Waiter, place: Place, account: Account, counter: Counter) -> float:
        """When it is expected to be."""
        ...


@dataclass(frozen=True)
class ShortStreams:
    """The default: patient within limits, with request streams no longer than a few grants for each slot."""

    grants_per_slot: int
    room: int
    room_per_tenant: int

    def turn_away(self, query: AdmissionQuery, account: Account, counter: Counter) -> Refusal | None:
        return self._no_one_serves(query, counter) or self._over_budget(query, account) or self._no_room(query, counter)

    def may_go(self, waiter: Waiter, account: Account, counter: Counter) -> bool:
        fits = account.tokens.holds(waiter.query.tokens) and account.requests.holds(1)
        return (
            counter.outstanding < self.grants_per_slot * counter.supply.slots
            and account.outstanding < account.limits.concurrency
            and fits
        )

    def eta_seconds(self, waiter: Waiter, place: Place, account: Account, counter: Counter) -> float:
        """The slower of two queues: the fleet's, at its speed, and the tenant's own bucket, at its rate.

        Where the streams are full, a grant must be settled first: one of them by the time of an average request.
        """
        full = counter.outstanding >= self.grants_per_slot * counter.supply.slots
        settling = counter.outstanding_tokens / counter.outstanding if full and counter.outstanding else 0.0
        fleet = (place.tokens_ahead + settling) / counter.supply.speed
        needed = min(place.own_tokens_ahead + waiter.query.tokens, account.limits.tokens_per_minute)
        return max(fleet, account.tokens.seconds_until(needed), account.requests.seconds_until(1))

    def _no_one_serves(self, query: AdmissionQuery, counter: Counter) -> Refusal | None:
        if counter.supply.slots:
            return None
        if counter.supply.loading:
            message = f"The model {query.model} is being loaded. Try again in a few seconds."
            return Refusal("starting", message, STARTING_RETRY_SECONDS)
        message = f"No worker serves the model {query.model} at the moment. Start one, or try again later."
        return Refusal("no_workers", message, NO_WORKERS_RETRY_SECONDS)

    def _over_budget(self, query: AdmissionQuery, account: Account) -> Refusal | None:
        """Turned away at once if patience cannot help, even if all that is reserved came back unused."""
        limits, patience = account.limits, patience_seconds(query, account)
        if query.tokens > limits.tokens_per_minute:
            message = (
                f"This request may cost {query.tokens} tokens, and your limit is {limits.tokens_per_minute} a minute. "
                "Shorten it, or lower max_tokens."
            )
            return Refusal("rate_limit_exceeded", message, 60.0)
        tokens = account.tokens.give_back(account.reserved_tokens).seconds_until(query.tokens)
        wait = max(tokens, account.requests.seconds_until(1))
        if wait <= patience:
            return None
        what = "tokens" if tokens == wait else "requests"
        message = f"Your limit of {what} a minute is used up. Try again in {wait:.1f} s."
        return Refusal("rate_limit_exceeded", message, wait)

    def _no_room(self, query: AdmissionQuery, counter: Counter) -> Refusal | None:
        room = counter.room
        if len(room) < self.room and room.waiting_of(query.tenant) < self.room_per_tenant:
            return None
        message = f"Too many requests wait for {query.model}. Try again later."
        return Refusal("waiting_room_full", message, room.tokens / counter.supply.speed)


def patience_seconds(query: AdmissionQuery, account: Account) -> float:
    """How long a caller waits: as long as it asks for, within its tenant's limit."""
    return min(query.patience_seconds, account.limits.wait_seconds)


def out_of_patience(waiter: Waiter, account: Account, eta_seconds: float) -> Refusal:
    """What to tell a caller who has waited as long as it would: whose limit it was, and when to come back."""
    own = not account.tokens.holds(waiter.query.tokens) or account.outstanding >= account.limits.concurrency
    waited = (waiter.until_ms - waiter.since_ms) / 1000
    if own:
        message = f"Your own limit left no room within {waited:.1f} s. Try again later."
        return Refusal("rate_limit_exceeded", message, max(1.0, eta_seconds))
    message = f"All workers for {waiter.query.model} stayed busy for {waited:.1f} s. Try again later."
    return Refusal("patience_exhausted", message, max(1.0, eta_seconds))
