"""The ``x-ratelimit-*`` headers."""

from __future__ import annotations

import pytest

from access.ratelimits import duration, headers_of
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


def test_where_the_limiter_said_nothing_nothing_is_said() -> None:
    assert headers_of(None) == {}
