"""The tales of the fairness benchmark on made-up requests: what they show, not how much of it."""

from __future__ import annotations

from statistics import fmean

import pytest

from benchmarks import fair, tales, traces
from benchmarks.schemes import Scheme
from benchmarks.schemes.fcfs import FirstCome
from benchmarks.schemes.gate import Penstock
from benchmarks.simulation import Request, Shape, Simulation, Story
from benchmarks.tales import BATCH, HEAVY, LIGHT, TALES, Leg
from contracts.ids import TenantId
from limiter.policy import Supply

SHAPE = Shape(20)


def leg(tale: str, scheme: Scheme, requests: int = 400) -> Leg:
    dealt = tales.deal(traces.synthetic(requests, seed=1), TALES[tale], SHAPE, seed=1)
    return tales.read(Simulation(scheme, SHAPE, dealt, from_ms=tales.WARM_UP_MS).run(), SHAPE)


def gate() -> Penstock:
    return Penstock(Supply(SHAPE.slots, 1000.0), grants_per_slot=1)


def test_one_tenant_asks_ten_times_as_much_as_each_other() -> None:
    dealt = tales.deal(traces.synthetic(5000, seed=1), TALES["isolation"], SHAPE, seed=1)
    heavy = sum(request.tenant == HEAVY for request in dealt)
    assert heavy / (len(dealt) - heavy) * len(LIGHT) == pytest.approx(10, rel=0.1)


def test_the_load_is_what_the_tale_says() -> None:
    rows = traces.synthetic(2000, seed=1)
    dealt = tales.deal(rows, TALES["isolation"], SHAPE, seed=1)
    asked = len(dealt) / (max(request.at_ms for request in dealt) / 1000)
    can = SHAPE.requests_per_second((row.prompt_tokens, row.answer_tokens) for row in rows)
    assert asked / can == pytest.approx(TALES["isolation"].load, rel=0.02)


def test_the_gate_keeps_a_heavy_tenant_out_of_the_others_way() -> None:
    ours, theirs = leg("isolation", gate()), leg("isolation", FirstCome(SHAPE.slots))
    assert ours.light_wait_p99 < theirs.light_wait_p99 / 3
    assert ours.lost == 0


def test_the_gate_shares_evenly_where_a_queue_does_not() -> None:
    ours, theirs = leg("shares", gate(), 500), leg("shares", FirstCome(SHAPE.slots), 500)
    assert fmean(ours.jain) > fmean(theirs.jain) + 0.3


def test_an_eta_is_judged_by_the_attempt_that_was_granted() -> None:
    story = Story(Request("one", TenantId("acme"), 0, 1, 1), asked_ms=10_000, told=14_000.0, granted_ms=15_000)
    assert tales.eta_error(story) == pytest.approx(0.2)


def test_who_was_told_nothing_says_nothing_about_etas() -> None:
    assert tales.eta_error(Story(Request("one", TenantId("acme"), 0, 1, 1), granted_ms=5)) is None


def test_every_goal_stands_beside_our_own_figures() -> None:
    waits: dict[str, list[float]] = {tenant: [1.0] for tenant in (*LIGHT, BATCH)}
    one = Leg(waits, [1.0], 0.0, [1.0], 0.0, 0.0, 1.0, [0.1], [0.1], [0.06], [])
    legs = {name: {fair.OURS: [one], "alone": [one], "tenths": [one]} for name in TALES}
    goals = {figure.goal for figure in fair.figures(legs) if figure.goal}
    assert goals == {"ratio ≤ 1.2", "≤ 0.01", "≥ 0.99", "≤ 0.2"}
