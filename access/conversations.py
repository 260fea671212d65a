"""Conversations as callers name them: found by public id, checked to be theirs, and shown."""

from __future__ import annotations

from typing import Any

from access.auth import Caller
from access.context import Context
from contracts.errors import NotFound
from contracts.ids import CONVERSATION_PREFIX, BadId, parse_public
from memory import Session, Summary
from memory.history import began_at


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


async def asker_in(context: Context, session: Session, user: str) -> str:
    """Whose question it is that is asked in a conversation for ``user``. A conversation is one user's: nobody's becomes
    that of the first one who asks, and who is not named is its user.

    Raises:
        CallerError: it is another user's.
    """
    if user and user != session.user:
        return (await context.sessions.adopt(session, user)).user
    return session.user


def conversation_object(session: Session) -> dict[str, Any]:
    """A session as OpenAI's conversation; ``title``, ``user``, ``on_busy``, ``summarize`` and ``summary`` are ours."""
    return {
        "id": f"{CONVERSATION_PREFIX}{session.id}",
        "object": "conversation",
        "created_at": int(session.created_at),
        "metadata": dict(session.metadata),
        "title": session.title,
        "user": session.user or None,
        "summarize": session.summarize,
        "summary": _summary_object(session.summary) if session.summary else None,
        "on_busy": session.on_busy,
    }


def _summary_object(summary: Summary) -> dict[str, Any]:
    """``until`` is when the last turn began that it covers, in Unix seconds as ``/items?since=`` takes them."""
    return {"text": summary.text, "until": began_at(summary.until), "created_at": int(summary.at)}
