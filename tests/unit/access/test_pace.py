"""The window in which later tokens wait for one another."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from access.pace import FULL, IDLE, Busy, Pace, window

shares = st.floats(min_value=0, max_value=2)


@given(st.floats(min_value=0, max_value=IDLE))
def test_nothing_waits_while_the_process_has_time(busy: float) -> None:
    assert window(busy, 0.04) == 0


@given(shares, shares)
def test_the_busier_the_longer_and_never_longer_than_allowed(one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert 0 <= window(less, 0.04) <= window(more, 0.04) <= 0.04


@given(st.floats(min_value=FULL, max_value=2))
def test_no_time_left_is_the_longest_window(busy: float) -> None:
    assert window(busy, 0.04) == 0.04


async def test_an_idle_process_rings_at_once() -> None:
    pace, bell = Pace(timedelta(seconds=30), busy=lambda: 0.0), asyncio.Event()
    pace.ring(bell)
    assert bell.is_set()


async def test_a_busy_process_rings_all_at_the_end_of_one_window() -> None:
    pace, bells = Pace(timedelta(seconds=0.05), busy=lambda: 1.0), [asyncio.Event() for _ in range(3)]
    for bell in bells:
        pace.ring(bell)
    assert not any(bell.is_set() for bell in bells)
    for bell in bells:
        await asyncio.wait_for(bell.wait(), 10)


async def test_where_it_is_turned_off_a_busy_process_rings_at_once() -> None:
    pace, bell = Pace(timedelta(0), busy=lambda: 1.0), asyncio.Event()
    pace.ring(bell)
    assert bell.is_set()


async def test_a_thread_that_works_is_busier_than_one_that_sleeps() -> None:
    sleeping = Busy()
    await asyncio.sleep(0.6)
    asleep, working = sleeping(), Busy()
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        pass
    assert 0 <= asleep < working() <= 1.01
