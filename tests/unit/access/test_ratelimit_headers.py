"""The ``x-ratelimit-*`` headers."""

from __future__ import annotations

import pytest

from access import problems
from access.ratelimits import RateLimited, duration, headers_of
from contracts.messages import LimitsView


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0ms"),
        (0.02, "20ms"),
        (0.9994, "999ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.9, "59.9s"),
        (60, "1m0s"),
        (360, "6m0s"),
    ],
)
def test_a_duration_is_written_as_openai_does(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def test_debt_is_shown_as_nothing_left() -> None:
    view = LimitsView(
        limit_tokens=100,
        remaining_tokens=-5,
        reset_tokens_seconds=63.0,
        limit_requests=10,
        remaining_requests=9,
        reset_requests_seconds=6.0,
    )
    headers = headers_of(view)
    assert (headers["x-ratelimit-remaining-tokens"], headers["x-ratelimit-reset-tokens"]) == ("0", "1m3s")


def test_a_refusal_says_what_is_left_too() -> None:
    view = LimitsView(
        limit_tokens=100,
        remaining_tokens=0,
        reset_tokens_seconds=60.0,
        limit_requests=10,
        remaining_requests=9,
        reset_requests_seconds=6.0,
    )
    answer = problems.response(RateLimited("Later.", retry_after_seconds=3, limits=view))
    assert answer.status_code == 429
    assert (answer.headers["x-ratelimit-limit-tokens"], answer.headers["retry-after"]) == ("100", "3")


def test_where_the_limiter_said_nothing_nothing_is_said() -> None:
    assert headers_of(None) == {}
