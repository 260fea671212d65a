"""What was said in a session, read from its stream of turns.

The stream holds ``turn.started`` (the user's words, written by submit), ``turn.finished`` (the answer, written by the
worker's terminal append) and ``push`` (another service's message). This module reads them back as turns.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec
from redis.asyncio import Redis

from contracts import keys
from contracts.ids import RequestId, SessionId
from contracts.messages import ChatMessage
from memory.session import RETENTION, Session, session_from
from memory.summary import Summary, summary_from

LENGTH = 2000
NEWS_AT_MOST = 100
"""Entries of one session that are read at once by who follows it."""
BEGINNING = "0-0"
"""The position before a session's first entry."""

Kind = Literal["started", "finished", "push"]
_KINDS: dict[str, Kind] = {"turn.started": "started", "turn.finished": "finished", "push": "push"}


@dataclass(frozen=True)
class Entry:
    """One entry of a session's stream. ``status`` is of a finished turn; ``publisher``, ``metadata`` are of a push."""

    id: str
    kind: Kind
    text: str
    request: RequestId | None = None
    status: str = ""
    publisher: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Turn:
    """One user message and its answer, or a push (then ``question`` is ``None``).

    ``id`` is the stream id of its first entry, ``<milliseconds>-<n>``. ``answer`` is ``None`` while it is generated;
    ``status`` is the request's end (``done``, ``incomplete``, ``cancelled``, …), ``running`` before, ``push`` for one,
    which ``publisher`` sent with its ``metadata``.
    """

    id: str
    question: str | None
    answer: str | None
    status: str
    request: RequestId | None = None
    publisher: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def at(self) -> float:
        """Unix seconds of the first entry."""
        return began_at(self.id)

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The turn as the model reads it: nothing of a turn whose answer is missing, so roles always alternate."""
        if not self.answer:
            return ()
        asked = (ChatMessage(role="user", content=self.question),) if self.question is not None else ()
        return (*asked, ChatMessage(role="assistant", content=self.answer))


@dataclass(frozen=True)
class Past:
    """What a prompt may show of a session: the last turns, and the ``summary`` of those before them, if there is one.

    ``summarize``: what the window drops of the turns is to be summarised. ``user`` is whose session it is; ``unread``
    are those turns that were not learned from.
    """

    turns: tuple[Turn, ...] = ()
    summarize: bool = False
    summary: Summary | None = None
    user: str = ""
    unread: tuple[Turn, ...] = ()


@dataclass(frozen=True)
class News:
    """A session as it is now (``None``: it is no more), and its entries behind a position, oldest first."""

    session: Session | None
    entries: tuple[Entry, ...]

    @property
    def more(self) -> bool:
        """Whether there may be entries that were not read."""
        return len(self.entries) == NEWS_AT_MOST


class Joining:
    """Joins entries to turns, taken in their order. ``running`` are the turns without an end so far."""

    def __init__(self) -> None:
        self.running: dict[RequestId | None, Turn] = {}

    def take(self, entry: Entry) -> Turn:
        """The turn that the entry began or ended. An end whose start is out of reach stands alone, as an answer."""
        match entry.kind:
            case "started":
                self.running[entry.request] = Turn(entry.id, entry.text, None, "running", entry.request)
                return self.running[entry.request]
            case "finished":
                begun = self.running.pop(entry.request, Turn(entry.id, None, None, "running", entry.request))
                return replace(begun, answer=entry.text, status=entry.status)
            case "push":
                return Turn(
                    entry.id, None, entry.text, "push", publisher=entry.publisher, metadata=dict(entry.metadata)
                )


class History:
    """The turns of sessions. Whether a caller may read one is the session's to say (``Sessions.get``)."""

    def __init__(self, redis: Redis):
        self._redis = redis

    async def recent(self, session: SessionId, limit: int = 200) -> list[Turn]:
        """The last turns, oldest first; at most ``limit``."""
        entries: Any = await self._redis.xrevrange(keys.turns(session), count=2 * limit)
        return _turns(reversed(entries))[-limit:]

    async def past(self, session: SessionId, limit: int = 200) -> Past:
        """At most the last ``limit`` turns, without those that the session's summary covers."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.session(session), ["summarize", "summary", "user", "learned_until"])
            pipe.xrevrange(keys.turns(session), count=2 * limit)
            found: list[Any] = await pipe.execute()
        (wanted, stored, user, learned), entries = found
        turns = _turns(reversed(entries))[-limit:]
        summary = summary_from(stored)
        return Past(
            turns=_behind(summary.until if summary else BEGINNING, turns),
            summarize=wanted == b"1",
            summary=summary,
            user=(user or b"").decode(),
            unread=_behind(learned.decode() if learned else BEGINNING, turns),
        )

    async def between(
        self, session: SessionId, since: float = 0.0, until: float | None = None, limit: int = 100
    ) -> list[Turn]:
        """The turns that began from ``since`` to ``until`` (Unix seconds), oldest first; at most ``limit``."""
        end = "+" if until is None else str(int(until * 1000))
        entries: Any = await self._redis.xrange(
            keys.turns(session), min=str(int(since * 1000)), max=end, count=2 * limit
        )
        return _turns(entries)[:limit]

    async def entries(self, session: SessionId, limit: int = NEWS_AT_MOST) -> list[Entry]:
        """The last entries, oldest first; at most ``limit``."""
        found: Any = await self._redis.xrevrange(keys.turns(session), count=limit)
        return _entries(reversed(found))

    async def news(self, positions: Sequence[tuple[SessionId, str]]) -> list[News]:
        """Each session, and what was said in it behind a position (an entry's id), in one round trip."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for session, position in positions:
                pipe.hgetall(keys.session(session))
                pipe.xrange(keys.turns(session), min=f"({position}", count=NEWS_AT_MOST)
            found: list[Any] = await pipe.execute()
        return [
            News(session_from(session, stored) if b"tenant" in stored else None, tuple(_entries(entries)))
            for (session, _), stored, entries in zip(positions, found[::2], found[1::2], strict=True)
        ]

    async def add(
        self,
        session: SessionId,
        question: str | None,
        answer: str | None,
        *,
        request: RequestId | None = None,
        status: str = "done",
    ) -> Turn:
        """Append a turn that was not generated here, such as a conversation's initial items.

        ``request`` and ``status`` are of one that ended before it was submitted.
        """
        turn = Turn(f"{int(time.time() * 1000)}-0", question, answer, status, request)
        of = {"request": request or ""}
        async with self._redis.pipeline(transaction=True) as pipe:
            if question is not None:
                pipe.xadd(keys.turns(session), {"type": "turn.started", **of, "text": question}, maxlen=LENGTH)
            if answer is not None:
                pipe.xadd(keys.turns(session), {"type": "turn.finished", **of, "status": status, "text": answer})
            pipe.expire(keys.turns(session), RETENTION)
            pipe.publish(keys.session_channel(session), "1")
            ids = await pipe.execute()
        return replace(turn, id=ids[0].decode() if isinstance(ids[0], bytes) else turn.id)


def began_at(turn_id: str) -> float:
    """Unix seconds of the entry that a turn is named by."""
    return position_of(turn_id)[0] / 1000


def position_of(entry_id: str) -> tuple[int, int]:
    """An entry's id as Redis orders them."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)


def _behind(turn_id: str, turns: Iterable[Turn]) -> tuple[Turn, ...]:
    place = position_of(turn_id)
    return tuple(turn for turn in turns if position_of(turn.id) > place)


def _turns(entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[Turn]:
    """The turns in the order they began."""
    joining = Joining()
    turns: dict[str, Turn] = {}
    for entry in _entries(entries):
        turn = joining.take(entry)
        turns[turn.id] = turn
    return list(turns.values())


def _entries(raw: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[Entry]:
    """What was written by a newer release is passed over: it is not ours to show."""
    return [entry for entry_id, fields in raw if (entry := _entry(entry_id, fields)) is not None]


def _entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry | None:
    said = {name.decode(): value.decode("utf-8", "replace") for name, value in fields.items()}
    kind = _KINDS.get(said["type"])
    if kind is None:
        return None
    return Entry(
        id=entry_id.decode(),
        kind=kind,
        text=said["text"],
        request=RequestId(said.get("request", "")) or None,
        status=said.get("status", ""),
        publisher=said.get("publisher", ""),
        metadata=msgspec.json.decode(said.get("metadata", "{}"), type=dict[str, str]),
    )
