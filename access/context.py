"""What the routes of one process work with: made by the composition root, read by everybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

from fastapi import Depends, Request
from redis.asyncio import Redis

from access.addresses import Origin
from access.admission import Admission
from access.answer import Answering
from access.asides import Asides
from access.auth import Caller, KeyRing
from access.embedding import StreamEmbedder
from access.estimating import Estimating
from access.fleet import Fleet
from access.mailbox import Mailbox
from access.retries import Retries
from access.session_watch import SessionWatch
from access.settings import AccessSettings
from access.sse import EventStream
from access.stored import StoredRequests
from access.submission import Submissions
from contracts.functions import LearnedFacts, Library, Protocol, Pushes, PushQuota
from contracts.ids import AccessId
from memory import History, Profiles, Sessions
from rag.knowledge import Knowledge


@dataclass
class Context:
    """The nouns of this access process."""

    id: AccessId
    settings: AccessSettings
    redis: Redis
    library: Library
    protocol: Protocol
    keys: KeyRing
    admission: Admission
    estimating: Estimating
    answering: Answering
    asides: Asides
    submissions: Submissions
    retries: Retries
    stored: StoredRequests
    mailbox: Mailbox
    fleet: Fleet
    sessions: Sessions
    history: History
    watch: SessionWatch
    pushes: Pushes
    push_quota: PushQuota
    profiles: Profiles
    learned: LearnedFacts
    knowledge: Knowledge
    embedder: StreamEmbedder
    knowledge_ready: asyncio.Event = field(default_factory=asyncio.Event)
    background: set[asyncio.Task[Any]] = field(default_factory=set)
    started_at: float = field(default_factory=time.time)

    def stream(
        self,
        frames: AsyncGenerator[bytes],
        *,
        headers: dict[str, str] | None = None,
        on_leave: Callable[[], Awaitable[None]] | None = None,
    ) -> EventStream:
        """An answer of events, by this process's settings."""
        return EventStream(
            frames,
            heartbeat=self.settings.heartbeat,
            write_deadline=self.settings.write_deadline,
            headers=headers,
            on_leave=on_leave,
        )

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        """Run something that outlives its HTTP request; awaited at shutdown."""
        task = asyncio.create_task(work, name=name)
        self.background.add(task)
        task.add_done_callback(self.background.discard)


async def context_of(request: Request) -> Context:
    # A coroutine, because the framework runs plain functions in a thread: a hop for every request.
    return cast(Context, request.app.state.context)


async def caller_of(request: Request) -> Caller:
    """Raises ``Unauthenticated``, ``TooManyWrongKeys``."""
    context, headers = await context_of(request), request.headers
    origin = Origin(request.client.host if request.client else "", headers.getlist("x-forwarded-for"))
    return await context.keys.authenticate(headers.get("authorization"), origin)


InContext = Annotated[Context, Depends(context_of)]
ByCaller = Annotated[Caller, Depends(caller_of)]
