"""Beginning a request while its client may have to wait for admission.

A granted request starts before any header is sent, so a refusal is an HTTP status. One that the limiter queues starts
its stream at once and hears its position; a refusal then comes as the stream's end. One that runs in the background has
nobody who could ask again, so an outage is waited out for it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Request

from access.answer import Accepted, OnQueued
from access.asked import Asked
from access.context import Context
from access.follower import Follower
from access.leaving import client_left, grace
from access.presence import while_present
from access.ratelimits import headers_of
from access.submission import AlreadyAnswered
from contracts.connection import REDIS_UNAVAILABLE
from contracts.errors import DependencyDown, PenstockError
from contracts.messages import InferenceRequest, Verdict

OUTAGE_PAUSE_SECONDS = 0.5
_STOPPED = "The service could not queue this. Try again."


@dataclass
class Begun:
    """A request on its way: ``accepted`` resolves when it is queued for the workers, or raises why it never was.

    ``told_to_wait`` resolves with the limiter's first word if that has it wait. ``began`` is its arrival, by
    ``time.monotonic``.
    """

    context: Context
    asked: Asked
    accepted: asyncio.Task[Accepted]
    told_to_wait: asyncio.Future[Verdict]
    news: asyncio.Queue[Verdict | None]
    began: float

    @property
    def request(self) -> InferenceRequest | None:
        """The accepted request; ``None`` while it waits, or if it was refused."""
        done = self.accepted.done() and not self.accepted.cancelled() and self.accepted.exception() is None
        return self.accepted.result().request if done else None

    @property
    def headers(self) -> dict[str, str]:
        """The ``x-ratelimit-*`` headers, by the limiter's decision, or by the word that has the request wait for it."""
        if self.request is not None:
            return headers_of(self.accepted.result().limits)
        return headers_of(self.told_to_wait.result().limits) if self.told_to_wait.done() else {}

    async def waiting(self) -> AsyncIterator[Verdict]:
        """The limiter's words while the request waits; ends when waiting ends."""
        while (verdict := await self.news.get()) is not None:
            yield verdict

    def abandon(self) -> None:
        """The client left: let go of what was begun, now or when nobody has come back for it."""
        self.context.spawn(_let_go(self), f"let go {self.asked.id}")


async def begin(context: Context, asked: Asked, *, stream: bool) -> Begun:
    """Start the one sentence. Returns when the request is queued; for a ``stream`` also as soon as it has to wait.

    Raises:
        PenstockError: it was refused before anything was sent.
    """
    began = time.monotonic()
    news: asyncio.Queue[Verdict | None] = asyncio.Queue()
    told_to_wait: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

    def on_queued(verdict: Verdict) -> None:
        news.put_nowait(verdict)
        if not told_to_wait.done():
            told_to_wait.set_result(verdict)

    work = asyncio.create_task(_begin(context, asked, on_queued), name=f"begin {asked.id}")
    work.add_done_callback(lambda _: news.put_nowait(None))
    begun = Begun(context, asked, work, told_to_wait, news, began)
    try:
        await asyncio.wait((work, told_to_wait) if stream else (work,), return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        begun.abandon()
        raise
    if work.done():
        work.result()
    return begun


async def begin_stream(request: Request, context: Context, asked: Asked) -> Begun:
    """``begin`` for a stream. In a conversation it may wait for another answer before anything is sent; a client that
    leaves meanwhile is noticed.

    Raises:
        ClientLeft: it has left.
        PenstockError: see ``begin``.
    """
    beginning = begin(context, asked, stream=True)
    return await (beginning if asked.session is None else while_present(request, beginning))


async def begin_unattended(context: Context, asked: Asked) -> None:
    """The same for a request that is stored as waiting and whose client has gone with its id; it ends if this fails.

    Where Redis or the limiter does not answer, or a grant ran out meanwhile, it is tried again, until its deadline.
    """
    give_up = time.monotonic() + asked.deadline.total_seconds()
    try:
        while (error := await _attempt(context, asked)) is not None:
            if time.monotonic() > give_up or not _passes(error):
                await context.submissions.refuse(asked, _told(error))
                return
            await asyncio.sleep(OUTAGE_PAUSE_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  (jitter)
    except asyncio.CancelledError:
        await context.submissions.refuse(asked, DependencyDown(_STOPPED))
        raise


async def _attempt(context: Context, asked: Asked) -> Exception | None:
    """Bring it into the queue once, unless an earlier try that was not answered has; what stood in the way."""
    try:
        if await context.submissions.still_waits(asked.id):
            await context.answering.begin(asked, followed=False)
    except AlreadyAnswered:
        return None  # it was ended while it waited
    except (PenstockError, *REDIS_UNAVAILABLE) as error:
        return error
    return None


def _passes(error: Exception) -> bool:
    """Whether what stood in the way is likely to go away by itself."""
    late = isinstance(error, PenstockError) and error.code == "grant_expired"
    return late or isinstance(error, (DependencyDown, *REDIS_UNAVAILABLE))


def _told(error: Exception) -> PenstockError:
    return error if isinstance(error, PenstockError) else DependencyDown(_STOPPED)


async def _begin(context: Context, asked: Asked, on_queued: OnQueued) -> Accepted:
    try:
        return await context.answering.begin(asked, on_queued)
    except AlreadyAnswered as earlier:
        return Accepted(earlier.request)
    except PenstockError as error:
        if asked.on_busy == "interrupt":  # it is stored as waiting, see ``BusySessions.enter``
            await context.submissions.refuse(asked, error)
        raise


async def _let_go(begun: Begun) -> None:
    """A request that still waits goes on waiting for as long as somebody may come back for it, on any access process.

    Once it is submitted, or never will be, nobody hears it here any more, and it ends if nobody else follows it.
    """
    context, asked = begun.context, begun.asked
    stored = context.answering.waiting(asked)
    await asyncio.wait((begun.accepted,), timeout=grace(context, stored))
    if not begun.accepted.done() and not await context.stored.followed(asked.id):
        begun.accepted.cancel()
    await asyncio.wait((begun.accepted,))
    request = begun.request
    follower = begun.accepted.result().follower if request is not None else None
    await context.mailbox.leave(follower or Follower(asked.id))
    if request is not None:
        client_left(context, request)
    elif begun.accepted.cancelled():  # in the middle of a submit, perhaps
        await context.protocol.cancel(asked.id)
    elif isinstance(error := begun.accepted.exception(), PenstockError):
        await context.submissions.refuse(asked, error)
