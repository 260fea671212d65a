"""The limiter sweeps: what no worker would ever end has an end, and what is stranded moves again."""

from __future__ import annotations

import time
from datetime import timedelta

from redis.asyncio import Redis

from contracts import keys
from contracts.functions import Protocol, Submission
from contracts.ids import Shard, TenantId, new_request_id
from contracts.messages import ChatMessage, Generate, InferenceRequest
from tests.integration.limiter.gatehouse import MODEL, eventually, limiter_running


def request(deadline: float) -> InferenceRequest:
    return InferenceRequest(
        id=new_request_id(Shard(0)),
        tenant=TenantId("acme"),
        user="",
        key="",
        model=MODEL,
        service_class="interactive",
        task=Generate(messages=(ChatMessage(role="user", content="hi"),)),
        created_at=time.time(),
        deadline_seconds=deadline,
    )


async def test_without_any_worker_a_deadline_still_ends_a_request(
    redis: Redis, redis_url: str, protocol: Protocol
) -> None:
    late = request(deadline=0.05)
    await protocol.submit(Submission(late, timedelta(hours=1)), queue_bound=9)

    async def expired() -> bool:
        return await redis.hget(keys.request(late.id), "state") == b"expired"

    async with limiter_running(redis_url):
        await eventually(expired, "the end", 20)


async def test_a_request_that_lost_its_place_in_the_queue_gets_another(
    redis: Redis, redis_url: str, protocol: Protocol
) -> None:
    await protocol.submit(Submission(request(deadline=60), timedelta(hours=1)), queue_bound=9)
    queue = keys.requests(Shard(0), MODEL, "interactive")
    await redis.delete(queue)

    async def queued() -> bool:
        return await redis.xlen(queue) == 1

    async with limiter_running(redis_url):
        await eventually(queued, "the new entry", 20)
