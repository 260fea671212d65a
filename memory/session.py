"""Sessions (OpenAI: conversations): a hash that says whose it is, beside the stream of its turns."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

import msgspec
from redis.asyncio import Redis

from contracts import keys
from contracts.errors import CallerError, NotFound
from contracts.functions import Library, Turns
from contracts.ids import BadId, SessionId, Shard, TenantId, new_session_id, shard_of
from memory.summary import Summary, summary_from

OnBusy = Literal["queue", "reject", "interrupt"]
"""What becomes of a message that comes while its session is busy with another one."""

_POLICIES: dict[bytes, OnBusy] = {b"queue": "queue", b"reject": "reject", b"interrupt": "interrupt"}

RETENTION = timedelta(days=30)
"""How long a session stays that nobody uses, where nobody says otherwise."""
MAX_METADATA = 16
MAX_METADATA_CHARACTERS = 512
LATEST = 5
"""Sessions of a user that are looked at on a shard to find the newest one that lives."""


@dataclass(frozen=True)
class Session:
    """One conversation. ``created_at`` is Unix seconds; ``metadata`` is what its owner attached.

    ``summarize``: what its window drops is to be summarised; ``summary`` is how far that has come.
    ``on_busy`` is for messages that say none themselves. ``window_tokens`` is what memory added to its last prompt.
    """

    id: SessionId
    tenant: TenantId
    user: str
    title: str = ""
    created_at: float = 0.0
    metadata: Mapping[str, str] = field(default_factory=dict)
    summarize: bool = False
    summary: Summary | None = None
    on_busy: OnBusy = "queue"
    window_tokens: int = field(default=0, compare=False)  # changes with every turn, which changes no session


class Sessions:
    """The sessions of all tenants; every read checks the tenant and answers ``NotFound`` for another's."""

    def __init__(self, redis: Redis, retention: timedelta = RETENTION):
        self._redis = redis
        self._retention = retention
        self._steps = Turns(Library(redis))

    async def create(
        self,
        shard: Shard,
        tenant: TenantId,
        user: str,
        *,
        title: str = "",
        metadata: Mapping[str, str] | None = None,
        summarize: bool = False,
        on_busy: OnBusy = "queue",
        session_id: SessionId | None = None,
    ) -> Session:
        """A new, empty session, listed under its user. ``session_id`` is given for one whose id was drawn before."""
        session = Session(
            session_id or new_session_id(shard),
            tenant,
            user,
            title,
            time.time(),
            metadata or {},
            summarize=summarize,
            on_busy=on_busy,
        )
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(keys.session(session.id), mapping=_fields(session))
            pipe.expire(keys.session(session.id), self._retention)
            pipe.zadd(keys.sessions(shard, tenant, user), {session.id: session.created_at})
            self._keep_listed(pipe, keys.sessions(shard, tenant, user))
            await pipe.execute()
        return session

    async def get(self, tenant: TenantId, session_id: str) -> Session:
        """Read one session and renew its life.

        Raises:
            NotFound: there is none, or it belongs to another tenant.
        """
        try:
            shard_of(session_id)
        except BadId as error:
            raise unknown_session(session_id) from error
        found = SessionId(session_id)
        stored: Any = await self._redis.hgetall(keys.session(found))
        if stored.get(b"tenant", b"").decode() != tenant:
            raise unknown_session(session_id)
        session = session_from(found, stored)
        await self._renew(session)
        return session

    async def list(self, shard: Shard, tenant: TenantId, user: str, limit: int = 20) -> list[Session]:
        """A user's newest sessions on one shard."""
        newest: Any = await self._redis.zrange(keys.sessions(shard, tenant, user), 0, limit - 1, desc=True)
        ids = [SessionId(raw.decode()) for raw in newest]
        async with self._redis.pipeline(transaction=False) as pipe:
            for session_id in ids:
                pipe.hgetall(keys.session(session_id))
            rows: list[dict[bytes, bytes]] = await pipe.execute()
        return [session_from(session_id, row) for session_id, row in zip(ids, rows, strict=True) if row]

    async def all_ids(self, shard: Shard, tenant: TenantId, user: str) -> list[SessionId]:
        """The ids of all of a user's sessions on one shard, and of some that have expired."""
        ids: Any = await self._redis.zrange(keys.sessions(shard, tenant, user), 0, -1)
        return [SessionId(raw.decode()) for raw in ids]

    async def newest(self, shards: Iterable[Shard], tenant: TenantId, user: str) -> SessionId | None:
        """The session that a user used last, on whichever shard; ``None`` if there is none."""
        last: list[tuple[float, SessionId]] = []
        for shard in shards:
            found: Any = await self._redis.zrange(
                keys.sessions(shard, tenant, user), 0, LATEST - 1, desc=True, withscores=True
            )
            last += [(score, SessionId(raw.decode())) for raw, score in found]
        for _, session_id in sorted(last, reverse=True):
            if await self._redis.exists(keys.session(session_id)):  # one that has expired is listed for a while
                return session_id
        return None

    async def adopt(self, session: Session, user: str) -> Session:
        """Nobody's session becomes that of the first user who speaks in it; it as it is now.

        Raises:
            NotFound: it is gone.
            CallerError: it is another user's.
        """
        owner = session.user or await self._steps.adopt(session.id, session.tenant, user)
        if owner is None:
            raise unknown_session(session.id)
        if owner != user:
            text = "This conversation is another user's. Leave 'user' out, or start a new conversation."
            raise CallerError(text, code="conversation_of_another_user", param="user")
        return replace(session, user=owner)

    async def update(
        self,
        session: Session,
        *,
        title: str | None = None,
        metadata: Mapping[str, str] | None = None,
        summarize: bool | None = None,
        on_busy: OnBusy | None = None,
    ) -> Session:
        """Rename, replace the metadata, change what quick messages do or whether it is summarised; ``None``: as it is.

        A session that is not summarised any more forgets its summary. Nothing else is written than what was asked for:
        ``session`` may have been read before another change.
        """
        asked = {"title": title, "metadata": metadata, "summarize": summarize, "on_busy": on_busy}
        changes: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        changed = replace(session, **changes, summary=None if summarize is False else session.summary)
        fields = _fields(changed)
        async with self._redis.pipeline(transaction=True) as pipe:
            if changes:
                pipe.hset(keys.session(session.id), mapping={name: fields[name] for name in changes})
                pipe.expire(keys.session(session.id), self._retention)  # what is left if it was deleted meanwhile
            if summarize is False:
                pipe.hdel(keys.session(session.id), "summary", "summary_until")
            pipe.publish(keys.session_channel(session.id), "1")
            await pipe.execute()
        return changed

    async def delete(self, session: Session) -> None:
        """Remove a session and its turns. A request still running in it ends without writing its turn."""
        shard = shard_of(session.id)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(keys.session(session.id), keys.turns(session.id), keys.interrupting(session.id))
            pipe.zrem(keys.sessions(shard, session.tenant, session.user), session.id)
            pipe.publish(keys.session_channel(session.id), "1")
            await pipe.execute()

    async def _renew(self, session: Session) -> None:
        """A session that is used stays, with its turns, and comes first among its user's."""
        listed = keys.sessions(shard_of(session.id), session.tenant, session.user)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.expire(keys.session(session.id), self._retention)
            pipe.expire(keys.turns(session.id), self._retention)
            pipe.zadd(listed, {session.id: time.time()}, xx=True)  # one that is deleted meanwhile stays so
            self._keep_listed(pipe, listed)
            await pipe.execute()

    def _keep_listed(self, pipe: Any, listed: str) -> None:
        """A list lives as long as the last session in it, whatever the retention was when that was used."""
        pipe.expire(listed, self._retention, nx=True)
        pipe.expire(listed, self._retention, gt=True)


def unknown_session(session_id: str) -> NotFound:
    """There is none, or it is another tenant's."""
    return NotFound(f"No conversation with id '{session_id}'.", code="conversation_not_found", param="conversation")


def _fields(session: Session) -> dict[Any, Any]:
    return {
        "tenant": session.tenant,
        "user": session.user,
        "title": session.title,
        "created_at": session.created_at,
        "metadata": msgspec.json.encode(dict(session.metadata)),
        "summarize": "1" if session.summarize else "",
        "on_busy": session.on_busy,
    }


def session_from(session_id: SessionId, stored: Mapping[bytes, bytes]) -> Session:
    """A session as its hash has it."""
    return Session(
        id=session_id,
        tenant=TenantId(stored[b"tenant"].decode()),
        user=stored.get(b"user", b"").decode(),
        title=stored.get(b"title", b"").decode(),
        created_at=float(stored.get(b"created_at", b"0")),
        metadata=msgspec.json.decode(stored.get(b"metadata", b"{}"), type=dict[str, str]),
        summarize=stored.get(b"summarize") == b"1",
        summary=summary_from(stored.get(b"summary")),
        on_busy=_POLICIES.get(stored.get(b"on_busy", b""), "queue"),
        window_tokens=int(stored.get(b"window", b"0")),
    )
