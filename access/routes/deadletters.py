"""``/admin/deadletters``: requests that were given up, to look at, send again or drop. Takes the ``admin`` scope."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.responses import JSONResponse, Response

from access.context import Context, InContext
from access.routes.admin import administrator
from access.routes.pages import listing
from contracts.functions import DeadLetter, DeadLetters

router = APIRouter(prefix="/admin/deadletters", tags=["admin"], dependencies=[Depends(administrator)])


@router.get("")
async def list_deadletters(context: InContext, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Response:
    """Why requests were given up, newest first; nothing of what they asked."""
    return JSONResponse(listing([_row(letter) for letter in await _letters(context).newest(limit)]))


@router.get("/{request_id}")
async def get_deadletter(request_id: str, context: InContext) -> Response:
    """One of them with its whole request, prompt included."""
    letter, request = await _letters(context).find(request_id)
    return JSONResponse({**_row(letter), "request": msgspec.to_builtins(request)})


@router.post("/{request_id}/requeue")
async def requeue_deadletter(request_id: str, context: InContext) -> Response:
    """Run it again under a new id, ``request``: the old one has ended. Asked twice, it runs once."""
    again = await _letters(context).requeue(request_id)
    return JSONResponse({"id": request_id, "object": "deadletter.requeued", "request": again})


@router.delete("/{request_id}")
async def drop_deadletter(request_id: str, context: InContext) -> Response:
    """Forget it."""
    await _letters(context).drop(request_id)
    return JSONResponse({"id": request_id, "object": "deadletter.deleted", "deleted": True})


def _letters(context: Context) -> DeadLetters:
    return DeadLetters(context.redis, context.protocol, context.settings.shards)


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {"object": "deadletter", **asdict(letter)}
