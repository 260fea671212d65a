"""Passages in Milvus: one Milvus collection for all tenants, the knowledge collection as its partition key.

A row carries a dense vector and the terms of its text, from which Milvus makes the sparse vector for BM25. The name of
the Milvus collection carries the embedding model, so vectors of two models never meet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pymilvus import CollectionSchema, DataType, Function, FunctionType, MilvusClient
from pymilvus.milvus_client.index import IndexParams

from contracts.ids import TenantId
from rag.embedding import Vector
from rag.filters import bind
from rag.milvus import Milvus, Row
from rag.terms import terms

SCHEMA_VERSION = 1
MAX_TEXT_BYTES = 32_000
_PARTITIONS = 16
_FLUSH_ROWS = 200
_FIELDS = ("tenant", "collection", "document", "source", "title", "text")
_SEARCHED = "tenant == {tenant} and collection in {collections}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage to index. ``digest`` is the hash of its title and text: what is unchanged is not embedded again."""

    id: str
    document: str
    source: str
    title: str
    text: str

    @property
    def content(self) -> str:
        """What is embedded and searched: a FAQ question finds its entry by either half."""
        return f"{self.title}\n{self.text}" if self.title else self.text

    @property
    def digest(self) -> str:
        parts = (self.title, self.text, self.source)
        return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that one ranker found. ``score`` is that ranker's own: a cosine, or BM25."""

    id: str
    collection: str
    source: str
    title: str
    text: str
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
        """Write entries with their vectors; the next search finds them, and an entry of the same id is replaced."""
        rows = [_row(tenant, collection, entry, vector) for entry, vector in zip(entries, vectors, strict=True)]
        for start in range(0, len(rows), _FLUSH_ROWS):
            await self._milvus.upsert(self._name, rows[start : start + _FLUSH_ROWS])
        if len(rows) >= _FLUSH_ROWS:
            await self._milvus.flush(self._name)

    async def delete(self, tenant: TenantId, collection: str, ids: Sequence[str]) -> None:
        """Delete entries by id; unknown ones are ignored."""
        if ids:
            where = bind(
                "tenant == {tenant} and collection == {collection} and id in {ids}",
                tenant=tenant, collection=collection, ids=ids,
            )  # fmt: skip
            await self._milvus.delete(self._name, where)

    async def delete_collection(self, tenant: TenantId, collection: str) -> None:
        """Delete every entry of ``collection``."""
        where = bind("tenant == {tenant} and collection == {collection}", tenant=tenant, collection=collection)
        await self._milvus.delete(self._name, where)

    async def digests(self, tenant: TenantId, collection: str) -> dict[str, tuple[str, str]]:
        """Id to (document, digest) of every entry of ``collection``."""
        where = bind("tenant == {tenant} and collection == {collection}", tenant=tenant, collection=collection)
        rows = await self._milvus.query(self._name, where, ("id", "document", "digest"))
        return {row["id"]: (row["document"], row["digest"]) for row in rows}

    async def by_meaning(self, tenant: TenantId, collections: Sequence[str], vector: Vector, limit: int) -> list[Hit]:
        """The entries nearest to ``vector``; the score is the cosine, -1 to 1."""
        options: Row = {"metric_type": "COSINE", "params": {"ef": max(64, 2 * limit)}}
        return await self._search(tenant, collections, "dense", list(vector), limit=limit, options=options)

    async def by_terms(self, tenant: TenantId, collections: Sequence[str], question: str, limit: int) -> list[Hit]:
        """The entries that share terms with ``question``; the score is BM25, 0 upwards."""
        query = " ".join(terms(question))
        if not query:
            return []
        hits = await self._search(tenant, collections, "sparse", query, limit=limit, options={"metric_type": "BM25"})
        # Milvus Lite answers with distances, the negated scores.
        return [replace(hit, score=abs(hit.score)) for hit in hits]

    async def _search(
        self, tenant: TenantId, collections: Sequence[str], field: str, data: Vector | str, *, limit: int, options: Row
    ) -> list[Hit]:
        if not collections:
            return []
        where = bind(_SEARCHED, tenant=tenant, collections=collections)
        found = await self._milvus.search(
            self._name, field, data, where=where, fields=("id", *_FIELDS), limit=limit, options=options
        )
        # The filter is the wall; this is the guard behind it, should a server ever ignore a filter.
        mine = [(s, row) for s, row in found if row["tenant"] == tenant and row["collection"] in collections]
        return [_hit(score, row) for score, row in mine]


def _row(tenant: TenantId, collection: str, entry: Entry, vector: Vector) -> Row:
    return {
        "id": entry.id,
        "tenant": tenant,
        "collection": collection,
        "document": entry.document,
        "source": _cut(entry.source, 1024),
        "title": _cut(entry.title, 4096),
        "text": entry.text,
        "digest": entry.digest,
        "terms": _cut(" ".join(terms(entry.content)), 65_535),
        "dense": list(vector),
    }


def _cut(text: str, most_bytes: int) -> str:
    """Milvus bounds a text in bytes, and refuses the row."""
    return text.encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore")


def _hit(score: float, row: Row) -> Hit:
    named = {name: row[name] for name in ("id", "collection", "source", "title", "text")}
    return Hit(score=score, **named)


def _schema(dimensions: int) -> CollectionSchema:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("collection", DataType.VARCHAR, max_length=64, is_partition_key=True)
    for name, length in (("tenant", 64), ("document", 64), ("digest", 64), ("source", 1024), ("title", 4096)):
        schema.add_field(name, DataType.VARCHAR, max_length=length)
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
