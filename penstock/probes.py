"""Is a child ready? Each probe asks once and says yes or no."""

from __future__ import annotations

import asyncio

from contracts import connection
from contracts.errors import DependencyDown
from penstock.ports import LOOPBACK

_SECONDS = 2.0


async def listens(port: int) -> bool:
    """Whether a server accepts connections on this loopback port."""
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
    except (TimeoutError, OSError):
        return False
    writer.close()
    return True


async def redis_answers(url: str) -> bool:
    """Whether Redis serves commands: it listens before it has read its data."""
    try:
        await check_redis(url)
    except DependencyDown:
        return False
    return True


async def check_redis(url: str) -> None:
    """Refuse a Redis on which data could vanish.

    Raises:
        DependencyDown: it does not answer, or may evict keys.
    """
    client = connection.commands(url)
    try:
        await connection.verify(client)
    finally:
        await client.aclose()


async def says_ok(port: int, path: str = "/readyz") -> bool:
    """Whether a GET of ``path`` on this loopback port is answered with 200."""
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n".encode())
            status_line = await reader.readline()
    except (TimeoutError, OSError):
        return False
    writer.close()
    return b" 200 " in status_line


async def always() -> bool:
    """For what is ready as soon as it runs."""
    return True
