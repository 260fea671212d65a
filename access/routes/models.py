"""``/v1/models``: what can be asked for, whether it would answer now, and how long a prompt it takes."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from access.context import Context, InContext, caller_of
from access.settings import Preset
from contracts.errors import NotFound
from contracts.messages import ModelFacts

router = APIRouter(tags=["models"], dependencies=[Depends(caller_of)])


@router.get("/v1/models")
async def list_models(context: InContext) -> Response:
    """Presets and served models, with their state: ``ready``, ``starting`` or ``no_workers``."""
    return JSONResponse({"object": "list", "data": list(_models(context).values())})


@router.get("/v1/models/{model:path}")
async def get_model(model: str, context: InContext) -> Response:
    """One preset or served model."""
    found = _models(context).get(model)
    if found is None:
        raise NotFound(f"The model '{model[:128]}' does not exist.", code="model_not_found", param="model")
    return JSONResponse(found)


def _models(context: Context) -> dict[str, dict[str, Any]]:
    """Every model object by its id; a preset hides a served model of the same name, as it does for requests."""
    served = {facts.name: _served(context, facts) for facts in context.fleet.models()}
    presets = {name: _preset(context, name, preset) for name, preset in context.settings.presets.items()}
    return served | presets


def _served(context: Context, facts: ModelFacts) -> dict[str, Any]:
    more = {"dimensions": facts.dimensions} if facts.kind == "embed" else {}
    return {**_head(context, facts.name, facts.name), "kind": facts.kind, "max_model_len": facts.max_model_len, **more}


def _preset(context: Context, name: str, preset: Preset) -> dict[str, Any]:
    facts = context.fleet.facts(preset.model)
    return {
        **_head(context, name, preset.model),
        "kind": "generate",
        "max_model_len": facts.max_model_len if facts else None,
        "preset": {"model": preset.model, "vector_stores": list(preset.collections)},
    }


def _head(context: Context, name: str, served_by: str) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": int(context.started_at),
        "owned_by": "penstock",
        "state": context.fleet.state(served_by),
    }
