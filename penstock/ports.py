"""Loopback ports: is this one free, and give me one that is."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from penstock.errors import StartError

LOOPBACK = "127.0.0.1"


def claim(wanted: int, count: int) -> list[int]:
    """The ports ``wanted``, ``wanted + 1``, … for ``count`` access processes.

    Raises:
        StartError: one of them is taken, or beyond 65535.
    """
    ports = list(range(wanted, wanted + count))
    if not 0 < ports[0] <= ports[-1] <= 65535:
        raise StartError(f"Ports {ports[0]} to {ports[-1]} do not all exist; choose another first one with --port.")
    for port in ports:
        if is_taken(port):
            raise StartError(
                f"Port {port} is taken by another program. Stop that one, or choose another with --port, "
                f"for example --port {_next_free(ports[-1] + 1)}."
            )
    return ports


def is_taken(port: int) -> bool:
    """Whether somebody listens on this loopback port."""
    with socket.socket() as probe:
        # As servers do it: connections that have ended and linger do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
        return False


def free(count: int, avoiding: Iterable[int] = ()) -> list[int]:
    """Loopback ports that nobody listens on at this moment, none of ``avoiding``."""
    avoided, found = set(avoiding), set[int]()
    while len(found) < count:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            found |= {probe.getsockname()[1]} - avoided
    return list(found)


def _next_free(start: int) -> int:
    return next((port for port in range(start, min(start + 1000, 65536)) if not is_taken(port)), 8080)
