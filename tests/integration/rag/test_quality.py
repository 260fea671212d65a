"""The sample FAQ and its questions: the fusion earns its place on the half it was not fitted to."""

from __future__ import annotations

import asyncio

import pytest

from rag import Embedder
from rag.calibration import calibrate
from rag.evaluation import Observation, evaluate, halves
from rag.knowledge import committed_calibration
from tests.integration.rag.calibrate import observed_sample
from tests.integration.rag.lite import LiteServer
from tests.integration.rag.minilm import MiniLM


@pytest.fixture(scope="module")
def observations(lite: LiteServer, minilm: Embedder) -> list[Observation]:
    return asyncio.run(observed_sample(lite.uri, minilm))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_fusion_is_better_than_either_ranker_alone(observations: list[Observation], language: str) -> None:
    held_out = [one for one in halves(observations)[1] if one.language == language]
    scores = evaluate(held_out, committed_calibration())
    best_alone = max(scores["dense"].mrr, scores["bm25"].mrr)
    assert scores["fused"].mrr > best_alone
    assert scores["fused"].mrr > scores["rrf"].mrr


def test_the_right_entry_is_among_the_first_three(observations: list[Observation]) -> None:
    fused = evaluate(halves(observations)[1], committed_calibration())["fused"]
    assert fused.hit_at_3 >= 0.96
    assert fused.hit_at_1 >= 0.9


def test_questions_without_an_answer_are_told_apart(observations: list[Observation]) -> None:
    fused = evaluate(halves(observations)[1], committed_calibration())["fused"]
    assert fused.auc >= 0.95
    assert fused.answered >= 0.86
    assert fused.refused >= 0.88


def test_the_committed_calibration_is_what_the_procedure_makes(observations: list[Observation]) -> None:
    made = calibrate(MiniLM.model, halves(observations)[0])
    committed = committed_calibration()
    assert made.threshold == pytest.approx(committed.threshold, abs=0.05)
    for name, weights in committed.weights.items():
        assert made.weights[name] == pytest.approx(weights, abs=0.2)
