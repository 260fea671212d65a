"""Conversations as callers name them: found by public id, checked to be theirs."""

from __future__ import annotations

from access.auth import Caller
from access.context import Context
from contracts.errors import NotFound
from contracts.ids import CONVERSATION_PREFIX, BadId, parse_public
from memory import Session


async def session_of(context: Context, caller: Caller, conversation_id: str) -> Session:
    """The session behind a public id. Another tenant's is not there, nor, for a key bound to a user, another user's.

    Raises:
        NotFound: so says all of that.
    """
    unknown = NotFound(
        f"No conversation with id '{conversation_id[:80]}'.", code="conversation_not_found", param="conversation"
    )
    try:
        session = await context.sessions.get(caller.tenant, parse_public(conversation_id, CONVERSATION_PREFIX))
    except BadId as error:
        raise unknown from error
    if caller.user and session.user != caller.user:
        raise unknown
    return session
