"""The figures of a ranker, on questions made up so that they can be counted by hand."""

from __future__ import annotations

import pytest

from rag.evaluation import Ranked, best_threshold, refusals, score

RANKED = [
    Ranked("a", ["a", "b"], 0.9),
    Ranked("b", ["a", "b"], 0.6),
    Ranked("c", ["a"], 0.2),
    Ranked(None, ["a"], 0.3),
    Ranked(None, ["b"], 0.1),
]


def test_ranks_count_answerable_questions_alone() -> None:
    made = score(RANKED, 0.5)
    assert (made.hit_at_1, made.hit_at_3, made.mrr) == pytest.approx((1 / 3, 2 / 3, 0.5))


def test_refusing_has_a_precision_and_a_recall() -> None:
    made = score(RANKED, 0.5)
    assert (made.refusals_right, made.refused, made.answered) == pytest.approx((2 / 3, 1.0, 2 / 3))
    assert made.precision == pytest.approx(0.5)


def test_without_a_threshold_the_one_that_suits_best_is_taken() -> None:
    assert score(RANKED).threshold == best_threshold([0.9, 0.6, 0.2], [0.3, 0.1]) == 0.6


def test_the_curve_of_refusals_goes_from_none_to_all() -> None:
    curve = [(wrong, right) for _, wrong, right in refusals([0.9], [0.1])]
    assert (curve[0], curve[-1]) == ((0.0, 0.0), (1.0, 1.0))
    assert (0.0, 1.0) in curve
