"""What the gate keeps in Redis: reservations, each tenant's sums and bucket levels, the limits set for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

from redis.asyncio import Redis

from contracts import keys, logs
from contracts.functions import GateBook, Tenure
from contracts.functions.gate import Entry
from contracts.ids import RequestId, TenantId
from contracts.messages import ModelStatus
from limiter.account import Account, Limits
from limiter.bucket import Bucket
from limiter.gate import Reservation

ENTRIES_AT_MOST = 500
STATUS_SECONDS = 10


class Ledger:
    """Reads plainly, writes through the gate's functions alone. ``defaults`` hold where a tenant has no limit set."""

    def __init__(self, redis: Redis, book: GateBook, defaults: Limits, lock: timedelta):
        self._redis = redis
        self._book = book
        self._defaults = defaults
        self._lock = lock

    async def reservations(self) -> dict[RequestId, Reservation]:
        """Every grant that has not been settled."""
        held = cast(dict[bytes, bytes], await self._redis.hgetall(keys.reservations()))
        return {RequestId(request_id.decode()): _reservation(text.decode()) for request_id, text in held.items()}

    async def accounts(self, tenants: Collection[TenantId], now_ms: int) -> list[Account]:
        """The accounts of ``tenants`` at ``now_ms``, read in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for tenant in tenants:
                pipe.hmget(keys.ledger(tenant), ["token_level", "request_level", "level_at"])
                pipe.hgetall(keys.limits(tenant))
            rows = await pipe.execute()
        pairs = zip(tenants, rows[::2], rows[1::2], strict=True)
        return [_account(tenant, self._limits(tenant, limits), levels, now_ms) for tenant, levels, limits in pairs]

    async def limits(self, tenants: Collection[TenantId]) -> dict[TenantId, Limits]:
        """The limits of ``tenants``, read in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for tenant in tenants:
                pipe.hgetall(keys.limits(tenant))
            rows = await pipe.execute()
        return {tenant: self._limits(tenant, row) for tenant, row in zip(tenants, rows, strict=True)}

    async def commit(self, tenure: Tenure, entries: Sequence[Entry]) -> set[RequestId]:
        """Write what was decided; the ids on which a final verdict stood already.

        Raises:
            Deposed: the tenure is over.
        """
        known: set[RequestId] = set()
        for first in range(0, len(entries), ENTRIES_AT_MOST):
            known |= await self._book.commit(tenure, self._lock, entries[first : first + ENTRIES_AT_MOST])
        return known

    async def publish_status(self, status: Mapping[str, ModelStatus]) -> None:
        """Say how loaded each model is; whoever scales reads it."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.gate_status())
            if status:
                pipe.hset(keys.gate_status(), mapping={model: one.encode() for model, one in status.items()})
                pipe.expire(keys.gate_status(), STATUS_SECONDS)
            await pipe.execute()

    def _limits(self, tenant: TenantId, row: Mapping[bytes, bytes]) -> Limits:
        def value(name: str, default: float) -> float:
            try:
                number = float(row.get(name.encode(), default))
            except ValueError:
                number = -1.0
            if number >= 0:
                return number
            logs.get().warning("limiter.bad_limit", sentence=f"The limit {name} is no number.", tenant=tenant)
            return default

        return Limits(
            tokens_per_minute=max(1, int(value("tokens_per_minute", self._defaults.tokens_per_minute))),
            requests_per_minute=max(1, int(value("requests_per_minute", self._defaults.requests_per_minute))),
            concurrency=int(value("concurrency", self._defaults.concurrency)),
            wait_seconds=value("wait_seconds", self._defaults.wait_seconds),
        )


def _reservation(text: str) -> Reservation:
    tokens, grant_end_ms, tenant, model = text.split(":", 3)
    return Reservation(int(tokens), TenantId(tenant), model, int(grant_end_ms))


def _account(tenant: TenantId, limits: Limits, levels: Sequence[Any], now_ms: int) -> Account:
    account = Account.fresh(tenant, limits, now_ms)
    if None in levels:
        return account
    tokens, requests, at_ms = (int(level) for level in levels)
    account.tokens = Bucket(limits.tokens_per_minute, tokens, at_ms).at(now_ms)
    account.requests = Bucket(limits.requests_per_minute, requests, at_ms).at(now_ms)
    return account
