"""Which collections look at what, with the interpreter's own collector."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Iterator

import pytest

from access.garbage import collect_in_steps


class Node:
    """Refers to itself, so that only a collection frees it."""

    def __init__(self) -> None:
        self.own: Node | None = self


@pytest.fixture
def undisturbed() -> Iterator[None]:
    yield
    gc.unfreeze()


async def steps(open_requests: int, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await collect_in_steps(lambda: open_requests, step_seconds=0.01, quiet_seconds=0.05)


@pytest.mark.usefixtures("undisturbed")
async def test_what_survives_a_step_is_looked_at_no_more_while_something_is_open() -> None:
    alive = [Node() for _ in range(1000)]
    seen = [weakref.ref(node) for node in alive]
    await steps(open_requests=1, seconds=0.2)
    assert gc.get_freeze_count() > len(alive)
    alive.clear()
    await steps(open_requests=1, seconds=0.2)
    assert all(ref() is not None for ref in seen)


@pytest.mark.usefixtures("undisturbed")
async def test_what_was_frozen_alive_goes_when_nothing_is_open() -> None:
    seen = weakref.ref(Node())
    gc.freeze()
    await steps(open_requests=0, seconds=2)
    assert seen() is None


@pytest.mark.usefixtures("undisturbed")
async def test_what_nobody_refers_to_goes_at_once_frozen_or_not() -> None:
    alive = Node()
    alive.own = None
    seen = weakref.ref(alive)
    gc.freeze()
    del alive
    assert seen() is None
