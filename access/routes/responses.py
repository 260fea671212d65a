"""``/v1/responses``: create, stream, run in the background, retrieve, resume anywhere, cancel, delete."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from access.asked import Asked
from access.attributes import Filter
from access.auth import Caller
from access.chain import history_of
from access.context import ByCaller, Context, InContext
from access.follower import Logged
from access.leaving import chosen, client_left
from access.metrics import watched
from access.presence import while_present
from access.resolve import resolve
from access.response_events import QUEUED_NUMBER, ResponseStream, response_object
from access.resuming import resumed
from access.routes.bodies import (
    Body,
    ChatBodyMessage,
    Name,
    Sampling,
    refuse_unhonoured,
    response_format,
    text_of,
)
from access.routes.direct import Direct, InHeaders
from access.stored import Stored
from access.submission import AlreadyAnswered
from access.transcript import Transcript
from access.waiting import Begun, begin, begin_stream, begin_unattended
from contracts.errors import CallerError, Conflict, NotFound, PenstockError
from contracts.ids import RESPONSE_PREFIX, BadId, parse_public
from contracts.messages import ChatMessage, GenerationParameters, InferenceRequest

router = APIRouter(tags=["responses"])
asking = APIRouter(tags=["responses"], route_class=Direct)

UNHONOURED: dict[str, tuple[Any, ...]] = {
    "include": ([],),
    "max_tool_calls": (),
    "parallel_tool_calls": (True, False),
    "prompt": (),
    "reasoning": ({},),
    "tool_choice": ("auto", "none"),
    "top_logprobs": (0,),
    "truncation": ("disabled",),
    "n": (1,),
}


class FileSearch(BaseModel):
    """The one tool: search the caller's vector stores for the question."""

    model_config = ConfigDict(strict=True, extra="ignore")
    type: Literal["file_search"]
    vector_store_ids: Annotated[list[Name], Field(min_length=1, max_length=8)]
    filters: Filter | None = None
    max_num_results: Annotated[int, Field(ge=1, le=50)] | None = None


class ConversationRef(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")
    id: Name


class TextFormat(Body):
    format: dict[str, Any] | None = None


class ResponseBody(Sampling):
    """What we honour of OpenAI's responses."""

    model: Name
    input: str | Annotated[list[ChatBodyMessage], Field(min_length=1, max_length=2000)]
    instructions: Annotated[str, Field(max_length=100_000)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    stream: bool = False
    background: bool = False
    store: bool = True
    conversation: Name | ConversationRef | None = None
    previous_response_id: Name | None = None
    tools: Annotated[list[FileSearch], Field(max_length=8)] = Field(default_factory=list)
    text: TextFormat | None = None


@asking.post("/v1/responses")
async def create_response(
    request: Request,
    body: ResponseBody,
    context: InContext,
    caller: ByCaller,
    headers: InHeaders,
) -> Response:
    caller.require("inference")
    _check(body)
    body.idempotency_key = body.idempotency_key or headers.idempotency_key
    previous = await history_of(context, caller, body.previous_response_id)
    conversation = body.conversation.id if isinstance(body.conversation, ConversationRef) else body.conversation
    asked = await resolve(
        context,
        caller,
        body,
        model=body.model,
        messages=[*previous, *_messages(body)],
        instructions=body.instructions or "",
        parameters=_parameters(body),
        conversation=conversation,
        vector_stores=[(store, tool.filters) for tool in body.tools for store in tool.vector_store_ids],
        stored=body.store,
        passages=max((tool.max_num_results or 0 for tool in body.tools), default=0) or None,
        wait_header=headers.x_penstock_wait,
        attempt=headers.x_stainless_retry_count,
        background=body.background,
        extensions=_extensions(body) | chosen(headers.x_penstock_leave),
        traceparent=headers.traceparent,
    )
    if body.background:
        return await _in_background(context, asked, stream=body.stream)
    if not body.stream:
        return await while_present(request, _whole(context, asked))
    return _stream(context, asked, await begin_stream(request, context, asked))


@router.get("/v1/responses/{response_id}")
async def get_response(
    response_id: str,
    context: InContext,
    caller: ByCaller,
    stream: bool = False,
    starting_after: Annotated[int | None, Query(ge=0)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The response, or its events from where the client was, on any access process."""
    stored = await _load(context, caller, response_id)
    if not stream:
        transcript = await context.stored.transcript(context.mailbox, stored)
        return JSONResponse(response_object(stored.request, transcript))
    replies = await context.stored.log(context.mailbox, stored)  # an expired log is said before the stream begins
    renderer = resumed(stored.request, replies, starting_after, last_event_id)
    return _event_stream(context, _following(context, stored.request, renderer), stored.request)


@router.post("/v1/responses/{response_id}/cancel")
async def cancel_response(response_id: str, context: InContext, caller: ByCaller) -> Response:
    """Stop a response wherever it is; one that has ended stays as it is."""
    stored = await _load(context, caller, response_id)
    return JSONResponse(response_object(stored.request, await _stopped(context, stored)))


@router.delete("/v1/responses/{response_id}")
async def delete_response(response_id: str, context: InContext, caller: ByCaller) -> Response:
    """Remove a response; one that still runs is cancelled first."""
    stored = await _load(context, caller, response_id)
    if not stored.ended:
        await _stopped(context, stored)
    if await context.protocol.forget(stored.request.id) is None:
        raise Conflict("The response is still being stopped; delete it again in a moment.", code="still_running")
    return JSONResponse({"id": response_id, "object": "response", "deleted": True})


@router.get("/v1/responses/{response_id}/input_items")
async def list_input_items(response_id: str, context: InContext, caller: ByCaller) -> Response:
    """What was asked: the question as the user wrote it."""
    stored = await _load(context, caller, response_id)
    item = {
        "id": f"msg_in_{stored.request.id}",
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": stored.request.question}],
    }
    return JSONResponse(
        {"object": "list", "data": [item], "first_id": item["id"], "last_id": item["id"], "has_more": False}
    )


async def _whole(context: Context, asked: Asked) -> Response:
    begun = await begin(context, asked, stream=False)
    accepted = await begun.accepted
    request = accepted.request
    try:
        replies = watched(context.answering.follow(accepted), request.model, begun.began)
        transcript = await _folded(replies)
    except asyncio.CancelledError:
        begun.abandon()
        raise
    return JSONResponse(response_object(request, transcript), headers=begun.headers)


async def _in_background(context: Context, asked: Asked, *, stream: bool) -> Response:
    """Store the request as waiting, so that its id is good from now on; the rest happens without the client."""
    waiting = await context.retries.earlier(asked)
    if waiting is None:
        waiting = context.answering.waiting(asked)
        try:
            await context.submissions.wait(asked, waiting)
        except AlreadyAnswered as earlier:
            waiting = earlier.request
        else:
            await context.retries.remember(asked)
            context.spawn(begin_unattended(context, replace(asked, attempt=None)), f"background {asked.id}")
    if stream:
        return _event_stream(context, _following(context, waiting, ResponseStream(waiting)), waiting)
    return JSONResponse(response_object(waiting, Transcript()))


def _stream(context: Context, asked: Asked, begun: Begun) -> Response:
    async def left() -> None:
        begun.abandon()

    return context.stream(_streamed(context, asked, begun), headers=begun.headers, on_leave=left)


async def _streamed(context: Context, asked: Asked, begun: Begun) -> AsyncGenerator[bytes]:
    request = begun.request
    if request is None:  # it has to wait, and its client is about to learn its id
        request = context.answering.waiting(asked)
        try:
            await context.submissions.wait(asked, request)
        except (AlreadyAnswered, PenstockError) as instead:
            async with aclosing(_instead(context, begun, instead)) as told:
                async for frame in told:
                    yield frame
            return
    renderer = ResponseStream(request)
    yield renderer.created()
    async for verdict in begun.waiting():
        yield renderer.queued(verdict)
    try:
        accepted = await begun.accepted
    except PenstockError as error:
        await context.submissions.refuse(asked, error)
        yield renderer.broken_off(error)
        return
    replies = watched(context.answering.follow(accepted), request.model, begun.began)
    async with aclosing(_rendered(replies, ResponseStream(accepted.request, after=QUEUED_NUMBER))) as rendered:
        async for frame in rendered:
            yield frame


async def _instead(context: Context, begun: Begun, instead: Exception) -> AsyncGenerator[bytes]:
    """What a stream says whose request turns out, while it waits, to be an earlier one's repetition, or wrong."""
    begun.accepted.cancel()
    begun.abandon()
    if isinstance(instead, AlreadyAnswered):
        earlier = instead.request
        async with aclosing(_following(context, earlier, ResponseStream(earlier))) as frames:
            async for frame in frames:
                yield frame
    elif isinstance(instead, PenstockError):
        yield ResponseStream(context.answering.waiting(begun.asked)).broken_off(instead)


def _event_stream(context: Context, frames: AsyncGenerator[bytes], request: InferenceRequest) -> Response:
    async def left() -> None:
        client_left(context, request)

    return context.stream(frames, on_leave=left)


async def _following(context: Context, request: InferenceRequest, renderer: ResponseStream) -> AsyncGenerator[bytes]:
    if created := renderer.created():
        yield created
    async with aclosing(_rendered(context.mailbox.follow(request.id), renderer)) as rendered:
        async for frame in rendered:
            yield frame


async def _rendered(replies: AsyncGenerator[list[Logged]], renderer: ResponseStream) -> AsyncGenerator[bytes]:
    """The events of replies; what ends them otherwise than by their end is an event too."""
    try:
        async with aclosing(replies):
            async for batch in replies:
                if frames := renderer.frames(batch):
                    yield frames
    except PenstockError as error:
        yield renderer.broken_off(error)


async def _stopped(context: Context, stored: Stored) -> Transcript:
    """Cancel a request, and what its log says at its end; or so far, when no worker has heard within five seconds."""
    await context.protocol.cancel(stored.request.id)
    try:
        async with asyncio.timeout(5):
            return await _folded(context.mailbox.follow(stored.request.id))
    except TimeoutError:
        return await context.stored.transcript(context.mailbox, stored)


async def _folded(replies: AsyncIterator[list[Logged]]) -> Transcript:
    transcript = Transcript()
    async for batch in replies:
        for logged in batch:
            transcript.fold(logged.seq, logged.reply)
    return transcript


async def _load(context: Context, caller: Caller, response_id: str) -> Stored:
    caller.require("inference")
    try:
        token = parse_public(response_id, RESPONSE_PREFIX)
    except BadId as error:
        raise NotFound("No response with this id.", code="response_not_found", param="response_id") from error
    stored = await context.stored.load(caller, token)
    if not stored.request.stored and stored.ended:
        raise NotFound("This response was not stored.", code="response_not_found", param="response_id")
    return stored


def _check(body: ResponseBody) -> None:
    refuse_unhonoured(body, UNHONOURED)
    if body.background and not body.store:
        raise CallerError("A background response is kept for you: set 'store' to true.", param="store")
    if body.conversation is not None and body.previous_response_id is not None:
        raise CallerError("Give 'conversation' or 'previous_response_id', not both.", param="previous_response_id")


def _messages(body: ResponseBody) -> list[ChatMessage]:
    if isinstance(body.input, str):
        return [ChatMessage(role="user", content=body.input)]
    return [
        ChatMessage(role="system" if item.role == "developer" else item.role, content=text_of(item.content))
        for item in body.input
    ]


def _parameters(body: ResponseBody) -> GenerationParameters:
    return GenerationParameters(
        max_tokens=body.max_output_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        **response_format(body.text.format if body.text else None, "text"),
    )


def _extensions(body: ResponseBody) -> dict[str, Any]:
    found: dict[str, Any] = {"tools": [tool.model_dump(exclude_none=True) for tool in body.tools]} if body.tools else {}
    if body.instructions:
        found["instructions"] = body.instructions
    if body.previous_response_id:
        found["previous_response_id"] = body.previous_response_id
    return found
