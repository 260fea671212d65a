"""``/v1/key``: the key that asks, so that a client knows for whom it speaks. Ours; without the secret."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from access.context import ByCaller

router = APIRouter(tags=["users"])


@router.get("/v1/key")
async def get_own_key(caller: ByCaller) -> Response:
    """Tenant, scopes and the end user that the key is bound to, in the words of ``/admin/keys``."""
    return JSONResponse(
        {
            "id": caller.key,
            "object": "api_key",
            "tenant": caller.tenant,
            "user": caller.user or None,
            "scopes": sorted(caller.scopes),
        }
    )
