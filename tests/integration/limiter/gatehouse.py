"""What the gate's tests share: a limiter that runs, an asking side, a fleet of heartbeats, queries."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable

from redis.asyncio import Redis

from access.admission import Admission
from contracts import connection, keys
from contracts.ids import AccessId, RequestId, Shard, TenantId, WorkerId, new_request_id
from contracts.messages import AdmissionQuery, Heartbeat, ModelFacts, Usage
from limiter.__main__ import run
from limiter.settings import LimiterSettings

TENANT = TenantId("acme")
ACCESS = AccessId("access-1")
MODEL = "tiny"


@contextlib.asynccontextmanager
async def limiter_running(redis_url: str, **settings: float) -> AsyncGenerator[None]:
    """A limiter in this process."""
    task = asyncio.create_task(run(LimiterSettings(redis_url=redis_url, **settings), "limiter-test"))  # type: ignore[arg-type]
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextlib.asynccontextmanager
async def asking(redis_url: str, access: AccessId = ACCESS, **settings: object) -> AsyncGenerator[Admission]:
    """The asking side of one access process, listening."""
    redis, listening = connection.commands(redis_url), connection.blocking(redis_url)
    admission = Admission(redis, listening, access, **settings)  # type: ignore[arg-type]
    task = asyncio.create_task(admission.run())
    try:
        yield admission
    finally:
        task.cancel()
        await asyncio.wait([task])
        await redis.aclose()
        await listening.aclose()


def query(
    tokens: int = 100, patience: float = 0.0, access: AccessId = ACCESS, tenant: TenantId = TENANT
) -> AdmissionQuery:
    return AdmissionQuery(
        id=new_request_id(Shard(0)),
        access=access,
        tenant=tenant,
        user="",
        key="",
        model=MODEL,
        service_class="interactive",
        prompt_tokens=tokens,
        patience_seconds=patience,
        sequences=0,
    )


async def announce(redis: Redis, state: str = "ready", slots: int = 100) -> None:
    """One worker's heartbeat."""
    beat = Heartbeat(
        worker=WorkerId("worker-1"),
        model=ModelFacts(name=MODEL, revision="1", kind="generate", max_model_len=1024),
        state=state,  # type: ignore[arg-type]
        slots=slots,
        free_slots=slots,
        cache_room=1.0,
        tokens_per_second=100.0,
        shards=(0,),
        at=time.time(),
    )
    await redis.hset(keys.fleet(), beat.worker, beat.encode())


async def set_limits(redis: Redis, **limits: float | str) -> None:
    await redis.hset(keys.limits(TENANT), mapping=limits)


async def report_usage(redis: Redis, request_id: RequestId, used: int, state: str = "done") -> None:
    """What the terminal append writes at a request's end."""
    usage = Usage(prompt_tokens=used).encode() if used else b""
    fields = {"id": request_id, "tenant": TENANT, "model": MODEL, "state": state, "usage": usage}
    await redis.xadd(keys.usage(Shard(0)), fields)


async def ledger(redis: Redis, unit: str = "tokens") -> dict[str, int]:
    """The sums of the tenant for the one model."""
    names = ("granted", "settled", "reserved", "refunded")
    sums = await redis.hmget(keys.ledger(TENANT), [f"{name}:{unit}:{MODEL}" for name in names])
    return dict(zip(names, (int(value or 0) for value in sums), strict=True))


async def eventually(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 5.0) -> None:
    """Poll until it holds."""
    end = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        await asyncio.sleep(0.01)
