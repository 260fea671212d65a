"""Ports that access asks for, and ports that nobody asked for."""

from __future__ import annotations

import socket
from collections.abc import Generator

import pytest

from penstock import ports
from penstock.errors import StartError


@pytest.fixture
def taken() -> Generator[int]:
    """A port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_access_processes_take_the_port_and_those_after_it() -> None:
    first = _row_of_free_ports(3)
    assert ports.claim(first, 3) == [first, first + 1, first + 2]


def test_a_taken_port_is_named_with_what_to_do(taken: int) -> None:
    with pytest.raises(StartError, match=rf"Port {taken} is taken .* --port \d+"):
        ports.claim(taken, 1)


def test_the_last_port_of_a_row_is_checked_too() -> None:
    first = _row_of_free_ports(2)
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, first + 1))
        listener.listen()
        with pytest.raises(StartError, match=f"Port {first + 1} is taken"):
            ports.claim(first, 2)


@pytest.mark.parametrize(("port", "count"), [(0, 1), (-1, 1), (65535, 2), (70000, 1)])
def test_ports_that_do_not_exist_are_refused(port: int, count: int) -> None:
    with pytest.raises(StartError, match="--port"):
        ports.claim(port, count)


def test_free_ports_differ_and_avoid_what_they_must() -> None:
    some = ports.free(20)
    assert len(set(some)) == 20
    assert not set(ports.free(20, avoiding=some)) & set(some)


def _row_of_free_ports(count: int) -> int:
    candidates = range(20000, 30000, count)
    return next(first for first in candidates if not any(ports.is_taken(first + more) for more in range(count)))
