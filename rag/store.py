"""Passages in Milvus: one Milvus collection for all tenants, the knowledge collection as its partition key.

An entry is one row for itself and one for each other way to ask it, each with its own vector, so that a question finds
its entry by whatever it is nearest to. Every row has the terms of the whole entry; from those of its first row Milvus
makes the sparse vector for BM25. The name of the Milvus collection carries the embedding model, so vectors of two
models never meet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pymilvus import CollectionSchema, DataType, Function, FunctionType, MilvusClient
from pymilvus.milvus_client.index import IndexParams

from contracts.ids import TenantId
from rag.embedding import Vector
from rag.filters import bind
from rag.milvus import Milvus, Row
from rag.terms import terms

SCHEMA_VERSION = 2
MAX_TEXT_BYTES = 32_000
_PARTITIONS = 16
_FLUSH_ROWS = 200
_FIELDS = ("entry", "tenant", "collection", "source", "title", "text", "terms")
_SEARCHED = "tenant == {tenant} and collection in {collections}"
_FIRST_ROWS = f"{_SEARCHED} and place == 0"


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage to index. ``also`` are other ways to ask for it: searched, never shown."""

    id: str
    document: str
    source: str
    title: str
    text: str
    also: tuple[str, ...] = ()

    @property
    def searched(self) -> tuple[str, ...]:
        """What is embedded, each by itself: title and text as one (a FAQ question finds its entry by either half),
        then the other ways to ask."""
        return (f"{self.title}\n{self.text}" if self.title else self.text, *self.also)

    @property
    def digest(self) -> str:
        """A hash of all of it: what is unchanged is not embedded again."""
        parts = (self.title, self.text, self.source, *self.also)
        return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that one ranker found. ``score`` is that ranker's own: a cosine, or BM25. ``terms`` are those of its
    entry, other ways to ask included."""

    id: str
    collection: str
    source: str
    title: str
    text: str
    terms: frozenset[str]
    score: float


class PassageStore:
    """The passages of every tenant. Every method raises ``DependencyDown`` when Milvus does not answer."""

    def __init__(self, milvus: Milvus, model: str, dimensions: int):
        self._milvus = milvus
        self._dimensions = dimensions
        self._name = "passages_" + hashlib.sha256(f"{SCHEMA_VERSION}:{model}:{dimensions}".encode()).hexdigest()[:12]

    async def open(self) -> None:
        """Create the Milvus collection and its indexes unless they exist, and load them."""
        await self._milvus.ensure(self._name, _schema(self._dimensions), _indexes(), _PARTITIONS)

    async def upsert(
        self, tenant: TenantId, collection: str, entries: Sequence[Entry], vectors: Sequence[Vector]
    ) -> None:
        """Write entries with the vectors of what is ``searched`` of them, in order; the next search finds them, and an
        entry of the same id is replaced."""
        rest = iter(vectors)
        rows = [row for entry in entries for row in _rows(tenant, collection, entry, rest)]
        for start in range(0, len(rows), _FLUSH_ROWS):
            await self._milvus.upsert(self._name, rows[start : start + _FLUSH_ROWS])
        for start in range(0, len(entries), _FLUSH_ROWS):
            await self._drop_former(tenant, collection, entries[start : start + _FLUSH_ROWS])
        if len(rows) >= _FLUSH_ROWS:
            await self._milvus.flush(self._name)

    async def delete(self, tenant: TenantId, collection: str, ids: Sequence[str]) -> None:
        """Delete entries by id; unknown ones are ignored."""
        if ids:
            where = bind(
                "tenant == {tenant} and collection == {collection} and entry in {ids}",
                tenant=tenant, collection=collection, ids=ids,
            )  # fmt: skip
            await self._milvus.delete(self._name, where)

    async def delete_collection(self, tenant: TenantId, collection: str) -> None:
        """Delete every entry of ``collection``."""
        where = bind("tenant == {tenant} and collection == {collection}", tenant=tenant, collection=collection)
        await self._milvus.delete(self._name, where)

    async def digests(self, tenant: TenantId, collection: str) -> dict[str, tuple[str, str]]:
        """Id to (document, digest) of every entry of ``collection``."""
        where = bind(
            "tenant == {tenant} and collection == {collection} and place == 0", tenant=tenant, collection=collection
        )
        rows = await self._milvus.query(self._name, where, ("id", "document", "digest"))
        return {row["id"]: (row["document"], row["digest"]) for row in rows}

    async def by_meaning(self, tenant: TenantId, collections: Sequence[str], vector: Vector, limit: int) -> list[Hit]:
        """The entries nearest to ``vector``; the score is the cosine, -1 to 1."""
        where = bind(_SEARCHED, tenant=tenant, collections=collections)
        options: Row = {"metric_type": "COSINE", "params": {"ef": max(128, 4 * limit)}}
        found = await self._milvus.search(
            self._name,
            "dense",
            list(vector),
            where=where,
            fields=_FIELDS,
            limit=limit,
            options=options,
            group_by="entry",
        )
        return _hits(found, tenant, collections)

    async def by_terms(self, tenant: TenantId, collections: Sequence[str], question: str, limit: int) -> list[Hit]:
        """The entries that share terms with ``question``; the score is BM25, 0 upwards."""
        query = " ".join(terms(question))
        if not query:
            return []
        where = bind(_FIRST_ROWS, tenant=tenant, collections=collections)
        options: Row = {"metric_type": "BM25"}
        found = await self._milvus.search(
            self._name, "sparse", query, where=where, fields=_FIELDS, limit=limit, options=options
        )
        # Milvus Lite answers with distances, the negated scores.
        return _hits([(abs(score), row) for score, row in found], tenant, collections)

    async def _drop_former(self, tenant: TenantId, collection: str, entries: Sequence[Entry]) -> None:
        """Delete the rows of other ways to ask that these entries no longer have."""
        where = bind(
            "tenant == {tenant} and collection == {collection} and entry in {entries} and id not in {kept}",
            tenant=tenant, collection=collection, entries=[entry.id for entry in entries],
            kept=[_row_id(entry, place) for entry in entries for place in range(len(entry.searched))],
        )  # fmt: skip
        await self._milvus.delete(self._name, where)


def _rows(tenant: TenantId, collection: str, entry: Entry, vectors: Iterator[Vector]) -> Iterator[Row]:
    for place in range(len(entry.searched)):
        yield {
            "id": _row_id(entry, place),
            "entry": entry.id,
            "place": place,
            "tenant": tenant,
            "collection": collection,
            "document": entry.document,
            "source": _cut(entry.source, 1024),
            "title": _cut(entry.title, 4096),
            "text": entry.text,
            "digest": entry.digest,
            "terms": _cut(" ".join(terms("\n".join(entry.searched))), 65_535),
            "dense": list(next(vectors)),
        }


def _row_id(entry: Entry, place: int) -> str:
    return f"{entry.id}.{place}" if place else entry.id


def _cut(text: str, most_bytes: int) -> str:
    """Milvus bounds a text in bytes, and refuses the row."""
    return text.encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore")


def _hits(found: Sequence[tuple[float, Row]], tenant: TenantId, collections: Sequence[str]) -> list[Hit]:
    # The filter is the wall; this is the guard behind it, should a server ever ignore a filter.
    mine = [(score, row) for score, row in found if row["tenant"] == tenant and row["collection"] in collections]
    return [_hit(score, row) for score, row in mine]


def _hit(score: float, row: Row) -> Hit:
    named = {name: row[name] for name in ("collection", "source", "title", "text")}
    return Hit(id=row["entry"], score=score, terms=frozenset(row["terms"].split()), **named)


def _schema(dimensions: int) -> CollectionSchema:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("collection", DataType.VARCHAR, max_length=64, is_partition_key=True)
    lengths = {"entry": 64, "tenant": 64, "document": 64, "digest": 64, "source": 1024, "title": 4096}
    for name, length in lengths.items():
        schema.add_field(name, DataType.VARCHAR, max_length=length)
    schema.add_field("place", DataType.INT64)
    schema.add_field("text", DataType.VARCHAR, max_length=MAX_TEXT_BYTES)
    schema.add_field(
        "terms", DataType.VARCHAR, max_length=65_535, enable_analyzer=True, analyzer_params={"tokenizer": "standard"}
    )
    schema.add_field("dense", DataType.FLOAT_VECTOR, dim=dimensions)
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(Function("bm25", FunctionType.BM25, ["terms"], ["sparse"]))
    return schema


def _indexes() -> IndexParams:
    indexes = MilvusClient.prepare_index_params()
    indexes.add_index("dense", index_type="HNSW", metric_type="COSINE", params={"M": 16, "efConstruction": 200})
    indexes.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25")
    return indexes
