"""Errors say whose fault it is and what to do next.

    PenstockError
    ├── CallerError         the request is wrong: change it (HTTP 4xx)
    │   ├── NotFound            no such thing, or not yours
    │   ├── Conflict            the state forbids it now
    │   └── LimitExceeded       your limit: come back later
    ├── Overload            our capacity is used up: come back later (HTTP 503)
    ├── DependencyDown      Redis, the limiter or Milvus does not answer (HTTP 503)
    ├── EngineError         the engine failed (HTTP 500)
    └── DecodeError         bytes that are not the message they should be (a bug, or a foreign writer)

Foreign errors are translated where the foreign library is called; HTTP statuses live in ``access/problems.py``.
"""

from __future__ import annotations


class PenstockError(Exception):
    """Base of all our errors. ``code`` is stable for programs, ``message`` is for people and says what to do."""

    def __init__(self, message: str, *, code: str = "", param: str | None = None, retry_after_seconds: float = 0.0):
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.param = param
        self.retry_after_seconds = retry_after_seconds

    default_code = "internal_error"


class CallerError(PenstockError):
    default_code = "invalid_request"


class NotFound(CallerError):
    default_code = "not_found"


class Conflict(CallerError):
    default_code = "conflict"


class LimitExceeded(CallerError):
    default_code = "rate_limit_exceeded"


class Overload(PenstockError):
    default_code = "overloaded"


class DependencyDown(PenstockError):
    default_code = "dependency_down"


class EngineError(PenstockError):
    default_code = "engine_error"


class DecodeError(PenstockError):
    default_code = "decode_error"
