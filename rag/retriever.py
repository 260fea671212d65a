"""From a question to the passages that answer it, or to the reason why there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from contracts.errors import PenstockError
from contracts.ids import TenantId
from contracts.messages import Passage
from rag import standalone
from rag.catalog import Attributes, Catalog
from rag.embedding import Embedder
from rag.fusion import Calibration, Ranking, fuse
from rag.scope import Scope
from rag.settings import RagSettings
from rag.store import Hit, PassageStore
from rag.terms import language


class Filter(Protocol):
    """What a document must be like, for its passages to be searched. Who asks brings it."""

    def matches(self, attributes: Attributes) -> bool: ...


Filters = Mapping[str, Filter | None]
"""The filter of each collection; one that is not named, or has none, is searched whole."""

_UNFILTERED: Filters = {}

Skipped = Literal["timeout", "unavailable"]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What a question found. ``skipped`` says why nothing was searched; without it, no passage means no answer."""

    passages: tuple[Passage, ...] = ()
    skipped: Skipped | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a question found: the text that it was searched with, the hits of either ranker, best first, and what the
    fusion makes of them."""

    text: str
    meaning: Sequence[Hit]
    words: Sequence[Hit]
    ranking: Ranking

    @property
    def cosines(self) -> dict[str, float]:
        """What the dense ranker thought, by passage id."""
        return {hit.id: hit.score for hit in self.meaning}

    @property
    def matches(self) -> dict[str, float]:
        """What BM25 thought, by passage id."""
        return {hit.id: hit.score for hit in self.words}

    @property
    def documents(self) -> dict[str, str]:
        """Whose each passage is, by passage id: see ``Document.owner``."""
        return {hit.id: hit.document for hit in (*self.meaning, *self.words)}

    @property
    def best_terms(self) -> frozenset[str]:
        """The terms of the entry that is most likely the answer."""
        known = {hit.id: hit.terms for hit in (*self.meaning, *self.words)}
        return known[self.ranking.passages[0].id] if self.ranking.passages else frozenset()


class Retriever:
    """Embeds a question, asks both rankers at once, fuses, and refuses what is unlikely to be an answer."""

    def __init__(
        self,
        store: PassageStore,
        catalog: Catalog,
        embedder: Embedder,
        calibration: Calibration,
        settings: RagSettings,
    ):
        self._store = store
        self._catalog = catalog
        self._embedder = embedder
        self._calibration = calibration
        self._settings = settings

    async def retrieve(
        self,
        tenant: TenantId,
        collections: Sequence[str],
        question: str,
        history: Sequence[str] = (),
        *,
        filters: Filters = _UNFILTERED,
        limit: int | None = None,
        deadline: timedelta | None = None,
    ) -> Retrieval:
        """The passages for a prompt: at most ``limit``, best first, none if the question has no answer here.

        ``history`` are the questions asked before it, oldest first. A slow or dead Milvus or embedder makes the answer
        poorer and does not fail it: nothing is raised for those.
        """
        deadline = self._settings.deadline if deadline is None else deadline
        try:
            async with asyncio.timeout(deadline.total_seconds()):
                found = await self.find(tenant, collections, question, history, filters)
        except TimeoutError:
            return Retrieval(skipped="timeout")
        except PenstockError:
            return Retrieval(skipped="unavailable")
        if not self._answers(found):
            return Retrieval()
        return Retrieval(passages=found.ranking.passages[: self._settings.passages if limit is None else limit])

    async def find(
        self,
        tenant: TenantId,
        collections: Sequence[str],
        question: str,
        history: Sequence[str] = (),
        filters: Filters = _UNFILTERED,
    ) -> Found:
        """Every candidate for a question, with its probability; nothing is refused and nothing is hidden. A follow-up
        that is not sure of its answer by itself is what it is behind the question before it, if that makes it one.

        Raises:
            DependencyDown: Milvus does not answer.
            PenstockError: the embedder does not.
        """
        texts = standalone.texts(question, history)
        hits = await self.hits(tenant, collections, texts, filters)
        alone, *joined = [self._found(text, *some) for text, some in zip(texts, hits, strict=True)]
        if alone.ranking.answerable < standalone.SURE or not self._answers(alone):
            for one in joined:
                if self._answers(one) and standalone.is_known(question, history, one.best_terms):
                    return one
        return alone

    async def hits(
        self, tenant: TenantId, collections: Sequence[str], texts: Sequence[str], filters: Filters = _UNFILTERED
    ) -> list[tuple[list[Hit], list[Hit]]]:
        """What each ranker finds for each text, unfused: by meaning and by words. All are embedded in one request, and
        searched at once. Raises as ``find`` does."""
        if not collections or not texts[0].strip():
            return [([], []) for _ in texts]
        most = self._settings.candidates
        try:
            async with asyncio.TaskGroup() as all_of_them:
                vectors = all_of_them.create_task(self._embedder.embed(texts))
                scope = all_of_them.create_task(self._scope(tenant, collections, filters))

                async def by_meaning(place: int) -> list[Hit]:
                    return await self._store.by_meaning(await scope, (await vectors)[place], most)

                async def by_terms(text: str) -> list[Hit]:
                    return await self._store.by_terms(await scope, text, most)

                meaning = [all_of_them.create_task(by_meaning(place)) for place in range(len(texts))]
                words = [all_of_them.create_task(by_terms(text)) for text in texts]
        except ExceptionGroup as group:
            raise group.exceptions[0] from group
        return [(near.result(), said.result()) for near, said in zip(meaning, words, strict=True)]

    def threshold(self, text: str) -> float:
        """Below this probability of an answer ``text`` is refused: as set, else as calibrated for its language."""
        chosen = self._settings.threshold
        return self._calibration.thresholds[language(text)] if chosen is None else chosen

    async def _scope(self, tenant: TenantId, collections: Sequence[str], filters: Filters) -> Scope:
        """The collections, and of one with a filter the documents that pass it now."""
        passing: dict[str, set[str]] = {}
        for collection in collections:
            if (wanted := filters.get(collection)) is not None:
                documents = await self._catalog.documents(tenant, collection)
                passing[collection] = {one.owner for one in documents if wanted.matches(one.attributes)}
        return Scope(tenant, collections, passing)

    def _found(self, text: str, meaning: Sequence[Hit], words: Sequence[Hit]) -> Found:
        return Found(text, meaning, words, fuse(text, meaning, words, self._calibration))

    def _answers(self, found: Found) -> bool:
        return found.ranking.answerable >= self.threshold(found.text)
