"""What our rivals share: a chat completion's body read into a request of the engine, and its chunks. Pure.

Both are as small as they can be and still speak OpenAI's format, so that a rival's cost is that of its way of passing
tokens on and not of its rendering.

Source: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import time

import msgspec

from contracts.ids import RequestId, Shard, TenantId, new_request_id
from contracts.messages import ChatMessage, Generate, GenerationParameters, InferenceRequest

MODEL = "scripted"
DONE = b"data: [DONE]\n\n"
_HEAD = b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":0,"model":"scripted",'


class Body(msgspec.Struct):
    """The part of a body that the scripted engine heeds."""

    messages: tuple[ChatMessage, ...]
    max_tokens: int | None = None


def request_of(body: bytes) -> InferenceRequest:
    """The engine's request.

    Raises:
        msgspec.MsgspecError: the body is no chat completion.
    """
    read = msgspec.json.decode(body, type=Body)
    return InferenceRequest(
        id=RequestId(new_request_id(Shard(0))),
        tenant=TenantId("rival"),
        user="",
        key="",
        model=MODEL,
        service_class="interactive",
        task=Generate(messages=read.messages, parameters=GenerationParameters(max_tokens=read.max_tokens)),
        created_at=time.time(),
        deadline_seconds=600,
    )


def text_chunk(text: str) -> bytes:
    """One event with new text."""
    content = msgspec.json.encode(text)
    return _HEAD + b'"choices":[{"index":0,"delta":{"content":' + content + b'},"finish_reason":null}]}\n\n'


def last_chunks(finish: str, prompt_tokens: int, completion_tokens: int) -> bytes:
    """The finish reason, the usage, and the end of the stream."""
    usage = (
        f'"usage":{{"prompt_tokens":{prompt_tokens},"completion_tokens":{completion_tokens},'
        f'"total_tokens":{prompt_tokens + completion_tokens}}}'
    )
    finished = f'"choices":[{{"index":0,"delta":{{}},"finish_reason":"{finish}"}}]}}\n\n'
    return _HEAD + finished.encode() + _HEAD + f'"choices":[],{usage}}}\n\n'.encode() + DONE
