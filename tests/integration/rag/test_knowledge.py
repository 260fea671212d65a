"""Loading, editing and removing knowledge, on a real Milvus Lite server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from contracts.errors import NotFound
from contracts.ids import TenantId
from rag import Embedder, FaqEntry, Knowledge, RagSettings
from rag.catalog import Collection
from rag.embedding import Vector
from tests.integration.rag.lite import LiteServer

OPENING = FaqEntry("opening", "When does the library open?", "The library opens at nine on working days.", 1)
PARKING = FaqEntry("parking", "Where can visitors park?", "Visitors park behind the town hall, two hours free.", 2)


@pytest.fixture
async def collection(knowledge: Knowledge, tenant: TenantId) -> Collection:
    return await knowledge.create_collection(tenant, "library", {"team": "desk"})


async def texts(knowledge: Knowledge, tenant: TenantId, collection: str, question: str) -> list[str]:
    return [one.text for one in (await knowledge.retriever.rank(tenant, [collection], question)).passages]


async def test_a_loaded_entry_is_found_with_its_source(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    await knowledge.load_faq(tenant, collection.id, "library.csv", [OPENING, PARKING])
    ranking = await knowledge.retriever.rank(tenant, [collection.id], "at what time do you open")
    best = ranking.passages[0]
    assert (best.title, best.text, best.source) == (OPENING.question, OPENING.answer, "library.csv#opening")


async def test_another_way_to_ask_finds_its_entry_once_and_is_never_shown(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    asked = replace(PARKING, also=("I came by car, what now?", "is there a garage"))
    await knowledge.load_faq(tenant, collection.id, "library.csv", [OPENING, asked])
    meaning, words = await knowledge.retriever.hits(tenant, [collection.id], "is there a garage")
    assert [hit.text for hit in meaning] == [PARKING.answer, OPENING.answer]
    assert meaning[0].score == pytest.approx(1.0, abs=1e-3)
    assert [hit.text for hit in words] == [PARKING.answer]


async def test_another_way_to_ask_that_was_removed_finds_nothing(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    await knowledge.load_faq(tenant, collection.id, "library.csv", [replace(PARKING, also=("is there a garage",))])
    await knowledge.load_faq(tenant, collection.id, "library.csv", [PARKING])
    meaning, words = await knowledge.retriever.hits(tenant, [collection.id], "is there a garage")
    assert meaning[0].score < 0.9
    assert words == []


async def test_an_edit_by_key_is_visible_to_the_next_question(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    await knowledge.load_faq(tenant, collection.id, "library.csv", [OPENING])
    changed = FaqEntry("opening", OPENING.question, "The library now opens at ten.", 1)
    await knowledge.put_entry(tenant, collection.id, changed)
    assert await texts(knowledge, tenant, collection.id, OPENING.question) == ["The library now opens at ten."]


async def test_a_deleted_entry_is_not_found_by_the_next_question(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    await knowledge.load_faq(tenant, collection.id, "library.csv", [OPENING, PARKING])
    await knowledge.delete_entry(tenant, collection.id, "opening")
    assert await texts(knowledge, tenant, collection.id, OPENING.question) == [PARKING.answer]


async def test_loading_a_file_again_replaces_what_it_had(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    first = await knowledge.load_faq(tenant, collection.id, "library.csv", [OPENING, PARKING])
    second = await knowledge.load_faq(tenant, collection.id, "library.csv", [PARKING])
    assert second.id == first.id
    assert [one.passages for one in await knowledge.documents(tenant, collection.id)] == [1]
    assert await texts(knowledge, tenant, collection.id, OPENING.question) == [PARKING.answer]


async def test_only_changed_entries_are_embedded_when_a_file_is_loaded_again(
    settings: RagSettings, minilm: Embedder, tenant: TenantId
) -> None:
    asked: list[str] = []

    class Counting:
        model, dimensions = minilm.model, minilm.dimensions

        async def embed(self, texts: Sequence[str]) -> list[Vector]:
            asked.extend(texts)
            return await minilm.embed(texts)

    async def load(*entries: FaqEntry) -> None:
        knowledge = Knowledge.connect(settings, Counting())
        await knowledge.open()
        stored = await knowledge.collection_named(tenant, "library")
        collection = stored or await knowledge.create_collection(tenant, "library")
        await knowledge.load_faq(tenant, collection.id, "library.csv", entries)
        await knowledge.close()

    await load(OPENING, PARKING)
    asked.clear()
    await load(OPENING, FaqEntry("parking", PARKING.question, "Visitors park anywhere.", 2))
    assert asked == [f"{PARKING.question}\nVisitors park anywhere."]


async def test_a_deleted_document_takes_only_its_own_passages(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    gone = await knowledge.load_faq(tenant, collection.id, "a.csv", [OPENING])
    await knowledge.load_faq(tenant, collection.id, "b.csv", [PARKING])
    await knowledge.delete_document(tenant, collection.id, gone.id)
    assert [one.filename for one in await knowledge.documents(tenant, collection.id)] == ["b.csv"]
    assert await texts(knowledge, tenant, collection.id, OPENING.question) == [PARKING.answer]


async def test_a_deleted_collection_leaves_nothing_to_find(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    await knowledge.load_faq(tenant, collection.id, "library.csv", [OPENING])
    await knowledge.delete_collection(tenant, collection.id)
    assert await knowledge.collections(tenant) == []
    assert await texts(knowledge, tenant, collection.id, OPENING.question) == []
    with pytest.raises(NotFound):
        await knowledge.documents(tenant, collection.id)


async def test_a_collection_can_be_renamed(knowledge: Knowledge, tenant: TenantId, collection: Collection) -> None:
    await knowledge.update_collection(tenant, collection.id, name="town library")
    stored = await knowledge.collection(tenant, collection.id)
    assert (stored.name, stored.metadata) == ("town library", {"team": "desk"})


async def test_a_text_is_found_by_the_section_that_answers(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    handbook = "# Loans\nBooks may be kept for four weeks.\n\n# Fines\nA late book costs twenty cents a day.\n"
    await knowledge.load_text(tenant, collection.id, "handbook.md", handbook)
    ranking = await knowledge.retriever.rank(tenant, [collection.id], "What do I pay for a late book?")
    best = ranking.passages[0]
    assert (best.title, best.source) == ("Fines", "handbook.md#2")


HOSTILE = ['x" or tenant != "', "vs_0 or 1 == 1", "*", "", "{tenant}", "a\nb", "vs_' || true", "../x"]


async def test_a_foreign_collection_gives_no_passage_and_does_not_exist(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    await knowledge.load_faq(tenant, collection.id, "library.csv", [OPENING])
    stranger = TenantId("stranger")
    assert await texts(knowledge, stranger, collection.id, OPENING.question) == []
    for attempt in (
        knowledge.collection(stranger, collection.id),
        knowledge.delete_collection(stranger, collection.id),
        knowledge.load_faq(stranger, collection.id, "mine.csv", [PARKING]),
        knowledge.delete_entry(stranger, collection.id, "opening"),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await texts(knowledge, tenant, collection.id, OPENING.question) == [OPENING.answer]


@pytest.mark.parametrize("id", HOSTILE)
async def test_an_id_that_is_filter_syntax_is_an_id_of_nothing(
    knowledge: Knowledge, tenant: TenantId, collection: Collection, id: str
) -> None:
    await knowledge.load_faq(tenant, collection.id, "library.csv", [OPENING])
    with pytest.raises(NotFound):
        await knowledge.collection(tenant, id)
    with pytest.raises(NotFound):
        await knowledge.retriever.rank(tenant, [id], OPENING.question)


async def test_a_key_may_contain_anything(knowledge: Knowledge, tenant: TenantId, collection: Collection) -> None:
    odd = FaqEntry('"] or id != "" \n钥匙', OPENING.question, OPENING.answer, 1)
    await knowledge.load_faq(tenant, collection.id, "library.csv", [odd, PARKING])
    await knowledge.delete_entry(tenant, collection.id, odd.key)
    assert await texts(knowledge, tenant, collection.id, OPENING.question) == [PARKING.answer]


async def test_knowledge_outlives_a_restart_of_milvus(own_lite: LiteServer, minilm: Embedder, tenant: TenantId) -> None:
    knowledge = Knowledge.connect(RagSettings(milvus_uri=own_lite.uri), minilm)
    await knowledge.open()
    collection = await knowledge.create_collection(tenant, "library")
    await knowledge.load_faq(tenant, collection.id, "library.csv", [OPENING])
    own_lite.stop()
    own_lite.start()
    assert await texts(knowledge, tenant, collection.id, OPENING.question) == [OPENING.answer]
    await knowledge.close()
