"""Server-sent events: frames (pure) and the raw ASGI response that sends them.

The web framework's own streaming response costs half of the budget of an event, so frames go to the transport as they
are. An id is a cursor into a request's log, ``<seq>-<generation>``; data is one line of JSON.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from access import wire
from access.presence import until_left

HEARTBEAT = b": waiting\n"
DONE = b"data: [DONE]\n\n"
HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no", "content-type": "text/event-stream; charset=utf-8"}


def frame(data: Any, *, event: str = "", event_id: str = "") -> bytes:
    """One event. JSON escapes every control character, so ``data`` is one line whatever it holds."""
    head = (f"event: {event}\n" if event else "") + (f"id: {event_id}\n" if event_id else "")
    return head.encode() + b"data: " + msgspec.json.encode(data) + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients ignore; it keeps the connection alive and tells a person at a terminal what happens.

    Without an empty line behind it: OpenAI's library takes that for an event without data, once it has seen an id.
    """
    return b": " + text.replace("\n", " ").replace("\r", " ").encode() + b"\n"


class EventStream(Response):
    """Sends frames as they come, a heartbeat when there are none, and stops when the client leaves.

    ``frames`` is closed in every case, so its ``finally`` runs. ``on_leave`` is told when a client left before the end.
    A client that does not read for ``write_deadline`` is cut off: what waits for it is thrown away, and the connection
    with it. The log stays, and it can come back.
    """

    def __init__(
        self,
        frames: AsyncGenerator[bytes],
        *,
        heartbeat: timedelta,
        write_deadline: timedelta,
        headers: dict[str, str] | None = None,
        on_leave: Callable[[], Awaitable[None]] | None = None,
    ):
        super().__init__(headers={**HEADERS, **(headers or {})})
        del self.headers["content-length"]
        self._frames = frames
        self._heartbeat = heartbeat.total_seconds()
        self._write_deadline = write_deadline.total_seconds()
        self._on_leave = on_leave
        self._complete = False
        self._writing = False
        self._wrote_at = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        ends = {
            asyncio.create_task(self._send_all(send), name="sse.send"),
            asyncio.create_task(self._watch(send), name="sse.watch"),
            asyncio.create_task(until_left(receive), name="sse.left"),
        }
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
            await asyncio.wait(ends)
        if not self._complete:
            wire.cut(scope)
            if self._on_leave is not None:
                await self._on_leave()
        for task in ends:
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, OSError):  # that one: the connection broke
                raise error

    async def _send_all(self, send: Send) -> None:
        try:
            async for body in self._frames:
                await self._write(send, body)
            await self._write(send, b"", more=False)
            self._complete = True
        finally:
            await self._frames.aclose()

    async def _write(self, send: Send, body: bytes, *, more: bool = True) -> None:
        """Send; it waits while the client has too much unread."""
        self._writing = True
        await send({"type": "http.response.body", "body": body, "more_body": more})
        self._writing, self._wrote_at = False, time.monotonic()

    async def _watch(self, send: Send) -> None:
        """A comment after each silence; return when a write has waited for too long."""
        while True:
            await asyncio.sleep(min(self._heartbeat, self._write_deadline) / 2)
            silent = time.monotonic() - self._wrote_at
            if self._writing and silent >= self._write_deadline:
                return
            if not self._writing and silent >= self._heartbeat:
                await self._write(send, HEARTBEAT)
