"""How two rankings become one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.calibration import calibrate
from rag.evaluation import Observation, area_under_curve, evaluate
from rag.fusion import BY_MEANING, FEATURES, Calibration, describe, fuse, probabilities
from rag.store import Hit
from rag.terms import terms

FAIR = Calibration(
    model="test",
    features=FEATURES,
    weights={"en": (-4.0, 2.0, 2.0, 8.0, 1.0, 1.0), "zh": (-4.0, 0.0, 0.0, 0.0, 2.0, 4.0)},
    thresholds={"en": 0.5, "zh": 0.5},
)


def hit(id: str, score: float, title: str = "", text: str = "") -> Hit:
    return Hit(id, "vs_0", "file-0", f"faq#{id}", title, text, frozenset(terms(f"{title} {text}")), score, score)


def test_a_passage_that_both_rankers_put_first_is_first() -> None:
    meaning = [hit("a", 0.8), hit("b", 0.3), hit("c", 0.2)]
    words = [hit("a", 9.0), hit("c", 2.0)]
    assert fuse("question", meaning, words, FAIR).passages[0].id == "a"


def test_the_language_decides_which_ranker_counts() -> None:
    meaning = [hit("dense", 0.6, "保修期有多长"), hit("bm25", 0.1, "怎么除垢")]
    words = [hit("bm25", 8.0, "怎么除垢"), hit("dense", 1.0, "保修期有多长")]
    assert fuse("除垢要多久", meaning, words, FAIR).passages[0].id == "bm25"
    assert fuse("how long is it", meaning, words, FAIR).passages[0].id == "dense"


def test_a_passage_keeps_its_source_and_gets_its_probability() -> None:
    [passage] = fuse("a question", [hit("a", 0.9, "Title", "Text")], [], FAIR).passages
    assert (passage.title, passage.text, passage.source, passage.collection) == ("Title", "Text", "faq#a", "vs_0")
    assert 0 < passage.score < 1


def test_two_copies_of_the_answer_share_its_probability_and_are_not_refused() -> None:
    others = [hit(f"o{i}", 0.1) for i in range(10)]
    once = fuse("question", [hit("a", 0.9), *others], [], FAIR)
    twice = fuse("question", [hit("a", 0.9), hit("b", 0.9), *others], [], FAIR)
    assert once.answerable > FAIR.thresholds["en"]
    assert twice.answerable > FAIR.thresholds["en"]
    assert twice.passages[0].score == twice.passages[1].score < once.passages[0].score


def test_nothing_found_is_nothing_answerable() -> None:
    ranking = fuse("question", [], [], FAIR)
    assert ranking.passages == ()
    assert ranking.answerable == 0.0


def test_rare_terms_count_more_than_those_of_every_candidate() -> None:
    hits = [hit("a", 0.5, "kettle descale"), hit("b", 0.5, "kettle voltage"), hit("c", 0.5, "kettle gift")]
    found = {one.hit.id: one.features[FEATURES.index("matched")] for one in describe("descale kettle", hits, [])}
    assert found["a"] > 2 * found["b"]


def test_a_misspelt_word_counts_as_the_word_that_a_candidate_has() -> None:
    hits = [hit("a", 0.5, "kettle warranty"), hit("b", 0.5, "kettle voltage")]
    [right, other] = [one.features[FEATURES.index("matched")] for one in describe("kettle waranty", hits, [])]
    assert right > other
    assert right == describe("kettle warranty", hits, [])[0].features[FEATURES.index("matched")]


@given(st.lists(st.tuples(st.floats(-900, 900), st.floats(-900, 900)), max_size=20))
def test_probabilities_never_exceed_one_nor_overflow(features: list[tuple[float, float]]) -> None:
    chances = probabilities(features, (1.0, 1.0))
    assert all(0 <= chance <= 1 for chance in chances)
    assert sum(chances) <= 1 + 1e-9


def test_a_calibration_for_other_features_is_refused() -> None:
    with pytest.raises(ValueError, match="calibrate again"):
        Calibration.read(b'{"model": "m", "features": ["cosine"], "weights": {"en": [1.0]}, "thresholds": {"en": 0.5}}')


def observation(number: int, answer: str | None, cosine: float) -> Observation:
    others = tuple(hit(f"other{i}", 0.2 + i / 100) for i in range(5))
    return Observation(f"question {number}", answer, (hit("right", cosine), *others), ())


def test_fitting_learns_to_answer_and_to_refuse() -> None:
    known = [observation(i, "right", 0.6 + i % 5 / 50) for i in range(20)]
    unknown = [observation(i, None, 0.3 + i % 5 / 50) for i in range(20)]
    fitted = evaluate([*known, *unknown], calibrate("test", [*known, *unknown]), "en")["fused"]
    assert (fitted.hit_at_1, fitted.auc, fitted.answered, fitted.refused) == (1.0, 1.0, 1.0, 1.0)


def test_nearness_that_tells_nothing_gets_no_weight() -> None:
    known = [observation(i, "right", 0.3 + i % 5 / 50) for i in range(20)]
    unknown = [observation(i, None, 0.6 + i % 5 / 50) for i in range(20)]
    weights = dict(zip(FEATURES, calibrate("test", [*known, *unknown]).weights["en"], strict=True))
    assert {weights[name] for name in BY_MEANING} == {0.0}


def test_pairs_of_characters_do_not_count_again_what_their_characters_say() -> None:
    found = {one.hit.id: one.features for one in describe("除垢", [hit("a", 0.5, "除垢"), hit("b", 0.5, "垢除")], [])}
    assert found["a"] == found["b"]


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    assert area_under_curve([0.9, 0.5], [0.1, 0.5]) == 0.875
