"""Percentiles, and ratios and differences with their intervals. Pure.

Two systems are measured in pairs of legs, close in time, so that what disturbs the machine disturbs both. A ratio is
taken per pair; the interval comes from drawing the pairs anew (bootstrap), never the single answers: answers of one leg
are not independent of one another.

Source: Efron, Tibshirani: An Introduction to the Bootstrap, ch. 13 (percentile intervals).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

RESAMPLES = 2000
CONFIDENCE = 0.95
_SEED = 7


@dataclass(frozen=True)
class Spread:
    """A figure over all legs. ``low`` to ``high`` is the 95 % interval; ``least`` and ``most`` are the extremes."""

    value: float
    low: float
    high: float
    least: float
    most: float


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of the values lie, interpolated linearly between neighbours.

    Raises:
        ValueError: no values, or a share outside of 0 to 1.
    """
    if not values or not 0 <= share <= 1:
        raise ValueError(f"a share of {share} of {len(values)} values")
    ordered = sorted(values)
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])


def spread(values: Sequence[float]) -> Spread:
    """The median of what each leg has one of."""
    low, high = _interval(len(values), lambda drawn: median([values[number] for number in drawn]))
    return Spread(median(values), low, high, min(values), max(values))


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The median of the pairs' ratios. For figures that a leg has one of: tokens a second, a median, CPU seconds."""
    return spread([mine / other for mine, other in zip(ours, theirs, strict=True)])


def added(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The median of the pairs' differences: how much more is ours."""
    return spread([mine - other for mine, other in zip(ours, theirs, strict=True)])


def pooled(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], share: float) -> Spread:
    """The ratio of one percentile over the answers of all legs. For tails, of which one leg has too few answers."""
    ratios = [percentile(mine, share) / percentile(other, share) for mine, other in zip(ours, theirs, strict=True)]

    def of(drawn: Sequence[int]) -> float:
        mine, other = (flat([side[number] for number in drawn]) for side in (ours, theirs))
        return percentile(mine, share) / percentile(other, share)

    low, high = _interval(len(ratios), of)
    return Spread(of(range(len(ratios))), low, high, min(ratios), max(ratios))


def flat(groups: Sequence[Sequence[float]]) -> list[float]:
    """All values of all groups."""
    return list(chain.from_iterable(groups))


def _interval(count: int, of: Callable[[Sequence[int]], float]) -> tuple[float, float]:
    """The middle 95 % of ``of`` over draws of ``count`` pairs with replacement. The same draws in every run."""
    draw = random.Random(_SEED)
    outcomes = [of(draw.choices(range(count), k=count)) for _ in range(RESAMPLES)]
    beyond = (1 - CONFIDENCE) / 2
    return percentile(outcomes, beyond), percentile(outcomes, 1 - beyond)
