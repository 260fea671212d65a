"""Beginning a request while its client may have to wait for admission.

A granted request starts before any header is sent, so a refusal is an HTTP status. One that the limiter queues starts
its stream at once and hears its position; a refusal then comes as the stream's end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from access.answer import Accepted, OnQueued
from access.asked import Asked
from access.context import Context
from access.leaving import client_left
from access.mailbox import Follower
from access.ratelimits import headers_of
from access.submission import AlreadyAnswered
from contracts.messages import InferenceRequest, Verdict


@dataclass
class Begun:
    """A request on its way: ``accepted`` resolves when it is queued for the workers, or raises why it never was.

    ``began`` is its arrival, by ``time.monotonic``.
    """

    context: Context
    asked: Asked
    accepted: asyncio.Task[Accepted]
    news: asyncio.Queue[Verdict | None]
    began: float

    @property
    def request(self) -> InferenceRequest | None:
        """The accepted request; ``None`` while it waits, or if it was refused."""
        done = self.accepted.done() and not self.accepted.cancelled() and self.accepted.exception() is None
        return self.accepted.result().request if done else None

    @property
    def headers(self) -> dict[str, str]:
        """The ``x-ratelimit-*`` headers, if the limiter has decided."""
        return headers_of(self.accepted.result().limits) if self.request is not None else {}

    async def waiting(self) -> AsyncIterator[Verdict]:
        """The limiter's words while the request waits; ends when waiting ends."""
        while (verdict := await self.news.get()) is not None:
            yield verdict

    def abandon(self) -> None:
        """The client left: stop waiting, and let go of what was begun."""
        self.accepted.cancel()
        self.context.spawn(_let_go(self), f"let go {self.asked.id}")


async def begin(context: Context, asked: Asked, *, stream: bool) -> Begun:
    """Start the one sentence. Returns when the request is queued; for a ``stream`` also as soon as it has to wait.

    Raises:
        PenstockError: it was refused before anything was sent.
    """
    began = time.monotonic()
    news: asyncio.Queue[Verdict | None] = asyncio.Queue()
    queued = asyncio.Event()

    def on_queued(verdict: Verdict) -> None:
        news.put_nowait(verdict)
        queued.set()

    work = asyncio.create_task(_begin(context, asked, on_queued), name=f"begin {asked.id}")
    work.add_done_callback(lambda _: news.put_nowait(None))
    waits = asyncio.create_task(queued.wait())
    begun = Begun(context, asked, work, news, began)
    try:
        await asyncio.wait((work, waits) if stream else (work,), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        begun.abandon()
        raise
    finally:
        waits.cancel()
    if work.done():
        work.result()
    return begun


async def _begin(context: Context, asked: Asked, on_queued: OnQueued) -> Accepted:
    try:
        return await context.answering.begin(asked, on_queued)
    except AlreadyAnswered as earlier:
        return Accepted(earlier.request)


async def _let_go(begun: Begun) -> None:
    """Whether the request was submitted or not: nobody hears it here any more, and it ends if nobody comes back."""
    await asyncio.wait((begun.accepted,))
    request = begun.request
    follower = begun.accepted.result().follower if request is not None else None
    await begun.context.mailbox.leave(follower or Follower(begun.asked.id))
    client_left(begun.context, request or begun.context.answering.waiting(begun.asked))
