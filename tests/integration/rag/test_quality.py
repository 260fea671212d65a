"""The sample FAQ and its questions: the fusion earns its place on the half it was not fitted to."""

from __future__ import annotations

import asyncio

import pytest

from rag import Embedder
from rag.calibration import calibrate
from rag.evaluation import Observation, evaluate
from rag.knowledge import committed_calibration
from rag.terms import Language
from tests.integration.rag.calibrate import observed_sample
from tests.integration.rag.lite import LiteServer
from tests.integration.rag.minilm import MiniLM

LANGUAGES: tuple[Language, ...] = ("en", "zh")
Observed = tuple[list[Observation], list[Observation]]
"""To fit on, and to report on."""


@pytest.fixture(scope="module")
def observed(lite: LiteServer, minilm: Embedder) -> Observed:
    return asyncio.run(observed_sample(lite.uri, minilm))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_fusion_is_no_worse_than_either_ranker_alone(observed: Observed, language: Language) -> None:
    scores = evaluate(observed[1], committed_calibration(), language)
    best_alone = max(scores["dense"].mrr, scores["bm25"].mrr)
    assert scores["fused"].mrr >= best_alone
    assert scores["fused"].mrr > scores["rrf"].mrr


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_right_entry_is_among_the_first_three(observed: Observed, language: Language) -> None:
    fused = evaluate(observed[1], committed_calibration(), language)["fused"]
    assert fused.hit_at_3 >= 0.96
    assert fused.hit_at_1 >= 0.9


@pytest.mark.parametrize("language", LANGUAGES)
def test_questions_without_an_answer_are_told_apart(observed: Observed, language: Language) -> None:
    fused = evaluate(observed[1], committed_calibration(), language)["fused"]
    assert fused.auc >= 0.95
    assert fused.answered >= 0.86
    assert fused.refused >= 0.88


def test_the_committed_calibration_is_what_the_procedure_makes(observed: Observed) -> None:
    made = calibrate(MiniLM.model, observed[0])
    committed = committed_calibration()
    for name, weights in committed.weights.items():
        assert made.weights[name] == pytest.approx(weights, abs=0.2)
        assert made.thresholds[name] == pytest.approx(committed.thresholds[name], abs=0.05)
