"""The client's side of the wire: HTTP/1.1 with as little between the socket and the clock as Python allows.

While a leg runs, nothing is parsed but HTTP: every part of a body is kept with the moment at which it came, and read
later (``answers``). The same client asks every server, so what it costs is the same for all.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass, field
from typing import cast

import httptools

LOOPBACK = "127.0.0.1"
_AWAY_SECONDS = 2.0
_LOOK_SECONDS = 0.05


@dataclass(slots=True)
class Recorded:
    """One exchange. Moments are ``time.perf_counter`` seconds; ``due`` is when it was scheduled to be sent.

    ``problem`` says what went wrong below HTTP; '' when the answer came to its end.
    """

    due: float
    status: int = 0
    parts: list[tuple[float, bytes]] = field(default_factory=list[tuple[float, bytes]])
    ended: float = 0.0
    problem: str = ""


class Connection(asyncio.Protocol):
    """A kept-alive connection with one request at a time."""

    def __init__(self) -> None:
        self.idle_since = time.perf_counter()
        self._transport: asyncio.Transport | None = None
        self._recorded: Recorded | None = None
        self._done: asyncio.Future[None] | None = None
        self._now = 0.0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes, due: float) -> Recorded:
        """Send a whole request; returns when its answer has ended or the connection is lost."""
        assert self._transport is not None, "connect before asking"
        recorded = self._recorded = Recorded(due)
        self._done = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(request)
        await self._done
        recorded.ended = self.idle_since = time.perf_counter()
        return recorded

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._now = time.perf_counter()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end(f"not HTTP: {error}")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"connection lost: {exc or 'closed by the server'}")

    def on_headers_complete(self) -> None:
        assert self._recorded is not None
        self._recorded.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        assert self._recorded is not None
        self._recorded.parts.append((self._now, body))

    def on_message_complete(self) -> None:
        self._end("")

    def _end(self, problem: str) -> None:
        if self._recorded is not None and self._done is not None and not self._done.done():
            self._recorded.problem = problem
            self._done.set_result(None)


class SlowConnection(Connection):
    """A reader that looks up for a moment every two seconds, with as small a buffer as the kernel gives."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self._look_away()

    def _look_away(self) -> None:
        if self.is_open and self._transport is not None:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(_AWAY_SECONDS, self._look_up)

    def _look_up(self) -> None:
        if self.is_open and self._transport is not None:
            self._transport.resume_reading()
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look_away)


async def connect(port: int, kind: type[Connection] = Connection) -> Connection:
    """A connection to a loopback port."""
    _, connection = await asyncio.get_running_loop().create_connection(kind, LOOPBACK, port)
    return connection


def post(path: str, body: bytes, *, key: str = "") -> bytes:
    """A whole HTTP request with a JSON body."""
    authorization = f"authorization: Bearer {key}\r\n" if key else ""
    head = (
        f"POST {path} HTTP/1.1\r\nhost: {LOOPBACK}\r\n{authorization}"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
