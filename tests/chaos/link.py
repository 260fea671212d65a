"""The wire between our services and Redis: a loopback proxy that can be cut, lose replies, or be left half-open.

``python -m tests.chaos.link REDIS_PORT`` answers its own port first. Orders, all with ``share`` (of the connections,
0 to 1) and ``seed``: ``cut`` resets them; ``drop`` throws their next reply away and then resets them, so that a command
is done and nobody hears of it; ``half_open`` lets nothing through for ``seconds``, and then delivers what was written
meanwhile, as TCP does, although its sender may long have given up. Each answers how many connections it has hit.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import struct
import sys
from typing import Any, cast

import uvloop

LOOPBACK = "127.0.0.1"


class Line:
    """One connection: the ends, and what is wrong with it."""

    def __init__(self, lines: set[Line], client: asyncio.Transport):
        self._lines = lines
        self._client = client
        self._server: asyncio.Transport | None = None
        self._held_up: list[bytes] = []
        self._held_down: list[bytes] = []
        self._drop_next = self._silent = self._client_gone = self._server_gone = False
        lines.add(self)

    def connected(self, server: asyncio.Transport) -> None:
        """Redis has answered the phone."""
        self._server = server
        if self._client.is_closing():
            self.hang_up()
        elif not self._silent:
            self._deliver()

    def up(self, data: bytes) -> None:
        """A command on its way to Redis."""
        if self._server is None or self._silent or self._server.is_closing():
            self._held_up.append(data)
        else:
            self._server.write(data)

    def down(self, data: bytes) -> None:
        """A reply on its way back."""
        if self._drop_next:
            self.cut()
        elif self._silent:
            self._held_down.append(data)
        else:
            self._client.write(data)

    def cut(self) -> None:
        """Reset both ends."""
        self._lines.discard(self)
        for end in (self._client, self._server):
            if end is not None:
                _reset(end)

    def drop(self) -> None:
        self._drop_next = True

    def silence(self) -> None:
        self._silent = True

    def heal(self) -> None:
        """What was held up arrives; if its sender has hung up meanwhile, that arrives after it."""
        self._silent = False
        if self not in self._lines or self._server_gone:
            self.cut()
        elif self._server is not None:
            self._deliver()
            if self._client_gone:
                self.hang_up()

    def client_lost(self) -> None:
        self._client_gone = True
        if not self._silent:
            self.hang_up()

    def server_lost(self) -> None:
        """Redis has died, or refuses; over a silent line nobody hears of that."""
        self._server_gone = True
        if not self._silent:
            self.cut()

    def hang_up(self) -> None:
        """Close both ends, after what has been written to them."""
        self._lines.discard(self)
        for end in (self._client, self._server):
            if end is not None:
                end.close()

    def _deliver(self) -> None:
        assert self._server is not None
        self._server.writelines(self._held_up)
        if not self._client_gone:
            self._client.writelines(self._held_down)
        self._held_up.clear()
        self._held_down.clear()


class ClientEnd(asyncio.Protocol):
    """Where one of our services has connected."""

    def __init__(self, lines: set[Line], redis_port: int):
        self._lines = lines
        self._redis_port = redis_port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._line = Line(self._lines, cast(asyncio.Transport, transport))
        self._dialling = asyncio.ensure_future(self._dial())

    def data_received(self, data: bytes) -> None:
        self._line.up(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.client_lost()

    async def _dial(self) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: ServerEnd(self._line), LOOPBACK, self._redis_port)
        except OSError:
            self._line.server_lost()


class ServerEnd(asyncio.Protocol):
    """Our connection to Redis."""

    def __init__(self, line: Line):
        self._line = line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._line.connected(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        self._line.down(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.server_lost()


class Exchange:
    """All lines, and what is done to them."""

    def __init__(self) -> None:
        self.lines: set[Line] = set()
        self._healing: set[asyncio.Task[None]] = set()

    def obey(self, order: dict[str, Any]) -> int:
        """Do one order; how many lines it hit."""
        chosen = self._chosen(order["share"], order["seed"])
        for line in chosen:
            {"cut": line.cut, "drop": line.drop, "half_open": line.silence}[order["act"]]()
        if order["act"] == "half_open":
            healing = asyncio.ensure_future(_heal(chosen, order["seconds"]))
            self._healing.add(healing)
            healing.add_done_callback(self._healing.discard)
        return len(chosen)

    def _chosen(self, share: float, seed: int) -> list[Line]:
        lines = list(self.lines)
        return random.Random(seed).sample(lines, min(len(lines), max(1, round(share * len(lines)))))


async def serve(redis_port: int) -> None:
    """Forward until there are no more orders."""
    loop, exchange = asyncio.get_running_loop(), Exchange()
    server = await loop.create_server(lambda: ClientEnd(exchange.lines, redis_port), LOOPBACK, 0)
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    _answer(server.sockets[0].getsockname()[1])
    while order := await orders.readline():
        _answer(exchange.obey(json.loads(order)))


def _reset(end: asyncio.Transport) -> None:
    """Close with a RST: what is still on its way in either direction is lost."""
    if not end.is_closing():
        with socket.socket(fileno=os.dup(end.get_extra_info("socket").fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.abort()


async def _heal(lines: list[Line], seconds: float) -> None:
    await asyncio.sleep(seconds)
    for line in lines:
        line.heal()


def _answer(value: int) -> None:
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
