"""What a question gets: passages, a refusal, or the reason why nothing was searched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import timedelta

import pytest

from contracts.errors import Overload
from contracts.ids import TenantId
from rag import Embedder, FaqEntry, Knowledge, RagSettings, Retrieval
from rag.embedding import Vector
from rag.retriever import Skipped
from tests.integration.rag.bundled import BundledEmbedder
from tests.integration.rag.lite import LiteServer

DEADLINE = timedelta(milliseconds=300)


class StuckEmbedder:
    model, dimensions = BundledEmbedder.model, BundledEmbedder.dimensions

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        await asyncio.sleep(3600)
        raise AssertionError("nobody waits this long")


class BusyEmbedder:
    model, dimensions = BundledEmbedder.model, BundledEmbedder.dimensions

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        raise Overload("no room")


async def asked(uri: str, embedder: Embedder, tenant: TenantId, collection: str) -> tuple[Retrieval, float]:
    """The retrieval by a fresh process with the ordinary deadline, and the seconds it took."""
    knowledge = Knowledge.connect(RagSettings(milvus_uri=uri), embedder)
    try:
        started = time.monotonic()
        retrieval = await knowledge.retriever.retrieve(tenant, [collection], "free shipping?", deadline=DEADLINE)
        return retrieval, time.monotonic() - started
    finally:
        await knowledge.close()


async def test_a_question_gets_at_most_three_passages_best_first(
    knowledge: Knowledge, tenant: TenantId, sample: str
) -> None:
    retrieval = await knowledge.retriever.retrieve(tenant, [sample], "Do you deliver to Iceland?")
    assert retrieval.passages[0].source == "faq.jsonl#ship-countries"
    assert len(retrieval.passages) <= 3
    scores = [passage.score for passage in retrieval.passages]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] <= scores[0] <= 1


async def test_a_chinese_question_finds_its_chinese_entry(knowledge: Knowledge, tenant: TenantId, sample: str) -> None:
    retrieval = await knowledge.retriever.retrieve(tenant, [sample], "怎么用柠檬酸除垢", limit=1)
    assert [passage.source for passage in retrieval.passages] == ["faq.jsonl#zh-descale"]


async def test_an_entry_is_as_near_as_its_three_nearest_phrasings_agree(
    knowledge: Knowledge, embedder: Embedder, tenant: TenantId
) -> None:
    question = "How do I descale it?"
    ways = ("remove limescale", "scale on the heater", "chalk in the pot", "what for?")
    collection = await knowledge.create_collection(tenant, "few")
    asked_often = FaqEntry("many", "How is it descaled?", "With citric acid.", 1, also=ways)
    asked_once = FaqEntry("one", "What does it weigh?", "One kilogram.", 2)
    await knowledge.load_faq(tenant, collection.id, "few.jsonl", [asked_often, asked_once])
    [(meaning, _)] = await knowledge.retriever.hits(tenant, [collection.id], [question])
    [many, one] = meaning
    asked, *texts = await embedder.embed([question, "How is it descaled?\nWith citric acid.", *ways])
    cosines = sorted((sum(a * b for a, b in zip(asked, text, strict=True)) for text in texts), reverse=True)
    assert many.score == pytest.approx(cosines[0], abs=1e-3)
    assert many.agreed == pytest.approx(sum(cosines[:3]) / 3, abs=1e-3)
    assert one.agreed == one.score


async def test_a_question_outside_the_faq_gets_no_passage_and_no_excuse(
    knowledge: Knowledge, tenant: TenantId, sample: str
) -> None:
    assert await knowledge.retriever.retrieve(tenant, [sample], "How do I cook pasta?") == Retrieval()


async def test_no_collection_is_no_passage(knowledge: Knowledge, tenant: TenantId) -> None:
    assert await knowledge.retriever.retrieve(tenant, [], "Do you deliver to Iceland?") == Retrieval()


async def test_a_question_of_blanks_or_stop_words_is_answered(
    knowledge: Knowledge, tenant: TenantId, sample: str
) -> None:
    for question in ("  ", "what is it?", "\x00\u202e"):
        retrieval = await knowledge.retriever.retrieve(tenant, [sample], question)
        assert retrieval.skipped is None


async def test_a_frozen_milvus_is_skipped_at_the_deadline(
    own_lite: LiteServer, embedder: Embedder, tenant: TenantId
) -> None:
    own_lite.freeze()
    retrieval, seconds = await asked(own_lite.uri, embedder, tenant, "vs_0")
    assert retrieval == Retrieval(skipped="timeout")
    assert seconds < 1.0


async def test_a_dead_milvus_is_skipped_at_the_deadline_at_the_latest(
    own_lite: LiteServer, embedder: Embedder, tenant: TenantId
) -> None:
    own_lite.stop()
    retrieval, seconds = await asked(own_lite.uri, embedder, tenant, "vs_0")
    assert retrieval.skipped in {"timeout", "unavailable"}
    assert seconds < 1.0


@pytest.mark.parametrize(("broken", "reason"), [(StuckEmbedder, "timeout"), (BusyEmbedder, "unavailable")])
async def test_an_embedder_that_does_not_answer_is_skipped(
    lite: LiteServer, tenant: TenantId, sample: str, broken: type[StuckEmbedder | BusyEmbedder], reason: Skipped
) -> None:
    retrieval, seconds = await asked(lite.uri, broken(), tenant, sample)
    assert retrieval == Retrieval(skipped=reason)
    assert seconds < 1.0


async def test_retrieval_works_again_when_milvus_is_back(
    own_lite: LiteServer, embedder: Embedder, tenant: TenantId
) -> None:
    knowledge = Knowledge.connect(RagSettings(milvus_uri=own_lite.uri), embedder)
    await knowledge.open()
    own_lite.stop()
    lost = await knowledge.retriever.retrieve(tenant, ["vs_0"], "hello", deadline=DEADLINE)
    assert lost.skipped is not None
    own_lite.start()
    async with asyncio.timeout(30):
        # The channel tries again after a pause of its own; nothing tells when.
        while (  # noqa: ASYNC110
            await knowledge.retriever.retrieve(tenant, ["vs_0"], "hello", deadline=DEADLINE)
        ).skipped:
            await asyncio.sleep(0.1)
    back = await knowledge.retriever.retrieve(tenant, ["vs_0"], "hello", deadline=timedelta(seconds=10))
    assert back == Retrieval()
    await knowledge.close()
