"""The door to knowledge: collections, the documents in them, and the retriever over all of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files

from contracts.ids import TenantId
from rag.catalog import Catalog, Collection, Document, document_id, new_collection_id
from rag.embedding import CachedEmbedder, Embedder, embed_in_batches
from rag.fusion import Calibration
from rag.ingest import entries_of_faq, entries_of_text, entry_id
from rag.loaders import FaqEntry
from rag.milvus import Milvus
from rag.retriever import Retriever
from rag.settings import RagSettings
from rag.store import Entry, PassageStore


class Knowledge:
    """What one process knows of all tenants' knowledge. Stateless: any number of processes share one Milvus.

    Every method raises ``DependencyDown`` when Milvus or the embedder does not answer, ``NotFound`` for a collection
    or document that is not the tenant's.
    """

    def __init__(self, milvus: Milvus, embedder: Embedder, calibration: Calibration, settings: RagSettings):
        self._milvus = milvus
        self._settings = settings
        self._embedder = CachedEmbedder(embedder, settings.embedding_cache)
        self._catalog = Catalog(milvus)
        self._store = PassageStore(milvus, embedder.model, embedder.dimensions)
        self.retriever = Retriever(self._store, self._embedder, calibration, settings)

    @classmethod
    def connect(cls, settings: RagSettings, embedder: Embedder) -> Knowledge:
        """Clients for ``settings.milvus_uri``; nothing is sent before ``open``."""
        milvus = Milvus(settings.milvus_uri, settings.milvus_token.get_secret_value(), settings.milvus_timeout)
        return cls(milvus, embedder, committed_calibration(), settings)

    async def open(self) -> None:
        """Create what is missing in Milvus and load it. May be called again at any time, for example when Milvus is
        back after a start without it."""
        await self._catalog.open()
        await self._store.open()

    async def close(self) -> None:
        """Close the clients."""
        await self._milvus.close()

    async def create_collection(
        self, tenant: TenantId, name: str, metadata: Mapping[str, str] | None = None
    ) -> Collection:
        """A new, empty collection."""
        collection = Collection(new_collection_id(), name, time.time(), dict(metadata or {}))
        await self._catalog.put_collection(tenant, collection)
        return collection

    async def collection(self, tenant: TenantId, id: str) -> Collection:
        """The collection ``id``."""
        return await self._catalog.collection(tenant, id)

    async def collections(self, tenant: TenantId) -> list[Collection]:
        """The tenant's collections, newest first."""
        return await self._catalog.collections(tenant)

    async def collection_named(self, tenant: TenantId, name: str) -> Collection | None:
        """The tenant's oldest collection of this name: what a preset's ``knowledge`` means."""
        named = [one for one in await self.collections(tenant) if one.name == name]
        return named[-1] if named else None

    async def update_collection(
        self, tenant: TenantId, id: str, name: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Collection:
        """Rename a collection or replace its metadata; ``None`` leaves as it is."""
        old = await self.collection(tenant, id)
        new = replace(
            old,
            name=old.name if name is None else name,
            metadata=old.metadata if metadata is None else dict(metadata),
        )
        await self._catalog.put_collection(tenant, new)
        return new

    async def delete_collection(self, tenant: TenantId, id: str) -> None:
        """Delete a collection with its documents and passages."""
        await self.collection(tenant, id)
        await self._catalog.remove_collection(tenant, id)
        await self._store.delete_collection(tenant, id)

    async def documents(self, tenant: TenantId, collection: str) -> list[Document]:
        """The documents of a collection, newest first."""
        await self.collection(tenant, collection)
        return await self._catalog.documents(tenant, collection)

    async def document(self, tenant: TenantId, collection: str, id: str) -> Document:
        """One document of a collection."""
        return await self._catalog.document(tenant, collection, id)

    async def load_faq(
        self, tenant: TenantId, collection: str, filename: str, entries: Sequence[FaqEntry], id: str | None = None
    ) -> Document:
        """Make ``entries`` the content of document ``id`` (by default the one named ``filename``).

        Entries are known by their key throughout the collection: a known key is replaced, wherever it came from, and
        what this document had and has no more is deleted. Only changed texts are embedded.
        """
        document = id or document_id(collection, filename)
        size = sum(len("".join((entry.question, entry.answer, *entry.also)).encode()) for entry in entries)
        made = entries_of_faq(collection, document, filename, entries)
        return await self._replace(tenant, Document(document, collection, filename, "faq", len(made), size, 0.0), made)

    async def load_text(
        self, tenant: TenantId, collection: str, filename: str, text: str, id: str | None = None
    ) -> Document:
        """Make ``text``, plain or Markdown, the content of document ``id``, split at headings and paragraphs."""
        document = id or document_id(collection, filename)
        made = entries_of_text(collection, document, filename, text)
        size = len(text.encode())
        return await self._replace(tenant, Document(document, collection, filename, "text", len(made), size, 0.0), made)

    async def put_entry(self, tenant: TenantId, collection: str, entry: FaqEntry, source: str = "edited") -> None:
        """Add or change one FAQ entry by its key; the next question sees it."""
        await self.collection(tenant, collection)
        document = document_id(collection, source)
        await self._write(tenant, collection, entries_of_faq(collection, document, source, [entry]))

    async def delete_entry(self, tenant: TenantId, collection: str, key: str) -> None:
        """Delete one FAQ entry by its key; the next question does not see it. An unknown key is no error."""
        await self.collection(tenant, collection)
        await self._store.delete(tenant, collection, [entry_id(collection, key)])

    async def delete_document(self, tenant: TenantId, collection: str, id: str) -> None:
        """Delete a document and its passages."""
        await self._catalog.document(tenant, collection, id)
        known = await self._store.digests(tenant, collection)
        await self._store.delete(tenant, collection, [key for key, (document, _) in known.items() if document == id])
        await self._catalog.remove_document(tenant, id)

    async def _replace(self, tenant: TenantId, document: Document, entries: Sequence[Entry]) -> Document:
        collection = document.collection
        await self.collection(tenant, collection)
        known = await self._store.digests(tenant, collection)
        fresh = [one for one in entries if known.get(one.id) != (document.id, one.digest)]
        await self._write(tenant, collection, fresh)
        kept = {one.id for one in entries}
        gone = [id for id, (owner, _) in known.items() if owner == document.id and id not in kept]
        await self._store.delete(tenant, collection, gone)
        document = replace(document, created_at=time.time())
        await self._catalog.put_document(tenant, document)
        return document

    async def _write(self, tenant: TenantId, collection: str, entries: Sequence[Entry]) -> None:
        texts = [text for entry in entries for text in entry.searched]
        vectors = await embed_in_batches(self._embedder, texts, self._settings.embedding_batch)
        await self._store.upsert(tenant, collection, entries, vectors)


def committed_calibration() -> Calibration:
    """The calibration that comes with the code: see ``rag.calibration`` for how it was made."""
    return Calibration.read(files("rag").joinpath("calibration.json").read_bytes())
