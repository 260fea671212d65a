"""HTTP as a client on a bad day needs it: every way in which an answer can stop short is one exception."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.stack import API_KEY

SILENCE_SECONDS = 15.0
"""Longer than any heartbeat: a connection that is silent for so long is taken for dead."""


class Broken(Exception):
    """The connection was refused, reset, closed before the end, or silent for too long."""


@dataclass(frozen=True)
class Answer:
    """A status, and a body that may still be on its way."""

    status: int
    length: int | None
    reader: asyncio.StreamReader

    async def json(self) -> dict[str, Any]:
        """The whole body, read as JSON."""
        body = b"".join([chunk async for chunk in self._chunks()])
        try:
            return json.loads(body)
        except ValueError as error:
            raise Broken(f"not JSON: {body[:80]!r}") from error

    async def frames(self) -> AsyncGenerator[bytes]:
        """The events of a stream, each without the empty line behind it."""
        rest = b""
        async for chunk in self._chunks():
            *whole, rest = (rest + chunk).split(b"\n\n")
            for frame in whole:
                yield frame

    async def _chunks(self) -> AsyncGenerator[bytes]:
        if self.length is not None:
            yield await _in_time(self.reader.readexactly(self.length))
            return
        while size := int(await _line(self.reader), 16):
            yield await _in_time(self.reader.readexactly(size))
            await _line(self.reader)


@asynccontextmanager
async def asked(port: int, method: str, path: str, body: object = None, **headers: str) -> AsyncGenerator[Answer]:
    """Ask, and hold the connection as long as the answer is read.

    Raises:
        Broken: there is no answer, or no whole one.
    """
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise Broken(str(error)) from error
    try:
        writer.write(_request(method, path, body, headers))
        yield await _head(reader)
    except (OSError, EOFError, ValueError) as error:
        raise Broken(f"{type(error).__name__}: {error}") from error
    finally:
        writer.transport.abort()


def _request(method: str, path: str, body: object, headers: dict[str, str]) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = {
        "host": "127.0.0.1",
        "authorization": f"Bearer {API_KEY}",
        "content-type": "application/json",
        "content-length": str(len(content)),
        "connection": "close",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


async def _head(reader: asyncio.StreamReader) -> Answer:
    status = int((await _line(reader)).split(b" ")[1])
    length: int | None = None
    while line := await _line(reader):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return Answer(status, length, reader)


async def _line(reader: asyncio.StreamReader) -> bytes:
    return (await _in_time(reader.readuntil(b"\r\n")))[:-2]


async def _in_time(reading: Any) -> bytes:
    async with asyncio.timeout(SILENCE_SECONDS):
        return await reading
