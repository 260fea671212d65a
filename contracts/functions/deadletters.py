"""Dead letters: requests that were given up, to be looked at, sent again or dropped.

A letter says why, and holds no text of the prompt. The request itself stays in its own hash as long as its letter does.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
from redis.asyncio import Redis

from contracts import keys
from contracts.errors import NotFound, Overload
from contracts.functions.protocol import Protocol, Submission
from contracts.ids import BadId, RequestId, Shard, shard_of
from contracts.messages import InferenceRequest

QUEUE_BOUND = 1_000_000


@dataclass(frozen=True)
class DeadLetter:
    """Why one request was given up. ``at``: Unix seconds. ``error``: what the engine last died of, if it did."""

    id: str
    at: float
    tenant: str
    model: str
    why: str
    deaths: int
    losses: int
    error: str
    worker: str


class DeadLetters:
    """The letters of all shards."""

    def __init__(self, redis: Redis, protocol: Protocol, shards: int):
        self._redis = redis
        self._protocol = protocol
        self._shards = [Shard(number) for number in range(shards)]

    async def newest(self, at_most: int) -> list[DeadLetter]:
        """The newest letters, newest first."""
        letters: list[DeadLetter] = []
        for shard in self._shards:
            entries: Any = await self._redis.xrevrange(keys.deadletters(shard), count=at_most)
            letters += [_letter(entry, fields) for entry, fields in entries]
        return sorted(letters, key=lambda letter: -letter.at)[:at_most]

    async def find(self, request_id: str) -> tuple[DeadLetter, InferenceRequest]:
        """One letter, and the request it is about.

        Raises:
            NotFound: there is none.
        """
        known = self._known(request_id)
        found: Any = await self._redis.hmget(keys.request(known), ["letter", "body"])
        entry, body = found
        entries: Any = entry and await self._redis.xrange(keys.deadletters(shard_of(known)), entry, entry)
        if not entries:
            raise _none()
        return _letter(*entries[0]), InferenceRequest.decode(body)

    async def requeue(self, request_id: str) -> RequestId:
        """Run the request again under a new id, which is returned, and drop its letter.

        Its own id has ended, and an end is for good. The new id follows from the old one, so asking twice runs it once.
        It runs outside of its conversation, which has gone on, and with its whole deadline before it.

        Raises:
            NotFound: there is no letter.
            Overload: the queue is full.
        """
        letter, request = await self.find(request_id)
        again = msgspec.structs.replace(request, id=_successor(request.id), session=None, created_at=time.time())
        retain: Any = await self._redis.hget(keys.request(request.id), "retain")
        submitted = await self._protocol.submit(
            Submission(again, timedelta(seconds=int(retain))), queue_bound=QUEUE_BOUND
        )
        if submitted.outcome == "full":
            raise Overload("The queue is full. Try again in a moment.", code="queue_full")
        await self.drop(letter.id)
        return again.id

    async def drop(self, request_id: str) -> None:
        """Forget a letter.

        Raises:
            NotFound: there is none.
        """
        if not await self._protocol.drop(self._known(request_id)):
            raise _none()

    def _known(self, request_id: str) -> RequestId:
        try:
            shard = shard_of(request_id)
        except BadId as error:
            raise _none() from error
        if shard not in self._shards:
            raise _none()
        return RequestId(request_id)


def _letter(entry: bytes, fields: Mapping[bytes, bytes]) -> DeadLetter:
    said = {name.decode(): value.decode() for name, value in fields.items()}
    return DeadLetter(
        id=said["id"],
        at=int(entry.split(b"-")[0]) / 1000,
        tenant=said.get("tenant", ""),
        model=said.get("model", ""),
        why=said["why"],
        deaths=int(said["deaths"]),
        losses=int(said.get("losses", 0)),
        error=said.get("error", ""),
        worker=said.get("worker", ""),
    )


def _successor(request_id: RequestId) -> RequestId:
    digest = hashlib.sha256(f"again {request_id}".encode()).hexdigest()
    return RequestId(f"s{shard_of(request_id)}_{digest[:32]}")


def _none() -> NotFound:
    return NotFound("No dead letter with this id.", code="deadletter_not_found", param="id")
