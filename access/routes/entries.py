"""Ours, beside OpenAI's files: the entries of a vector store one by one, what was loaded into it, and re-indexing."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints
from starlette.responses import JSONResponse, Response

from access import knowledge_files
from access.context import ByCaller, InContext
from access.routes.bodies import Body
from contracts.errors import NotFound
from rag import FaqEntry
from rag.catalog import Document
from rag.loaders import LONGEST, MOST

router = APIRouter(tags=["vector stores"])


def _text(column: str) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST[column])


Key = Annotated[str, _text("key")]


class EntryBody(Body):
    """The columns of an FAQ file, within the same bounds. Without a key the question is it."""

    key: Key | None = None
    question: Annotated[str, _text("question")]
    answer: Annotated[str, _text("answer")]
    also: Annotated[list[Annotated[str, _text("also")]], Field(max_length=MOST["also"])] = Field(default_factory=list)
    tags: Annotated[list[Annotated[str, _text("tags")]], Field(max_length=MOST["tags"])] = Field(default_factory=list)

    @property
    def entry(self) -> FaqEntry:
        key = self.key or self.question[: LONGEST["key"]]
        return FaqEntry(key, self.question, self.answer, 0, tuple(self.tags), tuple(self.also))


@router.get("/v1/vector_stores/{store_id}/entries")
async def list_entries(store_id: str, context: InContext, caller: ByCaller) -> Response:
    """Every FAQ entry, a JSON object a line, in no order; loads again as it is."""
    caller.require("knowledge")
    await context.knowledge.collection(caller.tenant, store_id)
    lines = _lines(context.knowledge.entries(caller.tenant, store_id))
    return context.stream(lines, headers={"content-type": "application/x-ndjson"})


@router.post("/v1/vector_stores/{store_id}/entries")
async def put_entry(store_id: str, body: EntryBody, context: InContext, caller: ByCaller) -> Response:
    """Add an entry, or change the one with its key; the next question sees it."""
    caller.require("knowledge")
    entry = body.entry
    existed = await context.knowledge.put_entry(caller.tenant, store_id, entry)
    return JSONResponse({"object": "vector_store.entry", **_fields(entry), "created": not existed})


@router.delete("/v1/vector_stores/{store_id}/entries")
async def delete_entry(
    store_id: str, context: InContext, caller: ByCaller, key: Annotated[str, Query(min_length=1, max_length=256)]
) -> Response:
    """Take an entry out by its key; the next question does not see it."""
    caller.require("knowledge")
    if not await context.knowledge.delete_entry(caller.tenant, store_id, key):
        raise NotFound(f"No entry has the key '{key}'.", code="entry_not_found", param="key")
    return JSONResponse({"object": "vector_store.entry.deleted", "key": key, "deleted": True})


@router.get("/v1/vector_stores/{store_id}/versions")
async def list_versions(store_id: str, context: InContext, caller: ByCaller) -> Response:
    """The last loads that changed something, newest first; an upload that is still kept can be loaded again."""
    caller.require("knowledge")
    versions = await context.knowledge.versions(caller.tenant, store_id)
    return JSONResponse({"object": "list", "data": [_version(version) for version in versions]})


@router.post("/v1/vector_stores/{store_id}/reindex")
async def reindex(store_id: str, context: InContext, caller: ByCaller) -> Response:
    """Embed and index all of it again; server-sent events tell how far it is, the last one how many entries it was."""
    caller.require("knowledge")
    await context.knowledge.collection(caller.tenant, store_id)

    async def work(progress: knowledge_files.Progress) -> dict[str, Any]:
        count = await context.knowledge.reindex(caller.tenant, store_id, progress)
        return {"object": "vector_store.reindexed", "id": store_id, "entries": count}

    return context.stream(knowledge_files.told(work))


async def _lines(entries: AsyncIterator[list[FaqEntry]]) -> AsyncGenerator[bytes]:
    async for some in entries:
        yield b"".join(msgspec.json.encode(_fields(entry)) + b"\n" for entry in some)


def _fields(entry: FaqEntry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "question": entry.question,
        "answer": entry.answer,
        "also": list(entry.also),
        "tags": list(entry.tags),
    }


def _version(document: Document) -> dict[str, Any]:
    return {
        "object": "vector_store.version",
        "file_id": document.id,
        "filename": document.filename,
        "kind": document.kind,
        "created_at": int(document.created_at),
        "entries": document.passages,
        **asdict(document.changes),
    }
