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
from access.ratelimits import headers_of
from access.submission import AlreadyAnswered
from contracts.messages import InferenceRequest, Verdict


@dataclass
class Begun:
    """A request on its way: ``accepted`` resolves when it is queued for the workers, or raises why it never was.

    ``began`` is its arrival, by ``time.monotonic``.
    """

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

    async def abandon(self) -> None:
        """The client left: stop waiting."""
        if not self.accepted.done():
            self.accepted.cancel()
            await asyncio.wait((self.accepted,))


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
    try:
        await asyncio.wait((work, waits) if stream else (work,), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        work.cancel()
        raise
    finally:
        waits.cancel()
    if work.done():
        work.result()
    return Begun(work, news, began)


async def _begin(context: Context, asked: Asked, on_queued: OnQueued) -> Accepted:
    try:
        return await context.answering.begin(asked, on_queued)
    except AlreadyAnswered as earlier:
        return Accepted(earlier.request)
