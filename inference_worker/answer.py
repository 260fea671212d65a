"""What a request's log says so far, and which replies come next. Pure: no Redis, no engine, no clock.

An answer is built from the engine's deltas, or restored from a log that another worker left behind; both lead to the
same state, which is what makes a continuation invisible.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from contracts.errors import EngineError
from contracts.functions import Ending
from contracts.ids import WorkerId
from contracts.messages import (
    Cancelled,
    Delta,
    Embed,
    Failed,
    Failure,
    Finished,
    FinishReason,
    InferenceRequest,
    Reply,
    Reset,
    SequenceFinished,
    SequenceStarted,
    Started,
    Usage,
)
from inference_worker.engines.port import EngineDelta

Plan = Literal["begin", "continue", "close", "restart"]


@dataclass
class Sequence:
    """One of the ``n`` answers."""

    started: bool = False
    text: list[str] = field(default_factory=list[str])
    token_ids: list[int] = field(default_factory=list[int])
    reason: FinishReason | None = None


class Answer:
    """The answer to one request by one worker."""

    def __init__(self, request: InferenceRequest, worker: WorkerId, model_revision: str, max_model_len: int = 0):
        """``max_model_len``: tokens that the model holds; 0 when that is not known."""
        self._request = request
        self._most_tokens = _most_tokens(request, max_model_len)
        self._started = Started(worker=worker, model_revision=model_revision)
        self._clear()

    def restore(self, log: Iterable[Reply]) -> Plan:
        """Take over what the log holds, and say how to go on: see ``_plan``."""
        for reply in log:
            match reply:
                case Started():
                    self._logged_revision = reply.model_revision
                case SequenceStarted(index=index):
                    self._sequences[index].started = True
                case Delta():
                    self._keep(self._sequences[reply.index if reply.vector is None else 0], reply)
                case SequenceFinished(index=index, reason=reason):
                    self._sequences[index].reason = reason
                case Reset():
                    self._clear()
                case _:
                    raise ValueError("a log that has ended needs no worker")
        return self._plan()

    def restart(self, reason: str) -> None:
        """Forget what was restored; a reset precedes the new beginning."""
        self._clear()
        self._opening = [Reset(reason=reason)]

    def accept(self, delta: EngineDelta) -> list[Reply]:
        """Add an engine's delta; return the replies that say so.

        The opening replies come with the first delta, not before: a log that has not moved tells ``take`` that the
        request may have killed its worker.

        Raises:
            EngineError: the engine does not end although it has said all that it may.
        """
        replies = self._open()
        self._prompt_tokens = delta.prompt_tokens or self._prompt_tokens
        self._cached_tokens = delta.cached_tokens or self._cached_tokens
        if delta.completion_tokens is not None:
            self._told_completion_tokens = delta.completion_tokens
        sequence = self._sequences[0 if delta.vector is not None else delta.index]
        if delta.text or delta.token_ids or delta.vector is not None:
            reply = Delta(index=delta.index, text=delta.text, token_ids=delta.token_ids, vector=delta.vector)
            self._keep(sequence, reply)
            if len(sequence.token_ids) > self._most_tokens:
                raise EngineError(f"the engine goes on beyond {self._most_tokens} tokens")
            replies.append(reply)
        if delta.finish_reason is not None:
            sequence.reason = delta.finish_reason
            replies.append(SequenceFinished(index=delta.index, reason=delta.finish_reason))
        return replies

    def count_prompt(self, tokens: int) -> None:
        """The size of the prompt, where the answer was restored whole and no engine told."""
        self._prompt_tokens = tokens

    def finished(self) -> tuple[list[Reply], Ending]:
        """The good end."""
        cut = any(sequence.reason == "length" for sequence in self._sequences)
        state = "incomplete" if cut else "done"
        return [*self._open(), Finished(usage=self.usage, status=state)], Ending(state, self.text, self.usage)

    def expired(self) -> tuple[list[Reply], Ending]:
        """The deadline cut the answer."""
        return [Finished(usage=self.usage, status="expired")], Ending("expired", self.text, self.usage)

    def cancelled(self) -> tuple[list[Reply], Ending]:
        return [Cancelled(usage=self.usage)], Ending("cancelled", self.text, self.usage)

    def failed(self, failure: Failure) -> tuple[list[Reply], Ending]:
        return [Failed(failure=failure, usage=self.usage)], Ending("failed", self.text, self.usage)

    @property
    def is_complete(self) -> bool:
        """Whether every sequence has its end."""
        return all(sequence.reason is not None for sequence in self._sequences)

    @property
    def token_ids(self) -> tuple[int, ...]:
        """What a continuation goes on from."""
        return tuple(self._sequences[0].token_ids)

    @property
    def text(self) -> str:
        """The first sequence's text, which is what the session keeps."""
        return "".join(self._sequences[0].text)

    @property
    def usage(self) -> Usage:
        """What was used so far. Upstreams that hide their tokens are counted by deltas until they tell."""
        counted = sum(len(sequence.token_ids) or len(sequence.text) for sequence in self._sequences)
        told = self._told_completion_tokens
        return Usage(
            prompt_tokens=self._prompt_tokens,
            completion_tokens=counted if told is None else told,
            cached_tokens=min(self._cached_tokens, self._prompt_tokens),
        )

    def _clear(self) -> None:
        task = self._request.task
        self._sequences = [Sequence() for _ in range(1 if isinstance(task, Embed) else task.parameters.n)]
        self._opening: list[Reply] = []
        self._logged_revision: str | None = None
        self._prompt_tokens = self._cached_tokens = 0
        self._told_completion_tokens: int | None = None

    def _plan(self) -> Plan:
        """``begin``: nothing is logged; ``close``: all but the end is; ``continue``: go on behind the logged tokens;
        ``restart``: going on could not be right."""
        if self._logged_revision is None:
            return "begin"
        if self.is_complete:
            return "close"
        task = self._request.task
        if isinstance(task, Embed) or self._logged_revision != self._started.model_revision:
            return "restart"
        only = self._sequences[0]
        exact = task.parameters.continuable and (only.token_ids or not only.text)
        return "continue" if exact else "restart"

    def _open(self) -> list[Reply]:
        replies, self._opening = self._opening, []
        if self._logged_revision is None:
            self._logged_revision = self._started.model_revision
            replies.append(self._started)
        for index, sequence in enumerate(self._sequences):
            if not sequence.started:
                sequence.started = True
                replies.append(SequenceStarted(index=index))
        return replies

    @staticmethod
    def _keep(sequence: Sequence, delta: Delta) -> None:
        if delta.text:
            sequence.text.append(delta.text)
        sequence.token_ids.extend(delta.token_ids)


def _most_tokens(request: InferenceRequest, max_model_len: int) -> int:
    """The most tokens one sequence may have."""
    asked = None if isinstance(request.task, Embed) else request.task.parameters.max_tokens
    return asked or max_model_len or sys.maxsize
