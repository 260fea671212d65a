"""How loaded a model is, read from a real server."""

from __future__ import annotations

from redis.asyncio import Redis

from access.fleet import Fleet
from access.load import ModelLoad, loads
from contracts import keys
from contracts.ids import Shard
from contracts.messages import ModelStatus

BATCH = keys.requests(Shard(0), "m", "batch")


async def look(redis: Redis, shards: int = 1) -> ModelLoad:
    status = ModelStatus(waiting=7, waiting_tokens=70, outstanding=4, eta_error=0.25, estimate_error=0.5)
    await redis.hset(keys.gate_status(), "m", status.encode())  # type: ignore[arg-type]
    [load] = await loads(redis, Fleet(redis), shards)
    return load


async def enqueue(redis: Redis, count: int, shard: int = 0) -> None:
    for number in range(count):
        await redis.xadd(keys.requests(Shard(shard), "m", "batch"), {"id": str(number)})


async def test_before_any_worker_everything_is_queued(redis: Redis) -> None:
    await enqueue(redis, 3)
    assert (await look(redis)).depth == {"interactive": 0, "standard": 0, "batch": 3}


async def test_what_a_worker_has_taken_is_not_queued_any_more(redis: Redis) -> None:
    await enqueue(redis, 3)
    await redis.xgroup_create(BATCH, "workers", "0")
    await redis.xreadgroup("workers", "any", {BATCH: ">"}, count=1)
    assert (await look(redis)).depth["batch"] == 2


async def test_where_redis_lost_count_the_taken_are_subtracted(redis: Redis) -> None:
    """Deleting an entry that was not delivered makes the stream's lag unknown."""
    await enqueue(redis, 4)
    await redis.xgroup_create(BATCH, "workers", "0")
    await redis.xreadgroup("workers", "any", {BATCH: ">"}, count=1)
    last = (await redis.xrevrange(BATCH, count=2))[1][0]  # type: ignore[index]
    await redis.xdel(BATCH, last)
    assert (await look(redis)).depth["batch"] == 2


async def test_shards_are_added_up(redis: Redis) -> None:
    await enqueue(redis, 2, shard=0)
    await enqueue(redis, 3, shard=1)
    assert (await look(redis, shards=2)).depth["batch"] == 5


async def test_leases_are_what_runs_and_the_gate_says_what_waits(redis: Redis) -> None:
    await redis.zadd(keys.leases(Shard(0), "m"), {"a": 1, "b": 2})
    load = await look(redis)
    assert (load.running, load.waiting, load.waiting_tokens, load.slots) == (2, 7, 70, 0)


async def test_the_gate_says_what_to_scale_on_and_how_well_it_foretells(redis: Redis) -> None:
    load = await look(redis)
    assert (load.waiting + load.outstanding, load.eta_error, load.estimate_error) == (11, 0.25, 0.5)
