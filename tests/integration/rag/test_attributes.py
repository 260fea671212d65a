"""Searching only files whose attributes pass a filter, on a real Milvus Lite server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

import pytest

from access.attributes import LONGEST_KEY, LONGEST_TEXT, MOST_ATTRIBUTES, Equality, Value
from contracts.ids import TenantId
from rag import Embedder, FaqEntry, Knowledge, RagSettings
from rag.catalog import Attributes, Collection, Document
from rag.embedding import Vector
from rag.retriever import Filter
from tests.integration.rag.lite import LiteServer

QUESTION = "When does the library open?"
ODD = ['x" or tenant != "', "a] or (1 == 1", "{tenant}", "\\", "' or ''='", "a\nb", "%", "开放时间"]


def hours(answer: str, key: str = "hours") -> list[FaqEntry]:
    return [FaqEntry(key, QUESTION, answer, 1)]


def has(key: str, value: Value) -> Filter:
    return Equality(type="eq", key=key, value=value)


class Interrupted:
    """An embedder that something else happens before."""

    def __init__(self, embedder: Embedder, happens: Callable[[], Awaitable[object]]):
        self.model, self.dimensions = embedder.model, embedder.dimensions
        self._embedder, self._happens = embedder, happens

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        await self._happens()
        return await self._embedder.embed(texts)


@pytest.fixture
async def collection(knowledge: Knowledge, tenant: TenantId) -> Collection:
    return await knowledge.create_collection(tenant, "library")


@pytest.fixture
async def branches(knowledge: Knowledge, tenant: TenantId, collection: Collection) -> dict[str, Document]:
    """Two files that answer the same question, each for its own branch of the library."""
    return {
        branch: await knowledge.load_faq(
            tenant,
            collection.id,
            f"{branch}.csv",
            hours(answer, branch),
            id=f"file-{branch}",
            attributes={"branch": branch},
        )
        for branch, answer in {"east": "At nine.", "west": "At ten."}.items()
    }


async def answers(
    knowledge: Knowledge, tenant: TenantId, collections: Sequence[str], filters: Mapping[str, Filter | None]
) -> set[str]:
    """The answers that either ranker found."""
    [(meaning, words)] = await knowledge.retriever.hits(tenant, collections, [QUESTION], filters)
    assert {hit.text for hit in meaning} == {hit.text for hit in words}
    return {hit.text for hit in meaning}


@pytest.mark.usefixtures("branches")
async def test_both_rankers_find_only_what_passes(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    for branch, answer in {"east": {"At nine."}, "west": {"At ten."}, "north": set[str]()}.items():
        filters = {collection.id: has("branch", branch)}
        assert await answers(knowledge, tenant, [collection.id], filters) == answer


@pytest.mark.usefixtures("branches")
async def test_a_filter_is_asked_of_its_own_collection_alone(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    other = await knowledge.create_collection(tenant, "archive")
    await knowledge.load_faq(tenant, other.id, "archive.csv", hours("Never."))
    both, filters = [collection.id, other.id], {collection.id: has("branch", "west")}
    assert await answers(knowledge, tenant, both, filters) == {"At ten.", "Never."}
    nowhere = {collection.id: has("branch", "north")}
    assert await answers(knowledge, tenant, both, nowhere) == {"Never."}


async def test_what_passes_is_found_among_many_nearer_ones_that_do_not(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    near = [FaqEntry(f"near-{number}", QUESTION, f"At {number}.", number) for number in range(300)]
    await knowledge.load_faq(tenant, collection.id, "near.csv", near, attributes={"branch": "east"})
    far = FaqEntry("far", "Is the library open on Sundays?", "No.", 1)
    await knowledge.load_faq(tenant, collection.id, "far.csv", [far], attributes={"branch": "west"})
    assert await answers(knowledge, tenant, [collection.id], {collection.id: has("branch", "west")}) == {"No."}


async def test_changed_attributes_count_for_the_next_question(
    knowledge: Knowledge, tenant: TenantId, collection: Collection, branches: dict[str, Document]
) -> None:
    changed = await knowledge.update_document(tenant, collection.id, branches["east"].id, {"branch": "south"})
    assert await knowledge.document(tenant, collection.id, changed.id) == changed
    assert await answers(knowledge, tenant, [collection.id], {collection.id: has("branch", "south")}) == {"At nine."}
    assert await answers(knowledge, tenant, [collection.id], {collection.id: has("branch", "east")}) == set()


@pytest.mark.parametrize(("given", "kept"), [(None, {"branch": "east"}), ({}, {}), ({"a": 1}, {"a": 1})])
async def test_a_file_loaded_again_keeps_its_attributes_unless_it_brings_others(
    knowledge: Knowledge, tenant: TenantId, collection: Collection, given: Attributes | None, kept: Attributes
) -> None:
    for attributes, id in (({"branch": "east"}, "file-1"), (given, "file-2")):
        await knowledge.load_faq(tenant, collection.id, "a.csv", hours(id), id=id, attributes=attributes)
    [loaded] = await knowledge.documents(tenant, collection.id)
    assert (loaded.id, loaded.attributes) == ("file-2", kept)


async def test_an_entry_put_by_key_has_the_attributes_of_its_file(
    knowledge: Knowledge, tenant: TenantId, collection: Collection, branches: dict[str, Document]
) -> None:
    await knowledge.put_entry(tenant, collection.id, hours("At eight.", "east")[0])
    assert await answers(knowledge, tenant, [collection.id], {collection.id: has("branch", "east")}) == {"At eight."}
    assert (await knowledge.document(tenant, collection.id, branches["east"].id)).attributes == {"branch": "east"}


async def test_attributes_that_change_while_a_file_is_written_stay_changed(
    knowledge: Knowledge, tenant: TenantId, collection: Collection, settings: RagSettings, embedder: Embedder
) -> None:
    for number, write in enumerate(("load", "put")):
        await knowledge.load_faq(tenant, collection.id, "a.csv", hours(f"{write} 1"), id="file-1")
        changed = {"number": number}
        change = partial(knowledge.update_document, tenant, collection.id, "file-1", changed)
        writer = Knowledge.connect(settings, Interrupted(embedder, change))
        [entry] = hours(f"{write} 2")
        if write == "load":
            await writer.load_faq(tenant, collection.id, "a.csv", [entry], id="file-1")
        else:
            await writer.put_entry(tenant, collection.id, entry)
        await writer.close()
        assert (await knowledge.document(tenant, collection.id, "file-1")).attributes == changed


@pytest.mark.usefixtures("branches")
async def test_a_new_entry_put_by_key_has_those_of_what_was_edited(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    await knowledge.put_entry(tenant, collection.id, hours("At noon.", "new")[0])
    [edited] = [one for one in await knowledge.documents(tenant, collection.id) if one.filename == "edited"]
    await knowledge.update_document(tenant, collection.id, edited.id, {"branch": "north"})
    await knowledge.put_entry(tenant, collection.id, hours("At one.", "newer")[0])
    filters = {collection.id: has("branch", "north")}
    assert await answers(knowledge, tenant, [collection.id], filters) == {"At noon.", "At one."}


@pytest.mark.usefixtures("branches")
async def test_an_entry_that_another_file_takes_over_gets_its_attributes(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    taken = hours("At seven.", "east")
    await knowledge.load_faq(tenant, collection.id, "north.csv", taken, attributes={"branch": "north"})
    assert await answers(knowledge, tenant, [collection.id], {collection.id: has("branch", "north")}) == {"At seven."}
    assert await answers(knowledge, tenant, [collection.id], {collection.id: has("branch", "east")}) == set()


async def test_one_text_in_two_collections_has_attributes_in_each(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    other = await knowledge.create_collection(tenant, "archive")
    both = [collection.id, other.id]
    for store, public in zip(both, (True, False), strict=True):
        text = f"# {QUESTION}\n\nIt opens when the bell rings, says the {store}."
        await knowledge.load_text(tenant, store, "a.md", text, id="file-1", attributes={"public": public})
    [(meaning, _)] = await knowledge.retriever.hits(
        tenant, both, [QUESTION], dict.fromkeys(both, has("public", value=True))
    )
    assert [(hit.collection, hit.document) for hit in meaning] == [(collection.id, "file-1")]


@pytest.mark.usefixtures("branches")
async def test_another_tenants_file_is_never_found_whatever_the_filter(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    stranger = TenantId(f"{tenant}-stranger")
    own = await knowledge.create_collection(stranger, "library")
    await knowledge.load_faq(stranger, own.id, "a.csv", hours("Mine."), attributes={"branch": "east"})
    everywhere = [own.id, collection.id]
    for wanted in (has("branch", "east"), Equality(type="ne", key="branch", value="x")):
        for filters in ({own.id: wanted}, {collection.id: wanted}, dict.fromkeys(everywhere, wanted)):
            assert await answers(knowledge, stranger, everywhere, filters) <= {"Mine."}


@pytest.mark.parametrize("odd", ODD)
async def test_keys_and_values_of_any_shape_are_only_compared(
    knowledge: Knowledge, tenant: TenantId, collection: Collection, branches: dict[str, Document], odd: str
) -> None:
    await knowledge.update_document(tenant, collection.id, branches["east"].id, {odd: odd})
    assert await answers(knowledge, tenant, [collection.id], {collection.id: has(odd, odd)}) == {"At nine."}
    assert await answers(knowledge, tenant, [collection.id], {collection.id: has("branch", odd)}) == set()


async def test_a_filter_that_cannot_be_looked_up_is_told_and_lets_nothing_pass(
    own_lite: LiteServer, embedder: Embedder, tenant: TenantId
) -> None:
    knowledge = Knowledge.connect(RagSettings(milvus_uri=own_lite.uri), embedder)
    await knowledge.open()
    own_lite.stop()
    filters = {"vs_0": has("branch", "east")}
    deadline = timedelta(seconds=2)
    lost = await knowledge.retriever.retrieve(tenant, ["vs_0"], QUESTION, filters=filters, deadline=deadline)
    assert lost.skipped is not None
    assert lost.passages == ()
    await knowledge.close()


async def test_the_largest_attributes_there_can_be_are_kept(
    knowledge: Knowledge, tenant: TenantId, collection: Collection
) -> None:
    # Characters that take most room as JSON: six bytes each.
    keys = [f"{number:x}".rjust(LONGEST_KEY, "\x01") for number in range(MOST_ATTRIBUTES)]
    largest = dict.fromkeys(keys, "\x02" * LONGEST_TEXT)
    loaded = await knowledge.load_faq(tenant, collection.id, "n" * 255, hours("At nine."), attributes=largest)
    assert (await knowledge.document(tenant, collection.id, loaded.id)).attributes == largest
