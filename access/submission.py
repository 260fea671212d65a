"""Submitting: what the submit step answers, turned into what it means for the caller."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from access.asked import Asked
from access.problems import fault_of
from access.stored import StoredRequests
from contracts import logs
from contracts.connection import REDIS_UNAVAILABLE
from contracts.errors import CallerError, NotFound, Overload, PenstockError
from contracts.functions import Protocol, Submission, Submitted
from contracts.ids import AccessId, RequestId, Shard, shard_of
from contracts.messages import Failure, InferenceRequest, Verdict

RETRY_FULL = timedelta(seconds=2)
KEEP_EVERY = timedelta(seconds=3)
KEPT_AT_ONCE = 200


class SessionBusy(Exception):
    """Another request of the session has not ended; ``other`` names it."""

    def __init__(self, other: RequestId):
        super().__init__(other)
        self.other = other


class AlreadyAnswered(Exception):
    """Another log is to be followed than one that a submit begins: that of an earlier request with the same
    idempotency key and body, or the request's own, which was ended while it waited."""

    def __init__(self, request: InferenceRequest):
        super().__init__(request.id)
        self.request = request


class Submissions:
    """Puts requests into Redis: waiting ones whose client has an id already, then queued ones."""

    def __init__(self, protocol: Protocol, stored: StoredRequests, access: AccessId, queue_bound: int):
        self._protocol = protocol
        self._stored = stored
        self._access = access
        self._queue_bound = queue_bound
        self._waiting: set[RequestId] = set()

    async def wait(self, asked: Asked, request: InferenceRequest) -> None:
        """Store a request that its client may ask for before admission has decided; it ends if this process does.

        Raises:
            AlreadyAnswered, CallerError: see ``submit``.
        """
        await self._understand(asked, request, await self._protocol.wait(_submission(asked, request)))
        self._waiting.add(asked.id)

    async def keep(self, shard: Shard) -> None:
        """Keep what waits here from being taken for abandoned. Runs for ever."""
        while True:
            await asyncio.sleep(KEEP_EVERY.total_seconds())
            mine = [request_id for request_id in self._waiting if shard_of(request_id) == shard]
            try:
                for first in range(0, len(mine), KEPT_AT_ONCE):
                    asked = mine[first : first + KEPT_AT_ONCE]
                    self._waiting -= set(asked) - await self._protocol.keep_waiting(shard, asked)
            except REDIS_UNAVAILABLE:
                logs.get().warning("waiting.unreachable", sentence="Redis does not answer; keeping requests later.")

    async def submit(
        self, asked: Asked, request: InferenceRequest, verdict: Verdict, *, followed: bool, remembered_tokens: int
    ) -> None:
        """Queue a granted request. Accepted means stored; ``followed`` has its replies sent to this process.

        ``remembered_tokens`` is what memory added to its prompt, for its session to know.

        Raises:
            SessionBusy: try again when the other request has ended.
            AlreadyAnswered: follow the earlier request instead; or this one, which has ended.
            CallerError: the idempotency key was used with another body.
            NotFound: the conversation was deleted meanwhile.
            Overload: the queue is at its bound, or the grant came too late.
        """
        submitted = await self._protocol.submit(
            _submission(asked, request, remembered_tokens),
            queue_bound=self._queue_bound,
            grant_until=verdict.grant_until,
            follower=self._access if followed else None,
        )
        await self._understand(asked, request, submitted)
        # Should Redis lose this step, and have it wait again, nobody here would submit it: it must not be kept.
        self._waiting.discard(asked.id)

    async def still_waits(self, request_id: RequestId) -> bool:
        """Whether a request that was stored as waiting has not been submitted, nor ended."""
        return await self._stored.state(request_id) == "waiting"

    async def refuse(self, asked: Asked, error: PenstockError) -> None:
        """End a waiting request that will not be submitted, so that whoever asks for it by its id learns why."""
        self._waiting.discard(asked.id)
        failure = Failure(code=error.code, message=error.message, param=error.param, fault=fault_of(error))
        await self._protocol.fail(asked.id, failure)

    async def _understand(self, asked: Asked, request: InferenceRequest, submitted: Submitted) -> None:
        match submitted.outcome:
            case "ok":
                return
            case "existing":
                earlier = await self._stored.load(asked.caller, submitted.other)
                await self._stored.expect_log(earlier)
                raise AlreadyAnswered(earlier.request)
            case "busy":
                raise SessionBusy(submitted.other)
            case "ended":
                raise AlreadyAnswered(request)
            case _:
                raise _refusal(submitted)


def _refusal(submitted: Submitted) -> PenstockError:
    """Why it was not queued, in words for its caller."""
    match submitted.outcome:
        case "conflict":
            message = "This idempotency key was used with another body. Use a new key for a new request."
            return CallerError(message, code="idempotency_conflict", param="idempotency_key")
        case "unknown":
            message = "The conversation was deleted before the question was queued."
            return NotFound(message, code="conversation_not_found", param="conversation")
        case "full":
            message = "The queue is full. Try again in a moment."
            return Overload(message, code="queue_full", retry_after_seconds=RETRY_FULL.total_seconds())
        case _:
            return Overload("The grant ran out before the request was queued. Try again.", code="grant_expired")


def _submission(asked: Asked, request: InferenceRequest, remembered_tokens: int = 0) -> Submission:
    fingerprint = asked.fingerprint if asked.idempotency_key else ""
    return Submission(
        request,
        asked.retention,
        asked.idempotency_key,
        fingerprint,
        remembered_tokens=remembered_tokens,
        about=asked.about,
        owner=asked.owner,
    )
