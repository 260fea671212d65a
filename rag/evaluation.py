"""How good retrieval is, on questions whose answers are known. ``observe`` asks them; the rest is pure.

A question without a key has no answer in the FAQ and must be refused. The same figures are given for either ranker
alone and for reciprocal rank fusion (Cormack, Clarke, Büttcher, 2009), so that the fusion has to earn its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from contracts.errors import DecodeError
from contracts.ids import TenantId
from rag.fusion import Calibration, fuse
from rag.ingest import entry_id
from rag.retriever import Retriever
from rag.store import Hit
from rag.terms import Language, language

_RRF_K = 60


class Question(msgspec.Struct, frozen=True):
    """A question and the key of the entry that answers it; ``None`` if none does. ``history`` are the questions that
    were asked before it, oldest first."""

    question: str
    key: str | None
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """A question and what each ranker found for it, best first. ``answer`` is the id of the right passage."""

    question: str
    answer: str | None
    meaning: tuple[Hit, ...]
    words: tuple[Hit, ...]

    @property
    def language(self) -> Language:
        return language(self.question)


@dataclass(frozen=True, slots=True)
class Score:
    """One ranker on one set of questions; every figure is a share, 0 to 1.

    ``auc`` is the chance that an answerable question is surer than one without an answer. ``answered`` counts the
    answerable questions let through at ``threshold``, ``refused`` the others kept out (the recall of refusing),
    ``refusals_right`` the questions kept out that have no answer (its precision), ``precision`` the questions let
    through whose first passage is the right one.
    """

    hit_at_1: float
    hit_at_3: float
    mrr: float
    auc: float
    answered: float
    refused: float
    refusals_right: float
    precision: float
    threshold: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """What one ranker made of one question: ids, best first, and how sure it is that any of them answers. ``answer`` is
    the id of the right one; ``None`` if there is none."""

    answer: str | None
    ids: Sequence[str]
    sure: float


Ranker = Callable[[Observation], tuple[list[str], float]]
"""From an observation to ids, best first, and how sure the ranker is that any of them answers."""


async def observe(
    retriever: Retriever, tenant: TenantId, collection: str, questions: Iterable[Question]
) -> list[Observation]:
    """Ask every question, one after the other."""
    observations: list[Observation] = []
    for one in questions:
        [(meaning, words)] = await retriever.hits(tenant, [collection], [one.question])
        answer = None if one.key is None else entry_id(collection, one.key)
        observations.append(Observation(one.question, answer, tuple(meaning), tuple(words)))
    return observations


def read_questions(content: bytes) -> list[Question]:
    """Questions from JSON Lines: ``{"question": …, "key": …, "history": […]}``.

    Raises:
        DecodeError: a line is something else.
    """
    try:
        return [msgspec.json.decode(line, type=Question) for line in content.splitlines() if line.strip()]
    except msgspec.MsgspecError as error:
        raise DecodeError(f"not a question: {error}") from error


def evaluate(observations: Sequence[Observation], calibration: Calibration, language: Language) -> dict[str, Score]:
    """The figures of ``dense``, ``bm25``, ``rrf`` and ``fused``, for the questions in ``language``."""
    rankers: dict[str, Ranker] = {"dense": _dense, "bm25": _bm25, "rrf": _rrf, "fused": _fused(calibration)}
    thresholds = {"fused": calibration.thresholds[language]}
    spoken = [one for one in observations if one.language == language]
    return {
        name: score([Ranked(one.answer, *rank(one)) for one in spoken], thresholds.get(name))
        for name, rank in rankers.items()
    }


def score(ranked: Sequence[Ranked], threshold: float | None = None) -> Score:
    """The figures of one ranker. Without a threshold it gets the one that suits these very questions best, which
    flatters it."""
    places = [_place(one.ids, one.answer) for one in ranked if one.answer is not None]
    inside, outside = sureness(ranked)
    least = best_threshold(inside, outside) if threshold is None else threshold
    kept_out = [one.answer is None for one in ranked if one.sure < least]
    return Score(
        hit_at_1=_share(place == 1 for place in places),
        hit_at_3=_share(place <= 3 for place in places),
        mrr=_mean(1 / place for place in places),
        auc=area_under_curve(inside, outside),
        answered=_share(sure >= least for sure in inside),
        refused=_share(sure < least for sure in outside),
        refusals_right=_share(kept_out),
        precision=_share(list(one.ids[:1]) == [one.answer] for one in ranked if one.sure >= least),
        threshold=least,
    )


def sureness(ranked: Iterable[Ranked]) -> tuple[list[float], list[float]]:
    """How sure a ranker was of the questions that have an answer, and of those that have none."""
    inside: list[float] = []
    outside: list[float] = []
    for one in ranked:
        (outside if one.answer is None else inside).append(one.sure)
    return inside, outside


def best_threshold(inside: Sequence[float], outside: Sequence[float]) -> float:
    """Where wrong refusals and wrong answers, as shares of their kind, are fewest together (Youden, 1950)."""
    points = {least: (wrong, right) for least, wrong, right in refusals(inside, outside)}
    return max(points, key=lambda least: points[least][1] - points[least][0])


def refusals(inside: Sequence[float], outside: Sequence[float]) -> list[tuple[float, float, float]]:
    """For every threshold worth trying, upwards: it, the share of answerable questions that it refuses, and that of
    those without an answer."""
    thresholds = sorted({0.0, *inside, *outside, math.inf})
    return [
        (least, _share(sure < least for sure in inside), _share(sure < least for sure in outside))
        for least in thresholds
    ]


def area_under_curve(inside: Sequence[float], outside: Sequence[float]) -> float:
    """The share of pairs in which the member of ``inside`` is larger; ties count half (Mann and Whitney, 1947)."""
    wins = sum((one > other) + (one == other) / 2 for one in inside for other in outside)
    return wins / (len(inside) * len(outside) or 1)


def halves(observations: Sequence[Observation]) -> tuple[list[Observation], list[Observation]]:
    """To fit on, and to report on: every other question, so that both halves know most entries and neither a question
    of the other."""
    return list(observations[::2]), list(observations[1::2])


def _dense(one: Observation) -> tuple[list[str], float]:
    return [hit.id for hit in one.meaning], one.meaning[0].score if one.meaning else 0.0


def _bm25(one: Observation) -> tuple[list[str], float]:
    return [hit.id for hit in one.words], one.words[0].score if one.words else 0.0


def _rrf(one: Observation) -> tuple[list[str], float]:
    scores: dict[str, float] = {}
    for hits in (one.meaning, one.words):
        for place, hit in enumerate(hits, start=1):
            scores[hit.id] = scores.get(hit.id, 0.0) + 1 / (_RRF_K + place)
    return sorted(scores, key=lambda id: -scores[id]), max(scores.values(), default=0.0)


def _fused(calibration: Calibration) -> Ranker:
    def rank(one: Observation) -> tuple[list[str], float]:
        ranking = fuse(one.question, one.meaning, one.words, calibration)
        return [passage.id for passage in ranking.passages], ranking.answerable

    return rank


def _place(ids: Sequence[str], answer: str) -> float:
    return ids.index(answer) + 1 if answer in ids else math.inf


def _share(outcomes: Iterable[bool]) -> float:
    return _mean(float(outcome) for outcome in outcomes)


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / (len(known) or 1)
