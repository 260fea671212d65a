"""What knowledge there is: collections and the documents in them. Kept in Milvus beside the passages.

OpenAI calls a collection a vector store and a document in it a file; the ids are theirs: ``vs_…`` and ``file-…``.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, TypeVar

import msgspec
from pymilvus import CollectionSchema, DataType, MilvusClient
from pymilvus.milvus_client.index import IndexParams

from contracts.errors import NotFound
from contracts.ids import TenantId
from rag.changes import Counts
from rag.filters import bind
from rag.milvus import Milvus, Row

_NAME = "knowledge_catalog_2"
_MOST_VERSIONS = 50
_NO_VECTOR = [0.0, 0.0]  # Milvus wants a vector in every collection

Kind = Literal["collection", "document", "version"]

Attributes = Mapping[str, str | bool | int | float]
"""What is known of a document beside its text, for filters to ask for."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A named set of documents of one tenant. ``created_at`` is Unix seconds."""

    id: str
    name: str
    created_at: float
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """One loaded file. ``passages`` and ``size_bytes`` count what it contributes, ``changes`` is what its load did."""

    id: str
    collection: str
    filename: str
    kind: Literal["faq", "text"]
    passages: int
    size_bytes: int
    created_at: float
    changes: Counts = field(default_factory=Counts)
    attributes: Attributes = field(default_factory=dict[str, str | bool | int | float])

    @property
    def owner(self) -> str:
        """Whose its passages are. A FAQ is known by its file name, so that the next version of the file finds what of
        it is unchanged; a text by its own id."""
        return document_id(self.collection, self.filename) if self.kind == "faq" else self.id


_Record = TypeVar("_Record", Collection, Document)


def new_collection_id() -> str:
    """A fresh collection id with 128 random bits."""
    return f"vs_{secrets.token_hex(16)}"


def document_id(collection: str, filename: str) -> str:
    """The id of the document that ``filename`` is in ``collection``: loading a file again replaces it."""
    return "file-" + hashlib.sha256(f"{collection}\x1f{filename}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Catalog:
    """Reads and writes both kinds of record. Every method raises ``DependencyDown`` when Milvus does not answer."""

    def __init__(self, milvus: Milvus):
        self._milvus = milvus

    async def open(self) -> None:
        """Create the catalog unless it exists."""
        await self._milvus.ensure(_NAME, _schema(), _indexes(), 4)

    async def collection(self, tenant: TenantId, id: str) -> Collection:
        """The collection ``id``.

        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        found = await self._records(tenant, Collection, "collection", id=id)
        if not found:
            raise NotFound(f"no vector store {id!r}", code="vector_store_not_found", param="vector_store_id")
        return found[0]

    async def collections(self, tenant: TenantId) -> list[Collection]:
        """The tenant's collections, newest first."""
        return _newest_first(await self._records(tenant, Collection, "collection"))

    async def document(self, tenant: TenantId, collection: str, id: str) -> Document:
        """The document ``id`` of ``collection``.

        Raises:
            NotFound: there is none in this collection, or it is another tenant's.
        """
        found = await self._records(tenant, Document, "document", id=id, parent=collection)
        if not found:
            raise NotFound(f"no file {id!r} in this vector store", code="file_not_found", param="file_id")
        return found[0]

    async def documents(self, tenant: TenantId, collection: str) -> list[Document]:
        """The documents of ``collection``, newest first."""
        return _newest_first(await self._records(tenant, Document, "document", parent=collection))

    async def versions(self, tenant: TenantId, collection: str) -> list[Document]:
        """What was loaded into ``collection``, newest first: each file as it was right after its load."""
        return _newest_first(await self._records(tenant, Document, "version", parent=collection))

    async def put_collection(self, tenant: TenantId, collection: Collection) -> None:
        """Write ``collection``, replacing the record of the same id."""
        await self._put(tenant, "collection", collection.id, "", asdict(collection))

    async def put_document(self, tenant: TenantId, document: Document) -> None:
        """Write ``document``, replacing the record of the same id in its collection."""
        await self._put(tenant, "document", document.id, document.collection, asdict(document))

    async def put_version(self, tenant: TenantId, document: Document) -> None:
        """Remember that ``document`` was loaded; the last fifty loads of a collection are kept."""
        await self._put(tenant, "version", document.id, document.collection, asdict(document))
        for old in (await self.versions(tenant, document.collection))[_MOST_VERSIONS:]:
            await self._remove(tenant, "version", old.collection, old.id)

    async def remove_document(self, tenant: TenantId, collection: str, id: str) -> None:
        """Forget the document; its passages are the store's to delete."""
        await self._remove(tenant, "document", collection, id)

    async def remove_collection(self, tenant: TenantId, id: str) -> None:
        """Forget the collection and what is known of its documents; the passages are the store's to delete."""
        for key in ("parent", "id"):
            await self._milvus.delete(_NAME, bind(f"tenant == {{tenant}} and {key} == {{id}}", tenant=tenant, id=id))

    async def _records(self, tenant: TenantId, record: type[_Record], kind: Kind, **ids: str) -> list[_Record]:
        template = "tenant == {tenant} and kind == {kind}"
        for name in ids:
            template += f" and {name} == {{{name}}}"
        rows = await self._milvus.query(_NAME, bind(template, tenant=tenant, kind=kind, **ids), ("tenant", "body"))
        return [msgspec.json.decode(row["body"], type=record) for row in rows if row["tenant"] == tenant]

    async def _put(self, tenant: TenantId, kind: Kind, id: str, parent: str, body: Row) -> None:
        # One file may be in several collections, so its id alone is no key.
        row: Row = {"key": f"{kind}.{parent}.{id}", "id": id, "tenant": tenant, "kind": kind, "parent": parent}
        text = msgspec.json.encode(body).decode()
        await self._milvus.upsert(_NAME, [row | {"body": text, "vector": _NO_VECTOR}])

    async def _remove(self, tenant: TenantId, kind: Kind, parent: str, id: str) -> None:
        template = "tenant == {tenant} and kind == {kind} and parent == {parent} and id == {id}"
        await self._milvus.delete(_NAME, bind(template, tenant=tenant, kind=kind, parent=parent, id=id))


def _newest_first(records: list[_Record]) -> list[_Record]:
    return sorted(records, key=lambda one: (-one.created_at, one.id))


def _schema() -> CollectionSchema:
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=160)
    schema.add_field("id", DataType.VARCHAR, max_length=64)
    schema.add_field("tenant", DataType.VARCHAR, max_length=64, is_partition_key=True)
    schema.add_field("kind", DataType.VARCHAR, max_length=16)
    schema.add_field("parent", DataType.VARCHAR, max_length=64)
    schema.add_field("body", DataType.VARCHAR, max_length=65_535)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=len(_NO_VECTOR))
    return schema


def _indexes() -> IndexParams:
    indexes = MilvusClient.prepare_index_params()
    indexes.add_index("vector", index_type="FLAT", metric_type="L2")
    return indexes
