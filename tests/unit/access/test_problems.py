"""The table of errors: complete, and each error in OpenAI's shape."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from access import problems
from access.auth import Forbidden, TooManyWrongKeys, Unauthenticated, WrongKey
from access.ratelimits import RateLimited
from contracts import errors
from contracts.messages import Failure
from rag.loaders import LoadError

STATUSES = {
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.LimitExceeded: 429,
    errors.CallerError: 400,
    errors.Overload: 503,
    errors.DependencyDown: 503,
    errors.EngineError: 500,
    errors.DecodeError: 500,
    Unauthenticated: 401,
    WrongKey: 401,
    TooManyWrongKeys: 429,
    Forbidden: 403,
}


def tree(kind: type[errors.PenstockError]) -> Iterator[type[errors.PenstockError]]:
    for child in kind.__subclasses__():
        yield child
        yield from tree(child)


def test_every_error_of_the_tree_has_a_status_of_its_own() -> None:
    ours = {kind for kind in tree(errors.PenstockError) if kind.__module__ in ("contracts.errors", "access.auth")}
    assert ours == set(STATUSES)


@pytest.mark.parametrize("kind", STATUSES, ids=lambda kind: kind.__name__)
def test_an_error_is_answered_with_its_status(kind: type[errors.PenstockError]) -> None:
    assert problems.response(kind("What to do.")).status_code == STATUSES[kind]


def test_no_callers_error_looks_like_our_fault() -> None:
    callers = [kind for kind in tree(errors.CallerError) if kind is not LoadError]
    assert all(problems.response(kind("Wrong.")).status_code < 500 for kind in callers)


def test_the_body_has_openais_four_fields() -> None:
    answer = problems.response(errors.CallerError("Use a number.", code="invalid_type", param="seed"))
    assert json.loads(bytes(answer.body)) == {
        "error": {"message": "Use a number.", "type": "invalid_request_error", "param": "seed", "code": "invalid_type"}
    }


def test_a_retry_is_told_in_whole_seconds_and_in_milliseconds() -> None:
    answer = problems.response(errors.LimitExceeded("Later.", retry_after_seconds=1.2))
    assert (answer.headers["retry-after"], answer.headers["retry-after-ms"]) == ("2", "1200")


def test_every_503_says_when_to_come_back() -> None:
    assert problems.response(errors.DependencyDown("Redis is away.")).headers["retry-after"] == "1"


def test_a_hard_quota_asks_clients_not_to_retry() -> None:
    answer = problems.response(errors.LimitExceeded("Used up.", code="quota_exceeded", retry_after_seconds=3600.0))
    assert (answer.headers["x-should-retry"], answer.headers["retry-after"]) == ("false", "3600")


def test_a_request_that_never_fits_is_not_to_be_sent_again() -> None:
    answer = problems.response(RateLimited("Beyond your limit.", code="rate_limit_exceeded"))
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers


def test_a_missing_key_is_asked_for() -> None:
    assert problems.response(Unauthenticated("No key.")).headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("code", "status"), problems.STATUS_OF_CODE.items())
def test_some_codes_have_a_status_that_others_gave_them(code: str, status: int) -> None:
    assert problems.response(errors.CallerError("So it is.", code=code)).status_code == status


@pytest.mark.parametrize("kind", [errors.CallerError, errors.Overload, errors.DependencyDown, errors.EngineError])
def test_a_fault_survives_the_way_through_a_reply(kind: type[errors.PenstockError]) -> None:
    error = kind("What happened.")
    failure = Failure(code=error.code, message=error.message, fault=problems.fault_of(error))
    assert type(problems.of_failure(failure)) is kind
