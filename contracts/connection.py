"""The two ways to connect to Redis. No other module makes a client.

``commands`` is for calls that answer at once; ``blocking`` for reads that wait. They differ because of a trap: with
redis-py's default socket timeout of 5 s and ten automatic retries, a blocking read longer than 5 s is retried for ever
and never returns. Both need the ``hiredis`` parser: with the pure-Python one, replies have reached the wrong caller.

redis-py types each answer for all its settings at once. With ours, texts are always ``bytes`` and streams are lists of
(id, fields): whoever reads an answer takes it as ``Any`` and names its type at once.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import hiredis  # noqa: F401  # pyright: ignore[reportUnusedImport]  (its presence makes redis-py safe, see above)
from redis.asyncio import BlockingConnectionPool, Connection, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import (
    ClusterDownError,
    MasterDownError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from contracts.errors import DependencyDown

COMMAND_TIMEOUT = timedelta(seconds=5)
BLOCK = timedelta(seconds=2)
READ_MARGIN = timedelta(seconds=3)
LOADING_POLL = timedelta(seconds=0.2)

REDIS_UNAVAILABLE = (
    RedisConnectionError,
    RedisTimeoutError,
    OSError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
    ClusterDownError,
    MasterDownError,
)
"""What a command raises when Redis cannot be reached, or cannot do it now: full, or in the middle of a failover.

It passes. Whoever loops around a command waits and goes on; at the edge of a service it is a ``DependencyDown``.
"""


def commands(url: str, *, connections: int = 64) -> Redis:
    """A client for commands that answer at once: short timeout, three jittered retries (every step is idempotent)."""
    return _client(
        url,
        max_connections=connections,
        socket_timeout=COMMAND_TIMEOUT.total_seconds(),
        retry=Retry(ExponentialWithJitterBackoff(base=0.02, cap=0.5), 3),
    )


def blocking(url: str, *, connections: int = 8) -> Redis:
    """A client for reads that block up to ``BLOCK``: own pool, timeout beyond the block, no retry."""
    return _client(
        url,
        max_connections=connections,
        socket_timeout=(BLOCK + READ_MARGIN).total_seconds(),
        retry=Retry(NoBackoff(), 0),
    )


async def verify(redis: Redis) -> dict[str, Any]:
    """Wait for a server that is starting, refuse one on which data could vanish; returns its ``INFO``.

    Raises:
        DependencyDown: the server does not answer, or it may evict keys.
    """
    try:
        info: dict[str, Any] = await redis.info()
        while info.get("loading"):  # it has just started, and still reads its data
            await asyncio.sleep(LOADING_POLL.total_seconds())
            info = await redis.info()
    except REDIS_UNAVAILABLE as error:
        raise DependencyDown(f"Redis does not answer: {error}. Is REDIS_URL right, and the server running?") from error
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise DependencyDown(
            f"Redis may evict keys (maxmemory-policy {policy}), and an evicted log is a lost answer. "
            "Set maxmemory-policy to noeviction."
        )
    return info


class _Connection(Connection):
    """Lets a cancellation through that arrives while a command is being sent, and names a broken connection as such.

    redis-py sends under ``asyncio.wait_for``, which on Python 3.11 returns the result and drops the cancellation when
    both come in one turn of the loop: in practice nearly always. The task would then never end. And uvloop answers a
    write on a connection that was reset with a ``RuntimeError``, which neither the client's retries nor anybody else
    would take for what it is.
    """

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError(str(error)) from error
        if task and task.cancelling() > before:
            await self.disconnect(nowait=True)  # its reply is nobody's
            raise asyncio.CancelledError


class _SecureConnection(_Connection, SSLConnection):
    """The same over TLS."""


def _client(url: str, **settings: Any) -> Redis:
    # Blocking: more calls than connections wait their turn instead of failing.
    pool = BlockingConnectionPool.from_url(
        url, protocol=3, legacy_responses=False, socket_connect_timeout=2.0, timeout=None, **settings
    )
    pool.connection_class = _SecureConnection if url.startswith("rediss") else _Connection
    return Redis.from_pool(pool)
