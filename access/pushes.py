"""Pushes: what other services say into sessions. By HTTP they come here, through streams from ``stream_pushes``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from access.auth import Caller
from access.context import Context
from contracts import keys
from contracts.errors import CallerError, LimitExceeded, NotFound
from contracts.functions import Exhausted, Push
from memory import Session, Turn


async def push_once(context: Context, push: Push) -> Turn:
    """Put a message into its session, unless it is there by its id.

    Raises:
        CallerError: the id was used for another message.
        NotFound: the tenant has no such session (any more).
    """
    pushed = await context.pushes.push(push)
    if pushed.outcome == "conflict":
        raise conflict()
    if pushed.outcome == "unknown":
        raise NotFound("There is no such conversation.", code="conversation_not_found", param="conversation")
    return Turn(pushed.entry, None, push.text, "push", publisher=push.publisher, metadata=push.metadata)


async def charge(context: Context, session: Session, publisher: str, ids: Sequence[str]) -> None:
    """Count pushes into a session against what their publisher may say, once by their ids: all, or none of them.

    Raises:
        LimitExceeded: it has said that much (``push_quota_exceeded``).
    """
    exhausted = await context.push_quota.charge(session.tenant, publisher, session.id, session.user, ids)
    if exhausted is not None:
        raise exceeded(publisher, exhausted, len(ids))


async def publisher_of(context: Context, caller: Caller) -> str:
    """The name of the caller's key."""
    name: Any = await context.redis.hget(keys.api_key(caller.key), "name")
    return name.decode() if name else caller.key


def exceeded(publisher: str, exhausted: Exhausted, pushes: int) -> LimitExceeded:
    """There is no room for so many pushes at once."""
    per = {"publisher": "a minute", "user": "an hour to one user"}[exhausted.whose]
    seconds = exhausted.retry_after.total_seconds()
    fewer = ", or fewer at once" if pushes > 1 else ""
    return LimitExceeded(
        f"'{publisher}' may push {exhausted.most} messages {per}. Send this again in {math.ceil(seconds)} s{fewer}.",
        code="push_quota_exceeded",
        retry_after_seconds=seconds,
    )


def conflict() -> CallerError:
    """A push's id was used for another one."""
    return CallerError(
        "This id was used for another push. Use a new id for a new message.", code="idempotency_conflict", param="id"
    )
