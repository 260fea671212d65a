"""What the gate keeps in Redis of a tenant: what is held for it, its sums, its use of quotas, its buckets, its answers'
length; and, read only, the limits set for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, cast

from redis.asyncio import Redis

from contracts import keys, logs
from contracts.functions import GateBook, Tenure
from contracts.functions.gate import Entry, Reservation
from contracts.ids import RequestId, TenantId
from contracts.messages import ModelStatus
from limiter.account import Account, AccountName
from limiter.books import Tenant
from limiter.bucket import Bucket
from limiter.estimates import Estimate
from limiter.limits import Caps, Limits, limits_of
from limiter.spending import KINDS, Spending, period
from limiter.tariff import Cost

STATUS_SECONDS = 10
LIMITS_KEPT = 10_000
"""Tenants whose limits are understood anew only when they were changed: they are looked at twice a second."""

Row = Mapping[bytes, bytes]


class Ledger:
    """Reads plainly, writes through the gate's functions alone. ``defaults`` hold where a tenant has no limit set."""

    def __init__(self, redis: Redis, book: GateBook, defaults: Limits, lock: timedelta):
        self._redis = redis
        self._book = book
        self._defaults = defaults
        self._lock = lock
        self._commits = 0
        self._limits = lru_cache(LIMITS_KEPT)(self._read_limits)

    async def reservations(self) -> dict[RequestId, Reservation]:
        """Every grant that has not been settled."""
        held = cast(dict[bytes, bytes], await self._redis.hgetall(keys.reservations()))
        return {RequestId(request_id.decode()): Reservation.decode(wire) for request_id, wire in held.items()}

    async def tenants(self, names: Collection[TenantId], now_ms: int) -> dict[TenantId, Tenant]:
        """Limits, quotas' use and estimates of tenants, read in one round trip. Nothing is reserved yet."""
        periods = [period(kind, now_ms) for kind in KINDS]
        async with self._redis.pipeline(transaction=False) as pipe:
            for tenant in names:
                pipe.hgetall(keys.limits(tenant))
                pipe.hgetall(keys.estimates(tenant))
                for name in periods:
                    pipe.hgetall(keys.spent(tenant, name))
            rows = iter(await pipe.execute())
        return {
            tenant: Tenant(
                limits=self._limits(tenant, frozenset(next(rows).items())),
                estimates=_estimates(next(rows)),
                spending=Spending({name: _cost(next(rows)) for name in periods}),
            )
            for tenant in names
        }

    async def accounts(self, wanted: Mapping[AccountName, Caps], now_ms: int) -> list[Account]:
        """Accounts as they stand at ``now_ms``, read in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in wanted:
                pipe.hmget(keys.levels(keys.hashed(*name)), ["token_level", "request_level", "level_at"])
            rows = await pipe.execute()
        return [_account(name, caps, levels, now_ms) for (name, caps), levels in zip(wanted.items(), rows, strict=True)]

    async def limits(self, tenants: Collection[TenantId]) -> dict[TenantId, Limits]:
        """The limits of ``tenants``, read in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for tenant in tenants:
                pipe.hgetall(keys.limits(tenant))
            rows = await pipe.execute()
        return {tenant: self._limits(tenant, frozenset(row.items())) for tenant, row in zip(tenants, rows, strict=True)}

    async def commit(self, tenure: Tenure, entries: Sequence[Entry]) -> frozenset[RequestId]:
        """Write what was decided, all of it in one step; the ids on which a final verdict stood already.

        Raises:
            Deposed: the tenure is over.
        """
        self._commits += 1
        return await self._book.commit(tenure, self._lock, entries, self._commits)

    async def publish_status(self, status: Mapping[str, ModelStatus]) -> None:
        """Say how loaded each model is; whoever scales reads it."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.gate_status())
            if status:
                pipe.hset(keys.gate_status(), mapping={model: one.encode() for model, one in status.items()})
                pipe.expire(keys.gate_status(), STATUS_SECONDS)
            await pipe.execute()

    def _read_limits(self, tenant: TenantId, row: frozenset[tuple[bytes, bytes]]) -> Limits:
        limits, bad = limits_of({name.decode(): value.decode() for name, value in row}, self._defaults)
        for name in bad:
            logs.get().warning("limiter.bad_limit", sentence=f"The limit {name} makes no sense.", tenant=tenant)
        return limits


def _cost(row: Row) -> Cost:
    return Cost(int(row.get(b"tokens", 0)), int(row.get(b"nanos", 0)))


def _estimates(row: Row) -> dict[str, Estimate]:
    return {model.decode(): Estimate.read(text.decode()) for model, text in row.items()}


def _account(name: AccountName, caps: Caps, levels: Sequence[Any], now_ms: int) -> Account:
    account = Account.fresh(name, caps, now_ms)
    if None in levels:
        return account
    tokens, requests, at_ms = (int(level) for level in levels)
    account.tokens = Bucket(caps.tokens_per_minute, tokens, at_ms).at(now_ms)
    account.requests = Bucket(caps.requests_per_minute, requests, at_ms).at(now_ms)
    return account
