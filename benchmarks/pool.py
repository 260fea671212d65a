"""Connections to one server, and the requests that go over them."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec

from benchmarks.servers import Server
from benchmarks.wire import Connection, Recorded, connect, post

Messages = list[dict[str, Any]]

PATH = "/v1/chat/completions"
CLIENT = "client"
_STALE_SECONDS = 3.0
"""Servers close a connection that was idle for five seconds; one that was idle this long is not used again."""


class Pool:
    """Connections to one server; the one used last is used first."""

    def __init__(self, port: int):
        self._port = port
        self._idle: list[Connection] = []

    @classmethod
    @asynccontextmanager
    async def opened(cls, port: int, count: int) -> AsyncGenerator[Pool]:
        """With ``count`` connections opened beforehand; more are opened when needed."""
        pool = cls(port)
        pool._idle = [await connect(port) for _ in range(count)]
        try:
            yield pool
        finally:
            for connection in pool._idle:
                connection.close()

    async def ask(self, request: bytes, due: float, kind: type[Connection] = Connection) -> Recorded:
        """One exchange; a server that cannot be reached is a problem of the exchange.

        On an idle connection of this kind if there is one, else on a new one.
        """
        try:
            connection = self._usable(kind) or await connect(self._port, kind)
        except OSError as error:
            return Recorded(due, ended=time.perf_counter(), problem=f"no connection: {error}")
        recorded = await connection.exchange(request, due)
        if connection.is_open:
            self._idle.append(connection)
        return recorded

    async def ask_at(self, request: bytes, moment: float, kind: type[Connection] = Connection) -> Recorded:
        """The same at a given moment, from which its time counts."""
        await asyncio.sleep(moment - time.perf_counter())
        return await self.ask(request, moment, kind)

    def _usable(self, kind: type[Connection]) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if (
                type(connection) is kind
                and connection.is_open
                and time.perf_counter() - connection.idle_since < _STALE_SECONDS
            ):
                return connection
            connection.close()
        return None


async def outcomes(asked: Sequence[asyncio.Task[Recorded]], patience_seconds: float) -> list[Recorded]:
    """What the exchanges recorded; those that do not end in time are given up."""
    await asyncio.wait(asked, timeout=patience_seconds)
    now, found = time.perf_counter(), list[Recorded]()
    for task in asked:
        if task.done():
            found.append(task.result())
        else:
            task.cancel()
            found.append(Recorded(now, ended=now, problem="did not end"))
    return found


def chat_requests(server: Server, questions: Iterable[Messages], answer_tokens: int) -> list[bytes]:
    """A whole HTTP request for each question: streamed, greedy, with usage."""
    asked = {
        "model": server.model,
        "max_tokens": answer_tokens,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return [post(PATH, msgspec.json.encode(asked | {"messages": messages}), key=server.key) for messages in questions]


@contextmanager
def undisturbed() -> Generator[None]:
    """No garbage collection in the client while it measures."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def cpu_seconds(server: Server) -> dict[str, float]:
    """Used so far, by process; that of the load generator itself as ``client``."""
    return {**server.cpu_seconds(), CLIENT: time.process_time()}


def used_since(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """CPU seconds between two readings."""
    return {name: used - before.get(name, 0.0) for name, used in after.items()}
