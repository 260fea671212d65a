"""The sample FAQ and its questions: the fusion earns its place on those that it was not fitted to."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from rag import Embedder
from rag.calibration import calibrate
from rag.evaluation import Observation, evaluate
from rag.knowledge import committed_calibration
from rag.terms import Language
from tests.integration.rag.bundled import BundledEmbedder
from tests.integration.rag.calibrate import FITTED_FROM, observed, split
from tests.integration.rag.lite import LiteServer

LANGUAGES: tuple[Language, ...] = ("en", "zh")


@dataclass(frozen=True)
class Sample:
    """Questions that were fitted to, the rest of their file, and those that were kept out of everything."""

    fitted: list[Observation]
    rest: list[Observation]
    held_out: list[Observation]


@pytest.fixture(scope="module")
def sample(lite: LiteServer, embedder: Embedder) -> Sample:
    [asked, more, held_out] = asyncio.run(observed(lite.uri, embedder, (*FITTED_FROM, "held_out.jsonl")))
    return Sample(*split(asked, more), held_out)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_fusion_is_no_worse_than_either_ranker_alone(sample: Sample, language: Language) -> None:
    scores = evaluate(sample.rest, committed_calibration(), language)
    best_alone = max(scores["dense"].mrr, scores["bm25"].mrr)
    assert scores["fused"].mrr >= best_alone
    assert scores["fused"].mrr > scores["rrf"].mrr


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_fusion_is_better_than_either_ranker_on_questions_kept_out_of_everything(
    sample: Sample, language: Language
) -> None:
    scores = evaluate(sample.held_out, committed_calibration(), language)
    assert scores["fused"].hit_at_1 > max(scores["dense"].hit_at_1, scores["bm25"].hit_at_1)
    assert scores["fused"].mrr > max(scores["dense"].mrr, scores["bm25"].mrr)
    assert scores["fused"].auc >= 0.95


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_right_entry_is_among_the_first_three(sample: Sample, language: Language) -> None:
    fused = evaluate(sample.rest, committed_calibration(), language)["fused"]
    assert fused.hit_at_3 >= 0.96
    assert fused.hit_at_1 >= 0.9


@pytest.mark.parametrize("language", LANGUAGES)
def test_questions_without_an_answer_are_told_apart(sample: Sample, language: Language) -> None:
    fused = evaluate(sample.rest, committed_calibration(), language)["fused"]
    assert fused.auc >= 0.95
    assert fused.answered >= 0.86
    assert fused.refused >= 0.88


def test_the_committed_calibration_is_what_the_procedure_makes(sample: Sample) -> None:
    made = calibrate(BundledEmbedder.model, sample.fitted)
    committed = committed_calibration()
    for name, weights in committed.weights.items():
        assert made.weights[name] == pytest.approx(weights, abs=0.2)
        assert made.thresholds[name] == pytest.approx(committed.thresholds[name], abs=0.05)
