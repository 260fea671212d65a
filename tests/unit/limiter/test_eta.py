"""How long a wait will be: what is measured, and how well waits are foretold, in virtual time."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import AccessId, RequestId, TenantId
from contracts.messages import AdmissionQuery, ServiceClass
from limiter.account import Account
from limiter.eta import Accuracy, Foresight, Pace
from limiter.limits import Caps, Limits
from limiter.payer import Payer
from limiter.policies.fair import Fair
from limiter.policy import Counter, Supply
from limiter.spending import Spending
from limiter.tariff import Cost
from limiter.waiter import Waiter
from limiter.waiting_room import WaitingRoom

BOUNDLESS = Caps(10**9, 10**9, 10**9)
RESERVED, SHORTEST, LONGEST = 4096, 50, 600
SLOTS, TOKENS_PER_SECOND, PATIENCE_SECONDS = 8, 500.0, 5.0
CAPACITY = SLOTS * TOKENS_PER_SECOND / ((SHORTEST + LONGEST) / 2)
"""Requests a second that the fleet can serve."""

Share = tuple[str, ServiceClass, float]
"""Who sends requests of which class, at which multiple of what the fleet can serve."""
Event = tuple[float, int, Callable[[], object]]
"""When something happens; a number that keeps two at one time in order; what."""


def settle_in_rows(pace: Pace, row: int, seconds: float, rows: int) -> int:
    """``rows`` times ``row`` settlements of 100 tokens at once; answers when the last of them was, in ms."""
    for number in range(rows):
        for _ in range(row):
            pace.settled(1000, 100, round(number * seconds * 1000))
    return round((rows - 1) * seconds * 1000)


@given(st.integers(1, 64), st.floats(0.01, 20.0))
def test_a_speed_is_measured_whether_settlements_come_in_rows_or_in_a_stream(row: int, seconds: float) -> None:
    pace = Pace()
    now_ms = settle_in_rows(pace, row, seconds, 100)
    assert pace.per_second(now_ms) == pytest.approx(row * 100 / seconds, rel=0.06)


def test_a_speed_is_unknown_before_enough_was_measured() -> None:
    pace = Pace()
    settle_in_rows(pace, 64, 1.0, 3)
    assert pace.per_second(2000) == 0.0


def test_idle_time_does_not_make_a_fleet_slow() -> None:
    pace = Pace()
    now_ms = settle_in_rows(pace, 1, 0.1, 100)
    before = pace.per_second(now_ms)
    pace.rest()
    pace.settled(1000, 100, now_ms + 3_600_000)
    assert pace.per_second(now_ms + 3_600_000) == before


def test_a_fleet_that_settles_nothing_any_more_is_slow() -> None:
    pace = Pace()
    now_ms = settle_in_rows(pace, 1, 0.1, 300)
    assert pace.per_second(now_ms + 60_000) < pace.per_second(now_ms) / 2


def test_a_fleet_that_grows_is_soon_fast() -> None:
    pace = Pace()
    now_ms = settle_in_rows(pace, 1, 0.1, 600)
    for number in range(1, 2000):
        pace.settled(1000, 100, now_ms + number * 25)
    assert pace.per_second(now_ms + 50_000) == pytest.approx(4000, rel=0.2)


def test_a_clock_that_goes_back_changes_no_speed() -> None:
    pace = Pace()
    now_ms = settle_in_rows(pace, 1, 0.1, 100)
    before = pace.per_second(now_ms)
    assert pace.per_second(now_ms - 5000) == before


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=100), st.floats(0.05, 5.0))
def test_a_foresight_learns_the_factor_between_what_was_foreseen_and_what_came(
    foreseen: list[int], factor: float
) -> None:
    foresight = Foresight()
    for tokens in foreseen:
        foresight.learn(tokens * 100, round(tokens * 100 * factor))
    assert foresight.factor == pytest.approx(factor, rel=0.2)


def test_accuracy_is_the_median_error_of_the_last_waits() -> None:
    accuracy = Accuracy()
    assert accuracy.error == 0.0
    for told in [100.0] * 300 + [12.0] * 256:
        accuracy.note(told, 10.0)
    assert accuracy.error == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("shares", "row_seconds"),
    [
        pytest.param([("a", "interactive", 2.0)], 0.0, id="one tenant at twice the capacity"),
        pytest.param([("a", "interactive", 1.1)], 0.0, id="hardly more than the capacity"),
        pytest.param([("a", "interactive", 2.0)], 1.0, id="settlements in rows"),
        pytest.param([("a", "interactive", 3.0), ("b", "interactive", 0.3)], 0.0, id="one at ten times the other"),
        pytest.param([("a", "interactive", 2.0), ("b", "interactive", 1.0)], 0.0, id="two who both overload"),
        pytest.param([("a", "interactive", 1.5), ("b", "batch", 0.5)], 0.0, id="two classes"),
    ],
)
def test_in_steady_overload_half_the_waits_are_foretold_within_a_fifth(
    shares: Sequence[Share], row_seconds: float
) -> None:
    """Though answers are a twelfth of what is reserved, and most of those ahead give up before they go."""
    accuracy = Overload(shares, row_seconds).accuracy_after(seconds=60.0)
    assert 0.0 < accuracy.error <= 0.2


def test_without_what_is_learned_a_wait_is_told_many_times_too_long() -> None:
    accuracy = Overload([("a", "interactive", 2.0)], 0.0, learns=False).accuracy_after(seconds=60.0)
    assert accuracy.error > 5.0


@dataclass
class Overload:
    """A gate and a fleet in virtual time: requests come at random, and wait until granted or out of patience.

    Answers are of random length. Every ``row_seconds`` all that ended is settled; at once if 0.
    """

    shares: Sequence[Share]
    row_seconds: float
    learns: bool = True
    random: random.Random = field(default_factory=lambda: random.Random(7))
    now: float = 0.0
    room: WaitingRoom = field(default_factory=WaitingRoom)
    pace: Pace = field(default_factory=Pace)
    accuracy: Accuracy = field(default_factory=Accuracy)
    policy: Fair = field(default_factory=lambda: Fair(grants_per_slot=4, room=10**6, room_per_tenant=10**6))
    outstanding: int = 0
    free_slots: int = SLOTS
    stream: deque[Waiter] = field(default_factory=deque[Waiter])
    ended: list[tuple[Waiter, int]] = field(default_factory=list[tuple[Waiter, int]])
    agenda: list[Event] = field(default_factory=list[Event])
    numbers: Iterator[int] = field(default_factory=count)

    def accuracy_after(self, seconds: float) -> Accuracy:
        for share in self.shares:
            self._later(0.0, lambda share=share: self._come(*share))
        self._later(self.row_seconds, self._settle)
        while self.now < seconds:
            self.now, _, happen = heapq.heappop(self.agenda)
            happen()
            self._decide()
        return self.accuracy

    def _come(self, tenant: str, service_class: ServiceClass, load: float) -> None:
        query = AdmissionQuery(
            id=RequestId(str(next(self.numbers))),
            access=AccessId("access-1"),
            tenant=TenantId(tenant),
            user="",
            key="",
            model="tiny",
            service_class=service_class,
            prompt_tokens=0,
            patience_seconds=PATIENCE_SECONDS,
        )
        until_ms = self._ms + round(PATIENCE_SECONDS * 1000)
        self.room.join(Waiter(query, Cost(RESERVED), service_class, self._ms, until_ms, query.access))
        self._later(PATIENCE_SECONDS, lambda: self.room.leave(query.id))
        self._later(self.random.expovariate(load * CAPACITY), lambda: self._come(tenant, service_class, load))

    def _decide(self) -> None:
        payer = self._payer()
        for one in self.room.drain(lambda one: self.policy.may_go(one, payer, self._counter())):
            self.outstanding += 1
            self.stream.append(one)
            if one.first_eta is not None:
                self.accuracy.note(one.first_eta, (self._ms - one.since_ms) / 1000)
        if not self.policy.is_full(self._counter()):
            self.pace.rest()
        self._tell_who_came(payer)
        while self.stream and self.free_slots:
            self._start(self.stream.popleft())

    def _tell_who_came(self, payer: Payer) -> None:
        if all(one.first_eta is not None for one in self.room.waiters.values()):
            return
        places, counter = self.room.places(), self._counter()
        for one in self.room.waiters.values():
            if one.first_eta is None:
                one.first_eta = self.policy.eta_seconds(one, places[one.id], payer, counter)

    def _start(self, one: Waiter) -> None:
        self.free_slots -= 1
        used = self.random.randint(SHORTEST, LONGEST)
        self._later(used / TOKENS_PER_SECOND, lambda: self._end(one, used))

    def _end(self, one: Waiter, used: int) -> None:
        self.free_slots += 1
        self.ended.append((one, used))
        if not self.row_seconds:
            self._settle()

    def _settle(self) -> None:
        for one, used in self.ended:
            self.outstanding -= 1
            self.room.adjust(one.id, used)
            self.pace.settled(RESERVED, used, self._ms)
        self.ended.clear()
        if self.row_seconds:
            self._later(self.row_seconds, self._settle)

    def _counter(self) -> Counter:
        return Counter(
            supply=Supply(SLOTS, SLOTS * TOKENS_PER_SECOND),
            outstanding=self.outstanding,
            outstanding_tokens=self.outstanding * RESERVED,
            room=self.room,
            from_zero=False,
            tokens_per_second=self.pace.per_second(self._ms) if self.learns else 0.0,
            used_share=self.pace.used_share if self.learns else 1.0,
        )

    def _payer(self) -> Payer:
        account = Account.fresh(("a",), BOUNDLESS, self._ms)
        return Payer(Limits(BOUNDLESS, wait_seconds=60.0), {"tenant": account}, Spending(), self._ms)

    def _later(self, seconds: float, happen: Callable[[], object]) -> None:
        heapq.heappush(self.agenda, (self.now + seconds, next(self.numbers), happen))

    @property
    def _ms(self) -> int:
        return round(self.now * 1000)
