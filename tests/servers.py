"""Real servers for tests: started on a free loopback port in a temporary folder, stopped by their own handle."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Callable, Generator
from pathlib import Path

import redis

from penstock import embedded_redis


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Poll ``condition`` until it holds; fail with ``what`` after ``seconds``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds} s")


def answers(url: str) -> bool:
    """Whether a Redis at ``url`` answers PING."""
    client = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
    with contextlib.closing(client):
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False


@contextlib.contextmanager
def redis_server(binary: str, folder: Path) -> Generator[str]:
    """A server of the kind ``penstock up`` embeds; yields its URL."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(embedded_redis.command(binary, folder, port), stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(url), "Redis answering")
        yield url
    finally:
        process.terminate()
        process.wait(10)
