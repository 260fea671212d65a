"""Whole answers, for what nobody streams: the one sentence from its beginning to the end of the log."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

from access.answer import Accepted, Answering
from access.asked import Asked
from access.submission import AlreadyAnswered
from access.transcript import Transcript
from contracts.errors import EngineError
from contracts.messages import InferenceRequest


@dataclass(frozen=True)
class WholeAnswer:
    """What a model said, and the request it said it to: an earlier one, if that had the same idempotency key.

    ``late``: its deadline has cut it off.
    """

    request: InferenceRequest
    text: str
    late: bool


async def whole_answer(answering: Answering, asked: Asked) -> WholeAnswer:
    """What a model says, when it has said it.

    Raises:
        EngineError: it came to no answer.
        CallerError, LimitExceeded, Overload, DependencyDown: it was not accepted, or its log is gone.
    """
    try:
        accepted = await answering.begin(asked)
    except AlreadyAnswered as earlier:
        accepted = Accepted(earlier.request)
    transcript = Transcript()
    async with aclosing(answering.follow(accepted)) as replies:
        async for batch in replies:
            for logged in batch:
                transcript.fold(logged.seq, logged.reply)
    if transcript.status not in ("completed", "incomplete") or not transcript.text.strip():
        failure = transcript.failure
        raise EngineError("The prompt came to no answer.", code=failure.code if failure else "no_answer")
    return WholeAnswer(accepted.request, transcript.text, late=transcript.incomplete == "deadline")
