"""What a publisher is told that pushes too much."""

from __future__ import annotations

from datetime import timedelta

import pytest

from access.problems import response
from access.pushes import exceeded
from contracts.functions import Exhausted


@pytest.mark.parametrize(
    ("exhausted", "pushes", "message"),
    [
        (
            Exhausted("publisher", 6000, timedelta(milliseconds=10)),
            1,
            "'hotels' may push 6000 messages a minute. Send this again in 1 s.",
        ),
        (
            Exhausted("user", 60, timedelta(seconds=59.5)),
            3,
            "'hotels' may push 60 messages an hour to one user. Send this again in 60 s, or fewer at once.",
        ),
    ],
)
def test_the_refusal_names_the_quota_and_says_when_to_send_again(
    exhausted: Exhausted, pushes: int, message: str
) -> None:
    assert exceeded("hotels", exhausted, pushes).message == message


def test_over_http_it_is_a_429_that_says_when_to_come_back() -> None:
    answer = response(exceeded("hotels", Exhausted("user", 60, timedelta(seconds=59.5)), 1))
    assert (answer.status_code, answer.headers["retry-after"], answer.headers["retry-after-ms"]) == (429, "60", "59500")
