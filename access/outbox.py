"""What one access process says to the limiter, sent together: a loop tick's words leave in one message."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from redis.asyncio import Redis

from contracts import keys, logs
from contracts.connection import REDIS_UNAVAILABLE
from contracts.ids import RequestId
from contracts.messages import AdmissionQuery, Asks, Correction, Withdrawal

_QUERIES_AT_MOST = 500


class Outbox:
    """While one message is on its way, the next one fills. Run ``run()`` in the process's task group."""

    def __init__(self, redis: Redis):
        self._redis = redis
        self._queries: dict[RequestId, AdmissionQuery] = {}
        self._corrections: dict[RequestId, Correction] = {}
        self._withdrawn: dict[RequestId, Withdrawal] = {}
        self._filled = asyncio.Event()

    def ask(self, query: AdmissionQuery) -> None:
        self._queries[query.id] = query
        self._filled.set()

    def correct(self, correction: Correction) -> None:
        self._corrections[correction.id] = correction
        self._filled.set()

    def withdraw(self, withdrawal: Withdrawal) -> None:
        self._queries.pop(withdrawal.id, None)
        self._corrections.pop(withdrawal.id, None)
        self._withdrawn[withdrawal.id] = withdrawal
        self._filled.set()

    async def run(self) -> NoReturn:
        while True:
            await self._filled.wait()
            asks = self._next()
            try:
                await self._redis.publish(keys.asks_channel(), asks.encode())
            except REDIS_UNAVAILABLE as error:
                # Each caller asks again on its timer; the rest costs accuracy for a while (see ``Asks``).
                logs.get().warning(
                    "admission.unsent", sentence="Asks did not reach Redis.", exception=type(error).__name__
                )

    def _next(self) -> Asks:
        ids = list(self._queries)[:_QUERIES_AT_MOST]
        asks = Asks(
            queries=tuple(self._queries.pop(i) for i in ids),
            withdrawn=tuple(self._withdrawn.values()),
            corrections=tuple(self._corrections.values()),
        )
        self._withdrawn.clear()
        self._corrections.clear()
        if not self._queries:
            self._filled.clear()
        return asks
