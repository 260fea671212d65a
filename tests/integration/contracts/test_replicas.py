"""What is accepted is stored: confirmed by replicas where that is asked for, and refused when there is no memory."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from contracts import connection, keys
from contracts.connection import REDIS_UNAVAILABLE
from contracts.errors import DependencyDown
from contracts.functions import Library, Protocol, Replicas, Submission
from penstock import embedded_redis
from tests.integration.contracts.conftest import SHARD, Desk
from tests.servers import redis_server

HOUR = timedelta(hours=1)
ALONE = Replicas(1, timedelta(milliseconds=30))


async def until_following(replica: Redis) -> None:
    for _ in range(600):
        if (await replica.info("replication"))["master_link_status"] == "up":
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the replica does not follow")


@pytest.fixture
async def replica(every_server: str, tmp_path: Path) -> AsyncIterator[Redis]:
    """A second server that follows the first."""
    host, port = every_server.removeprefix("redis://").split("/")[0].split(":")
    with contextlib.ExitStack() as opened:
        url = opened.enter_context(redis_server(embedded_redis.bundled_binary(), tmp_path))
        client = connection.commands(url)
        await client.execute_command("REPLICAOF", host, port)
        await until_following(client)
        yield client
        await client.aclose()


async def test_a_submit_that_replicas_confirm_is_accepted(desk: Desk, replica: Redis) -> None:
    protocol = Protocol(Library(desk.redis), Replicas(1, timedelta(seconds=4)))
    request = desk.request()
    assert (await protocol.submit(Submission(request, HOUR), queue_bound=9)).outcome == "ok"
    assert await replica.exists(keys.request(request.id))


async def test_a_repeated_submit_is_confirmed_anew(desk: Desk, replica: Redis, every_server: str) -> None:
    """Its connection may have written nothing yet, and WAIT would find that every replica has all of that."""
    request = desk.request()
    await desk.submit(request)
    fresh = connection.commands(every_server)
    process: int = (await replica.info("server"))["process_id"]
    os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(DependencyDown):
            await Protocol(Library(fresh), ALONE).submit(Submission(request, HOUR), queue_bound=9)
    finally:
        os.kill(process, signal.SIGCONT)
        await fresh.aclose()


async def test_a_submit_that_no_replica_confirms_is_refused_and_never_runs(desk: Desk) -> None:
    protocol = Protocol(Library(desk.redis), ALONE)
    request = desk.request()
    with pytest.raises(DependencyDown):
        await protocol.submit(Submission(request, HOUR), queue_bound=9)
    assert await desk.state(request) == "cancelled"
    assert await desk.take() == []


async def test_out_of_memory_new_work_is_refused_and_running_work_finishes(desk: Desk) -> None:
    grant = await desk.running()
    refused = desk.request()
    await desk.redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(REDIS_UNAVAILABLE):
            await desk.submit(refused)
        await desk.protocol.renew(SHARD, [(grant.id, grant.generation)], HOUR)
        assert await desk.finish(grant) == "ok"
    finally:
        await desk.redis.config_set("maxmemory", 0)
    assert (await desk.state(grant), await desk.state(refused)) == ("done", "")
