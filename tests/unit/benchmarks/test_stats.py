"""Percentiles and ratios."""

from __future__ import annotations

import pytest

from benchmarks import stats


def test_a_percentile_lies_between_its_neighbours() -> None:
    assert stats.percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert stats.percentile([1.0, 2.0, 3.0, 4.0, 5.0], 0.99) == pytest.approx(4.96)


def test_the_ends_are_the_least_and_the_most() -> None:
    assert stats.percentile([3.0, 1.0, 2.0], 0) == 1.0
    assert stats.percentile([3.0, 1.0, 2.0], 1) == 3.0


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="0 values"):
        stats.percentile([], 0.5)


def test_a_ratio_is_taken_within_pairs_so_a_drift_of_the_machine_cancels() -> None:
    ratio = stats.paired([11.0, 22.0, 44.0], [10.0, 20.0, 40.0])
    assert ratio.value == ratio.low == ratio.high == pytest.approx(1.1)


def test_the_interval_holds_the_true_ratio() -> None:
    wobble = [0.9, 1.05, 0.97, 1.1, 1.0, 0.95, 1.02, 0.99, 1.04, 0.96]
    ratio = stats.paired([12 * factor for factor in wobble], [10 / factor for factor in reversed(wobble)])
    assert ratio.low < 1.2 < ratio.high


def test_the_interval_is_the_same_in_every_run() -> None:
    assert stats.paired([1.0, 2.0, 4.0], [1.0] * 3) == stats.paired([1.0, 2.0, 4.0], [1.0] * 3)


def test_the_spread_names_the_extreme_pairs() -> None:
    ratio = stats.paired([1.0, 2.0, 4.0], [1.0, 1.0, 1.0])
    assert (ratio.least, ratio.most) == (1.0, 4.0)


def test_a_tail_is_looked_for_in_all_legs_together() -> None:
    ratio = stats.pooled([[1.0] * 99, [1.0] * 98 + [30.0]], [[1.0] * 99, [1.0] * 99], 1.0)
    assert ratio.value == 30.0


def test_one_wild_leg_widens_the_interval_of_a_tail() -> None:
    ratio = stats.pooled([[1.0], [1.0], [1.0], [9.0]], [[1.0]] * 4, 1.0)
    assert (ratio.low, ratio.high) == (1.0, 9.0)


def test_what_is_added_is_a_difference_within_pairs() -> None:
    added = stats.added([11.0, 21.0, 41.0], [10.0, 20.0, 40.0])
    assert added.value == added.low == added.high == pytest.approx(1.0)


def test_a_spread_is_the_median_with_its_extremes() -> None:
    spread = stats.spread([5.0, 1.0, 3.0])
    assert (spread.value, spread.least, spread.most) == (3.0, 1.0, 5.0)
