"""Structured logs: one canonical line per request per process, with a sentence for people and a stable ``event``.

Only the fields named here are printed. That is what keeps prompts, keys and answers out of the logs: a field nobody
listed is dropped, whoever passes it.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import structlog

FIELDS = frozenset(
    """
    access address attempt background cached_tokens child code collection completion_tokens continued_from count
    deaths decision engine entries epoch error event exception first_token_seconds generation granted_tokens
    history_messages level method model outcome passages path pid port position process prompt_messages
    prompt_tokens queue_seconds reason replies request retrieval_seconds retrieval_skipped seconds sentence service
    service_class session shard slots state status steps stored streamed tenant timestamp tokens url version
    waited_seconds worker
    """.split()  # noqa: SIM905  (a list of words reads best as words)
)


def configure(service: str, process: str) -> None:
    """Set up logging for this process: JSON lines, or coloured text when a person is looking.

    ``LOG_LEVEL`` (info), ``LOG_FORMAT`` (json, text; by default text on a terminal) and ``NO_COLOR`` are honoured.
    """
    text = os.environ.get("LOG_FORMAT", "text" if sys.stderr.isatty() else "json") == "text"
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ)
        if text
        else structlog.processors.JSONRenderer()
    )
    level = logging.getLevelNamesMapping().get(os.environ.get("LOG_LEVEL", "info").upper(), logging.INFO)
    steps: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _sentence_of_exception,
        _allowed_only,
        renderer,
    ]
    structlog.configure(
        processors=steps,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service, process=process)


def get() -> Any:
    """This process's logger: ``log.info("request.ended", sentence="…", request=…)``."""
    return structlog.get_logger()


def _sentence_of_exception(_logger: Any, _method: str, fields: dict[str, Any]) -> dict[str, Any]:
    """The kind of an exception and where it was raised; not its text, which may quote a prompt."""
    error = fields.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        fields["exception"] = type(error).__name__
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            fields["exception"] += f" at {trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
    return fields


def _allowed_only(_logger: Any, _method: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in FIELDS}
