"""Fixtures that every tier shares: a real server, its clients, the function library."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from contracts import connection
from contracts.functions import Library, Protocol
from penstock import embedded_redis
from tests.servers import redis_server

SERVERS = {"valkey": embedded_redis.bundled_binary(), "redis": shutil.which("redis-server")}
"""The embedded Valkey, and Debian's Redis 7.0 where it is installed (the CI script installs it)."""


@pytest.fixture(scope="session", params=[name for name, binary in SERVERS.items() if binary])
def every_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of each kind of server in turn: for tests of what the server itself does."""
    with redis_server(str(SERVERS[request.param]), _short(tmp_path_factory, request.param)) as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the server that ``penstock up`` embeds."""
    with redis_server(str(SERVERS["valkey"]), _short(tmp_path_factory, "embedded")) as url:
        yield url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client on an empty database."""
    client = connection.commands(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
async def protocol(redis: Redis) -> Protocol:
    """The delivery protocol on an empty database."""
    return Protocol(Library(redis))


def _short(factory: pytest.TempPathFactory, name: str) -> Path:
    return factory.mktemp(name)
