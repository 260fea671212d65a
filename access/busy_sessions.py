"""What becomes of a message that comes while its session is busy: it queues, is rejected, or interrupts.

A session is busy from the submit of a request to its end, and submit, one atomic step, says with which: of two that
come at the same instant one is first. Who is to be rejected, or to interrupt, also looks before it asks for admission
and while it waits for it, because what keeps the session busy may be just what it would wait for.

A request that waits for admission keeps nothing busy. One that is to interrupt is stored meanwhile, takes the place of
the one before it (``keys.interrupting``), and cancels that one wherever it is. So the last one wins, on whatever access
process: an earlier one is submitted before it is cancelled, and ends as any, or it never will be. The question of the
latter becomes a turn without an answer, so that it stands in the session where it was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import Any, NoReturn

from redis.asyncio import Redis

from access.asked import Asked
from access.mailbox import Mailbox
from access.stored import StoredRequests
from access.submission import AlreadyAnswered
from contracts import keys
from contracts.connection import REDIS_UNAVAILABLE
from contracts.errors import CallerError, NotFound
from contracts.functions import Protocol
from contracts.ids import RequestId, SessionId
from contracts.messages import InferenceRequest
from memory import History, Session

STOPPED_WITHIN = timedelta(seconds=10)
"""What was cancelled has ended by then, also when its worker is dead: its lease runs out, and the next take ends it."""
LOOK_EVERY = timedelta(seconds=0.3)


class BusySessions:
    """Does for each request what its ``on_busy`` says; holds no state of any."""

    def __init__(self, redis: Redis, protocol: Protocol, stored: StoredRequests, mailbox: Mailbox, history: History):
        self._redis = redis
        self._protocol = protocol
        self._stored = stored
        self._mailbox = mailbox
        self._history = history

    async def enter(self, asked: Asked) -> None:
        """Before admission is asked for. One that is to interrupt has been stored as waiting.

        Raises:
            AlreadyAnswered, CallerError: see ``make_way``.
        """
        if asked.session is None or asked.on_busy == "queue":
            return
        before = await self._take_over(asked, asked.session) if asked.on_busy == "interrupt" else None
        if (other := await self._busy_with(asked, asked.session)) is not None:
            await self.make_way(asked, other)
        if before is not None:
            await self._end(asked.session, before)

    async def watch(self, asked: Asked) -> NoReturn:
        """While admission is waited for: look again and again, and wait for nothing. Raises as ``make_way``."""
        while True:
            await asyncio.sleep(LOOK_EVERY.total_seconds())
            with contextlib.suppress(*REDIS_UNAVAILABLE):
                await self._look(asked)

    async def make_way(self, asked: Asked, other: RequestId) -> None:
        """Have what keeps the session busy end, or wait until it has.

        Raises:
            AlreadyAnswered: a later request has interrupted this one, which has ended.
            CallerError: it is rejected, or the other takes longer than may be waited for (``conversation_locked``).
        """
        if asked.on_busy == "reject":
            raise _locked()
        patience = asked.patience
        if asked.on_busy == "interrupt" and asked.session is not None:
            await self._interrupt(asked, asked.session, other)
            patience = STOPPED_WITHIN
        await self._until_ended(other, patience)

    async def _take_over(self, asked: Asked, session: SessionId) -> RequestId | None:
        """Become the latest; the one before, unless it is this one (which is tried again after an outage)."""
        before: Any = await self._redis.set(keys.interrupting(session), asked.id, get=True, ex=asked.deadline)
        return RequestId(before.decode()) if before is not None and before.decode() != asked.id else None

    async def _look(self, asked: Asked) -> None:
        if asked.session is None:
            return
        other = await self._busy_with(asked, asked.session)
        if asked.on_busy == "interrupt":
            await self._interrupt(asked, asked.session, other)
        elif other is not None:
            raise _locked()

    async def _busy_with(self, asked: Asked, session: SessionId) -> RequestId | None:
        """Another request that keeps the session busy; not one that this is a repetition of, as submit will say."""
        other = await self._stored.busy_with(session)
        if other is None or other == asked.id:
            return None
        if not asked.idempotency_key:
            return other
        record = keys.idempotency(asked.shard, asked.caller.tenant, asked.idempotency_key)
        repeated: Any = await self._redis.hget(record, "request")
        return None if repeated == other.encode() else other

    async def _interrupt(self, asked: Asked, session: SessionId, other: RequestId | None) -> None:
        """Cancel the other; but the latest alone may do so, and who is not has been interrupted itself."""
        latest: Any = await self._redis.get(keys.interrupting(session))
        if latest is not None and latest.decode() != asked.id:
            ended = await self._end(session, asked.id)
            if ended is not None:
                raise AlreadyAnswered(ended)
        elif other is not None:
            await self._protocol.cancel(other)

    async def _end(self, session: SessionId, request_id: RequestId) -> InferenceRequest | None:
        """Cancel one that came to interrupt. Whoever finds it waiting, which is one, writes its turn."""
        request = await self._stored.request(request_id)
        before = await self._protocol.cancel(request_id)
        if before == "waiting" and request is not None:
            of = Session(session, request.tenant, request.user)
            with contextlib.suppress(NotFound):  # deleted since, with its turns
                await self._history.add(of, request.question, "", request=request_id, status="cancelled")
        return request

    async def _until_ended(self, request_id: RequestId, patience: timedelta) -> None:
        try:
            async with asyncio.timeout(patience.total_seconds()):
                async for _ in self._mailbox.follow(request_id):
                    pass
        except TimeoutError:
            raise _locked() from None
        except NotFound:
            return  # deleted since, so it has ended


def _locked() -> CallerError:
    return CallerError(
        "Another answer is still being generated in this conversation; wait for it, or cancel it.",
        code="conversation_locked",
        param="conversation",
    )
