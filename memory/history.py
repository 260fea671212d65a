"""What was said in a session, read from its stream of turns.

The stream holds ``turn.started`` (the user's words, written by submit), ``turn.finished`` (the answer, written by the
worker's terminal append), ``push`` (another service's message) and ``item.deleted`` (one of those was taken out). This
module reads them back as turns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec
from redis.asyncio import Redis

from contracts import keys
from contracts.functions import TURNS_KEPT, Library, Speaker, Turns, Unsaid
from contracts.ids import RequestId, SessionId
from contracts.messages import ChatMessage
from memory.session import Session, session_from, unknown_session
from memory.summary import Summary, summary_from

NEWS_AT_MOST = 100
"""Entries of one session that are read at once by who follows it."""
PAGE = 500
BEGINNING = "0-0"
"""The position before a session's first entry."""

Kind = Literal["started", "finished", "push", "deleted"]
_KINDS: dict[str, Kind] = {
    "turn.started": "started",
    "turn.finished": "finished",
    "push": "push",
    "item.deleted": "deleted",
}


@dataclass(frozen=True)
class Entry:
    """One entry of a session's stream. ``status`` is of a finished turn; ``publisher``, ``metadata`` are of a push, and
    ``push`` is its publisher's own id. ``turn`` names the turn that an end belongs to; with ``role``, what was deleted.
    """

    id: str
    kind: Kind
    text: str
    request: RequestId | None = None
    status: str = ""
    publisher: str = ""
    push: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    turn: str = ""
    role: str = ""


@dataclass(frozen=True)
class Turn:
    """One user message and its answer, or a push (then ``question`` is ``None``).

    ``id`` is the stream id of its first entry, ``<milliseconds>-<n>``, also when that was deleted. ``answer`` is
    ``None`` while it is generated, and when it was deleted; ``status`` is the request's end (``done``, ``incomplete``,
    ``cancelled``, …), ``running`` before, ``unanswered`` without one, ``push`` for one, which ``publisher`` sent with
    its ``metadata``.
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

    ``summarize``: what the window drops of the turns is to be summarised. ``unsaid`` is how many messages have been
    taken out of the session. ``user`` is whose session it is; ``unread`` are those turns that were not learned from.
    """

    turns: tuple[Turn, ...] = ()
    summarize: bool = False
    summary: Summary | None = None
    unsaid: int = 0
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
    """Joins entries to turns, taken in their order. ``begun`` are the turns without an end so far, by their request, or
    by their name if they had none."""

    def __init__(self) -> None:
        self.begun: dict[str, Turn] = {}

    def take(self, entry: Entry) -> Turn | None:
        """The turn that the entry began or ended. An end whose start is out of reach stands alone, as an answer; what
        was deleted is no turn."""
        name = entry.turn or entry.id
        match entry.kind:
            case "started":
                turn = self.begun[entry.request or name] = Turn(name, entry.text, None, "running", entry.request)
                return turn
            case "finished":
                begun = self.begun.pop(entry.request or name, Turn(name, None, None, "running", entry.request))
                return replace(begun, answer=entry.text, status=entry.status)
            case "push":
                return Turn(name, None, entry.text, "push", publisher=entry.publisher, metadata=dict(entry.metadata))
            case "deleted":
                return None


class History:
    """The turns of sessions. Whether a caller may read one is the session's to say (``Sessions.get``).

    ``kept`` entries of each stay, about.
    """

    def __init__(self, redis: Redis, kept: int = TURNS_KEPT):
        self._redis = redis
        self._steps = Turns(Library(redis), kept)

    async def recent(self, session: SessionId, limit: int = 200) -> list[Turn]:
        """The last turns, oldest first; at most ``limit``."""
        return _turns(*await self.latest(session, 2 * limit))[-limit:]

    async def past(self, session: SessionId, limit: int = 200) -> Past:
        """At most the last ``limit`` turns, without those that the session's summary covers."""
        of_session = ("summarize", "summary", "unsaid", "user", "learned_until")
        entries, running, (wanted, stored, unsaid, user, learned) = await self._last(session, 2 * limit, *of_session)
        turns = _turns(entries, running)[-limit:]
        summary = summary_from(stored)
        return Past(
            turns=_behind(summary.until if summary else BEGINNING, turns),
            summarize=wanted == b"1",
            summary=summary,
            unsaid=int(unsaid or 0),
            user=(user or b"").decode(),
            unread=_behind(learned.decode() if learned else BEGINNING, turns),
        )

    async def between(
        self, session: SessionId, since: float = 0.0, until: float | None = None, limit: int = 100
    ) -> list[Turn]:
        """The turns that began from ``since`` to ``until`` (Unix seconds), oldest first; at most ``limit``."""
        end = "+" if until is None else str(int(until * 1000))
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xrange(keys.turns(session), min=str(int(since * 1000)), max=end, count=2 * limit)
            pipe.hget(keys.session(session), "busy")
            found, busy = await pipe.execute()
        return _turns(_entries(found), _request(busy))[:limit]

    async def latest(self, session: SessionId, limit: int = NEWS_AT_MOST) -> tuple[list[Entry], RequestId | None]:
        """The last entries, oldest first, and the request that answers now, if one does.

        Of what was said there are at most ``limit``; what was deleted meanwhile comes on top.
        """
        entries, running, _ = await self._last(session, limit)
        return entries, running

    async def all(self, session: SessionId) -> AsyncIterator[Entry]:
        """All entries of a session, oldest first, read a page at a time."""
        after = BEGINNING
        while True:
            page: Any = await self._redis.xrange(keys.turns(session), min=f"({after}", count=PAGE)
            for entry in _entries(page):
                yield entry
            if len(page) < PAGE:
                return
            after = page[-1][0].decode()

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
        session: Session,
        question: str | None,
        answer: str | None,
        *,
        request: RequestId | None = None,
        status: str = "done",
    ) -> Turn:
        """Append a turn that was not generated here, such as a conversation's initial items.

        ``request`` and ``status`` are of one that ended before it was submitted.

        Raises:
            NotFound: the session is gone.
        """
        messages: list[tuple[Speaker, str]] = [] if question is None else [("user", question)]
        if answer is not None:
            messages.append(("assistant", answer))
        turn = await self._steps.say(session.id, session.tenant, messages, request=request, status=status)
        if turn is None:
            raise unknown_session(session.id)
        return Turn(turn, question, answer, status, request)

    async def unsay(self, session: Session, turn: str, speaker: Speaker) -> Unsaid:
        """Take out what one of the two said in a turn: it is no longer listed, nor shown to the model."""
        return await self._steps.unsay(session.id, session.tenant, turn, speaker)

    async def _last(
        self, session: SessionId, limit: int, *fields: str
    ) -> tuple[list[Entry], RequestId | None, list[bytes | None]]:
        """As ``latest``, with fields of the session as they were when the newest entry was read.

        What is taken out while older ones are read is not in those fields: better too early than too late.
        """
        turns, found = keys.turns(session), list[bytes | None]()
        entries: list[Entry] = []
        before, wanted = "+", limit
        while True:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.xrevrange(turns, max=before, count=wanted)
                pipe.hmget(keys.session(session), ["busy", *fields])
                page, read = await pipe.execute()
            found = found or read
            entries = [*_entries(page)[::-1], *entries]
            missing = limit - sum(entry.kind != "deleted" for entry in entries)
            if len(page) < wanted or not missing:
                return entries, _request(found[0]), found[1:]
            before, wanted = f"({page[-1][0].decode()}", missing


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


def as_they_stand(turns: Iterable[Turn], running: RequestId | None) -> list[Turn]:
    """The turns, of which only that of the ``running`` request is still being answered."""
    return [
        replace(turn, status="unanswered") if turn.status == "running" and turn.request != (running or "") else turn
        for turn in turns
    ]


def _turns(entries: Iterable[Entry], running: RequestId | None) -> list[Turn]:
    """The turns in the order they began."""
    joining = Joining()
    turns: dict[str, Turn] = {}
    for entry in entries:
        if (turn := joining.take(entry)) is not None:
            turns[turn.id] = turn
    return as_they_stand(turns.values(), running)


def _request(raw: bytes | None) -> RequestId | None:
    return RequestId(raw.decode()) if raw else None


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
        text=said.get("text", ""),
        request=RequestId(said.get("request", "")) or None,
        status=said.get("status", ""),
        publisher=said.get("publisher", ""),
        push=said.get("id", ""),
        metadata=msgspec.json.decode(said.get("metadata", "{}"), type=dict[str, str]),
        turn=said.get("turn", ""),
        role=said.get("role", ""),
    )
