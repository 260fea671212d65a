"""``POST /v1/chat/completions``: one question, answered as JSON or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import JSONResponse, Response

from access import problems, sse
from access.asked import Asked
from access.attributes import Filter
from access.chat_events import ChatStream, completion
from access.context import ByCaller, Context, InContext
from access.leaving import chosen, client_left
from access.metrics import watched
from access.presence import while_present
from access.resolve import resolve
from access.routes.bodies import (
    Body,
    ChatBodyMessage,
    Name,
    Sampling,
    Stops,
    refuse_unhonoured,
    response_format,
)
from access.routes.direct import Direct, InHeaders
from access.transcript import Transcript
from access.waiting import Begun, begin, begin_stream
from contracts.errors import CallerError, PenstockError
from contracts.messages import ChatMessage, GenerationParameters

router = APIRouter(tags=["chat"], route_class=Direct)

UNHONOURED: dict[str, tuple[Any, ...]] = {
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "audio": (),
    "modalities": (["text"],),
    "prediction": (),
    "reasoning_effort": ("none",),
    "web_search_options": (),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "guided_json": (),
    "guided_regex": (),
    "guided_grammar": (),
    "top_k": (-1, 0),
    "bad_words": ([],),
    "prompt_logprobs": (0,),
    "cache_salt": (),
}
"""Parameters of OpenAI's or vLLM's that we know and do not honour, with the values that ask for nothing."""


class StreamOptions(Body):
    include_usage: bool = False


class ChatBody(Sampling):
    """What we honour of OpenAI's chat completions, and our extensions at the end."""

    model: Name
    messages: Annotated[list[ChatBodyMessage], Field(min_length=1, max_length=2000)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    n: Annotated[int, Field(ge=1, le=4)] | None = None
    stop: Annotated[Stops, Field(max_length=8)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    response_format: dict[str, Any] | None = None
    store: bool | None = None
    conversation: Name | None = None
    vector_store_ids: Annotated[list[Name], Field(max_length=8)] = Field(default_factory=list)
    filters: Filter | None = None


@router.post("/v1/chat/completions")
async def create_chat_completion(
    request: Request,
    body: ChatBody,
    context: InContext,
    caller: ByCaller,
    headers: InHeaders,
) -> Response:
    _check(body)
    body.idempotency_key = body.idempotency_key or headers.idempotency_key
    asked = await resolve(
        context,
        caller,
        body,
        model=body.model,
        messages=[_message(message) for message in body.messages],
        instructions="",
        parameters=_parameters(body),
        conversation=body.conversation,
        vector_stores=[(store, body.filters) for store in body.vector_store_ids],
        stored=bool(body.store),
        wait_header=headers.x_penstock_wait,
        attempt=headers.x_stainless_retry_count,
        extensions=chosen(headers.x_penstock_leave),
        traceparent=headers.traceparent,
    )
    if not body.stream:
        return await while_present(request, _whole(context, asked))
    begun = await begin_stream(request, context, asked)
    return _stream(context, begun, bool(body.stream_options and body.stream_options.include_usage))


def _check(body: ChatBody) -> None:
    refuse_unhonoured(body, UNHONOURED)
    if body.filters is not None and not body.vector_store_ids:
        raise CallerError(
            "'filters' says which files of 'vector_store_ids' are searched: name the vector stores.", param="filters"
        )


async def _whole(context: Context, asked: Asked) -> Response:
    begun = await begin(context, asked, stream=False)
    accepted = await begun.accepted
    request, transcript = accepted.request, Transcript()
    try:
        async for batch in watched(context.answering.follow(accepted), request.model, begun.began):
            for logged in batch:
                transcript.fold(logged.seq, logged.reply)
    except asyncio.CancelledError:
        begun.abandon()
        raise
    if transcript.failure is not None:
        raise problems.of_failure(transcript.failure)
    return JSONResponse(completion(request, transcript), headers=begun.headers)


def _stream(context: Context, begun: Begun, include_usage: bool) -> Response:
    async def left() -> None:
        begun.abandon()

    return context.stream(_frames(context, begun, include_usage), headers=begun.headers, on_leave=left)


async def _frames(context: Context, begun: Begun, include_usage: bool) -> AsyncGenerator[bytes]:
    async for verdict in begun.waiting():
        yield sse.comment(f"queued position={verdict.position} eta_seconds={verdict.eta_seconds:.1f}")
    try:
        accepted = await begun.accepted
        stream = ChatStream(accepted.request, include_usage=include_usage)
        replies = watched(context.answering.follow(accepted), accepted.request.model, begun.began)
        async with aclosing(replies):
            async for batch in replies:
                if frames := stream.frames(batch):
                    yield frames
                if stream.ended and not batch[-1].last:  # broken off: nobody will read what still comes
                    client_left(context, accepted.request)
                    return
    except PenstockError as error:
        yield sse.frame(problems.body(error)) + sse.DONE


def _message(message: ChatBodyMessage) -> ChatMessage:
    return ChatMessage(role="system" if message.role == "developer" else message.role, content=message.text)


def _parameters(body: ChatBody) -> GenerationParameters:
    return GenerationParameters(
        max_tokens=body.max_completion_tokens or body.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        seed=body.seed,
        stop=tuple(body.stop or ()),
        n=body.n or 1,
        **response_format(body.response_format, "response_format"),
    )
