"""Plots as values."""

from __future__ import annotations

from benchmarks import plots


def test_a_distribution_rises_from_the_least_to_the_most() -> None:
    drawn = plots.distribution("first", "First token", "ms", {"ours": [3.0, 1.0, 2.0]})
    points = drawn.lines["ours"]
    assert (points[0], points[-1]) == ((1.0, 0.0), (3.0, 1.0))
    assert points == sorted(points)


def test_a_side_without_samples_has_no_line() -> None:
    assert not plots.distribution("first", "First token", "ms", {"ours": []}).lines
