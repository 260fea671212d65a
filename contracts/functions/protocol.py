"""The delivery protocol's steps, typed. What each step does and why is said in its ``.lua`` file.

Every step is idempotent: after a lost answer, call it again with the same arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, cast

from contracts import keys
from contracts.errors import DependencyDown
from contracts.functions.library import Library, Replicas
from contracts.functions.turns import TURNS_KEPT
from contracts.ids import AccessId, Generation, RequestId, SessionId, Shard, WorkerId, new_generation, shard_of
from contracts.messages import (
    Cancelled,
    Delta,
    Failed,
    Failure,
    Finished,
    InferenceRequest,
    Reply,
    Reset,
    SequenceFinished,
    SequenceStarted,
    ServiceClass,
    Started,
    Usage,
    encode_reply,
)
from contracts.states import State

LETTERS: dict[type, str] = {
    Started: "s",
    SequenceStarted: "q",
    Delta: "d",
    SequenceFinished: "e",
    Reset: "r",
    Finished: "f",
    Failed: "x",
    Cancelled: "c",
}
TERMINAL_LETTERS = frozenset("fxc")
APPEND_AT_MOST = 64
KEPT = timedelta(seconds=10)
"""How long a waiting request outlives the last word of its access process."""
SUSPECT_AFTER = 2
"""Deaths after which a request runs alone; ``take.lua`` says what counts as one."""
DEATHS_ALLOWED = 3
"""The death with which it is given up."""
LOSSES_ALLOWED = 10
"""The lost worker with which it is given up, whoever was to blame."""

_EXPIRED = encode_reply(Finished(usage=Usage(), status="expired"))
_CANCELLED = encode_reply(Cancelled())
_DEAD = encode_reply(
    Failed(failure=Failure(code="request_gave_up", message="Workers died while running this request; it was given up."))
)
_ORPHANED = encode_reply(
    Failed(
        failure=Failure(
            code="access_lost",
            fault="dependency",
            message="The process that was to queue this request has stopped, so it never ran. Send it again.",
        )
    )
)

Outcome = Literal["ok", "existing", "conflict", "full", "busy", "late", "ended", "unknown"]
NONE = RequestId("")


@dataclass(frozen=True)
class Submission:
    """How to store a request. ``retention`` counts from its end; ``fingerprint`` is of the client's body;
    ``remembered_tokens`` is what memory added to its prompt.

    ``about`` is a session of its shard whose words it shows without being said in it: once that is gone, it is not
    queued. It stands in the index of its user's requests, or of its ``owner``'s where it names no user.
    """

    request: InferenceRequest
    retention: timedelta
    idempotency_key: str = ""
    fingerprint: str = ""
    remembered_tokens: int = 0
    about: SessionId | None = None
    owner: str = ""


@dataclass(frozen=True)
class Submitted:
    """``existing`` and ``busy`` name another request in ``other``; ``ended`` names a state in ``state``; ``unknown`` is
    the session."""

    outcome: Outcome
    other: RequestId = NONE
    state: State | None = None


@dataclass(frozen=True)
class Grant:
    """A request taken by a worker. ``tail`` > 0: go on behind that many replies. ``remaining``: until the deadline."""

    generation: Generation
    request: InferenceRequest
    tail: int
    remaining: timedelta
    deaths: int

    @property
    def id(self) -> RequestId:
        return self.request.id

    @property
    def is_suspect(self) -> bool:
        """Whether it must run alone: its worker takes nothing else until it ends."""
        return self.deaths >= SUSPECT_AFTER


class Grants(list[Grant]):
    """What one take brought. ``become_idle``: a suspect waits for this worker to run nothing; it gets nothing else."""

    become_idle: bool = False


@dataclass(frozen=True)
class Ending:
    """What goes with a terminal reply: the state it brings, and the answer's text for the session."""

    state: State
    text: str
    usage: Usage


@dataclass(frozen=True)
class Forgotten:
    """How many of each there were to remove."""

    requests: int = 0
    dead_letters: int = 0
    idempotency_records: int = 0


@dataclass(frozen=True)
class Chunk:
    """Consecutive replies of one request; the number of ``replies[0]`` is ``first``.

    ``ending`` goes with a terminal reply at the end of ``replies``, and only with one.
    """

    id: RequestId
    generation: Generation
    first: int
    replies: Sequence[Reply]
    ending: Ending | None = None


@dataclass(frozen=True)
class Appended:
    """``gap`` asks for everything behind ``tail`` again; ``fenced`` and ``ended`` mean: stop working on it."""

    status: Literal["ok", "fenced", "ended", "gap"]
    tail: int
    cancel: Literal["", "cancel", "deadline"] = field(default="")


class Protocol:
    """The steps on one Redis. Callers group what belongs to one shard.

    ``replicas`` are to confirm what submit stores, before it counts as accepted. ``turns_kept`` entries of a session's
    stream stay, about.
    """

    def __init__(self, library: Library, replicas: Replicas | None = None, turns_kept: int = TURNS_KEPT):
        self._library = library
        self._replicas = replicas
        self._turns_kept = turns_kept

    async def wait(self, submission: Submission, kept: timedelta = KEPT) -> Submitted:
        """Store a request whose client gets an id before admission has decided.

        Unless it is submitted within ``kept``, or kept longer by ``keep_waiting``, a sweep fails it.
        """
        shard = shard_of(submission.request.id)
        args = (*_stored(submission), submission.fingerprint, _ms(kept))
        return _submitted(await self._library.call("wait", *_submit_keys(shard, submission), args=args))

    async def keep_waiting(
        self, shard: Shard, request_ids: Sequence[RequestId], kept: timedelta = KEPT
    ) -> set[RequestId]:
        """Say that these are still to be submitted; those of them that wait indeed."""
        waiting = await self._library.call("keep_waiting", keys.shard_prefix(shard), args=(_ms(kept), *request_ids))
        return {RequestId(request_id.decode()) for request_id in waiting}

    async def submit(
        self, submission: Submission, *, queue_bound: int, grant_until: float = 0.0, follower: AccessId | None = None
    ) -> Submitted:
        """Store and enqueue a request. ``grant_until`` is Unix seconds of the Redis clock; 0 needs no grant.

        Raises:
            DependencyDown: too few replicas have confirmed it; it is cancelled, and may be sent again.
        """
        request = submission.request
        args = (
            *_stored(submission),
            submission.fingerprint,
            queue_bound,
            int(grant_until * 1000),
            request.question,
            follower or "",
            self._turns_kept,
            submission.remembered_tokens,
            submission.about or "",
        )
        submit_keys = _submit_keys(shard_of(request.id), submission)
        if self._replicas is None:
            return _submitted(await self._library.call("submit", *submit_keys, args=args))
        row, confirmed = await self._library.call_and_wait("submit", *submit_keys, args=args, replicas=self._replicas)
        if confirmed < self._replicas.count:
            await self.cancel(request.id)
            raise DependencyDown(
                "Too few replicas of Redis have confirmed the request. Try again.", code="not_replicated"
            )
        return _submitted(row)

    async def take(
        self,
        shard: Shard,
        model: str,
        worker: WorkerId,
        call_id: str,
        *,
        slots: int,
        lease: timedelta,
        classes: Sequence[ServiceClass],
        running: int = 0,
    ) -> Grants:
        """Make up to ``slots`` requests this worker's own; the same ``call_id`` again gives the same grants.

        ``running`` requests it runs already: only who runs none gets a suspect.
        """
        limits = (SUSPECT_AFTER, DEATHS_ALLOWED, LOSSES_ALLOWED)
        ends = (_CANCELLED, _EXPIRED, _DEAD)
        generations = [new_generation() for _ in range(slots)]
        args = (model, worker, call_id, _ms(lease), running, *limits, " ".join(classes), *ends, *generations)
        become_idle, rows = await self._library.call("take", keys.shard_prefix(shard), args=args)
        grants = Grants(_grant(row) for row in rows)
        grants.become_idle = become_idle == b"1"
        return grants

    async def append(self, shard: Shard, chunks: Sequence[Chunk], lease: timedelta) -> list[Appended]:
        """Write replies of up to ``APPEND_AT_MOST`` requests, renewing their leases; one answer per chunk."""
        args: list[Any] = [_ms(lease)]
        for chunk in chunks:
            args.extend(_chunk_args(chunk))
        return [
            _appended(row) for row in await self._library.call("append", keys.shard_prefix(shard), args=tuple(args))
        ]

    async def renew(
        self, shard: Shard, owned: Sequence[tuple[RequestId, Generation]], lease: timedelta
    ) -> list[Appended]:
        """Keep the leases of requests that have nothing to say yet."""
        args = (_ms(lease), *(part for pair in owned for part in pair))
        return [_appended(row) for row in await self._library.call("renew", keys.shard_prefix(shard), args=args)]

    async def release(self, shard: Shard, owned: Sequence[tuple[RequestId, Generation]], died: str = "") -> int:
        """Give requests back so that another worker goes on at once.

        ``died``: the engine did, under these requests, for this reason; then a death is counted against each.
        """
        args = (died, *(part for pair in owned for part in pair))
        return await self._library.call("release", keys.shard_prefix(shard), args=args)

    async def attach(self, request_id: RequestId, access: AccessId) -> tuple[State, int] | None:
        """Have new replies of a request sent to this access's mailbox; its state and tail, ``None`` if unknown."""
        row = await self._library.call("attach", _prefix(request_id), args=(request_id, access))
        return (row[0].decode(), int(row[1])) if row else None

    async def detach(self, request_id: RequestId, access: AccessId) -> int:
        """Stop that; how many followers remain."""
        return await self._library.call("detach", _prefix(request_id), args=(request_id, access))

    async def cancel(self, request_id: RequestId) -> State | None:
        """End a request that waits, tell the worker of one that runs. The state before; ``None`` if unknown."""
        row = await self._library.call("cancel", _prefix(request_id), args=(request_id, _CANCELLED))
        return row[0].decode() if row else None

    async def fail(self, request_id: RequestId, failure: Failure) -> None:
        """End a request that is still ``waiting`` and will not be submitted."""
        args = (request_id, encode_reply(Failed(failure=failure)))
        await self._library.call("fail", _prefix(request_id), args=args)

    async def sweep(self, shard: Shard, *, every: timedelta = timedelta(), at_most: int = 100) -> int:
        """End what is past its deadline, and mend what nobody else would; how many requests were late.

        Nothing is done when anybody has swept this shard less than ``every`` ago.
        """
        args = (_EXPIRED, _ORPHANED, at_most, _ms(every))
        return await self._library.call("sweep", keys.shard_prefix(shard), args=args)

    async def forget(self, request_id: RequestId) -> Forgotten | None:
        """Remove a request that has ended, with its log, its letter and its record; ``None``: it has not ended."""
        answer, *counts = await self._library.call("forget", _prefix(request_id), args=(request_id,))
        return Forgotten(*counts) if answer == b"OK" else None

    async def drop(self, request_id: RequestId) -> bool:
        """Forget the dead letter about a request; whether there was one."""
        return bool(await self._library.call("drop", _prefix(request_id), args=(request_id,)))


def _prefix(request_id: RequestId) -> str:
    return keys.shard_prefix(shard_of(request_id))


def _ms(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)


def _submit_keys(shard: Shard, submission: Submission) -> tuple[str, ...]:
    """Prefix, idempotency record, index of the user's requests; the prefix again in the place of one there is not."""
    prefix, tenant = keys.shard_prefix(shard), submission.request.tenant
    user = submission.request.user or submission.owner
    record = keys.idempotency(shard, tenant, submission.idempotency_key) if submission.idempotency_key else prefix
    return prefix, record, keys.user_requests(shard, tenant, user) if user else prefix


def _stored(submission: Submission) -> tuple[Any, ...]:
    request = submission.request
    return (
        request.id,
        request.model,
        request.service_class,
        request.tenant,
        request.session or "",
        request.encode(),
        int(request.deadline_seconds * 1000),
        int(submission.retention.total_seconds()),
    )


def _submitted(row: list[bytes]) -> Submitted:
    answer, *rest = (part.decode() for part in row)
    outcome = cast(Outcome, answer.lower())
    if outcome == "ended":
        return Submitted(outcome, state=cast(State, rest[0]))
    return Submitted(outcome, other=RequestId(rest[0]) if rest else NONE)


def _grant(row: list[Any]) -> Grant:
    _id, generation, body, tail, remaining_ms, deaths = row
    return Grant(
        generation=Generation(generation.decode()),
        request=InferenceRequest.decode(body),
        tail=int(tail),
        remaining=timedelta(milliseconds=int(remaining_ms)),
        deaths=int(deaths),
    )


def _chunk_args(chunk: Chunk) -> list[Any]:
    args: list[Any] = [chunk.id, chunk.generation, chunk.first, len(chunk.replies), "1" if chunk.ending else "0"]
    for reply in chunk.replies:
        args += (LETTERS[type(reply)], encode_reply(reply))
    if chunk.ending is not None:
        args += (chunk.ending.state, chunk.ending.usage.encode(), chunk.ending.text)
    return args


def _appended(row: list[Any]) -> Appended:
    status, tail, cancel = row
    return Appended(status=status.decode().lower(), tail=int(tail), cancel=cancel.decode())
