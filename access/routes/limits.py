"""``/admin/limits``: what each tenant may do, and what it has done. Takes the ``admin`` scope."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import Field
from starlette.responses import JSONResponse, Response

from access.context import Context, InContext
from access.ledger import day_and_month, ledger_of, limits_of, spent_of
from access.routes.admin import administrator
from access.routes.bodies import Body
from contracts import keys
from contracts.errors import NotFound
from contracts.ids import TenantId, is_name

router = APIRouter(prefix="/admin/limits", tags=["admin"], dependencies=[Depends(administrator)])

Tenant = Annotated[str, Path(max_length=64)]
PerMinute = Annotated[int, Field(ge=1, le=10**12)]
AtOnce = Annotated[int, Field(ge=1, le=10**9)]
Tokens = Annotated[int, Field(ge=0, le=10**15)]
Usd = Annotated[float, Field(ge=0, le=10**6, allow_inf_nan=False)]


class LimitsBody(Body):
    """What is left out is the limiter's default, or no limit. ``user_…`` and ``key_…`` bound each user and each key."""

    tokens_per_minute: PerMinute | None = None
    requests_per_minute: PerMinute | None = None
    concurrency: AtOnce | None = None
    user_tokens_per_minute: PerMinute | None = None
    user_requests_per_minute: PerMinute | None = None
    user_concurrency: AtOnce | None = None
    key_tokens_per_minute: PerMinute | None = None
    key_requests_per_minute: PerMinute | None = None
    key_concurrency: AtOnce | None = None
    tokens_per_day: Tokens | None = None
    tokens_per_month: Tokens | None = None
    usd_per_day: Usd | None = None
    usd_per_month: Usd | None = None
    wait_seconds: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] | None = None
    weight: Annotated[float, Field(ge=0.001, le=1000, allow_inf_nan=False)] | None = None
    on_full: Literal["refuse", "batch"] | None = None
    fail_open: bool | None = None

    @property
    def row(self) -> dict[Any, Any]:
        """The limits as they are stored, those that were given."""
        given = {name: getattr(self, name) for name in LimitsBody.model_fields}
        chosen = {name: value for name, value in given.items() if value is not None}
        return {name: int(value) if isinstance(value, bool) else value for name, value in chosen.items()}


@router.get("/{tenant}")
async def get_limits(tenant: Tenant, context: InContext) -> Response:
    """The limits set for a tenant, its live ledger, and what it has used today and this month (UTC)."""
    return JSONResponse(await _limits(context, _named(tenant)))


@router.put("/{tenant}")
async def put_limits(tenant: Tenant, body: LimitsBody, context: InContext) -> Response:
    """Replace the limits set for a tenant; in force within a second."""
    named, row = _named(tenant), body.row
    async with context.redis.pipeline(transaction=True) as pipe:
        pipe.delete(keys.limits(named))
        if row:
            pipe.hset(keys.limits(named), mapping=row)
        await pipe.execute()
    return JSONResponse(await _limits(context, named))


def _named(tenant: str) -> TenantId:
    if not is_name(tenant):
        raise NotFound(
            "A tenant is named by letters, digits, '.', '_' and '-'.", code="tenant_not_found", param="tenant"
        )
    return TenantId(tenant)


async def _limits(context: Context, tenant: TenantId) -> dict[str, Any]:
    day, month = day_and_month(datetime.now(UTC))
    async with context.redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.limits(tenant))
        pipe.hgetall(keys.ledger(tenant))
        pipe.hgetall(keys.spent(tenant, day))
        pipe.hgetall(keys.spent(tenant, month))
        chosen, ledger, today, this_month = await pipe.execute()
    spent = {"today": spent_of(today), "month": spent_of(this_month)}
    return {
        "object": "limits",
        "tenant": tenant,
        "limits": limits_of(chosen),
        "ledger": {**ledger_of(ledger), **spent},
    }
