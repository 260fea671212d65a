"""What the worker asks of an engine. The worker owns this page; the engines beside it follow it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.errors import CallerError, EngineError
from contracts.messages import Embed, FinishReason, Generate, InferenceRequest, ModelFacts


class EngineDied(EngineError):
    """The engine is gone, or says nothing any more. Its requests are given back, and it is started anew."""

    default_code = "engine_died"


@dataclass(frozen=True)
class Description:
    """A started engine. ``tokenizer`` is the model's ``tokenizer.json``, empty when it has none."""

    facts: ModelFacts
    slots: int
    tokenizer: bytes = b""


@dataclass(frozen=True, slots=True)
class EngineDelta:
    """What one step brought for one sequence.

    ``text`` is exactly the text of ``token_ids``: an engine holds tokens back until their text is decided (half a
    character, a possible stop string). So a continuation from logged tokens never repeats or loses a character.
    Engines that do not reveal token ids leave them empty and say ``completion_tokens`` with the last delta.
    ``prompt_tokens`` and ``cached_tokens`` are those of the whole request, 0 when not known (yet).
    """

    index: int = 0
    text: str = ""
    token_ids: tuple[int, ...] = ()
    finish_reason: FinishReason | None = None
    vector: bytes | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int | None = None


class Engine(Protocol):
    """Something that answers requests of one model."""

    async def start(self) -> Description:
        """Load the model, again after ``stop``, and see that it answers.

        Raises:
            EngineError: it cannot; says what to do.
        """
        ...

    def generate(
        self, request: InferenceRequest, continue_from: Sequence[int] = ()
    ) -> AsyncGenerator[EngineDelta, None]:
        """Answer ``request``, going on behind the tokens ``continue_from``. Closing the generator aborts.

        Every sequence ends with a delta that has a ``finish_reason``.

        Raises:
            CallerError: the request cannot be answered as it is.
            Overload, DependencyDown: not now; the request is good and should be tried later or elsewhere.
            EngineDied: the engine is gone.
            EngineError: this request failed.
        """
        ...

    async def prompt_tokens(self, request: InferenceRequest) -> int:
        """How many tokens the engine reads for ``request``; 0 when it cannot tell."""
        ...

    async def check(self) -> None:
        """Raises ``EngineDied`` when the engine is gone."""
        ...

    def cache_room(self) -> float:
        """The free share of the KV cache, 0 to 1."""
        ...

    async def stop(self) -> None:
        """Free what was started, dead or alive. Harmless when nothing was."""
        ...


def generate_task(request: InferenceRequest) -> Generate:
    """The task of a request for a generating engine.

    Raises:
        CallerError: it asks for embeddings.
    """
    if isinstance(request.task, Embed):
        raise CallerError("This model generates text and embeds nothing. Choose an embedding model.", param="model")
    return request.task


def embed_task(request: InferenceRequest) -> Embed:
    """The task of a request for an embedding engine.

    Raises:
        CallerError: it asks for text.
    """
    if isinstance(request.task, Generate):
        raise CallerError("This model makes embeddings and generates no text. Choose another model.", param="model")
    return request.task


def answer_budget(prompt_tokens: int, max_tokens: int | None, max_model_len: int) -> int:
    """How many tokens the answer may have.

    Raises:
        CallerError: prompt and answer do not fit the model.
    """
    room = max_model_len - prompt_tokens
    if room >= (max_tokens or 1):
        return max_tokens or room
    if room < 1:
        needed = f"The messages have {prompt_tokens} tokens"
        remedy = "Shorten the messages"
    else:
        needed = f"The messages have {prompt_tokens} tokens and max_tokens asks for {max_tokens} more"
        remedy = f"Shorten the messages, or lower max_tokens to {room}"
    raise CallerError(
        f"{needed}, but this model's context holds {max_model_len} in all. {remedy}.",
        code="context_length_exceeded",
        param="messages",
    )
