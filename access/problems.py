"""Errors as clients see them: always ``{"error": {"message", "type", "param", "code"}}``, as OpenAI's are.

One table maps our errors to HTTP; foreign ones become a generic 500 with an id to look up in the log.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from access.auth import Forbidden, Unauthenticated
from access.ratelimits import RateLimited, headers_of
from contracts import errors, logs
from contracts.connection import REDIS_UNAVAILABLE
from contracts.messages import Failure

log = logs.get()

STATUS: tuple[tuple[type[errors.PenstockError], int, str], ...] = (
    (Unauthenticated, 401, "authentication_error"),
    (Forbidden, 403, "permission_error"),
    (errors.NotFound, 404, "invalid_request_error"),
    (errors.Conflict, 409, "invalid_request_error"),
    (errors.LimitExceeded, 429, "rate_limit_error"),
    (errors.CallerError, 400, "invalid_request_error"),
    (errors.Overload, 503, "overloaded_error"),
    (errors.DependencyDown, 503, "service_unavailable_error"),
    (errors.EngineError, 500, "server_error"),
    (errors.PenstockError, 500, "server_error"),
)
"""First match wins, so subclasses stand above their parents."""

STATUS_OF_CODE = {
    "idempotency_conflict": 422,
    "conversation_locked": 400,
    "log_expired": 410,
    "body_timeout": 408,
    "body_too_large": 413,
    "method_not_allowed": 405,
}
"""Codes that OpenAI or HTTP gives a status of their own."""

_BRANCH = re.compile(r"str|constrained-str|list\[.*|function-.*|[A-Z].*")
"""Parts of a validation error's place that name the alternative that was tried, not a field."""

_FAULTS: dict[str, type[errors.PenstockError]] = {
    "caller": errors.CallerError,
    "overload": errors.Overload,
    "dependency": errors.DependencyDown,
    "engine": errors.EngineError,
}


def of_failure(failure: Failure) -> errors.PenstockError:
    """The error that a failed reply stands for."""
    return _FAULTS[failure.fault](failure.message, code=failure.code, param=failure.param)


def fault_of(error: errors.PenstockError) -> Literal["caller", "overload", "dependency", "engine"]:
    """Whose fault an error is, as a failed reply says it."""
    if isinstance(error, errors.CallerError):
        return "caller"
    if isinstance(error, errors.Overload):
        return "overload"
    return "dependency" if isinstance(error, errors.DependencyDown) else "engine"


def body(error: errors.PenstockError) -> dict[str, Any]:
    """The error object."""
    _, kind = status_and_type(error)
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}


def body_of_failure(failure: Failure) -> dict[str, Any]:
    return body(of_failure(failure))


def status_and_type(error: errors.PenstockError) -> tuple[int, str]:
    for kind, status, name in STATUS:
        if isinstance(error, kind):
            return STATUS_OF_CODE.get(error.code, status), name
    raise AssertionError("the table ends with the base class")


def response(error: errors.PenstockError) -> JSONResponse:
    """The whole answer, with the headers that tell a client when to come back."""
    status, _ = status_and_type(error)
    headers = _when_to_retry(error, status)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, RateLimited):
        headers |= headers_of(error.limits)
    return JSONResponse(body(error), status, headers)


def of_bug(error: Exception, path: str, request_id: str) -> JSONResponse:
    """The answer to what should not have happened: logged by its kind and place, told by an id to quote."""
    log.error("http.unexpected", sentence="A bug.", path=path, exc_info=error)
    return response(errors.PenstockError(f"Something went wrong on our side. Quote {request_id} when you report it."))


def install(app: FastAPI) -> None:
    """Have every error of ``app`` answered in this shape. What nobody expects is the guard's, see ``guard``."""

    async def ours(request: Request, error: Any) -> JSONResponse:
        if not isinstance(error, errors.CallerError):
            log.warning("http.error", sentence=error.message, path=request.url.path, code=error.code)
        return response(error)

    async def redis_down(request: Request, error: Exception) -> JSONResponse:
        log.error("http.redis_down", sentence="Redis does not answer.", path=request.url.path, exc_info=error)
        return response(errors.DependencyDown("The service cannot reach its storage; try again.", code="storage_down"))

    async def invalid(_request: Request, error: Any) -> JSONResponse:
        return response(_of_validation(error.errors()))

    async def framework(request: Request, error: Any) -> JSONResponse:
        return response(_of_http(request, error))

    app.add_exception_handler(errors.PenstockError, ours)
    for unavailable in REDIS_UNAVAILABLE:
        app.add_exception_handler(unavailable, redis_down)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, framework)


def _when_to_retry(error: errors.PenstockError, status: int) -> dict[str, str]:
    """OpenAI's library waits as these say, up to a minute. A quota's end is further away, and a request that alone is
    beyond a limit (it has no time to come back) never fits: there it is told to give up.

    Source: ``_should_retry`` and ``_parse_retry_after_header`` of openai-python's ``_base_client.py``.
    """
    beyond = isinstance(error, RateLimited) and not error.retry_after_seconds
    hard = {"x-should-retry": "false"} if beyond or error.code == "quota_exceeded" else {}
    seconds = error.retry_after_seconds or (1.0 if status == 503 else 0.0)
    if seconds <= 0:
        return hard
    return {"retry-after": str(math.ceil(seconds)), "retry-after-ms": str(math.ceil(seconds * 1000)), **hard}


def _of_validation(problems: Sequence[Any]) -> errors.CallerError:
    """The first thing wrong with a body, named by its path; the value is not repeated."""
    problem = problems[0]
    kind, *place = map(str, problem["loc"])
    place = place if kind in ("body", "query", "path", "header") else [kind, *place]
    param = ".".join(part for part in place if not _BRANCH.fullmatch(part)) or None
    if problem["type"] == "json_invalid":
        return errors.CallerError(
            "The body is not valid JSON. Check quotes, commas and the content-type.", code="invalid_json"
        )
    code = {"missing": "missing_required_parameter"}.get(problem["type"], "invalid_type")
    message = str(problem["msg"]).removeprefix("Value error, ")
    return errors.CallerError(f"Invalid value for '{param or 'body'}': {message}.", code=code, param=param)


def _of_http(request: Request, error: HTTPException) -> errors.PenstockError:
    if error.status_code == 404:
        return errors.NotFound(
            f"No route {request.method} {request.url.path}. See /docs for what there is.", code="unknown_url"
        )
    if error.status_code == 405:
        return errors.CallerError(f"{request.url.path} does not take {request.method}.", code="method_not_allowed")
    if error.status_code < 500:
        return errors.CallerError(str(error.detail), code="invalid_request")
    return errors.PenstockError("Something went wrong on our side.")
