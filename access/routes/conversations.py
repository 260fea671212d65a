"""``/v1/conversations``: what is said in a session, and messages put into it from outside."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import ConfigDict, Field, StringConstraints, model_validator
from starlette.responses import JSONResponse, Response

from access import wire
from access.auth import Caller
from access.context import ByCaller, Context, InContext, caller_of
from access.conversations import conversation_object, session_of
from access.items import all_items, items_of, named_by, turns_from, unknown_item
from access.pushes import charge, publisher_of, push_once
from access.routes.bodies import Body, ChatBodyMessage, Metadata, Name
from access.routes.pages import AskedPage, Page, listing
from access.session_events import Device, checked_cursor, opening
from contracts.errors import Conflict
from contracts.functions import Push
from contracts.ids import RESPONSE_PREFIX, Shard
from contracts.messages import ChatMessage
from memory import OnBusy, Session, Turn

router = APIRouter(tags=["conversations"])

LONGEST_ITEM = 32_000
Title = Annotated[str, StringConstraints(max_length=200)]
Moment = Annotated[float | None, Query(ge=0, le=1e11, allow_inf_nan=False)]


@dataclass(frozen=True)
class Span:
    """A time in Unix seconds; open where it is ``None``."""

    since: float | None
    until: float | None


def span_asked(since: Moment = None, until: Moment = None) -> Span:
    return Span(since, until)


class ItemBody(ChatBodyMessage):
    """A message, as text or as parts of text. ``id`` and ``metadata`` are a push's."""

    model_config = ConfigDict(strict=True, extra="ignore")
    type: Literal["message"] = "message"
    id: Name | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if len(self.text) > LONGEST_ITEM:
            raise ValueError(f"a message holds at most {LONGEST_ITEM} characters")
        return self


class ConversationBody(Body):
    """``title``, ``user``, ``on_busy`` and ``summarize`` are ours."""

    items: Annotated[list[ItemBody], Field(max_length=20)] = Field(default_factory=list)
    metadata: Metadata | None = None
    title: Title = ""
    user: Name | None = None
    summarize: bool = False
    on_busy: OnBusy = "queue"


class ConversationChanges(Body):
    metadata: Metadata | None = None
    title: Title | None = None
    summarize: bool | None = None
    on_busy: OnBusy | None = None


class ItemsBody(Body):
    items: Annotated[list[ItemBody], Field(min_length=1, max_length=20)]


@router.post("/v1/conversations")
async def create_conversation(context: InContext, caller: ByCaller, body: ConversationBody | None = None) -> Response:
    """A new conversation, empty or with a history that was had elsewhere."""
    caller.require("inference")
    body = body or ConversationBody()
    pairs = turns_from(_messages(body.items))
    shard = Shard(secrets.randbelow(context.settings.shards))
    user = caller.user or body.user or ""
    session = await context.sessions.create(
        shard,
        caller.tenant,
        user,
        title=body.title,
        metadata=body.metadata,
        summarize=body.summarize,
        on_busy=body.on_busy,
    )
    for question, answer in pairs:
        await context.history.add(session, question, answer)
    return JSONResponse(conversation_object(session))


@router.get("/v1/conversations")
async def list_conversations(
    context: InContext, caller: ByCaller, page: AskedPage, user: Annotated[str, Query(max_length=128)] = ""
) -> Response:
    """A user's conversations, newest first; without ``user``, those that were made without one."""
    caller.require("inference")
    sessions: list[Session] = []
    for shard in map(Shard, range(context.settings.shards)):
        sessions += await context.sessions.list(shard, caller.tenant, caller.user or user, limit=1000)
    newest = sorted(sessions, key=lambda session: -session.created_at)
    return JSONResponse(page.of([conversation_object(session) for session in newest]))


@router.get("/v1/conversations/{conversation_id}")
async def get_conversation(conversation_id: str, context: InContext, caller: ByCaller) -> Response:
    """One conversation, without what was said."""
    return JSONResponse(conversation_object(await _session(context, caller, conversation_id)))


@router.post("/v1/conversations/{conversation_id}")
async def update_conversation(
    conversation_id: str, body: ConversationChanges, context: InContext, caller: ByCaller
) -> Response:
    """Rename, replace the metadata, change what quick messages do, or whether what the window drops is summarised."""
    session = await _session(context, caller, conversation_id)
    changed = await context.sessions.update(
        session, title=body.title, metadata=body.metadata, summarize=body.summarize, on_busy=body.on_busy
    )
    return JSONResponse(conversation_object(changed))


@router.delete("/v1/conversations/{conversation_id}")
async def delete_conversation(conversation_id: str, context: InContext, caller: ByCaller) -> Response:
    """Delete a conversation and what was said in it."""
    await context.sessions.delete(await _session(context, caller, conversation_id))
    return JSONResponse({"id": conversation_id, "object": "conversation.deleted", "deleted": True})


@router.get("/v1/conversations/{conversation_id}/events")
async def follow_conversation(
    conversation_id: str,
    request: Request,
    context: InContext,
    caller: ByCaller,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Everything that happens in a conversation, for each of its devices, on any access process."""
    cursor = checked_cursor(last_event_id)
    session = await _session(context, caller, conversation_id)
    opened = await opening(context, caller, session, cursor)
    device = Device(context, caller, session, opened, allowed=lambda: caller_of(request))
    wire.end_with_server(request.scope)
    return context.stream(device.frames(), on_leave=device.left)


@router.get("/v1/conversations/{conversation_id}/items")
async def list_items(
    conversation_id: str,
    context: InContext,
    caller: ByCaller,
    page: AskedPage,
    span: Annotated[Span, Depends(span_asked)],
) -> Response:
    """What was said, newest first; ``since`` and ``until`` are Unix seconds."""
    session = await _session(context, caller, conversation_id)
    turns = await _turns(context, session, page, span)
    return JSONResponse(page.of(all_items(turns)[::-1]))


@router.post("/v1/conversations/{conversation_id}/items")
async def create_items(
    conversation_id: str,
    body: ItemsBody,
    context: InContext,
    caller: ByCaller,
    idempotency_key: Annotated[str | None, Header(max_length=256)] = None,
) -> Response:
    """Put messages into a conversation.

    With the ``push`` scope an assistant's message is a proactive one: another service speaks, and the model sees it. It
    is put in once by its ``id``, or by its place under the idempotency key. Messages of a dialogue that was had
    elsewhere take the ``inference`` scope.
    """
    pushes = all(item.role == "assistant" for item in body.items) and "push" in caller.scopes
    session = await _session(context, caller, conversation_id, "push" if pushes else "inference")
    if pushes:
        turns = await _push(context, caller, session, body.items, idempotency_key)
    else:
        turns = [await _add(context, session, *pair) for pair in turns_from(_messages(body.items))]
    return JSONResponse(listing(all_items(turns)))


@router.get("/v1/conversations/{conversation_id}/items/{item_id}")
async def get_item(conversation_id: str, item_id: str, context: InContext, caller: ByCaller) -> Response:
    """One message."""
    session = await _session(context, caller, conversation_id)
    began = named_by(item_id).milliseconds
    # Whole milliseconds do not survive seconds as a float: begin one early.
    for turn in await context.history.between(session.id, since=max(0, began - 1) / 1000):
        for item in items_of(turn):
            if item["id"] == item_id:
                return JSONResponse(item)
    raise unknown_item(item_id)


@router.delete("/v1/conversations/{conversation_id}/items/{item_id}")
async def delete_item(conversation_id: str, item_id: str, context: InContext, caller: ByCaller) -> Response:
    """Take out one message: it is no longer listed, told, nor shown to the model. Answers the conversation."""
    session = await _session(context, caller, conversation_id)
    name = named_by(item_id)
    unsaid = await context.history.unsay(session, name.turn, name.speaker)
    if unsaid.outcome == "unknown":
        raise unknown_item(item_id)
    if unsaid.outcome == "running":
        response = f"{RESPONSE_PREFIX}{unsaid.request}"
        raise Conflict(f"{response} is being generated. Cancel it, or wait for its end.", code="still_running")
    return JSONResponse(conversation_object(await _session(context, caller, conversation_id)))


async def _session(
    context: Context, caller: Caller, conversation_id: str, scope: Literal["inference", "push"] = "inference"
) -> Session:
    caller.require(scope)
    return await session_of(context, caller, conversation_id)


async def _push(
    context: Context, caller: Caller, session: Session, items: list[ItemBody], key: str | None
) -> list[Turn]:
    publisher = await publisher_of(context, caller)
    ids = [item.id or (f"{key}/{place}" if key else secrets.token_hex(16)) for place, item in enumerate(items)]
    await charge(context, session, publisher, ids)
    return [
        await push_once(context, Push(push_id, publisher, caller.tenant, session.id, item.text, item.metadata or {}))
        for push_id, item in zip(ids, items, strict=True)
    ]


async def _turns(context: Context, session: Session, page: Page, span: Span) -> list[Turn]:
    """Enough turns for a page: the last ones for a first page backwards, else all there are in the time asked for."""
    if page.order == "desc" and page.after is None and span == Span(None, None):
        return await context.history.recent(session.id, page.limit + 1)
    return await context.history.between(
        session.id, span.since or 0.0, span.until, limit=context.settings.conversation_length
    )


async def _add(context: Context, session: Session, question: str | None, answer: str | None) -> Turn:
    """The turn as it will be read back: a lone answer joins the question that was left open before it."""
    added = await context.history.add(session, question, answer)
    if question is not None:
        return added
    return next((turn for turn in await context.history.recent(session.id) if turn.id == added.id), added)


def _messages(items: list[ItemBody]) -> list[ChatMessage]:
    return [ChatMessage(role="system" if item.role == "developer" else item.role, content=item.text) for item in items]
