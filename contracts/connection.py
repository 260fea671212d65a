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

import hiredis
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
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
    """redis-py's, with half the work for a command and without two of its faults.

    It packs in C, and writes without waiting: who sends a command reads its answer next, under a timeout. redis-py
    waits under ``asyncio.wait_for``, a task for each command, which on Python 3.11 drops a cancellation that meets its
    end (in practice nearly always): the caller's task would then never end. And uvloop answers a write on a connection
    that was reset with a ``RuntimeError``, which nobody would take for what it is.
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        name, *values = args
        return [hiredis.pack_command((*name.split(), *values))]  # CONFIG GET, say, goes as two words

    async def arrivals(self) -> list[Any]:
        """All that has arrived, as soon as something has; for a subscription, where nothing is anybody's answer.

        Raises:
            redis.ConnectionError: the server has closed the connection.
        """
        parser: Any = self._parser
        while not (arrived := list(iter(parser._reader.gets, NOT_ENOUGH_DATA))):
            await parser.read_from_socket()
        return arrived

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: ARG002  (redis-py's)
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        writer: Any = self._writer
        try:
            writer.writelines(command)
        except RuntimeError as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError(str(error)) from error


class _SecureConnection(_Connection, SSLConnection):
    """The same over TLS."""


class _Pool(ConnectionPool):
    """As many connections as are needed at once, up to ``max_connections``; more calls than that wait their turn.

    redis-py's blocking pool does the same with a lock, a condition and a timeout for each command.
    """

    def __init__(self, max_connections: int, **settings: Any):
        super().__init__(max_connections=max_connections, **settings)
        self._free = asyncio.Semaphore(max_connections)

    async def get_connection(self, *_: Any, **__: Any) -> Any:
        await self._free.acquire()
        connection = self.get_available_connection()
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: Any) -> None:
        self._in_use_connections.remove(connection)
        if connection.should_reconnect():
            await connection.disconnect()
        self._available_connections.append(connection)
        self._free.release()


def _client(url: str, **settings: Any) -> Redis:
    pool = _Pool.from_url(url, protocol=3, legacy_responses=False, socket_connect_timeout=2.0, **settings)
    pool.connection_class = _SecureConnection if url.startswith("rediss") else _Connection
    return Redis.from_pool(pool)
