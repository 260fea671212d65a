"""Pushes: what other services say into sessions. By HTTP they come here, through streams from ``stream_pushes``."""

from __future__ import annotations

from typing import Any

from access.auth import Caller
from access.context import Context
from contracts import keys
from contracts.errors import CallerError, NotFound
from contracts.functions import Push
from memory import Turn


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


async def publisher_of(context: Context, caller: Caller) -> str:
    """The name of the caller's key."""
    name: Any = await context.redis.hget(keys.api_key(caller.key), "name")
    return name.decode() if name else caller.key


def conflict() -> CallerError:
    """A push's id was used for another one."""
    return CallerError(
        "This id was used for another push. Use a new id for a new message.", code="idempotency_conflict", param="id"
    )
