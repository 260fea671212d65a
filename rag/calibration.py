"""Fitting the fusion's weights to questions with known answers. Pure; run when the embedding model changes.

Maximum likelihood of the conditional logit in ``rag.fusion``, by Newton's method; the likelihood is concave, so there
is one answer and it needs no tuning. There are few questions in some languages, so each language starts from what all
of them together say and moves from it only as far as its own questions justify (a Gaussian prior around the pooled
weights). An embedding model that does not know a language has no say in it: its cosines would be noise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rag.evaluation import Observation, area_under_curve
from rag.fusion import BY_MEANING, FEATURES, Calibration, describe, probabilities
from rag.terms import Language

_LANGUAGES: tuple[Language, ...] = ("en", "zh")
_PRIOR_DEVIATION = 10.0
"""How far a weight strays: cosines span a tenth, and a weight of 10 times a tenth multiplies odds by 3."""

Weights = NDArray[np.float64]


def calibrate(model: str, observations: Sequence[Observation]) -> Calibration:
    """Weights and a threshold for every language, from observations made with embedding model ``model``."""
    pooled = _fit(observations, np.zeros(len(FEATURES)), 10 * _PRIOR_DEVIATION)
    weights: dict[Language, tuple[float, ...]] = {}
    thresholds: dict[Language, float] = {}
    for name in _LANGUAGES:
        group = [one for one in observations if one.language == name]
        heard = np.array([feature not in BY_MEANING or _is_known(group) for feature in FEATURES], dtype=np.float64)
        fitted = _fit(group, pooled * heard, _PRIOR_DEVIATION, heard)
        weights[name] = tuple(round(float(weight), 4) for weight in fitted)
        thresholds[name] = _threshold(group, weights[name])
    return Calibration(model=model, features=FEATURES, weights=weights, thresholds=thresholds)


def _is_known(observations: Sequence[Observation]) -> bool:
    """Whether nearness means anything in these questions' language: those with an answer are nearer to an entry than
    those without."""
    nearest = [(one.meaning[0].score if one.meaning else 0.0, one.answer is not None) for one in observations]
    inside, outside = ([score for score, known in nearest if known is kind] for kind in (True, False))
    return not inside or not outside or area_under_curve(inside, outside) > 0.5


def _fit(
    observations: Sequence[Observation], prior: Weights, deviation: float, heard: Weights | float = 1.0
) -> Weights:
    """The most likely weights; a feature that is not ``heard`` keeps that of the prior."""
    examples = [(features * heard, answer) for features, answer in map(_example, observations)]
    weights = prior.copy()
    for _ in range(50):
        gradient = (prior - weights) / deviation**2
        curvature = np.eye(len(prior)) / deviation**2
        for features, answer in examples:
            chances = np.array(probabilities(features.tolist(), weights.tolist()))
            expected = chances @ features
            gradient += (features[answer] if answer is not None else 0.0) - expected
            curvature += (features.T * chances) @ features - np.outer(expected, expected)
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step * min(1.0, 5.0 / float(np.linalg.norm(step) or 1.0))
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _example(one: Observation) -> tuple[Weights, int | None]:
    """The features of the candidates, and the place of the right one. One that was not found counts as no answer."""
    candidates = describe(one.question, one.meaning, one.words)
    ids = [candidate.hit.id for candidate in candidates]
    features = np.array([candidate.features for candidate in candidates]).reshape(len(ids), len(FEATURES))
    return features, ids.index(one.answer) if one.answer in ids else None


def _threshold(observations: Sequence[Observation], weights: Sequence[float]) -> float:
    """Where wrong refusals and wrong answers, as shares of their kind, are fewest together (Youden, 1950)."""
    sure = [(_answerable(one, weights), one.answer is not None) for one in observations]
    inside = sorted(chance for chance, known in sure if known)
    outside = sorted(chance for chance, known in sure if not known)

    def right(threshold: float) -> float:
        answered = sum(chance >= threshold for chance in inside) / (len(inside) or 1)
        refused = sum(chance < threshold for chance in outside) / (len(outside) or 1)
        return answered + refused

    steps = [step / 100 for step in range(1, 100)]
    best = max(right(step) for step in steps)
    # The middle of the best stretch: its ends are where a single question of the sample sits.
    stretch = [step for step in steps if right(step) == best]
    return stretch[len(stretch) // 2]


def _answerable(one: Observation, weights: Sequence[float]) -> float:
    candidates = describe(one.question, one.meaning, one.words)
    return sum(probabilities([candidate.features for candidate in candidates], weights))
