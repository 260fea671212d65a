"""``/admin``: keys, queues, workers, erasing users. Every route takes the ``admin`` scope, over all tenants."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field, StringConstraints
from starlette.responses import JSONResponse, Response

from access.auth import Caller, StoredKey
from access.context import ByCaller, InContext, caller_of
from access.erasing import Erasure, erased_object
from access.load import loads
from access.routes.bodies import Body, Name
from access.routes.pages import listing
from contracts.errors import CallerError, NotFound
from contracts.ids import TenantId, is_name


async def administrator(caller: Annotated[Caller, Depends(caller_of)]) -> Caller:
    caller.require("admin")
    return caller


router = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(administrator)])


class KeyBody(Body):
    """``user`` binds the key to one end user; ``expires_at`` is Unix seconds."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    tenant: Name
    scopes: Annotated[list[str], Field(min_length=1, max_length=10)]
    user: Name | None = None
    expires_at: Annotated[float, Field(gt=0, le=1e11, allow_inf_nan=False)] | None = None


@router.post("/keys")
async def create_key(body: KeyBody, context: InContext) -> Response:
    """A new API key; ``key`` is shown this once and kept nowhere."""
    if body.expires_at is not None and body.expires_at <= time.time():
        raise CallerError("'expires_at' has passed. Give Unix seconds that are to come.", param="expires_at")
    key, stored = await context.keys.create(
        body.name, body.tenant, body.scopes, user=body.user or "", expires_at=body.expires_at or 0.0
    )
    return JSONResponse({**_key(stored), "key": key})


@router.get("/keys")
async def list_keys(context: InContext) -> Response:
    """All keys, without their secrets."""
    return JSONResponse(listing([_key(stored) for stored in await context.keys.list()]))


@router.delete("/keys/{prefix}")
async def revoke_key(prefix: str, context: InContext) -> Response:
    """Make a key invalid: here at once, on every access process within five seconds."""
    await context.keys.revoke(prefix)
    return JSONResponse({"id": prefix, "object": "api_key.deleted", "deleted": True})


@router.get("/queues")
async def list_queues(context: InContext) -> Response:
    """Each model's queues: depth by class, running, waiting at the gate, slots."""
    found = await loads(context.redis, context.fleet, context.settings.shards)
    return JSONResponse(listing([{"id": load.model, "object": "queue", **asdict(load)} for load in found]))


@router.get("/workers")
async def list_workers(context: InContext) -> Response:
    """Every worker that was heard of in the last seconds."""
    beats = sorted(context.fleet.heartbeats, key=lambda beat: (beat.model.name, beat.worker))
    rows = [
        {
            "id": beat.worker,
            "object": "worker",
            "model": beat.model.name,
            "revision": beat.model.revision,
            "kind": beat.model.kind,
            "max_model_len": beat.model.max_model_len,
            "state": beat.state,
            "slots": beat.slots,
            "free_slots": beat.free_slots,
            "cache_room": round(beat.cache_room, 3),
            "tokens_per_second": round(beat.tokens_per_second, 1),
            "shards": list(beat.shards),
            "heard_seconds_ago": round(max(0.0, time.time() - beat.at), 1),
        }
        for beat in beats
    ]
    return JSONResponse(listing(rows))


@router.delete("/users")
async def erase_user(
    context: InContext, caller: ByCaller, tenant: Name, user: Annotated[str, Query(min_length=1, max_length=128)]
) -> Response:
    """Erase everything of a user of any tenant, as ``DELETE /v1/users/{user}``; a name may have any character here."""
    if not is_name(tenant):
        raise NotFound("No tenant has this name.", code="tenant_not_found", param="tenant")
    erased = await Erasure(context, TenantId(tenant), user, last_key=caller.key).run()
    return JSONResponse(erased_object(TenantId(tenant), user, erased))


def _key(stored: StoredKey) -> dict[str, Any]:
    return {
        "id": stored.prefix,
        "object": "api_key",
        "name": stored.name,
        "tenant": stored.tenant,
        "user": stored.user or None,
        "scopes": list(stored.scopes),
        "created_at": int(stored.created_at),
        "expires_at": int(stored.expires_at) or None,
    }
