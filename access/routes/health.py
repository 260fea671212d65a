"""Health for whoever runs us: ``/livez`` the loop turns, ``/readyz`` a question would be answered."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from access.context import Context, InContext
from access.load import gate_status
from contracts.connection import REDIS_UNAVAILABLE
from contracts.messages import ModelStatus

router = APIRouter(tags=["health"])


@router.get("/livez")
@router.get("/healthz")
async def livez() -> Response:
    """200 while the process turns."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz")
async def readyz(context: InContext) -> Response:
    """200 only when a question to every preset would be answered; else 503 with what is missing."""
    missing = await what_is_missing(context)
    return JSONResponse({"status": "unready" if missing else "ok", "missing": missing}, 503 if missing else 200)


@router.get("/health")
async def health(context: InContext) -> Response:
    """200 for tools that look whether a server is there; ``missing`` says what an answer would lack."""
    missing = await what_is_missing(context)
    return JSONResponse({"status": "degraded" if missing else "ok", "missing": missing})


@router.get("/version")
async def version(request: Request) -> Response:
    """Which release answers."""
    return JSONResponse({"name": "penstock", "version": request.app.version})


async def what_is_missing(context: Context) -> list[str]:
    """What stands between a question and its answer; empty when nothing does."""
    try:
        at_gate = await gate_status(context.redis)
    except REDIS_UNAVAILABLE:
        return ["redis"]
    missing = [] if context.admission.heard else ["limiter"]
    presets = context.settings.presets.values()
    needed = {preset.model for preset in presets}
    # The limiter looks at the fleet for itself, and a moment later: until it has, it refuses.
    unheard = {model for model in needed if at_gate.get(model, ModelStatus()).slots == 0}
    if any(preset.collections for preset in presets):
        needed.add(context.settings.embedding_model)
        missing += [] if context.knowledge_ready.is_set() else ["knowledge"]
    missing += [
        f"worker for {model}" for model in sorted(needed) if model in unheard or context.fleet.state(model) != "ready"
    ]
    return missing
