"""One standing subscription to one channel, for the life of a process.

What is published while it reconnects is lost; whoever relies on a message repeats its question (see
``access/admission.py``). A connection that has died without a word is found by a ping into the silence.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, NoReturn, cast

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from contracts.connection import REDIS_UNAVAILABLE

SILENCE_SECONDS = 2.0


class Subscription:
    """Hands every message on ``channel`` to ``hear``. ``redis`` is a client for blocking reads."""

    def __init__(self, redis: Redis, channel: str, hear: Callable[[bytes], None]):
        self._redis = redis
        self._channel = channel
        self._hear = hear
        self._listening = asyncio.Event()

    @property
    def listening(self) -> bool:
        """Whether messages arrive now."""
        return self._listening.is_set()

    async def ready(self) -> None:
        """Wait until messages arrive."""
        await self._listening.wait()

    async def run(self) -> NoReturn:
        """Listen, and subscribe again whenever the connection breaks."""
        while True:
            pubsub = self._redis.pubsub()
            try:
                await pubsub.subscribe(self._channel)
                await self._listen(pubsub)
            except REDIS_UNAVAILABLE:
                await asyncio.sleep(random.uniform(0.05, 0.2))  # noqa: S311  (jitter)
            finally:
                self._listening.clear()
                await pubsub.aclose()

    async def _listen(self, pubsub: PubSub) -> NoReturn:
        connection, pinged = cast(Any, pubsub.connection), False
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    arrived = await connection.arrivals()
            except TimeoutError as silence:
                if pinged:
                    raise ConnectionError(f"no answer on the subscription to {self._channel}") from silence
                await pubsub.ping()
                pinged = True
            else:
                pinged = False
                for push in arrived:
                    self._take(push)

    def _take(self, push: Any) -> None:
        match push:
            case [b"message", _, data]:
                self._hear(data)
            case [b"subscribe", *_]:
                self._listening.set()
            case Exception():
                raise push
            case _:  # the answer to a ping
                pass
