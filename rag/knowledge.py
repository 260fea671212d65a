"""The door to knowledge: collections, the documents in them, and the retriever over all of it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files

from contracts.ids import TenantId
from rag.catalog import Attributes, Catalog, Collection, Document, document_id, new_collection_id
from rag.changes import Changes, compare
from rag.embedding import CachedEmbedder, Embedder, embed_in_batches
from rag.fusion import Calibration
from rag.ingest import entries_of_faq, entries_of_text, entry_id, faq_of_entry
from rag.loaders import FaqEntry
from rag.milvus import Milvus
from rag.retriever import Retriever
from rag.settings import RagSettings
from rag.store import Entry, PassageStore, Stamp

EDITED = "edited"
"""The file name of what was put in by key and comes from no file."""

_WRITTEN_AT_ONCE = 128
"""Entries that are embedded and then written together: bounds the memory of a load, and what a broken one repeats."""

_SEALED_FROM = 200

Progress = Callable[[int, int], None]
"""Called with how many entries of a load are written, and of how many."""


class Knowledge:
    """What one process knows of all tenants' knowledge. Stateless: any number of processes share one Milvus.

    Every method raises ``DependencyDown`` when Milvus or the embedder does not answer, ``NotFound`` for a collection
    or document that is not the tenant's.
    """

    def __init__(self, milvus: Milvus, embedder: Embedder, calibration: Calibration, settings: RagSettings):
        self._milvus = milvus
        self._settings = settings
        self._calibration = calibration
        self._model = embedder
        self._embedder = CachedEmbedder(embedder, settings.embedding_cache)
        self._catalog = Catalog(milvus)
        self._store = PassageStore(milvus, embedder.model, embedder.dimensions)
        self.retriever = Retriever(self._store, self._catalog, self._embedder, calibration, settings)

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

    async def update_document(self, tenant: TenantId, collection: str, id: str, attributes: Attributes) -> Document:
        """Replace what filters ask of a document; the next question is filtered by it. Nothing is indexed again."""
        new = replace(await self.document(tenant, collection, id), attributes=dict(attributes))
        await self._catalog.put_document(tenant, new)
        return new

    async def versions(self, tenant: TenantId, collection: str) -> list[Document]:
        """What was loaded into a collection, newest first, each file as it was right after its load."""
        await self.collection(tenant, collection)
        return await self._catalog.versions(tenant, collection)

    async def load_faq(
        self,
        tenant: TenantId,
        collection: str,
        filename: str,
        entries: Sequence[FaqEntry],
        *,
        id: str | None = None,
        attributes: Attributes | None = None,
        progress: Progress | None = None,
    ) -> Document:
        """Make ``entries`` the content of the FAQ ``filename``, whose record gets ``id`` and ``attributes``: by default
        those that it has.

        Entries are known by their key throughout the collection: a known key is replaced, wherever it came from, and
        what this file had and has no more is deleted. Only changed entries are embedded.
        """
        document = _faq(collection, filename)
        made = entries_of_faq(collection, document.owner, filename, entries)
        return await self._load(tenant, replace(document, id=id or document.owner), made, attributes, progress)

    async def plan_faq(self, tenant: TenantId, collection: str, filename: str, entries: Sequence[FaqEntry]) -> Changes:
        """What ``load_faq`` would change; changes nothing."""
        await self.collection(tenant, collection)
        owner = _faq(collection, filename).owner
        made = entries_of_faq(collection, owner, filename, entries)
        return compare(owner, made, await self._store.stamps(tenant, collection))

    async def load_text(
        self,
        tenant: TenantId,
        collection: str,
        filename: str,
        text: str,
        *,
        id: str | None = None,
        attributes: Attributes | None = None,
        progress: Progress | None = None,
    ) -> Document:
        """Make ``text``, plain or Markdown, the content of document ``id``, split at headings and paragraphs. Without
        ``attributes`` it keeps those that it has."""
        document = Document(id or document_id(collection, filename), collection, filename, "text", 0, 0, 0.0)
        made = entries_of_text(collection, document.owner, filename, text)
        return await self._load(tenant, document, made, attributes, progress)

    async def put_entry(self, tenant: TenantId, collection: str, entry: FaqEntry) -> bool:
        """Add or change one FAQ entry by its key; the next question sees it. Whether there was one before.

        It stays in the file that it came from, whose next load decides about it again; a new one is in ``edited``.
        """
        await self.collection(tenant, collection)
        old = await self._store.stamp(tenant, collection, entry_id(collection, entry.key))
        document = await self._document_of(tenant, collection, old)
        [made] = entries_of_faq(collection, document.owner, document.filename, [entry])
        await self._store.drop_former(tenant, collection, [made])
        await self._write(tenant, collection, [made], self._embedder)
        size = made.size_bytes - (old.size_bytes if old else 0)
        # Read again: its attributes may have changed while the entry was embedded.
        await self._count(tenant, await self._document_of(tenant, collection, old), 0 if old else 1, size)
        return old is not None

    async def delete_entry(self, tenant: TenantId, collection: str, key: str) -> bool:
        """Delete one FAQ entry by its key; the next question does not see it. Whether there was one."""
        await self.collection(tenant, collection)
        id = entry_id(collection, key)
        old = await self._store.stamp(tenant, collection, id)
        if old is None:
            return False
        await self._store.delete(tenant, collection, [id])
        await self._count(tenant, await self._document_of(tenant, collection, old), -1, -old.size_bytes)
        return True

    async def entries(self, tenant: TenantId, collection: str) -> AsyncIterator[list[FaqEntry]]:
        """Every FAQ entry of a collection as it was loaded or put, in lists, in no order; ``line`` is 0."""
        async for some in self._store.entries(tenant, collection):
            yield [faq_of_entry(entry) for entry in some if entry.key]

    async def reindex(self, tenant: TenantId, collection: str, progress: Progress | None = None) -> int:
        """Embed and write every entry of a collection again, as if nothing were known of it; returns how many."""
        await self.collection(tenant, collection)
        entries = [entry async for some in self._store.entries(tenant, collection) for entry in some]
        await self._write_all(tenant, collection, entries, self._model, progress)
        return len(entries)

    async def delete_document(self, tenant: TenantId, collection: str, id: str) -> None:
        """Delete a document and its passages."""
        gone = await self.plan_removal(tenant, collection, id)
        await self._store.delete(tenant, collection, list(gone.deleted))
        await self._catalog.remove_document(tenant, collection, id)

    async def plan_removal(self, tenant: TenantId, collection: str, id: str) -> Changes:
        """What ``delete_document`` would delete; changes nothing."""
        document = await self._catalog.document(tenant, collection, id)
        return compare(document.owner, (), await self._store.stamps(tenant, collection))

    async def _load(
        self,
        tenant: TenantId,
        document: Document,
        entries: Sequence[Entry],
        attributes: Attributes | None,
        progress: Progress | None,
    ) -> Document:
        """New and changed entries first, then the deletions: a question in between finds an answer."""
        collection = document.collection
        await self.collection(tenant, collection)
        known = await self._store.stamps(tenant, collection)
        changes = compare(document.owner, entries, known)
        await self._store.drop_former(tenant, collection, changes.changed)
        await self._write_all(tenant, collection, [*changes.changed, *changes.added], self._embedder, progress)
        await self._store.delete(tenant, collection, list(changes.deleted))
        loaded = replace(
            document,
            passages=len(entries),
            size_bytes=sum(entry.size_bytes for entry in entries),
            created_at=time.time(),
            changes=changes.counts,
        )
        return await self._record(tenant, loaded, attributes, {entry.id: known[entry.id] for entry in changes.changed})

    async def _record(
        self, tenant: TenantId, loaded: Document, attributes: Attributes | None, replaced: Mapping[str, Stamp]
    ) -> Document:
        """Write down a load: its document in the place of the one before, and what it took from others."""
        others = await self._catalog.documents(tenant, loaded.collection)
        former = (other.attributes for other in others if other.owner == loaded.owner)
        loaded = replace(loaded, attributes=next(former, {}) if attributes is None else attributes)
        await self._catalog.put_document(tenant, loaded)
        for other in others:
            if other.owner == loaded.owner and other.id != loaded.id:
                await self._catalog.remove_document(tenant, loaded.collection, other.id)
            elif taken := [stamp for stamp in replaced.values() if stamp.document == other.owner != loaded.owner]:
                await self._count(tenant, other, -len(taken), -sum(stamp.size_bytes for stamp in taken))
        if loaded.changes.any:
            await self._catalog.put_version(tenant, loaded)
        return loaded

    async def _document_of(self, tenant: TenantId, collection: str, stamp: Stamp | None) -> Document:
        documents = await self._catalog.documents(tenant, collection)
        edited = _faq(collection, EDITED)
        owner = stamp.document if stamp else edited.owner
        return next((one for one in documents if one.owner == owner), edited)

    async def _count(self, tenant: TenantId, document: Document, entries: int, size_bytes: int) -> None:
        counted = replace(
            document,
            passages=document.passages + entries,
            size_bytes=document.size_bytes + size_bytes,
            created_at=document.created_at or time.time(),
        )
        await self._catalog.put_document(tenant, counted)

    async def _write_all(
        self,
        tenant: TenantId,
        collection: str,
        entries: Sequence[Entry],
        embedder: Embedder,
        progress: Progress | None,
    ) -> None:
        for start in range(0, len(entries), _WRITTEN_AT_ONCE):
            some = entries[start : start + _WRITTEN_AT_ONCE]
            await self._write(tenant, collection, some, embedder)
            if progress is not None:
                progress(start + len(some), len(entries))
        if sum(len(entry.searched) for entry in entries) >= _SEALED_FROM:
            await self._store.seal()

    async def _write(self, tenant: TenantId, collection: str, entries: Sequence[Entry], embedder: Embedder) -> None:
        texts = [text for entry in entries for text in entry.searched]
        vectors = await embed_in_batches(embedder, texts, self._settings.embedding_batch)
        await self._store.upsert(tenant, collection, entries, vectors)


def _faq(collection: str, filename: str) -> Document:
    """The record of the FAQ ``filename`` before anything is in it."""
    return Document(document_id(collection, filename), collection, filename, "faq", 0, 0, 0.0)


def committed_calibration() -> Calibration:
    """The calibration that comes with the code: see ``rag.calibration`` for how it was made."""
    return Calibration.read(files("rag").joinpath("calibration.json").read_bytes())
