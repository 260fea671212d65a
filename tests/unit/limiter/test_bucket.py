"""The token bucket: exact, whatever happens in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from limiter.bucket import Bucket

LIMITS = st.integers(1, 10_000_000)
STEPS = st.lists(st.tuples(st.integers(0, 120_000), st.integers(1, 5_000)), max_size=50)


@given(LIMITS, STEPS)
def test_no_more_is_taken_than_was_there_and_refilled(per_minute: int, steps: list[tuple[int, int]]) -> None:
    bucket, now, taken = Bucket.full(per_minute, 0), 0, 0
    for elapsed, tokens in steps:
        now += elapsed
        bucket = bucket.at(now)
        if bucket.holds(tokens):
            bucket, taken = bucket.take(tokens), taken + tokens
    assert taken * 60_000 <= per_minute * 60_000 + per_minute * now


@given(LIMITS, STEPS)
def test_it_never_holds_more_than_a_minute(per_minute: int, steps: list[tuple[int, int]]) -> None:
    bucket, now = Bucket.full(per_minute, 0), 0
    for elapsed, tokens in steps:
        now += elapsed
        bucket = bucket.at(now).give_back(tokens)
        assert bucket.tokens <= per_minute


@given(LIMITS, st.integers(0, 10_000_000), st.integers(1, 10_000_000))
def test_the_wait_it_tells_is_exact_to_the_millisecond(per_minute: int, used: int, tokens: int) -> None:
    bucket, tokens = Bucket.full(per_minute, 0).take(used), min(tokens, per_minute)
    wait_ms = round(bucket.seconds_until(tokens) * 1000)
    assert bucket.at(wait_ms).holds(tokens)
    assert wait_ms == 0 or not bucket.at(wait_ms - 1).holds(tokens)


@given(LIMITS, st.integers(1, 100_000), st.integers(0, 3_600_000))
def test_a_clock_that_goes_back_refills_nothing(per_minute: int, used: int, back_ms: int) -> None:
    bucket = Bucket.full(per_minute, 3_600_000).take(used)
    assert bucket.at(3_600_000 - back_ms).grains == bucket.grains


def test_more_than_it_can_ever_hold_is_never_there() -> None:
    assert Bucket.full(100, 0).seconds_until(101) == float("inf")


def test_another_limit_leaves_what_was_used_used() -> None:
    assert Bucket.full(1000, 0).take(300).resized(500).tokens == 200
