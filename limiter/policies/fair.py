"""The default policy: patient within limits, in fair order, with request streams no longer than the fleet can take."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Protocol, Self

from contracts.messages import AdmissionQuery, ServiceClass
from limiter.payer import Payer
from limiter.policy import Counter, Refusal, beyond_patience
from limiter.tariff import Cost
from limiter.waiter import Place, Waiter

AHEAD_OF_WORKERS = 8
"""Requests taken for a model whose first worker is still to come: enough for autoscaling to see them."""
READY_SECONDS = 0.1
"""For so long the fleet has work at hand beyond what runs: from the end of a request until the next is granted."""
STARTING_RETRY_SECONDS = 5.0
NO_WORKERS_RETRY_SECONDS = 30.0


class Room(Protocol):
    """The settings that bound it: see ``limiter/settings.py``."""

    @property
    def grants_per_slot(self) -> int: ...
    @property
    def room(self) -> int: ...
    @property
    def room_per_tenant(self) -> int: ...


@dataclass(frozen=True)
class Fair:
    """As many requests are granted and unsettled as keep the fleet busy, ``grants_per_slot`` for each slot of ready
    workers at most; the others wait."""

    grants_per_slot: int
    room: int
    room_per_tenant: int

    @classmethod
    def of(cls, settings: Room) -> Self:
        return cls(settings.grants_per_slot, settings.room, settings.room_per_tenant)

    def turn_away(self, query: AdmissionQuery, cost: Cost, payer: Payer, counter: Counter) -> Refusal | None:
        return (
            self._no_one_serves(query, counter) or beyond_patience(query, cost, payer) or self._no_room(query, counter)
        )

    def service_class(self, query: AdmissionQuery, cost: Cost, payer: Payer, counter: Counter) -> ServiceClass:  # noqa: ARG002  (a port's)
        """As the caller wishes."""
        return query.service_class

    def is_full(self, counter: Counter) -> bool:
        return counter.outstanding >= self.takes(counter)

    def may_go(self, waiter: Waiter, payer: Payer, counter: Counter) -> bool:
        return not self.is_full(counter) and payer.is_free and payer.holds(waiter.cost)

    def eta_seconds(self, waiter: Waiter, place: Place, payer: Payer, counter: Counter) -> float:
        """The slowest of three queues: the fleet's, that of the payer's concurrency, that of its buckets."""
        own_ahead = place.own_tokens_ahead * counter.used_share
        return max(
            self._fleet_seconds(waiter, place, counter),
            _concurrency_seconds(place, payer, counter),
            payer.seconds_until(waiter.cost, round(own_ahead)),
        )

    def takes(self, counter: Counter) -> int:
        """How many requests may be granted and unsettled: one for each slot, and those that the fleet will begin in the
        next moment, so that no slot stands idle until the gate has heard of it. Whoever comes next waits behind all of
        them, so there are no more. None, where no worker is there or will be.
        """
        slots = counter.supply.slots
        if not slots and _is_coming(counter):
            return AHEAD_OF_WORKERS
        seconds_each = max(1.0, _mean_outstanding(counter)) * counter.seconds_per_token
        return min(self.grants_per_slot * slots, slots + ceil(READY_SECONDS / seconds_each))

    def _fleet_seconds(self, waiter: Waiter, place: Place, counter: Counter) -> float:
        """Until so many tokens are settled as will go before, and those of one more request, whose place it takes.

        While the fleet could take more, those ahead wait for limits of their own, and are in nobody's way.
        """
        if not self.is_full(counter):
            return 0.0
        before = place.tokens_ahead * counter.room.foresight(waiter)
        return (before + _mean_outstanding(counter)) * counter.seconds_per_token

    def _no_one_serves(self, query: AdmissionQuery, counter: Counter) -> Refusal | None:
        if counter.supply.slots:
            return None
        if not _is_coming(counter):
            message = f"No worker serves the model {query.model} at the moment. Start one, or try again later."
            return Refusal("no_workers", message, NO_WORKERS_RETRY_SECONDS)
        if counter.outstanding + len(counter.room) < AHEAD_OF_WORKERS:
            return None
        message = f"A worker for the model {query.model} is being started. Try again in a few seconds."
        return Refusal("starting", message, STARTING_RETRY_SECONDS)

    def _no_room(self, query: AdmissionQuery, counter: Counter) -> Refusal | None:
        room = counter.room
        if len(room) < self.room and room.waiting_of(query.tenant) < self.room_per_tenant:
            return None
        message = f"Too many requests wait for {query.model}. Try again later."
        return Refusal("waiting_room_full", message, max(1.0, room.tokens * counter.seconds_per_token))


def _is_coming(counter: Counter) -> bool:
    return counter.supply.loading or counter.from_zero


def _concurrency_seconds(place: Place, payer: Payer, counter: Counter) -> float:
    """Until enough of the payer's own requests are settled, which are a part of all that are."""
    if payer.is_free:
        return 0.0
    own = min(account.outstanding for account in payer.accounts.values() if not account.is_free)
    others = max(1.0, counter.outstanding / max(1, own))
    return (place.own_tokens_ahead + _mean_outstanding(counter)) * counter.seconds_per_token * others


def _mean_outstanding(counter: Counter) -> float:
    return counter.outstanding_tokens / max(1, counter.outstanding)
