"""``previous_response_id``: the history behind a response, read back along the chain of stored responses."""

from __future__ import annotations

from access.auth import Caller
from access.context import Context
from access.stored import Stored
from contracts.errors import NotFound
from contracts.ids import RESPONSE_PREFIX, BadId, parse_public
from contracts.messages import ChatMessage

LONGEST = 50


async def history_of(context: Context, caller: Caller, response_id: str | None) -> list[ChatMessage]:
    """The questions and answers up to and with ``response_id``, oldest first; at most ``LONGEST`` turns.

    Raises:
        NotFound: a link is unknown, another tenant's, or was not stored.
        CallerError: its log has expired (410).
    """
    turns: list[tuple[ChatMessage, ...]] = []
    while response_id is not None and len(turns) < LONGEST:
        stored = await _stored(context, caller, response_id)
        transcript = await context.stored.transcript(context.mailbox, stored)
        asked = ChatMessage(role="user", content=stored.request.question)
        turns.append((asked, ChatMessage(role="assistant", content=transcript.text)))
        response_id = stored.request.extensions.get("previous_response_id")
    return [message for turn in reversed(turns) for message in turn]


async def _stored(context: Context, caller: Caller, response_id: str) -> Stored:
    message = f"No stored response with id '{response_id[:80]}'."
    try:
        stored = await context.stored.load(caller, parse_public(response_id, RESPONSE_PREFIX))
    except BadId as error:
        raise NotFound(message, code="response_not_found", param="previous_response_id") from error
    if not stored.request.stored:
        raise NotFound(message, code="response_not_found", param="previous_response_id")
    return stored
