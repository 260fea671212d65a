"""How much of a prompt a session's memory took, as one process remembers it."""

from __future__ import annotations

from access.windows import Windows
from contracts.ids import SessionId


def session(number: int) -> SessionId:
    return SessionId(f"s0_{number:032x}")


def test_a_session_not_seen_here_adds_nothing() -> None:
    windows = Windows()
    windows.saw(None, 300)
    assert (windows.of(session(1)), windows.of(None)) == (0, 0)


def test_the_latest_size_counts() -> None:
    windows = Windows()
    windows.saw(session(1), 300)
    windows.saw(session(1), 420)
    assert windows.of(session(1)) == 420


def test_those_seen_least_recently_are_forgotten() -> None:
    windows = Windows(most=2)
    for number in (1, 2, 1, 3):
        windows.saw(session(number), 100 * number)
    assert [windows.of(session(number)) for number in (1, 2, 3)] == [100, 0, 300]
