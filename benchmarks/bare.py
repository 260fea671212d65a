"""The bare round trip: publish → another process → publish back. Nothing is decided, stored or counted.

As at the gate, what one loop tick says leaves in one message, and while a message is on its way the next one fills.
This process is the other end.

Usage: ``python -m benchmarks.bare REDIS_URL``
"""

from __future__ import annotations

import asyncio
import sys
from typing import NoReturn

import msgspec
import uvloop
from redis.asyncio import Redis

from contracts import connection
from contracts.subscription import Subscription

CHANNEL = "bench:bare"


class Said(msgspec.Struct, array_like=True):
    """Ids, and the channel on which they are to come back."""

    back: str
    ids: list[str]


class Bare:
    """The asking end."""

    def __init__(self, redis: Redis, listening: Redis, name: str):
        self._redis = redis
        self._back = f"{CHANNEL}:{name}"
        self._subscription = Subscription(listening, self._back, self._hear)
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._said: list[str] = []
        self._filled = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._subscription.run())
            tasks.create_task(self._send())

    async def ask(self, name: str) -> None:
        """Return when it has come back."""
        future = self._waiting[name] = asyncio.get_running_loop().create_future()
        self._said.append(name)
        self._filled.set()
        try:
            await future
        finally:
            del self._waiting[name]

    async def _send(self) -> NoReturn:
        while True:
            await self._filled.wait()
            said, self._said = self._said, []
            self._filled.clear()
            await self._redis.publish(CHANNEL, msgspec.msgpack.encode(Said(self._back, said)))

    def _hear(self, wire: bytes) -> None:
        for name in msgspec.msgpack.decode(wire, type=list[str]):
            if (future := self._waiting.get(name)) and not future.done():
                future.set_result(None)


class Echo:
    """The other end."""

    def __init__(self, url: str):
        self._redis, listening = connection.commands(url), connection.blocking(url)
        self._subscription = Subscription(listening, CHANNEL, self._hear)
        self._heard: list[Said] = []
        self._filled = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._subscription.run())
            tasks.create_task(self._send())

    def _hear(self, wire: bytes) -> None:
        self._heard.append(msgspec.msgpack.decode(wire, type=Said))
        self._filled.set()

    async def _send(self) -> NoReturn:
        while True:
            await self._filled.wait()
            heard, self._heard = self._heard, []
            self._filled.clear()
            async with self._redis.pipeline(transaction=False) as pipe:
                for said in heard:
                    pipe.publish(said.back, msgspec.msgpack.encode(said.ids))
                await pipe.execute()


if __name__ == "__main__":
    uvloop.run(Echo(sys.argv[1]).run())
