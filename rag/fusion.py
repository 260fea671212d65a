"""Two rankings become one, with probabilities. Pure.

Reciprocal ranks with equal weights do worse than the better ranker alone (measured: 0.853 against 0.883 hit@1 in
English, 0.708 against 0.868 in Chinese), and their scores do not tell an answer from the best of bad candidates. So
each candidate is weighed by what the rankers *know*: how near it is in meaning, how much of the question's words it
covers, and how it stands among the other candidates. The weights, one set per language, are fitted to questions with
known answers (``rag.calibration``): a conditional logit whose outside option is "no passage answers this" (McFadden,
"Conditional logit analysis of qualitative choice behavior", 1974).

    P(candidate i answers) = exp(s_i) / (1 + sum_j exp(s_j)),    s_i = weights · features_i
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass

import msgspec

from contracts.messages import Passage
from rag.spelling import meant
from rag.store import Hit
from rag.terms import Language, is_pair, language, terms

FEATURES = ("one", "cosine", "agreed", "lead", "matched", "share")
"""What is known of a candidate: 1; its cosine; the mean of its three nearest rows' cosines (see ``Hit``); by how much
the first exceeds the mean of the dense hits; how many words and Chinese characters of the question it contains,
misspelt ones too and rare ones counting full; its BM25 as a share of the best."""
BY_MEANING = frozenset({"cosine", "agreed", "lead"})
"""Those of them that the embedding model says."""

Features = tuple[float, ...]


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned about one embedding model: weights by language, and thresholds below which to refuse."""

    model: str
    features: tuple[str, ...]
    weights: dict[Language, tuple[float, ...]]
    thresholds: dict[Language, float]

    @classmethod
    def read(cls, wire: bytes) -> Calibration:
        """Decode the committed file.

        Raises:
            ValueError: it was fitted to other features than these.
        """
        calibration = msgspec.json.decode(wire, type=cls)
        if calibration.features != FEATURES:
            raise ValueError(f"fitted to {calibration.features}, not to {FEATURES}: calibrate again")
        return calibration


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage that a ranker found, and what the rankers know about it, in the order of ``FEATURES``."""

    hit: Hit
    features: Features


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates as passages, best first. ``answerable`` is the probability that any of them answers."""

    passages: tuple[Passage, ...]
    answerable: float


def fuse(question: str, meaning: Sequence[Hit], words: Sequence[Hit], calibration: Calibration) -> Ranking:
    """One ranking from the dense hits and the BM25 hits of ``question``, each best first."""
    candidates = describe(question, meaning, words)
    chances = probabilities([one.features for one in candidates], calibration.weights[language(question)])
    ranked = sorted(zip(candidates, chances, strict=True), key=lambda pair: (-pair[1], pair[0].hit.id))
    return Ranking(tuple(_passage(one.hit, chance) for one, chance in ranked), sum(chances))


def probabilities(features: Sequence[Features], weights: Sequence[float]) -> list[float]:
    """The probability of each candidate; the rest to 1 is that of none."""
    scores = [sum(w * x for w, x in zip(weights, row, strict=True)) for row in features]
    top = max((0.0, *scores))  # 0 is the score of the outside option; the largest power must not overflow
    powers = [math.exp(score - top) for score in scores]
    total = math.exp(-top) + sum(powers)
    return [power / total for power in powers]


def describe(question: str, meaning: Sequence[Hit], words: Sequence[Hit]) -> list[Candidate]:
    """The union of both rankings, each candidate with its features."""
    cosines = {hit.id: hit.score for hit in meaning}
    agreed = {hit.id: hit.agreed for hit in meaning}
    matches = {hit.id: hit.score for hit in words}
    hits = {hit.id: hit for hit in (*meaning, *words)}
    # What the dense ranker did not list is at most as near as the last that it did.
    unlisted = min(cosines.values(), default=0.0)
    usual = sum(cosines.values()) / len(cosines) if cosines else 0.0
    best_match = max(matches.values(), default=0.0) or 1.0
    contents = [hit.terms for hit in hits.values()]
    rarity = _rarity(_asked(question, contents), contents)
    found: list[Candidate] = []
    for id, hit in hits.items():
        cosine = cosines.get(id, unlisted)
        matched = sum(weight for term, weight in rarity.items() if term in hit.terms)
        share = matches.get(id, 0.0) / best_match
        found.append(Candidate(hit, (1.0, cosine, agreed.get(id, unlisted), cosine - usual, matched, share)))
    return found


def _asked(question: str, contents: Sequence[Set[str]]) -> frozenset[str]:
    """The words and characters of the question, as the candidates spell them."""
    # Pairs of characters rank, in BM25. Here they would count again what their characters have said.
    asked = frozenset(term for term in terms(question) if not is_pair(term))
    return meant(asked, frozenset[str]().union(*contents))


def _rarity(question: Set[str], contents: Sequence[Set[str]]) -> dict[str, float]:
    """A weight for each term of the question: 1 if one candidate has it, near 0 if all do.

    Measured among the candidates, since a server's BM25 depends on how it has cut its segments.
    """
    full = math.log(1 + (len(contents) + 0.5) / 1.5)
    counts = {term: sum(term in content for content in contents) for term in question}
    return {term: math.log(1 + (len(contents) + 0.5) / (count + 0.5)) / full for term, count in counts.items() if count}


def _passage(hit: Hit, chance: float) -> Passage:
    return Passage(
        id=hit.id, collection=hit.collection, source=hit.source, title=hit.title, text=hit.text, score=chance
    )
