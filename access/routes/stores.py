"""``/v1/vector_stores``: knowledge collections, the files in them, and search. Reading takes any key that may ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field, StringConstraints
from starlette.responses import JSONResponse, Response

from access import knowledge_files
from access.attributes import Filter, ValidAttributes
from access.auth import Caller
from access.context import ByCaller, Context, InContext
from access.knowledge_files import Kind
from access.routes.bodies import Body, Metadata, Name, refuse_unhonoured
from access.routes.pages import AskedPage
from access.uploads import Uploads
from contracts.messages import Passage
from rag.catalog import Collection, Document
from rag.changes import Changes
from rag.knowledge import Progress
from rag.retriever import Found

router = APIRouter(tags=["vector stores"])

AUTOMATIC = ({"type": "auto"},)
STORE_UNHONOURED: dict[str, tuple[Any, ...]] = {
    "expires_after": (),
    "chunking_strategy": AUTOMATIC,
    "description": ("",),
}
FILE_UNHONOURED: dict[str, tuple[Any, ...]] = {"chunking_strategy": AUTOMATIC}
SEARCH_UNHONOURED: dict[str, tuple[Any, ...]] = {"rewrite_query": (False,)}


class StoreBody(Body):
    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    metadata: Metadata | None = None
    file_ids: Annotated[list[Name], Field(max_length=20)] = Field(default_factory=list)


class StoreChanges(Body):
    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    metadata: Metadata | None = None


class StoreFileBody(Body):
    """Ours are ``kind``: whether Markdown is an FAQ or a text, where its headings leave a doubt; ``dry_run``: say what
    would change, and change nothing; ``stream``: server-sent events tell how far the load is, the last one its end."""

    file_id: Name
    attributes: ValidAttributes | None = None
    kind: Kind | None = None
    dry_run: bool = False
    stream: bool = False


class StoreFileChanges(Body):
    attributes: ValidAttributes | None


class RankingOptions(Body):
    ranker: Literal["auto", "none", "default-2024-11-15"] = "auto"
    score_threshold: Annotated[float, Field(ge=0, le=1)] = 0.0


Query = Annotated[str, StringConstraints(min_length=1, max_length=8_000)]


class SearchBody(Body):
    """Ours is ``history``: the questions that were asked before it, oldest first."""

    query: Query
    history: Annotated[list[Query], Field(max_length=50)] = Field(default_factory=list)
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    ranking_options: RankingOptions | None = None
    filters: Filter | None = None


@router.post("/v1/vector_stores")
async def create_vector_store(body: StoreBody, context: InContext, caller: ByCaller) -> Response:
    """A new store; files named here are loaded before the answer comes."""
    caller.require("knowledge")
    refuse_unhonoured(body, STORE_UNHONOURED)
    parsed = {file_id: await _parsed(context, caller, file_id, None) for file_id in body.file_ids}
    store = await context.knowledge.create_collection(caller.tenant, body.name or "", body.metadata)
    for file_id, content in parsed.items():
        await knowledge_files.load(context.knowledge, caller.tenant, store.id, file_id, content)
    return await _shown(context, caller, store)


@router.get("/v1/vector_stores")
async def list_vector_stores(context: InContext, caller: ByCaller, page: AskedPage) -> Response:
    """The tenant's stores, newest first."""
    _may_read(caller)
    stores = {store.id: store for store in await context.knowledge.collections(caller.tenant)}
    listed = page.of([{"id": store_id} for store_id in stores])
    shown = [stores[row["id"]] for row in listed["data"]]
    data = [_store(store, await context.knowledge.documents(caller.tenant, store.id)) for store in shown]
    return JSONResponse(listed | {"data": data})


@router.get("/v1/vector_stores/{store_id}")
async def get_vector_store(store_id: str, context: InContext, caller: ByCaller) -> Response:
    """One store."""
    _may_read(caller)
    return await _shown(context, caller, await context.knowledge.collection(caller.tenant, store_id))


@router.post("/v1/vector_stores/{store_id}")
async def update_vector_store(store_id: str, body: StoreChanges, context: InContext, caller: ByCaller) -> Response:
    """Rename a store, or replace its metadata."""
    caller.require("knowledge")
    refuse_unhonoured(body, STORE_UNHONOURED)
    changed = await context.knowledge.update_collection(caller.tenant, store_id, body.name, body.metadata)
    return await _shown(context, caller, changed)


@router.delete("/v1/vector_stores/{store_id}")
async def delete_vector_store(store_id: str, context: InContext, caller: ByCaller) -> Response:
    """Delete a store with everything in it."""
    caller.require("knowledge")
    await context.knowledge.delete_collection(caller.tenant, store_id)
    return JSONResponse({"id": store_id, "object": "vector_store.deleted", "deleted": True})


@router.post("/v1/vector_stores/{store_id}/files")
async def create_store_file(store_id: str, body: StoreFileBody, context: InContext, caller: ByCaller) -> Response:
    """Load an uploaded file; the next question sees it. A FAQ replaces an earlier one with the same file name, and
    keeps its attributes where the body has none."""
    caller.require("knowledge")
    refuse_unhonoured(body, FILE_UNHONOURED)
    store = await context.knowledge.collection(caller.tenant, store_id)
    parsed = await _parsed(context, caller, body.file_id, body.kind)
    if body.dry_run:
        return JSONResponse(_plan(await knowledge_files.plan(context.knowledge, caller.tenant, store.id, parsed)))

    async def work(progress: Progress | None) -> dict[str, Any]:
        to = (context.knowledge, caller.tenant, store.id, body.file_id)
        return _file(await knowledge_files.load(*to, parsed, attributes=body.attributes, progress=progress))

    return context.stream(knowledge_files.told(work)) if body.stream else JSONResponse(await work(None))


@router.get("/v1/vector_stores/{store_id}/files")
async def list_store_files(store_id: str, context: InContext, caller: ByCaller, page: AskedPage) -> Response:
    """The files of a store, newest first."""
    _may_read(caller)
    documents = await context.knowledge.documents(caller.tenant, store_id)
    return JSONResponse(page.of([_file(document) for document in documents]))


@router.get("/v1/vector_stores/{store_id}/files/{file_id}")
async def get_store_file(store_id: str, file_id: str, context: InContext, caller: ByCaller) -> Response:
    """One file of a store."""
    _may_read(caller)
    return JSONResponse(_file(await context.knowledge.document(caller.tenant, store_id, file_id)))


@router.post("/v1/vector_stores/{store_id}/files/{file_id}")
async def update_store_file(
    store_id: str, file_id: str, body: StoreFileChanges, context: InContext, caller: ByCaller
) -> Response:
    """Replace a file's attributes; the next search with filters goes by them."""
    caller.require("knowledge")
    to = (caller.tenant, store_id, file_id)
    return JSONResponse(_file(await context.knowledge.update_document(*to, body.attributes or {})))


@router.delete("/v1/vector_stores/{store_id}/files/{file_id}")
async def delete_store_file(
    store_id: str, file_id: str, context: InContext, caller: ByCaller, *, dry_run: bool = False
) -> Response:
    """Take a file and its passages out of a store; the next question does not see them. ``dry_run`` is ours."""
    caller.require("knowledge")
    if dry_run:
        return JSONResponse(_plan(await context.knowledge.plan_removal(caller.tenant, store_id, file_id)))
    await context.knowledge.delete_document(caller.tenant, store_id, file_id)
    return JSONResponse({"id": file_id, "object": "vector_store.file.deleted", "deleted": True})


@router.post("/v1/vector_stores/{store_id}/search")
async def search_vector_store(store_id: str, body: SearchBody, context: InContext, caller: ByCaller) -> Response:
    """Passages for a query, best first; ``score`` is the estimated probability that a passage answers it.

    ``search_query`` is the text that was searched: the query, or a follow-up behind the question before it. Ours:
    ``answerable`` is the probability that any passage answers, ``threshold`` the one below which a bot refuses; of a
    passage ``passage_id``, ``source`` and ``title``, and ``cosine`` and ``bm25``, which are what either ranker alone
    thought of it, where it found it. ``attributes`` are those of its file, which ``filters`` ask for.
    """
    _may_read(caller)
    refuse_unhonoured(body, SEARCH_UNHONOURED)
    documents = await context.knowledge.documents(caller.tenant, store_id)
    retriever, filters = context.knowledge.retriever, {store_id: body.filters}
    searched = await retriever.find(caller.tenant, [store_id], body.query, body.history, filters)
    least = body.ranking_options.score_threshold if body.ranking_options else 0.0
    found = [passage for passage in searched.ranking.passages if passage.score >= least]
    page = {
        "object": "vector_store.search_results.page",
        "search_query": [searched.text],
        "data": _results(found[: body.max_num_results], documents, searched),
        "has_more": len(found) > body.max_num_results,
        "next_page": None,
        "answerable": round(searched.ranking.answerable, 4),
        "threshold": retriever.threshold(searched.text),
    }
    return JSONResponse(page)


def _may_read(caller: Caller) -> None:
    """Who may ask the model may read what it reads."""
    if "inference" not in caller.scopes:
        caller.require("knowledge")


async def _parsed(context: Context, caller: Caller, file_id: str, kind: Kind | None) -> knowledge_files.Parsed:
    uploads = Uploads(context.redis)
    upload = await uploads.get(caller.tenant, file_id)
    return knowledge_files.parse(upload.name, await uploads.content(caller.tenant, file_id), kind)


async def _shown(context: Context, caller: Caller, store: Collection) -> Response:
    return JSONResponse(_store(store, await context.knowledge.documents(caller.tenant, store.id)))


def _store(store: Collection, documents: Sequence[Document]) -> dict[str, Any]:
    count = len(documents)
    return {
        "id": store.id,
        "object": "vector_store",
        "created_at": int(store.created_at),
        "name": store.name,
        "status": "completed",
        "usage_bytes": sum(document.size_bytes for document in documents),
        "file_counts": {"in_progress": 0, "completed": count, "failed": 0, "cancelled": 0, "total": count},
        "last_active_at": int(max([store.created_at, *(document.created_at for document in documents)])),
        "expires_after": None,
        "expires_at": None,
        "metadata": dict(store.metadata),
    }


def _file(document: Document) -> dict[str, Any]:
    """``filename``, ``kind``, ``passages`` and ``changes`` are ours."""
    return {
        "id": document.id,
        "object": "vector_store.file",
        "created_at": int(document.created_at),
        "vector_store_id": document.collection,
        "status": "completed",
        "last_error": None,
        "usage_bytes": document.size_bytes,
        "attributes": dict(document.attributes),
        "filename": document.filename,
        "kind": document.kind,
        "passages": document.passages,
        "changes": asdict(document.changes),
    }


def _plan(changes: Changes) -> dict[str, Any]:
    """The keys of what would be added, changed and deleted; of a text its pieces, as ``<file name>#<number>``."""
    return {
        "object": "vector_store.file.plan",
        "added": [entry.key for entry in changes.added],
        "changed": [entry.key for entry in changes.changed],
        "deleted": sorted(stamp.name for stamp in changes.deleted.values()),
        "unchanged": changes.unchanged,
    }


def _results(passages: Sequence[Passage], documents: Sequence[Document], searched: Found) -> list[dict[str, Any]]:
    by_owner, owners = {document.owner: document for document in documents}, searched.documents
    return [_result(passage, by_owner.get(owners[passage.id]), searched) for passage in passages]


def _result(passage: Passage, document: Document | None, searched: Found) -> dict[str, Any]:
    """Without a document it is of a file whose load has not come to its end."""
    scores = {"cosine": searched.cosines.get(passage.id), "bm25": searched.matches.get(passage.id)}
    known = {name: score for name, score in scores.items() if score is not None}
    return {
        "file_id": document.id if document else passage.id,
        "filename": document.filename if document else passage.source,
        "score": round(passage.score, 4),
        "attributes": dict(document.attributes) if document else {},
        "content": [{"type": "text", "text": passage.text}],
        "passage_id": passage.id,
        "source": passage.source,
        "title": passage.title,
        **known,
    }
