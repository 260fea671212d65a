"""What was said in a session, read from its stream of turns.

The stream holds ``turn.started`` (the user's words, written by submit), ``turn.finished`` (the answer, written by the
worker's terminal append) and ``push`` (another service's message). This module reads them back as turns.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from redis.asyncio import Redis

from contracts import keys
from contracts.ids import RequestId, SessionId
from contracts.messages import ChatMessage
from memory.session import RETENTION

LENGTH = 2000


@dataclass(frozen=True)
class Turn:
    """One user message and its answer, or a push (then ``question`` is ``None``).

    ``id`` is the stream id of its first entry, ``<milliseconds>-<n>``. ``answer`` is ``None`` while it is generated;
    ``status`` is the request's end (``done``, ``incomplete``, ``cancelled``, …), ``running`` before, ``push`` for one.
    """

    id: str
    question: str | None
    answer: str | None
    status: str
    request: RequestId | None = None

    @property
    def at(self) -> float:
        """Unix seconds of the first entry."""
        return int(self.id.split("-")[0]) / 1000

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """The turn as the model reads it: nothing of a turn whose answer is missing, so roles always alternate."""
        if not self.answer:
            return ()
        asked = (ChatMessage(role="user", content=self.question),) if self.question is not None else ()
        return (*asked, ChatMessage(role="assistant", content=self.answer))


class History:
    """The turns of sessions. Whether a caller may read one is the session's to say (``Sessions.get``)."""

    def __init__(self, redis: Redis):
        self._redis = redis

    async def recent(self, session: SessionId, limit: int = 200) -> list[Turn]:
        """The last turns, oldest first; at most ``limit``."""
        entries: Any = await self._redis.xrevrange(keys.turns(session), count=2 * limit)
        return _turns(reversed(entries))[-limit:]

    async def between(
        self, session: SessionId, since: float = 0.0, until: float | None = None, limit: int = 100
    ) -> list[Turn]:
        """The turns that began from ``since`` to ``until`` (Unix seconds), oldest first; at most ``limit``."""
        end = "+" if until is None else str(int(until * 1000))
        entries: Any = await self._redis.xrange(
            keys.turns(session), min=str(int(since * 1000)), max=end, count=2 * limit
        )
        return _turns(entries)[:limit]

    async def push(self, session: SessionId, text: str, publisher: str) -> Turn:
        """Append another service's message; it becomes part of what the model sees."""
        fields: dict[Any, Any] = {"type": "push", "text": text, "publisher": publisher}
        entry: Any = await self._redis.xadd(keys.turns(session), fields, maxlen=LENGTH, approximate=True)
        await self._redis.expire(keys.turns(session), RETENTION)
        return Turn(entry.decode(), None, text, "push")

    async def add(self, session: SessionId, question: str | None, answer: str | None) -> Turn:
        """Append a finished turn that was not generated here, such as a conversation's initial items."""
        turn = Turn(f"{int(time.time() * 1000)}-0", question, answer, "done")
        async with self._redis.pipeline(transaction=True) as pipe:
            if question is not None:
                pipe.xadd(keys.turns(session), {"type": "turn.started", "request": "", "text": question}, maxlen=LENGTH)
            if answer is not None:
                pipe.xadd(
                    keys.turns(session), {"type": "turn.finished", "request": "", "status": "done", "text": answer}
                )
            pipe.expire(keys.turns(session), RETENTION)
            ids = await pipe.execute()
        return replace(turn, id=ids[0].decode() if isinstance(ids[0], bytes) else turn.id)


def _turns(entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[Turn]:
    """Join each start with its finish. A finish whose start is out of reach stands alone, as an answer."""
    turns: list[Turn] = []
    open_turns: dict[str, int] = {}
    for raw_id, raw in entries:
        entry = {name.decode(): value.decode("utf-8", "replace") for name, value in raw.items()}
        request = RequestId(entry.get("request", "")) or None
        match entry["type"]:
            case "turn.started":
                open_turns[request or ""] = len(turns)
                turns.append(Turn(raw_id.decode(), entry["text"], None, "running", request))
            case "turn.finished":
                at = open_turns.pop(request or "", None)
                if at is None:
                    turns.append(Turn(raw_id.decode(), None, entry["text"], entry["status"], request))
                else:
                    turns[at] = replace(turns[at], answer=entry["text"], status=entry["status"])
            case "push":
                turns.append(Turn(raw_id.decode(), None, entry["text"], "push"))
            case _:
                continue  # written by a newer release; not ours to show
    return turns
