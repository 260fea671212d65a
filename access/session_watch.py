"""One reader per process hears of everything that happens in the sessions that its clients follow.

Whatever changes a session publishes a hint on the session's channel, in the same step. One subscription hears the
hints of all followed sessions, and one loop reads what is new in them, many sessions in a round trip. The stream is the
truth: a lost hint costs time until the next look at all of them, and never an event.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NoReturn, cast

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from contracts import keys, logs
from contracts.connection import REDIS_UNAVAILABLE
from contracts.ids import SessionId
from memory import History, News, Session
from memory.history import position_of

LOOK_EVERY = timedelta(seconds=5)
READ_AT_ONCE = 200
SILENCE_SECONDS = 2.0
PAUSE_AFTER_ERROR = timedelta(seconds=0.2)

log = logs.get()


@dataclass(eq=False)
class Watcher:
    """One client's place in one session: ``position`` is the last entry it was given, ``known`` the session then.

    It is given no more while it has ``news`` that it did not take: a client that does not read costs one page.
    ``passed_over`` says that there was more.
    """

    session: SessionId
    known: Session
    position: str
    news: deque[News] = field(default_factory=deque[News])
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    passed_over: bool = False

    def give(self, news: News) -> None:
        """Keep what is new here."""
        behind = position_of(self.position)
        entries = tuple(entry for entry in news.entries if position_of(entry.id) > behind)
        if not entries and news.session == self.known:
            return
        self.known = news.session or self.known
        self.position = entries[-1].id if entries else self.position
        self.news.append(News(news.session, entries))
        self.bell.set()


class SessionWatch:
    """Follows sessions for one access process. ``listen`` and ``look`` run as its tasks.

    ``listening`` is a client for blocking reads.
    """

    def __init__(self, history: History, listening: Redis, look_every: timedelta = LOOK_EVERY):
        self._history = history
        self._listening = listening
        self._look_every = look_every.total_seconds()
        self._watchers: dict[SessionId, set[Watcher]] = {}
        self._due: set[SessionId] = set()
        self._stirred = asyncio.Event()
        self._wanted = asyncio.Event()
        self._pubsub: PubSub | None = None
        self._sending = asyncio.Lock()

    async def follow(self, session: Session, position: str) -> Watcher:
        """Hear of what is new behind ``position``, from now on. To be given to ``leave``."""
        watcher = Watcher(session.id, session, position)
        watchers = self._watchers.setdefault(session.id, set())
        watchers.add(watcher)
        self._wanted.set()
        if len(watchers) == 1:
            await self._tell("subscribe", session.id)
        self._stir(session.id)
        return watcher

    async def next(self, watcher: Watcher) -> News:
        """What is new, as soon as there is something."""
        while not watcher.news:
            watcher.bell.clear()
            await watcher.bell.wait()
        found = watcher.news.popleft()
        if watcher.passed_over:
            watcher.passed_over = False
            self._stir(watcher.session)
        return found

    async def leave(self, watcher: Watcher) -> None:
        """Hear no more. May be called again."""
        watchers = self._watchers.get(watcher.session, set())
        watchers.discard(watcher)
        if not watchers and self._watchers.pop(watcher.session, None) is not None:
            if not self._watchers:
                self._wanted.clear()
            await self._tell("unsubscribe", watcher.session)

    async def listen(self) -> NoReturn:
        """Hear the hints of all that is followed; listen anew whenever the connection breaks. Runs for ever."""
        while True:
            await self._wanted.wait()
            pubsub = self._listening.pubsub()
            try:
                await self._subscribe_to_all(pubsub)
                await self._hear(pubsub)
            except REDIS_UNAVAILABLE:
                await asyncio.sleep(random.uniform(0.05, 0.2))  # noqa: S311  (jitter)
            finally:
                self._pubsub = None
                await pubsub.aclose()

    async def look(self) -> NoReturn:
        """Read what is new in the sessions that were hinted at, and now and then in all. Runs for ever."""
        while True:
            due = await self._until_due()
            try:
                await self.look_at(due)
            except REDIS_UNAVAILABLE:
                log.warning("sessions.unreachable", sentence="Redis does not answer; followed sessions wait.")
                self._due |= due
                self._stirred.set()
                await asyncio.sleep(PAUSE_AFTER_ERROR.total_seconds())

    async def look_at(self, sessions: Iterable[SessionId]) -> None:
        """Read what is new in these sessions for those who have taken what they were given."""
        positions = [(one, first) for one in sessions if (first := self._first_position(one)) is not None]
        for at in range(0, len(positions), READ_AT_ONCE):
            chunk = positions[at : at + READ_AT_ONCE]
            for (session, _), news in zip(chunk, await self._history.news(chunk), strict=True):
                self._hand_out(session, news)

    async def _until_due(self) -> set[SessionId]:
        try:
            async with asyncio.timeout(self._look_every * random.uniform(0.8, 1.2)):  # noqa: S311  (jitter)
                await self._stirred.wait()
        except TimeoutError:
            self._due |= set(self._watchers)
        self._stirred.clear()
        due, self._due = self._due, set()
        return due

    def _first_position(self, session: SessionId) -> str | None:
        """From where to read: behind the one that is furthest back; ``None`` if nobody has room for news."""
        watchers = self._watchers.get(session, set())
        for watcher in watchers:
            watcher.passed_over = watcher.passed_over or bool(watcher.news)
        return min((watcher.position for watcher in watchers if not watcher.news), key=position_of, default=None)

    def _hand_out(self, session: SessionId, news: News) -> None:
        for watcher in self._watchers.get(session, set()):
            if not watcher.news:
                watcher.give(news)
        if news.more:
            self._stir(session)

    def _stir(self, session: SessionId) -> None:
        self._due.add(session)
        self._stirred.set()

    async def _subscribe_to_all(self, pubsub: PubSub) -> None:
        """Who comes or leaves meanwhile waits, and then changes it."""
        async with self._sending:
            if channels := [keys.session_channel(session) for session in self._watchers]:
                await pubsub.subscribe(*channels)
                self._pubsub = pubsub

    async def _tell(self, what: str, session: SessionId) -> None:
        """Change the subscription, if it stands; else it is made with all that is followed."""
        async with self._sending:
            if self._pubsub is None:
                return
            change = self._pubsub.subscribe if what == "subscribe" else self._pubsub.unsubscribe
            try:
                await change(keys.session_channel(session))
            except REDIS_UNAVAILABLE:
                return  # who listens finds the same, and subscribes to all anew

    async def _hear(self, pubsub: PubSub) -> None:
        """Until nobody follows anything, or the connection breaks. A silence is broken by a ping."""
        pinged = False
        while self._watchers:
            message = await pubsub.get_message(timeout=SILENCE_SECONDS)
            if message is None:
                if pinged:
                    raise ConnectionError("no answer on the subscription to the followed sessions")
                await pubsub.ping()
                pinged = True
                continue
            pinged = False
            if message["type"] in ("subscribe", "message"):  # what was said just before we listened is found as well
                self._stir(_session_of(cast(bytes, message["channel"])))


def _session_of(channel: bytes) -> SessionId:
    return SessionId(channel.decode().rpartition(":")[2])
