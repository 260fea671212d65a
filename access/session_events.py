"""What one device hears of a conversation: how it stands, then everything that happens in it.

    conversation.snapshot                                       to a device that comes for the first time
    conversation.item.created* → conversation.resumed           to one that comes back: what it missed, how things stand

    conversation.item.created (the user's) → response.created → … → response.completed → conversation.item.created
    conversation.item.created (a push, also in the middle of an answer)
    conversation.item.deleted (likewise)
    conversation.updated, conversation.deleted (the end)

An item's event has its entry's id in the session's stream as its SSE id. A device that comes back with it hears all
items behind it, each once. The events of a running answer have none: ``snapshot`` and ``resumed`` bring its text so
far, in place of what the device has of it, and its deltas go on from there.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from access import sse
from access.auth import Caller
from access.context import Context
from access.conversations import conversation_object
from access.items import all_items, item_id, items_of
from access.leaving import client_left
from access.response_events import ResponseStream
from access.session_watch import Watcher
from access.transcript import Transcript
from contracts.connection import REDIS_UNAVAILABLE
from contracts.errors import CallerError, PenstockError
from contracts.ids import CONVERSATION_PREFIX, RESPONSE_PREFIX, RequestId
from contracts.messages import InferenceRequest
from memory import Entry, Joining, News, Session, Turn
from memory.history import BEGINNING, as_they_stand

ALLOWED_FOR_SECONDS = 3.0
"""How long a device is believed before its key is looked at again."""
HEARD_AT_MOST = 16
"""What is kept for a device that does not read; the rest stays in Redis."""

_CURSOR = re.compile(r"\d{1,15}-\d{1,10}")
_SSE_ID = re.compile(rb"^id: [^\n]*\n", re.MULTILINE)

Allowed = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Answer:
    """An answer that is being generated, and its events from where the device is."""

    request: InferenceRequest
    frames: AsyncGenerator[bytes]


@dataclass(frozen=True)
class Opening:
    """The first events for a device, the position behind them, the turns that run there, and the answer's events."""

    frames: bytes
    position: str
    joining: Joining
    answer: Answer | None


def checked_cursor(last_event_id: str | None) -> str | None:
    """Raises ``CallerError`` if it is none of ours."""
    if last_event_id and not _CURSOR.fullmatch(last_event_id):
        raise CallerError("Last-Event-ID is not a cursor of ours: '<digits>-<digits>'.", param="last-event-id")
    return last_event_id or None


async def opening(context: Context, caller: Caller, session: Session, cursor: str | None) -> Opening:
    """What a device hears first. With a cursor out of reach (too old, or lost with its storage) it begins anew."""
    entries, running = await context.history.latest(session.id)
    joining, turns, missed = Joining(), dict[str, Turn](), list[bytes]()
    known = cursor is not None and any(entry.id == cursor for entry in entries)
    unseen = False
    for entry in entries:
        turn = joining.take(entry)
        if turn is not None:
            turns[turn.id] = turn
        if unseen:
            missed.append(told_of(session, entry, turn))
        unseen = unseen or (known and entry.id == cursor)
    told, answer = await _running(context, caller, running if running in joining.begun else None)
    position = entries[-1].id if entries else BEGINNING
    standing = {"conversation": conversation_object(session), "response": told}
    if known:
        return Opening(b"".join([*missed, _frame("conversation.resumed", standing)]), position, joining, answer)
    items = all_items(as_they_stand(turns.values(), running))
    return Opening(_frame("conversation.snapshot", {**standing, "items": items}, position), position, joining, answer)


def told_of(session: Session, entry: Entry, turn: Turn | None) -> bytes:
    """The event of one entry: the item that it adds to its turn, or which one was deleted."""
    where = {"conversation_id": f"{CONVERSATION_PREFIX}{session.id}"}
    if turn is None:
        return _frame("conversation.item.deleted", {**where, "item_id": item_id(entry.turn, entry.role)}, entry.id)
    item = items_of(turn)[0 if entry.kind == "started" else -1]
    return _frame("conversation.item.created", {**where, "item": item}, entry.id)


class Device:
    """One device on one conversation. ``allowed`` raises when its key is no longer good."""

    def __init__(self, context: Context, caller: Caller, session: Session, opened: Opening, allowed: Allowed):
        self._context = context
        self._caller = caller
        self._session = session
        self._opened = opened
        self._allowed = allowed
        self._allowed_until = time.monotonic() + ALLOWED_FOR_SECONDS
        self._deleted = False
        self._untold: deque[Entry] = deque()
        self._heard: asyncio.Queue[News | bytes | None] = asyncio.Queue(HEARD_AT_MOST)
        self._played: Answer | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def left(self) -> None:
        """Whoever follows an answer may be the last who did."""
        if self._played is not None:
            client_left(self._context, self._played.request)

    async def frames(self) -> AsyncGenerator[bytes]:
        """The events, until the conversation is deleted or the key is no longer good."""
        watcher = await self._context.watch.follow(self._session, self._opened.position)
        try:
            yield self._opened.frames
            self._spawn(self._hear(watcher))
            self._play(self._opened.answer)
            while not self._deleted and await self._still_allowed():
                if frames := await self._next_frames():
                    yield frames
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._context.watch.leave(watcher)

    async def _next_frames(self) -> bytes:
        """The events of what is heard next, and of what it lets by; none after a while of silence."""
        try:
            async with asyncio.timeout(ALLOWED_FOR_SECONDS * random.uniform(0.8, 1.2)):  # noqa: S311  (jitter)
                heard = await self._heard.get()
        except TimeoutError:
            return b""
        if isinstance(heard, bytes):
            return heard
        if heard is None:
            self._played = None
            return await self._tell()
        return self._take(heard) + await self._tell()

    def _take(self, news: News) -> bytes:
        """Note the new entries, and tell what became of the conversation itself."""
        if news.session is None:
            self._deleted = True
            return _frame("conversation.deleted", {"id": f"{CONVERSATION_PREFIX}{self._session.id}", "deleted": True})
        self._untold.extend(news.entries)
        if news.session == self._session:
            return b""
        self._session = news.session
        return _frame("conversation.updated", {"conversation": conversation_object(self._session)})

    async def _tell(self) -> bytes:
        """The events of entries, as far as the answer that is told meanwhile lets them by: only another turn waits."""
        told: list[bytes] = []
        while self._untold and (self._played is None or self._untold[0].kind in ("push", "deleted")):
            entry = self._untold.popleft()
            told.append(told_of(self._session, entry, self._opened.joining.take(entry)))
            if entry.kind == "started":
                self._play(await _begun(self._context, self._caller, entry.request))
        return b"".join(told)

    async def _hear(self, watcher: Watcher) -> None:
        while True:
            await self._heard.put(await self._context.watch.next(watcher))

    def _play(self, answer: Answer | None) -> None:
        """Have the events of an answer told as they come; then what waits behind it."""
        if answer is not None:
            self._played = answer
            self._spawn(self._fill(answer))

    async def _fill(self, answer: Answer) -> None:
        with suppress(PenstockError, *REDIS_UNAVAILABLE):  # its item in the session says how it ended
            async with aclosing(answer.frames):
                async for frames in answer.frames:
                    await self._heard.put(_SSE_ID.sub(b"", frames))
        await self._heard.put(None)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work, name=f"events {self._session.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _still_allowed(self) -> bool:
        if time.monotonic() < self._allowed_until:
            return True
        self._allowed_until = time.monotonic() + ALLOWED_FOR_SECONDS
        try:
            await self._allowed()
        except PenstockError:
            return False
        except REDIS_UNAVAILABLE:
            return True
        return True


async def _running(
    context: Context, caller: Caller, running: RequestId | None
) -> tuple[dict[str, Any] | None, Answer | None]:
    """The answer that runs in a session: what it says so far, and its events from there on."""
    request = await _request(context, caller, running)
    if request is None:
        return None, None
    log = await context.mailbox.replies(request.id)
    transcript = Transcript()
    for logged in log:
        transcript.fold(logged.seq, logged.reply)
    told = {
        "id": f"{RESPONSE_PREFIX}{request.id}",
        "status": transcript.status,
        "text": transcript.text,
        "cursor": f"{log[-1].seq}-{log[-1].generation}" if log else None,
    }
    return told, Answer(request, _events(context, request, ResponseStream(request, after_seq=transcript.seq)))


async def _begun(context: Context, caller: Caller, request_id: RequestId | None) -> Answer | None:
    """An answer from its beginning; ``None`` for a turn that was put in from outside, or whose log is gone."""
    try:
        request = await _request(context, caller, request_id)
    except REDIS_UNAVAILABLE:
        return None
    return None if request is None else Answer(request, _whole(context, request))


async def _request(context: Context, caller: Caller, request_id: RequestId | None) -> InferenceRequest | None:
    if request_id is None:
        return None
    try:
        return (await context.stored.load(caller, request_id)).request
    except PenstockError:
        return None


async def _whole(context: Context, request: InferenceRequest) -> AsyncGenerator[bytes]:
    renderer = ResponseStream(request)
    yield renderer.created()
    async with aclosing(_events(context, request, renderer)) as events:
        async for frames in events:
            yield frames


async def _events(context: Context, request: InferenceRequest, renderer: ResponseStream) -> AsyncGenerator[bytes]:
    async with aclosing(context.mailbox.follow(request.id)) as replies:
        async for batch in replies:
            if frames := renderer.frames(batch):
                yield frames


def _frame(kind: str, data: dict[str, Any], event_id: str = "") -> bytes:
    return sse.frame({"type": kind, **data}, event=kind, event_id=event_id)
