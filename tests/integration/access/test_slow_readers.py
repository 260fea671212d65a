"""Readers that do not read: cut off after a while, at a bounded cost, and nobody else notices."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from access.sse import HEARTBEAT, EventStream, frame
from access.wire import Wire
from tests.servers import free_port

PIECE = frame("x" * 65_536)
MORE_THAN_SOCKETS_HOLD = 64 << 20
SOON = 30.0


@dataclass
class Server:
    """Streams without end at ``/``; at ``/quiet`` one event, and another only when ``go`` is set."""

    port: int
    written: dict[str, int] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)
    left: set[str] = field(default_factory=set)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        name = scope["query_string"].decode()

        async def left() -> None:
            self.left.add(name)

        frames = self._quiet(name) if scope["path"] == "/quiet" else self._endless(name)
        stream = EventStream(
            frames, heartbeat=timedelta(seconds=0.2), write_deadline=timedelta(seconds=0.5), on_leave=left
        )
        await stream(scope, receive, send)

    async def _endless(self, name: str) -> AsyncGenerator[bytes]:
        try:
            while True:
                self.written[name] = self.written.get(name, 0) + len(PIECE)
                yield PIECE
                await asyncio.sleep(0)
        finally:
            self.closed.add(name)

    async def _quiet(self, name: str) -> AsyncGenerator[bytes]:
        yield frame("first")
        await self.go.wait()
        yield frame("last")
        self.closed.add(name)

    async def ask(self, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
        return reader, writer


@pytest.fixture
async def running() -> AsyncIterator[tuple[Server, uvicorn.Server]]:
    app = Server(free_port())
    config = uvicorn.Config(app, host="127.0.0.1", port=app.port, log_level="warning", lifespan="off", http=Wire)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started, "the server's start")
    yield app, server
    server.should_exit = server.force_exit = True
    await serving


def never_reads(port: int, path: str) -> socket.socket:
    """A client that asks and then does nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    return client


async def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what} did not happen")


async def test_a_client_that_never_reads_is_cut_off_and_its_generator_closed(
    running: tuple[Server, uvicorn.Server],
) -> None:
    app, server = running
    clients = [await asyncio.to_thread(never_reads, app.port, f"/?{number}") for number in range(20)]
    await until(lambda: len(app.closed) == len(app.left) == 20, "every stream ended")
    await until(lambda: not server.server_state.connections, "no connection lingers with what was not sent")
    assert max(app.written.values()) < MORE_THAN_SOCKETS_HOLD
    for client in clients:
        client.close()


async def test_others_are_served_while_somebody_does_not_read(running: tuple[Server, uvicorn.Server]) -> None:
    app, _ = running
    idle = await asyncio.to_thread(never_reads, app.port, "/?idle")
    reader, writer = await app.ask("/quiet?other")
    await asyncio.wait_for(reader.readuntil(b'data: "first"'), SOON)
    await until(lambda: "idle" in app.closed, "the idle one is cut off")
    app.go.set()
    await asyncio.wait_for(reader.readuntil(b'data: "last"'), SOON)
    assert "other" not in app.left
    writer.close()
    idle.close()


async def test_silence_is_filled_with_comments(running: tuple[Server, uvicorn.Server]) -> None:
    app, _ = running
    reader, writer = await app.ask("/quiet?a")
    await asyncio.wait_for(reader.readuntil(b'data: "first"'), SOON)
    for _ in range(3):
        await asyncio.wait_for(reader.readuntil(HEARTBEAT), SOON)
    writer.close()


async def test_a_client_that_leaves_is_noticed_though_nothing_is_said(running: tuple[Server, uvicorn.Server]) -> None:
    app, _ = running
    reader, writer = await app.ask("/quiet?a")
    await asyncio.wait_for(reader.readuntil(b'data: "first"'), SOON)
    writer.close()
    await until(lambda: "a" in app.left, "the leaving")


async def test_a_stream_that_came_to_its_end_was_not_left(running: tuple[Server, uvicorn.Server]) -> None:
    app, _ = running
    app.go.set()
    reader, writer = await app.ask("/quiet?a")
    await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), SOON)
    await until(lambda: "a" in app.closed, "the end")
    assert not app.left
    writer.close()
