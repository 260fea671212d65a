"""Requests as Redis holds them: found by id, checked to be the caller's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from access.auth import Caller
from access.follower import Logged
from access.mailbox import Mailbox
from access.transcript import Transcript
from contracts import keys
from contracts.errors import CallerError, NotFound
from contracts.ids import BadId, RequestId, SessionId, shard_of
from contracts.messages import InferenceRequest
from contracts.states import TERMINAL


@dataclass(frozen=True)
class Stored:
    """A request and the state it is in. ``stopping``: somebody has cancelled it."""

    request: InferenceRequest
    state: str
    stopping: bool = False

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL

    @property
    def live(self) -> bool:
        """Whether it is on its way to an answer, or has one."""
        return self.state in ("done", "incomplete") or not (self.ended or self.stopping)


class StoredRequests:
    """Looks requests up. A stranger's is not found, whatever is done with its id."""

    def __init__(self, redis: Redis):
        self._redis = redis

    async def load(self, caller: Caller, request_id: str) -> Stored:
        """One request.

        Raises:
            NotFound: there is none, or it is another tenant's, or another user's where the key is bound to one.
        """
        try:
            shard_of(request_id)
        except BadId as error:
            raise _unknown() from error
        found: Any = await self._redis.hmget(keys.request(RequestId(request_id)), ["state", "body", "tenant", "cancel"])
        state, body, owner, cancel = found
        if state is None or body is None or owner is None or owner.decode() != caller.tenant:
            raise _unknown()
        request = InferenceRequest.decode(body)
        if request.tenant != caller.tenant or (caller.user and request.user != caller.user):
            raise _unknown()
        return Stored(request, state.decode(), stopping=bool(cancel))

    async def log(self, mailbox: Mailbox, stored: Stored) -> list[Logged]:
        """Its log as it is now.

        Raises:
            CallerError: the log has expired (410).
        """
        replies = await mailbox.replies(stored.request.id)
        if stored.ended and not (replies and replies[-1].last):
            raise CallerError(
                "The log of this response has expired; its turn may still be in the conversation.", code="log_expired"
            )
        return replies

    async def transcript(self, mailbox: Mailbox, stored: Stored) -> Transcript:
        """What its log says so far. Raises as ``log``."""
        transcript = Transcript()
        for logged in await self.log(mailbox, stored):
            transcript.fold(logged.seq, logged.reply)
        return transcript

    async def expect_log(self, stored: Stored) -> None:
        """Raises ``CallerError`` (410) if there is nothing left to follow."""
        if stored.ended and not await self._redis.exists(keys.replies(stored.request.id)):
            raise CallerError("The log of this request has expired; ask again with a new key.", code="log_expired")

    async def state(self, request_id: RequestId) -> str:
        """The state of a request of whatever tenant; empty for one that is gone."""
        found: Any = await self._redis.hget(keys.request(request_id), "state")
        return (found or b"").decode()

    async def request(self, request_id: RequestId) -> InferenceRequest | None:
        """A request of whatever tenant; ``None`` for one that is gone."""
        body: Any = await self._redis.hget(keys.request(request_id), "body")
        return InferenceRequest.decode(body) if body is not None else None

    async def busy_with(self, session: SessionId) -> RequestId | None:
        """The request that keeps a session busy: it is queued or running. The submit step has the last word."""
        found: Any = await self._redis.hget(keys.session(session), "busy")
        if found is None:
            return None
        request_id = RequestId(found.decode())
        return request_id if await self.state(request_id) not in ("", *TERMINAL) else None

    async def followed(self, request_id: RequestId) -> bool:
        """Whether any access process has a client following the request."""
        return bool(await self._redis.hget(keys.request(request_id), "followers"))


def _unknown() -> NotFound:
    return NotFound("No response with this id.", code="response_not_found", param="response_id")
