"""When the window of held streams opens and closes, and what its figures are."""

from __future__ import annotations

import pytest

from benchmarks.held import Held, Plan
from benchmarks.load import Leg


def held(*, events: int, tokens: int, cpu: dict[str, float]) -> Held:
    return Held(Leg("ours", 9.0, (), {}), 2.0, events, tokens, (), cpu)


def test_the_window_opens_behind_the_last_begin() -> None:
    plan = Plan(streams=10, pace=1.0, ramp_seconds=5.0, window_seconds=10.0)
    assert plan.opens_at > 5.0
    assert plan.closes_at == plan.opens_at + 10.0


def test_an_answer_outlasts_the_window_whenever_it_began() -> None:
    plan = Plan(streams=10, pace=4.0, ramp_seconds=5.0, window_seconds=10.0)
    assert plan.tokens / plan.pace > plan.closes_at


def test_the_client_is_no_part_of_what_an_event_costs() -> None:
    assert held(events=1000, tokens=1000, cpu={"access": 0.02, "client": 5.0}).cpu_per_event == pytest.approx(20)


def test_merged_tokens_all_count() -> None:
    assert held(events=10, tokens=500, cpu={"access": 0.5}).tokens_per_core_second == pytest.approx(1000)
