"""Submitting: what the submit step answers, turned into what it means for the caller."""

from __future__ import annotations

from datetime import timedelta

from access.asked import Asked
from access.stored import StoredRequests
from contracts.errors import CallerError, Conflict, Overload
from contracts.functions import Protocol, Submission, Submitted
from contracts.ids import AccessId, RequestId
from contracts.messages import Failure, InferenceRequest, Verdict

RETRY_FULL = timedelta(seconds=2)


class SessionBusy(Exception):
    """Another request of the session has not ended; ``other`` names it."""

    def __init__(self, other: RequestId):
        super().__init__(other)
        self.other = other


class AlreadyAnswered(Exception):
    """The idempotency key belongs to an earlier request with the same body."""

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

    async def wait(self, asked: Asked, request: InferenceRequest) -> None:
        """Store a request that its client may ask for before admission has decided.

        Raises:
            AlreadyAnswered, CallerError: see ``submit``.
        """
        await self._understand(asked, await self._protocol.wait(_submission(asked, request)))

    async def submit(self, asked: Asked, request: InferenceRequest, verdict: Verdict, *, followed: bool) -> None:
        """Queue a granted request. Accepted means stored; ``followed`` has its replies sent to this process.

        Raises:
            SessionBusy: try again when the other request has ended.
            AlreadyAnswered: follow the earlier request instead.
            CallerError: the idempotency key was used with another body.
            Overload: the queue is at its bound, or the grant came too late.
        """
        submitted = await self._protocol.submit(
            _submission(asked, request),
            queue_bound=self._queue_bound,
            grant_until=verdict.grant_until,
            follower=self._access if followed else None,
        )
        await self._understand(asked, submitted)

    async def refuse(self, asked: Asked, failure: Failure) -> None:
        """End a waiting request that will not be submitted, so that whoever asks for it learns why."""
        await self._protocol.fail(asked.id, failure)

    async def _understand(self, asked: Asked, submitted: Submitted) -> None:
        match submitted.outcome:
            case "ok":
                return
            case "existing":
                raise AlreadyAnswered((await self._stored.load(asked.caller, submitted.other)).request)
            case "busy":
                raise SessionBusy(submitted.other)
            case "conflict":
                message = "This idempotency key was used with another body. Use a new key for a new request."
                raise CallerError(message, code="idempotency_conflict", param="idempotency_key")
            case "full":
                message = "The queue is full. Try again in a moment."
                raise Overload(message, code="queue_full", retry_after_seconds=RETRY_FULL.total_seconds())
            case "late":
                raise Overload("The grant ran out before the request was queued. Try again.", code="grant_expired")
            case "ended":
                raise Conflict(f"The request has ended ({submitted.state}).", code="already_ended")


def _submission(asked: Asked, request: InferenceRequest) -> Submission:
    return Submission(request, asked.retention, asked.idempotency_key, asked.fingerprint)
