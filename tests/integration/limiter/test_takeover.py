"""Limiters as processes: killed, stopped, replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator

from redis.asyncio import Redis

from contracts import keys
from tests.integration.limiter.gatehouse import announce, asking, eventually, ledger, query


@contextlib.contextmanager
def limiter_process(redis_url: str) -> Generator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "limiter"], env={**os.environ, "REDIS_URL": redis_url})
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


async def test_a_standby_decides_within_two_seconds_of_a_kill(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    with limiter_process(redis_url) as active:
        await eventually(lambda: _epoch_is(redis, 1), "a first tenure", 10)
        with limiter_process(redis_url):
            async with asking(redis_url) as admission:
                await admission.ask(query())
                await _subscribers(redis, 2)
                await announce(redis)
                active.kill()
                started = time.monotonic()
                verdicts = await asyncio.gather(*(admission.ask(query()) for _ in range(20)))
                seconds = time.monotonic() - started
    assert {verdict.decision for verdict in verdicts} == {"granted"}
    assert seconds < 2.0
    assert await ledger(redis) == {"granted": 2100, "settled": 0, "reserved": 2100, "refunded": 0}


async def test_a_stopped_limiter_exits_cleanly_and_hands_over_at_once(redis: Redis, redis_url: str) -> None:
    with limiter_process(redis_url) as active:
        await eventually(lambda: _epoch_is(redis, 1), "a first tenure", 10)
        with limiter_process(redis_url):
            await _subscribers(redis, 2)
            active.send_signal(signal.SIGTERM)
            started = time.monotonic()
            await eventually(lambda: _epoch_is(redis, 2), "the handover", 5)
            seconds = time.monotonic() - started
        assert await asyncio.to_thread(active.wait, 5) == 0
    assert seconds < 1.0


async def _epoch_is(redis: Redis, epoch: int) -> bool:
    active = await redis.get(keys.active_limiter())
    return active is not None and active.startswith(f"{epoch}:".encode())


async def _subscribers(redis: Redis, count: int) -> None:
    async def heard() -> bool:
        (_, listening), *_ = await redis.pubsub_numsub(keys.asks_channel())
        return listening == count

    await eventually(heard, "both limiters listening", 10)
