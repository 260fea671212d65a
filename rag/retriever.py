"""From a question to the passages that answer it, or to the reason why there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from contracts.errors import PenstockError
from contracts.ids import TenantId
from contracts.messages import Passage
from rag.embedding import Embedder
from rag.fusion import Calibration, Ranking, fuse
from rag.settings import RagSettings
from rag.store import Hit, PassageStore
from rag.terms import language

Skipped = Literal["timeout", "unavailable"]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What a question found. ``skipped`` says why nothing was searched; without it, no passage means no answer."""

    passages: tuple[Passage, ...] = ()
    skipped: Skipped | None = None


class Retriever:
    """Embeds a question, asks both rankers at once, fuses, and refuses what is unlikely to be an answer."""

    def __init__(self, store: PassageStore, embedder: Embedder, calibration: Calibration, settings: RagSettings):
        self._store = store
        self._embedder = embedder
        self._calibration = calibration
        self._settings = settings

    async def retrieve(
        self,
        tenant: TenantId,
        collections: Sequence[str],
        question: str,
        limit: int | None = None,
        deadline: timedelta | None = None,
    ) -> Retrieval:
        """The passages for a prompt: at most ``limit``, best first, none if the question has no answer here.

        A slow or dead Milvus or embedder makes the answer poorer and does not fail it: nothing is raised for those.
        """
        deadline = self._settings.deadline if deadline is None else deadline
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                ranking = await self.rank(tenant, collections, question)
        except TimeoutError:
            return Retrieval(skipped="timeout")
        except PenstockError:
            return Retrieval(skipped="unavailable")
        if ranking.answerable < self.threshold(question):
            return Retrieval()
        return Retrieval(passages=ranking.passages[: self._settings.passages if limit is None else limit])

    async def rank(self, tenant: TenantId, collections: Sequence[str], question: str) -> Ranking:
        """Every candidate, best first, with its probability; nothing is refused and nothing is hidden.

        Raises:
            DependencyDown: Milvus does not answer.
            PenstockError: the embedder does not.
        """
        meaning, words = await self.hits(tenant, collections, question)
        return fuse(question, meaning, words, self._calibration)

    async def hits(self, tenant: TenantId, collections: Sequence[str], question: str) -> tuple[list[Hit], list[Hit]]:
        """What each ranker finds, unfused: by meaning and by words. Raises as ``rank`` does."""
        if not collections or not question.strip():
            return [], []
        try:
            async with asyncio.TaskGroup() as both:
                meaning = both.create_task(self._by_meaning(tenant, collections, question))
                words = both.create_task(self._by_words(tenant, collections, question))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        return meaning.result(), words.result()

    def threshold(self, question: str) -> float:
        """Below this probability of an answer ``question`` is refused: as set, else as calibrated for its language."""
        chosen = self._settings.threshold
        return self._calibration.thresholds[language(question)] if chosen is None else chosen

    async def _by_meaning(self, tenant: TenantId, collections: Sequence[str], question: str) -> list[Hit]:
        [vector] = await self._embedder.embed([question])
        return await self._store.by_meaning(tenant, collections, vector, self._settings.candidates)

    async def _by_words(self, tenant: TenantId, collections: Sequence[str], question: str) -> list[Hit]:
        return await self._store.by_terms(tenant, collections, question, self._settings.candidates)
