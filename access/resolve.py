"""From a body to what was asked: model names, knowledge and sessions are looked up and checked to be the caller's."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from access.asked import Asked
from access.attributes import Filter, either
from access.auth import Caller
from access.context import Context
from access.conversations import asker_in, session_of
from access.routes.bodies import PATIENCE_FACTOR, Sampling, fingerprint, with_preset
from access.settings import Preset
from contracts.errors import CallerError, NotFound
from contracts.ids import Shard, new_request_id, shard_of
from contracts.messages import ChatMessage, GenerationParameters
from memory import OnBusy, Session

WAIT_HEADER = "x-penstock-wait"

Searched = tuple[str, Filter | None]
"""A vector store by its id, and what the attributes of a file in it must be like."""


def preset_of(context: Context, name: str) -> Preset:
    """What a model name stands for: a preset, or a served model as it is.

    Raises:
        NotFound: neither; the message lists what there is.
    """
    preset = context.settings.presets.get(name)
    if preset is not None:
        return preset
    facts = context.fleet.facts(name)
    if facts is not None and facts.kind == "generate":
        return Preset(model=name)
    known = sorted(
        {*context.settings.presets, *(model.name for model in context.fleet.models() if model.kind == "generate")}
    )
    raise NotFound(
        f"The model '{name[:128]}' does not exist. There are: {', '.join(known)}.",
        code="model_not_found",
        param="model",
    )


async def resolve(
    context: Context,
    caller: Caller,
    body: Sampling,
    *,
    model: str,
    messages: Sequence[ChatMessage],
    instructions: str,
    parameters: GenerationParameters,
    conversation: str | None,
    vector_stores: Sequence[Searched],
    stored: bool,
    passages: int | None = None,
    wait_header: str | None,
    attempt: int | None = None,
    background: bool = False,
    about: Session | None = None,
    extensions: dict[str, Any] | None = None,
    traceparent: str | None = None,
) -> Asked:
    """Everything a route has read from its body, as one value. ``about`` is a session whose words are in it already,
    ``passages`` how many the caller wants to be shown at most.

    Raises:
        CallerError: no user message to answer, a bad header, or ``on_busy`` where nothing can be busy.
        NotFound: unknown model, conversation or vector store.
    """
    caller.require("inference")
    preset = preset_of(context, model)
    question, history, system = split(messages)
    session = await session_of(context, caller, conversation) if conversation else None
    on_busy = _on_busy(body, session)
    shard = _shard(context, session or about, caller, body.idempotency_key)
    collections = await _collections(context, caller, vector_stores)
    user = caller.user or body.end_user
    return Asked(
        id=new_request_id(shard),
        caller=caller,
        user=await asker_in(context, session, user) if session else user,
        served_as=model,
        preset=preset,
        question=question,
        instructions="\n\n".join(text for text in (preset.instructions, instructions, *system) if text),
        history=history,
        parameters=_sampling(parameters, preset, model),
        service_class=body.service_class,
        shard=shard,
        deadline=context.settings.deadline,
        patience=patience(context, body, wait_header),
        retention=context.settings.response_retention if stored else context.settings.log_retention,
        session=session.id if session else None,
        remembered_tokens=session.window_tokens if session else 0,
        on_busy=on_busy,
        about=about.id if about else None,
        collections=collections,
        passages=passages or preset.passages,
        stored=stored,
        background=background,
        idempotency_key=f"{caller.user}\n{body.idempotency_key}" if body.idempotency_key else "",
        fingerprint=fingerprint(body) if body.idempotency_key or attempt is not None else "",
        attempt=attempt,
        metadata=dict(body.metadata or {}),
        extensions=extensions or {},
        created_at=time.time(),
        traceparent=traceparent,
    )


def split(messages: Sequence[ChatMessage]) -> tuple[str, tuple[ChatMessage, ...], list[str]]:
    """The question, what came before it, and the system texts.

    Raises:
        CallerError: the last message is not the user's, or it is empty.
    """
    system = [message.content for message in messages if message.role == "system"]
    spoken = [message for message in messages if message.role != "system"]
    if not spoken or spoken[-1].role != "user":
        raise CallerError("The last message must be the user's: there is nothing to answer.", param="messages")
    if not spoken[-1].content.strip():
        raise CallerError("The last message is empty: there is nothing to answer.", param="messages")
    return spoken[-1].content, tuple(spoken[:-1]), system


def patience(context: Context, body: Sampling, wait_header: str | None) -> timedelta:
    """How long the caller waits for admission: what it says, else by class.

    Raises:
        CallerError: the header is no number of seconds from 0 to 3600.
    """
    if wait_header is None:
        return context.settings.patience * PATIENCE_FACTOR[body.service_class]
    try:
        seconds = float(wait_header)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise CallerError(f"{WAIT_HEADER} is a number of seconds from 0 to 3600.", param=WAIT_HEADER)
    return timedelta(seconds=seconds)


def _sampling(parameters: GenerationParameters, preset: Preset, model: str) -> GenerationParameters:
    """The caller's sampling, the preset's where it does not say.

    Raises:
        CallerError: it asks for a form that the words of a passage cannot have.
    """
    if preset.word_for_word and (parameters.json_object or parameters.json_schema is not None):
        raise CallerError(
            f"'{model}' answers in the words of its passages, so no format can be asked of it. "
            f"Leave the format away, or ask '{preset.model}'.",
            code="format_not_possible",
            param="model",
        )
    return with_preset(parameters, preset.max_tokens, preset.temperature)


def _on_busy(body: Sampling, session: Session | None) -> OnBusy:
    """What the message says, else its conversation.

    Raises:
        CallerError: it says something, and names no conversation.
    """
    if session is not None:
        return body.on_busy or session.on_busy
    if body.on_busy is not None:
        raise CallerError(
            "'on_busy' says what happens in a busy conversation: name the 'conversation'.", param="on_busy"
        )
    return "queue"


async def _collections(context: Context, caller: Caller, vector_stores: Sequence[Searched]) -> dict[str, Filter | None]:
    """The filter of each store; one that is named twice is searched for what either asks for."""
    found: dict[str, Filter | None] = {}
    for store, filter_ in vector_stores:
        await context.knowledge.collection(caller.tenant, store)
        found[store] = either(found[store], filter_) if store in found else filter_
    return found


def _shard(context: Context, session: Session | None, caller: Caller, idempotency_key: str | None) -> Shard:
    """The session's shard; else one that a repeated idempotency key finds again."""
    if session is not None:
        return shard_of(session.id)
    if idempotency_key:
        return Shard(zlib.crc32(f"{caller.tenant}\n{idempotency_key}".encode()) % context.settings.shards)
    return Shard(int(time.monotonic_ns() // 1000) % context.settings.shards)
