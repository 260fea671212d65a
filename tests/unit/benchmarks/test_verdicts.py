"""What legs of asks show, and what is wrong in a ledger."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.verdicts import (
    Leg,
    Sums,
    answered_per_second,
    asked_per_second,
    growth,
    invariant_faults,
    ledger_faults,
    longest_wait,
    milliseconds,
)

EXACT = Sums(granted=1000, settled=500, reserved=300, refunded=200, held=300)


def leg(*asks: tuple[float, float]) -> Leg:
    """Of asks that were due at a moment and took so long."""
    due, seconds = ([ask[part] for ask in asks] for part in (0, 1))
    return Leg("gate", 1.0, due, seconds, Counter(granted=len(asks)), {}, 0, 0, 0, 0, began=0.0)


def test_a_wait_counts_from_the_moment_an_ask_was_due() -> None:
    assert milliseconds(leg((0.0, 0.1), (1.0, 0.3)), 1.0) == pytest.approx(300)


def test_a_gate_that_keeps_up_has_no_more_open_at_the_end() -> None:
    steady = leg(*((number / 100, 0.05) for number in range(101)))
    assert growth(steady) == pytest.approx(0, abs=2)
    assert answered_per_second(steady) == pytest.approx(96, abs=1)


def test_a_gate_that_falls_behind_has_more_and_more_open() -> None:
    behind = leg(*((number / 100, number / 100) for number in range(101)))
    assert growth(behind) == pytest.approx(50, abs=3)
    assert answered_per_second(behind) == pytest.approx(51, abs=1)


def test_asks_count_over_the_time_in_which_they_came() -> None:
    assert asked_per_second(leg((0.0, 9.0), (1.0, 0.1), (2.0, 0.1))) == 1.5


def test_the_longest_wait_beside_a_kill_is_that_of_who_was_waiting_or_came_soon() -> None:
    asks = leg((0.0, 0.9), (0.5, 0.6), (1.2, 1.5), (5.0, 3.0))
    assert longest_wait(asks, 1.0) == 1.5


def test_an_exact_ledger_has_no_faults() -> None:
    assert ledger_faults(EXACT, settled=500, running=300) == []


@pytest.mark.parametrize(
    "sums",
    [Sums(1001, 500, 300, 200, 300), Sums(1000, 500, 300, 200, 299)],
    ids=["granted twice", "held by nobody"],
)
def test_a_ledger_that_is_one_token_off_is_found(sums: Sums) -> None:
    assert len(invariant_faults(sums)) == 1


def test_what_was_used_and_not_settled_is_found() -> None:
    assert ledger_faults(EXACT, settled=501, running=300) == ["settled are 500 tokens, used were 501"]


def test_what_runs_and_is_not_reserved_is_found() -> None:
    assert ledger_faults(EXACT, settled=500, running=301) == ["reserved are 300 tokens, running are 301"]
