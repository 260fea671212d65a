"""Passages in Milvus: one Milvus collection for all tenants, the knowledge collection as its partition key.

An entry is one row for itself and one for each other way to ask it, each with its own vector, so that a question finds
its entry by whatever it is nearest to. Every row has the terms of the whole entry; from those of its first row Milvus
makes the sparse vector for BM25. The rows hold all that an entry is, so that it can be read back as it was written. The
name of the Milvus collection carries the embedding model, so vectors of two models never meet.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from pymilvus import CollectionSchema, DataType, Function, FunctionType, MilvusClient
from pymilvus.milvus_client.index import IndexParams

from contracts.ids import TenantId
from rag.embedding import Vector
from rag.filters import bind
from rag.milvus import QUERY_LIMIT, Milvus, Row
from rag.scope import Scope
from rag.terms import terms

SCHEMA_VERSION = 5
MAX_TEXT_BYTES = 32_000
_PARTITIONS = 16
_FLUSH_ROWS = 200
_FIELDS = ("entry", "tenant", "collection", "document", "source", "title", "text", "terms", "phrasings")
_MINE = "tenant == {tenant} and collection == {collection}"
_STAMP = ("id", "document", "source", "digest", "key", "size")
_WHOLE = ("entry", "place", "document", "source", "title", "text", "asked", "key", "tags")
_DIGITS = "0123456789abcdef"
_AFTER = dict(zip(_DIGITS, _DIGITS[1:] + "g", strict=True))
_LEAST_SHARE = 0.25
"""How many of the rows nearest to a question are of different entries, at least. To ask on until there are as many
entries as rows finds no better (measured), and takes two searches where entries have six other ways to ask."""
_AGREEING = 3
"""How many of an entry's rows say how near it is, beside the nearest one alone: that may be near by chance. Of few rows
it is half of them, since not all that an entry is asked by is like one question."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage to index. ``id`` is 32 hex digits; ``also`` are other ways to ask for it: searched, never shown. A
    piece of a text has no ``key``."""

    id: str
    document: str
    source: str
    title: str
    text: str
    also: tuple[str, ...] = ()
    key: str = ""
    tags: tuple[str, ...] = ()

    @property
    def searched(self) -> tuple[str, ...]:
        """What is embedded, each by itself: title and text as one (a FAQ question finds its entry by either half),
        then the other ways to ask."""
        return (f"{self.title}\n{self.text}" if self.title else self.text, *self.also)

    @property
    def digest(self) -> str:
        """A hash of all of it: what is unchanged is not embedded again."""
        parts = (self.title, self.text, self.source, *self.also, "", *self.tags)
        return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def size_bytes(self) -> int:
        """What it counts of its document."""
        return len("".join((self.title, self.text, *self.also)).encode("utf-8", "surrogatepass"))


@dataclass(frozen=True, slots=True)
class Stamp:
    """What an entry is known by without reading it: whose it is, and whether it has changed."""

    document: str
    source: str
    digest: str
    key: str
    size_bytes: int

    @property
    def name(self) -> str:
        """What people know it by: its key; a piece of a text has none, and is told by its place."""
        return self.key or self.source


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that one ranker found. ``score`` is that ranker's own: a cosine, or BM25. ``terms`` are those of its
    entry, other ways to ask included; ``document`` is whose it is, see ``Document.owner``.

    Of a hit by meaning ``agreed`` is the mean cosine of its entry's three nearest rows, or of the nearer half if it has
    fewer than five; one that was not found counts as near as the last that was.
    """

    id: str
    collection: str
    document: str
    source: str
    title: str
    text: str
    terms: frozenset[str]
    score: float
    agreed: float = 0.0


class PassageStore:
    """The passages of every tenant, in the Milvus collection ``name``. Every method raises ``DependencyDown`` when
    Milvus does not answer."""

    def __init__(self, milvus: Milvus, model: str, dimensions: int, slice_rows: int = QUERY_LIMIT):
        self._milvus = milvus
        self._dimensions = dimensions
        self._slice_rows = slice_rows
        self.name = "passages_" + hashlib.sha256(f"{SCHEMA_VERSION}:{model}:{dimensions}".encode()).hexdigest()[:12]

    async def open(self) -> None:
        """Create the Milvus collection and its indexes unless they exist, and load them."""
        await self._milvus.ensure(self.name, _schema(self._dimensions), _indexes(), _PARTITIONS)

    async def upsert(
        self, tenant: TenantId, collection: str, entries: Sequence[Entry], vectors: Sequence[Vector]
    ) -> None:
        """Write entries with the vectors of what is ``searched`` of them, in order; the next search finds them, and an
        entry of the same id is replaced as far as it has no more other ways to ask: see ``drop_former``."""
        rest = iter(vectors)
        rows = [row for entry in entries for row in _rows(tenant, collection, entry, rest)]
        for start in range(0, len(rows), _FLUSH_ROWS):
            await self._milvus.upsert(self.name, rows[start : start + _FLUSH_ROWS])

    async def drop_former(self, tenant: TenantId, collection: str, entries: Sequence[Entry]) -> None:
        """Delete the rows of other ways to ask that these entries no longer have. Comes before ``upsert``: whoever is
        interrupted in between has the old digest, and does both again."""
        for start in range(0, len(entries), _FLUSH_ROWS):
            some = entries[start : start + _FLUSH_ROWS]
            where = bind(
                f"{_MINE} and entry in {{entries}} and id not in {{kept}}",
                tenant=tenant, collection=collection, entries=[entry.id for entry in some],
                kept=[_row_id(entry, place) for entry in some for place in range(len(entry.searched))],
            )  # fmt: skip
            await self._milvus.delete(self.name, where)

    async def seal(self) -> None:
        """After many rows were written: let searches use their index."""
        await self._milvus.flush(self.name)

    async def delete(self, tenant: TenantId, collection: str, ids: Sequence[str]) -> None:
        """Delete entries by id; unknown ones are ignored."""
        for start in range(0, len(ids), _FLUSH_ROWS):
            some = ids[start : start + _FLUSH_ROWS]
            where = bind(f"{_MINE} and entry in {{ids}}", tenant=tenant, collection=collection, ids=some)
            await self._milvus.delete(self.name, where)

    async def delete_collection(self, tenant: TenantId, collection: str) -> None:
        """Delete every entry of ``collection``."""
        await self._milvus.delete(self.name, bind(_MINE, tenant=tenant, collection=collection))

    async def stamps(self, tenant: TenantId, collection: str) -> dict[str, Stamp]:
        """The stamp of every entry of ``collection`` by its id."""
        where = bind(f"{_MINE} and place == 0", tenant=tenant, collection=collection)
        return {row["id"]: _stamp(row) async for rows in self._slices(where, _STAMP) for row in rows}

    async def stamp(self, tenant: TenantId, collection: str, id: str) -> Stamp | None:
        """The stamp of one entry; ``None`` if there is none."""
        where = bind(f"{_MINE} and place == 0 and entry == {{id}}", tenant=tenant, collection=collection, id=id)
        rows = await self._milvus.query(self.name, where, _STAMP)
        return _stamp(rows[0]) if rows else None

    async def entries(self, tenant: TenantId, collection: str) -> AsyncIterator[list[Entry]]:
        """Every entry of ``collection`` as it was written, in lists of some thousands, in no order."""
        async for rows in self._slices(bind(_MINE, tenant=tenant, collection=collection), _WHOLE):
            yield _entries(rows)

    async def by_meaning(self, scope: Scope, vector: Vector, limit: int) -> list[Hit]:
        """The entries of the ``limit`` rows nearest to ``vector``; the score is the cosine, -1 to 1.

        An entry's nearest row stands for it, so entries with other ways to ask leave less room for others; more rows
        are asked for only where hardly any others are found. Milvus Lite reads each row whole, a sixth of a
        millisecond, and ten times as many if it is to tell entries apart.
        """
        if scope.is_empty:
            return []
        rows = limit
        while True:
            options: Row = {"metric_type": "COSINE", "params": {"ef": max(128, 2 * rows)}}
            found = await self._milvus.search(
                self.name, "dense", list(vector), where=scope.where, fields=_FIELDS, limit=rows, options=options
            )
            nearest = _nearest(found)
            if len(nearest) >= limit * _LEAST_SHARE or len(found) < rows or rows >= QUERY_LIMIT:
                return [_hit(*one) for one in nearest[:limit] if scope.holds(one[0])]
            rows = min(4 * rows, QUERY_LIMIT)

    async def by_terms(self, scope: Scope, question: str, limit: int) -> list[Hit]:
        """The entries that share terms with ``question``; the score is BM25, 0 upwards."""
        query = " ".join(terms(question))
        if not query or scope.is_empty:
            return []
        where = f"{scope.where} and place == 0"
        options: Row = {"metric_type": "BM25"}
        found = await self._milvus.search(
            self.name, "sparse", query, where=where, fields=_FIELDS, limit=limit, options=options
        )
        # Milvus Lite answers with distances, the negated scores.
        return [_hit(row, abs(score)) for score, row in found if scope.holds(row)]

    async def _slices(self, where: str, fields: Sequence[str], prefix: str = "") -> AsyncIterator[list[Row]]:
        """The rows that match, however many: what one answer cannot hold is asked for by the first digits of the id."""
        rows = await self._milvus.query(self.name, where + _within(prefix), fields, self._slice_rows)
        if len(rows) < self._slice_rows:
            yield rows
            return
        for digit in _DIGITS:
            async for some in self._slices(where, fields, prefix + digit):
                yield some


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
            "asked": entry.also[place - 1] if place else "",
            "key": entry.key,
            "tags": msgspec.json.encode(entry.tags).decode(),
            "size": entry.size_bytes,
            "phrasings": len(entry.searched),
            "terms": _cut(" ".join(terms("\n".join(entry.searched))), 65_535),
            "dense": list(next(vectors)),
        }


def _row_id(entry: Entry, place: int) -> str:
    return f"{entry.id}.{place}" if place else entry.id


def _within(prefix: str) -> str:
    """A condition on ids that begin with ``prefix``. No pattern: Milvus answers a range from its index."""
    if not prefix:
        return ""
    after = prefix[:-1] + _AFTER[prefix[-1]]
    return bind(" and entry >= {prefix} and entry < {after}", prefix=prefix, after=after)


def _stamp(row: Row) -> Stamp:
    return Stamp(row["document"], row["source"], row["digest"], row["key"], row["size"])


def _entries(rows: Iterable[Row]) -> list[Entry]:
    ordered = sorted(rows, key=lambda row: (row["entry"], row["place"]))
    also: dict[str, list[str]] = {}
    for row in ordered:
        also.setdefault(row["entry"], []).extend([row["asked"]] if row["place"] else [])
    return [_entry(row, also[row["entry"]]) for row in ordered if not row["place"]]


def _entry(row: Row, also: Iterable[str]) -> Entry:
    named = {name: row[name] for name in ("document", "source", "title", "text", "key")}
    tags = tuple(msgspec.json.decode(row["tags"], type=list[str]))
    return Entry(id=row["entry"], also=tuple(also), tags=tags, **named)


def _nearest(found: Sequence[tuple[float, Row]]) -> list[tuple[Row, float, float]]:
    """Each entry's nearest row, its cosine, and how its next ones agree; nearest first."""
    cosines: dict[str, list[float]] = {}
    first: dict[str, Row] = {}
    for cosine, row in found:
        first.setdefault(row["entry"], row)
        cosines.setdefault(row["entry"], []).append(cosine)
    return [(row, cosines[id][0], _agreed(cosines[id], row["phrasings"], found[-1][0])) for id, row in first.items()]


def _agreed(cosines: Sequence[float], phrasings: int, least: float) -> float:
    most = min(_AGREEING, (phrasings + 1) // 2)
    known = cosines[:most]
    return (sum(known) + (most - len(known)) * least) / most


def _cut(text: str, most_bytes: int) -> str:
    """Milvus bounds a text in bytes, and refuses the row."""
    return text.encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore")


def _hit(row: Row, score: float, agreed: float = 0.0) -> Hit:
    named = {name: row[name] for name in ("collection", "document", "source", "title", "text")}
    return Hit(id=row["entry"], score=score, agreed=agreed, terms=frozenset(row["terms"].split()), **named)


def _schema(dimensions: int) -> CollectionSchema:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=64)
    schema.add_field("collection", DataType.VARCHAR, max_length=64, is_partition_key=True)
    lengths = {"entry": 64, "tenant": 64, "document": 64, "digest": 64, "source": 1024, "title": 4096}
    lengths |= {"asked": 4096, "key": 1024, "tags": 65_535}
    for name, length in lengths.items():
        schema.add_field(name, DataType.VARCHAR, max_length=length)
    for name in ("place", "size", "phrasings"):
        schema.add_field(name, DataType.INT64)
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
