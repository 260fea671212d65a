"""Who got how much, window by window."""

from __future__ import annotations

import pytest

from benchmarks.shares import jain, windows
from benchmarks.simulation import Request, Shape, Story
from contracts.ids import TenantId

SHAPE = Shape(1, tokens_per_second=10.0, prompt_tokens_per_second=100.0)


def story(tenant: str, at: float, began: float | None, prompt: int = 0, answer: int = 0) -> Story:
    request = Request(f"{tenant}-{at}", TenantId(tenant), round(1000 * at), prompt, answer)
    return Story(request, began_ms=None if began is None else round(1000 * began))


def test_equal_shares_are_fair_and_one_for_all_is_not() -> None:
    assert jain([3.0, 3.0, 3.0]) == 1.0
    assert jain([9.0, 0.0, 0.0]) == pytest.approx(1 / 3)
    assert jain([]) == 1.0


def test_tokens_count_in_the_window_in_which_they_were_worked_on() -> None:
    # Reads 200 tokens from 8 s to 10 s, answers 50 tokens from 10 s to 15 s.
    first, second = windows([story("acme", 0, 8, prompt=200, answer=50)], SHAPE, 0, 20_000)
    assert (first.service, second.service) == ({"acme": 200.0}, {"acme": 50.0})


def test_tokens_are_split_where_a_window_ends() -> None:
    first, second = windows([story("acme", 0, 6, answer=100)], SHAPE, 0, 20_000)
    assert first.service["acme"] == pytest.approx(40)
    assert second.service["acme"] == pytest.approx(60)


def test_service_before_the_first_and_after_the_last_window_counts_in_none() -> None:
    (only,) = windows([story("acme", 0, 0, answer=400)], SHAPE, 10_000, 20_000)
    assert only.service["acme"] == pytest.approx(100)


def test_who_has_somebody_waiting_all_the_time_is_backlogged() -> None:
    relay = [story("acme", 0, 6), story("acme", 5, 10)]
    gap = [story("globex", 0, 4), story("globex", 5, 10)]
    (only,) = windows(relay + gap, SHAPE, 0, 10_000)
    assert only.backlogged == {"acme"}


def test_shares_are_compared_among_the_backlogged_alone() -> None:
    stories = [story(tenant, 0, 10) for tenant in ("acme", "globex")]
    stories += [story("acme", 0, 0, answer=30), story("globex", 0, 0, answer=10), story("rare", 0, 0, answer=90)]
    (only,) = windows(stories, SHAPE, 0, 10_000)
    assert only.fairness == pytest.approx(0.8)
