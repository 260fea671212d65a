"""The delivery protocol on every kind of server, and what its tests say over and over."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from contracts import connection, keys
from contracts.functions import Chunk, Ending, Grant, Grants, Library, Protocol, Submission, Submitted
from contracts.ids import SessionId, Shard, TenantId, WorkerId, new_request_id
from contracts.messages import (
    ChatMessage,
    Delta,
    Finished,
    Generate,
    InferenceRequest,
    Reply,
    ServiceClass,
    Started,
    Usage,
)

SHARD = Shard(0)
LEASE = timedelta(seconds=5)
MOMENT = timedelta(milliseconds=40)
USAGE = Usage(prompt_tokens=3, completion_tokens=2)


@dataclass
class Desk:
    """One hand for each role: it submits, takes and appends with the values that a test does not care about."""

    protocol: Protocol
    redis: Redis
    calls: int = field(default=0)

    def request(self, **changed: Any) -> InferenceRequest:
        fields: dict[str, Any] = {
            "id": new_request_id(SHARD),
            "tenant": TenantId("acme"),
            "user": "",
            "key": "k",
            "model": "m",
            "service_class": "interactive",
            "task": Generate(messages=(ChatMessage(role="user", content="hi"),)),
            "created_at": time.time(),
            "deadline_seconds": 60.0,
            "question": "hi",
        }
        return InferenceRequest(**(fields | changed))

    async def submit(self, request: InferenceRequest, *, bound: int = 100, **submission: Any) -> Submitted:
        return await self.protocol.submit(
            Submission(request, timedelta(hours=1), **submission), queue_bound=bound, follower=None
        )

    async def take(
        self,
        slots: int = 1,
        *,
        call: str = "",
        lease: timedelta = LEASE,
        classes: tuple[ServiceClass, ...] = ("interactive", "standard", "batch"),
        worker: str = "w",
        running: int = 0,
    ) -> Grants:
        self.calls += 1
        call = call or f"call-{self.calls}"
        return await self.protocol.take(
            SHARD, "m", WorkerId(worker), call, slots=slots, lease=lease, classes=classes, running=running
        )

    async def append(self, grant: Grant, first: int, *replies: Reply, end: str = "", lease: timedelta = LEASE) -> str:
        ending = Ending(end, "ab", USAGE) if end else None  # type: ignore[arg-type]  # tests write states as text
        chunk = Chunk(grant.id, grant.generation, first, replies, ending)
        return (await self.protocol.append(SHARD, [chunk], lease))[0].status

    async def running(self, **changed: Any) -> Grant:
        """A request that was submitted and taken, and has said that it started."""
        await self.submit(self.request(**changed))
        (grant,) = await self.take()
        assert await self.append(grant, 1, Started(worker=WorkerId("w"))) == "ok"
        return grant

    async def finish(self, grant: Grant, first: int = 2) -> str:
        return await self.append(grant, first, Delta(text="ab", token_ids=(1, 2)), Finished(usage=USAGE), end="done")

    async def state(self, request: InferenceRequest | Grant) -> str:
        found: Any = await self.redis.hget(keys.request(request.id), "state")
        return found.decode() if found else ""

    async def log(self, request: InferenceRequest | Grant) -> list[int]:
        """The numbers in the log."""
        entries: Any = await self.redis.xrange(keys.replies(request.id))
        return [int(entry.split(b"-")[0]) for entry, _ in entries]

    async def session(self) -> SessionId:
        session = SessionId(new_request_id(SHARD))
        await self.redis.hset(keys.session(session), "tenant", "acme")
        return session


@pytest.fixture
async def desk(every_server: str) -> AsyncIterator[Desk]:
    client = connection.commands(every_server)
    await client.flushall()
    yield Desk(Protocol(Library(client)), client)
    await client.aclose()
