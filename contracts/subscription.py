"""One standing subscription to one channel, for the life of a process.

What is published while it reconnects is lost; whoever relies on a message repeats its question (see
``access/admission.py``). A connection that has died without a word is found by a ping into the silence.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import NoReturn, cast

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
        pinged = False
        while True:
            message = await pubsub.get_message(timeout=SILENCE_SECONDS)
            if message is None:
                if pinged:
                    raise ConnectionError(f"no answer on the subscription to {self._channel}")
                await pubsub.ping()
                pinged = True
                continue
            pinged = False
            if message["type"] == "subscribe":
                self._listening.set()
            elif message["type"] == "message":
                self._hear(cast(bytes, message["data"]))
