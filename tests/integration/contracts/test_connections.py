"""The two ways to connect: what they must do beyond what the client library does by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import pytest
import uvloop
from redis.asyncio import Redis

from contracts import connection
from contracts.errors import DependencyDown
from contracts.subscription import Subscription
from tests.chaos.link import ClientEnd, Line
from tests.servers import free_port


async def test_a_cancelled_command_ends_its_task_every_time(redis_url: str) -> None:
    """On Python 3.11 the library's own connection drops nearly every cancellation that meets the end of a send."""
    client = connection.commands(redis_url, connections=4)
    await client.ping()
    survivors = 0
    for _ in range(300):
        task = asyncio.create_task(client.ping())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        survivors += not task.cancelled()
    assert survivors == 0
    assert await client.echo("after") == b"after", "no reply is left for the next caller"
    await client.aclose()


async def test_a_cancelled_call_never_gives_its_reply_to_another(redis_url: str) -> None:
    client = connection.commands(redis_url, connections=2)

    async def ask(number: int) -> bool:
        return await client.echo(str(number)) == str(number).encode()

    tasks = [asyncio.create_task(ask(number)) for number in range(400)]
    for task in tasks[::2]:
        await asyncio.sleep(0)
        task.cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(answer is True for answer in answers if not isinstance(answer, BaseException))
    assert sum(answer is True for answer in answers) >= 200
    await client.aclose()


async def test_more_calls_than_connections_wait_their_turn(redis_url: str) -> None:
    client = connection.commands(redis_url, connections=2)
    assert await asyncio.gather(*(client.ping() for _ in range(50))) == [True] * 50
    await client.aclose()


async def test_a_connection_that_could_not_be_made_is_free_for_the_next_call() -> None:
    client = connection.commands(f"redis://127.0.0.1:{free_port()}/0", connections=1)
    for _ in range(3):
        with pytest.raises(connection.REDIS_UNAVAILABLE):
            async with asyncio.timeout(10):
                await client.ping()
    await client.aclose()


async def test_a_command_of_two_words_and_of_every_kind_of_value_arrives(redis_url: str) -> None:
    client = connection.commands(redis_url)
    await client.execute_command("CONFIG SET", "maxmemory-policy", "noeviction")
    await client.hset("values", mapping={"text": "groß", "bytes": b"\x00\r\n", "whole": 2**60, "part": 0.5})
    found = await client.hgetall("values")
    assert found == {b"text": "groß".encode(), b"bytes": b"\x00\r\n", b"whole": b"%d" % 2**60, b"part": b"0.5"}
    await client.delete("values")
    await client.aclose()


async def test_a_subscription_hears_all_in_order(redis_url: str) -> None:
    heard = asyncio.Queue[bytes]()
    async with subscribed(redis_url, heard) as publisher:
        said = [str(number).encode() * 1000 for number in range(500)]
        async with publisher.pipeline(transaction=False) as pipe:
            for word in said:
                pipe.publish("news", word)
            await pipe.execute()
        assert [await heard.get() for _ in said] == said


async def test_a_subscription_that_died_without_a_word_is_made_anew(redis_url: str) -> None:
    lines: set[Line] = set()
    port = urlsplit(redis_url).port or 0
    proxy = await asyncio.get_running_loop().create_server(lambda: ClientEnd(lines, port), "127.0.0.1", 0)
    publisher, heard = connection.commands(redis_url), asyncio.Queue[bytes]()
    async with proxy, subscribed(f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/0", heard):
        silent = set(lines)
        for line in silent:
            line.silence()
        while heard.empty():
            await publisher.publish("news", "again")
            await asyncio.sleep(0.1)
        for line in silent:
            line.cut()
    await publisher.aclose()


async def test_a_server_that_does_not_answer_is_said_so() -> None:
    client = connection.commands(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(DependencyDown, match="REDIS_URL"):
        await connection.verify(client)
    await client.aclose()


async def test_a_server_that_may_evict_is_refused(redis_url: str) -> None:
    client = connection.commands(redis_url)
    await client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(DependencyDown, match="noeviction"):
            await connection.verify(client)
    finally:
        await client.config_set("maxmemory-policy", "noeviction")
        await client.aclose()


def test_a_connection_that_was_reset_is_a_connection_error_under_uvloop_too(redis_url: str) -> None:
    """uvloop answers a write on it with a ``RuntimeError``, which no retry and no loop around a command would heed."""
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with runner:
        raised = runner.run(_hammer_over_a_line_that_is_cut(urlsplit(redis_url).port or 0))
    assert raised
    assert [error for error in raised if not isinstance(error, connection.REDIS_UNAVAILABLE)] == []


@contextlib.asynccontextmanager
async def subscribed(url: str, heard: asyncio.Queue[bytes]) -> AsyncGenerator[Redis]:
    """Until the end of the block ``heard`` gets what is said on the channel ``news``; yields a client."""
    client, reader = connection.commands(url), connection.blocking(url)
    subscription = Subscription(reader, "news", heard.put_nowait)
    task = asyncio.create_task(subscription.run())
    try:
        async with asyncio.timeout(20):
            await subscription.ready()
            yield client
    finally:
        task.cancel()
        await asyncio.wait([task])
        await client.aclose()
        await reader.aclose()


async def _hammer_over_a_line_that_is_cut(redis_port: int) -> list[Exception]:
    lines: set[Line] = set()
    raised: list[Exception] = []
    proxy = await asyncio.get_running_loop().create_server(lambda: ClientEnd(lines, redis_port), "127.0.0.1", 0)
    client = connection.blocking(f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/0")

    async def hammer() -> None:
        for number in range(120):
            try:
                await client.set("hammered", number)
            except Exception as error:  # noqa: BLE001  (which kinds there are is the question)
                raised.append(error)
            await asyncio.sleep(0.002)

    async def cut() -> None:
        for _ in range(40):
            await asyncio.sleep(0.01)
            for line in list(lines):
                line.cut()

    async with proxy:
        await asyncio.gather(*(hammer() for _ in range(8)), cut())
    await client.aclose()
    return raised
