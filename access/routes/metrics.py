"""``/metrics``: for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from access import metrics
from access.context import InContext, caller_of
from access.load import loads

router = APIRouter(tags=["health"])


@router.get("/metrics")
async def get_metrics(request: Request, context: InContext) -> Response:
    """Depth, waiting, workers, slots, tokens a second, first token and gaps. Takes a key where the setting says so."""
    if not context.settings.metrics_public:
        await caller_of(request)
    found = await loads(context.redis, context.fleet, context.settings.shards)
    # As bytes: starlette would put a second charset behind the one that is there.
    return Response(metrics.render(found, context.mailbox.open_requests), headers={"content-type": CONTENT_TYPE_LATEST})
