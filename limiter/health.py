"""A tiny loopback endpoint: ``/livez`` (the loop turns), ``/readyz`` (a question would be answered), ``/metrics``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

READ_SECONDS = 2.0


class Health:
    """Answers GET on 127.0.0.1:``port``."""

    def __init__(self, port: int, ready: Callable[[], bool], metrics: Callable[[], bytes]):
        self._port = port
        self._ready = ready
        self._metrics = metrics

    async def run(self) -> NoReturn:
        """Serve until cancelled.

        Raises:
            OSError: the port is taken.
        """
        server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        async with server:
            await server.serve_forever()
        raise AssertionError("serve_forever ends by cancellation alone")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(request.split(b" ", 2)[1].decode("ascii", "replace")))
                await writer.drain()
        except (OSError, IndexError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return
        finally:
            writer.close()

    def _answer(self, path: str) -> bytes:
        match path:
            case "/livez":
                return _response("200 OK", b"ok\n")
            case "/readyz" if self._ready():
                return _response("200 OK", b"ok\n")
            case "/readyz":
                return _response("503 Service Unavailable", b"no limiter is active, or Redis does not answer\n")
            case "/metrics":
                return _response("200 OK", self._metrics())
            case _:
                return _response("404 Not Found", b"/livez, /readyz, /metrics\n")


def _response(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
