"""Health and metrics over HTTP: ``/livez`` the loop turns, ``/readyz`` the worker takes, ``/metrics`` for Prometheus.

Three answers and no framework: a web server would weigh more than the rest of the worker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry, generate_latest

READ_SECONDS = 5.0


class Health:
    """Answers GET requests on one port, one per connection."""

    def __init__(self, not_ready: Callable[[], str], registry: CollectorRegistry):
        """``not_ready`` says why the worker does not take, '' when it does."""
        self._not_ready = not_ready
        self._registry = registry

    async def serve(self, host: str, port: int) -> None:
        """Listen for ever."""
        server = await asyncio.start_server(self._connection, host, port)
        async with server:
            await server.serve_forever()

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body for one path."""
        match path:
            case "/livez":
                return 200, b"alive\n"
            case "/readyz" | "/health":
                why = self._not_ready()
                return (503, f"{why}\n".encode()) if why else (200, b"taking\n")
            case "/metrics":
                return 200, generate_latest(self._registry)
            case _:
                return 404, b"try /livez, /readyz or /metrics\n"

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                status, body = self.answer(_path(head))
                writer.write(_rendered(status, body))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked has gone, or does not speak HTTP
        finally:
            writer.close()


def _path(head: bytes) -> str:
    parts = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return parts[1].split("?")[0] if len(parts) > 1 else ""


def _rendered(status: int, body: bytes) -> bytes:
    reason = {200: "OK", 404: "Not Found", 503: "Service Unavailable"}[status]
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
