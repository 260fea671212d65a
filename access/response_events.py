"""The Responses API as OpenAI renders it: the object, and the events of a stream. Pure.

``sequence_number`` is a function of the log, so that any access process resumes any stream where it was:

    created 0 · queued 1 · in_progress 2 · output_item.added 3 · content_part.added 4        (the fixed prologue)
    the reply numbered seq → seq + 2                                                         (deltas; merged: the last)
    the sequence's end at seq → seq + 2, … one number per event: annotations, then three ``done`` events
    the terminal event → one more than the last of those, or seq + 2

When Redis has lost the log that was shown, the client is told ``response.output_text.reset`` under the last number of
the prologue, and the numbers of the log as it is now follow: its text begins again.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from access import sse
from access.follower import NOBODY, ROLLED_BACK, Logged, merged
from access.transcript import Transcript, citations, file_citation, served_name
from contracts.errors import PenstockError
from contracts.ids import CONVERSATION_PREFIX, RESPONSE_PREFIX
from contracts.messages import (
    Delta,
    Generate,
    InferenceRequest,
    Reset,
    SequenceFinished,
    SequenceStarted,
    Started,
    Usage,
    Verdict,
    is_terminal,
)

OFFSET = 2
QUEUED_NUMBER = 1
PROLOGUE_END = 4

_PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"
_DELTA = (
    b"event: response.output_text.delta\nid: %b\n"
    b'data: {"type":"response.output_text.delta","sequence_number":%d,%b%b%b\n\n'
)
_encode = msgspec.json.encode


def response_object(request: InferenceRequest, transcript: Transcript) -> dict[str, Any]:
    """The ``response`` object as the log has it so far."""
    task = request.task
    parameters = task.parameters if isinstance(task, Generate) else None
    failure = transcript.failure
    return {
        "id": f"{RESPONSE_PREFIX}{request.id}",
        "object": "response",
        "created_at": int(request.created_at),
        "status": transcript.status,
        "background": request.background,
        "error": {"code": failure.code, "message": failure.message} if failure else None,
        "incomplete_details": {"reason": transcript.incomplete} if transcript.incomplete else None,
        "instructions": request.extensions.get("instructions"),
        "max_output_tokens": parameters.max_tokens if parameters else None,
        "model": served_name(request),
        "output": [_item(request, transcript)] if transcript.texts else [],
        "parallel_tool_calls": True,
        "previous_response_id": request.extensions.get("previous_response_id"),
        "conversation": {"id": f"{CONVERSATION_PREFIX}{request.session}"} if request.session else None,
        "store": request.stored,
        "temperature": parameters.temperature if parameters else None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": request.extensions.get("tools", []),
        "top_p": parameters.top_p if parameters else None,
        "truncation": "disabled",
        "usage": _usage(transcript.usage) if transcript.ended else None,
        "user": request.user or None,
        "metadata": request.metadata,
        **({"retrieval_skipped": request.retrieval_skipped} if request.retrieval_skipped else {}),
    }


class ResponseStream:
    """Turns replies, from the start of the log and in its order, into events.

    What the client has seen is not sent again: events numbered up to ``after`` (its ``starting_after``), or events of
    replies up to ``after_seq`` (its ``Last-Event-ID``).
    """

    def __init__(self, request: InferenceRequest, *, after: int = -1, after_seq: int = 0):
        self._request = request
        self._after = QUEUED_NUMBER if after_seq else after
        self._after_seq = after_seq
        self._transcript = Transcript()
        self._item_id = _item_id(request)
        part = _encode(self._at_part({"delta": _PLACE, "logprobs": []}))
        self._before_text, _, self._after_text = part.removeprefix(b"{").partition(_encode(_PLACE))
        self._last = QUEUED_NUMBER

    def created(self) -> bytes:
        """The first event; its response is as it was before anything happened. Empty for who has seen it."""
        if self._after >= 0:
            return b""
        return self._frame(0, "response.created", {"response": response_object(self._request, Transcript())})

    def queued(self, verdict: Verdict) -> bytes:
        """Where the request stands in the waiting room. Repeated as it changes, always under the same number."""
        where = {
            "position": verdict.position,
            "tokens_ahead": verdict.tokens_ahead,
            "eta_seconds": round(verdict.eta_seconds, 1),
        }
        return self._frame(
            QUEUED_NUMBER, "response.queued", {"response": response_object(self._request, Transcript()), **where}
        )

    def broken_off(self, error: PenstockError) -> bytes:
        """The event of a stream that ends without the answer's end."""
        said = {"code": error.code, "message": error.message, "param": error.param}
        return self._frame(self._last + 1, "error", said)

    def frames(self, batch: Sequence[Logged]) -> bytes:
        """The events of replies that follow those before; text that comes together is one event.

        Only what is new to the client is merged, so that no event joins what it has seen with what it has not.
        """
        new = next((at for at, logged in enumerate(batch) if not self._was_seen(logged)), len(batch))
        return b"".join([self._frames(logged) for logged in (*batch[:new], *merged(batch[new:]))])

    def _was_seen(self, logged: Logged) -> bool:
        return logged.seq <= self._after_seq or logged.seq + OFFSET <= self._after

    def _frames(self, logged: Logged) -> bytes:
        """The events of one reply; the last of them carries the cursor."""
        if logged is ROLLED_BACK:
            return self._begin_anew()
        if isinstance(logged.reply, Delta):
            return self._text(logged, logged.reply)
        events = list(self._events(logged))
        self._last = max([self._last, *(number for number, _, _ in events)])
        shown = [event for event in events if event[0] > self._after and logged.seq > self._after_seq]
        if not shown:
            return b""
        cursor = f"{logged.seq}-{logged.generation}" if logged.generation != NOBODY else ""
        last = len(shown) - 1
        return b"".join(
            self._frame(number, kind, data, cursor if at == last else "")
            for at, (number, kind, data) in enumerate(shown)
        )

    def _text(self, logged: Logged, delta: Delta) -> bytes:
        """The event of a delta: all but its numbers and its text is the same each time, and is rendered once."""
        self._transcript.fold(logged.seq, delta)
        if delta.index or not delta.text:
            return b""
        number = logged.seq + OFFSET
        self._last = max(self._last, number)
        if self._was_seen(logged):
            return b""
        cursor = f"{logged.seq}-{logged.generation}".encode()
        return _DELTA % (cursor, number, self._before_text, _encode(delta.text), self._after_text)

    def _begin_anew(self) -> bytes:
        """What the client has of the answer's text is void; of the prologue it keeps what it has."""
        number = min(self._last, PROLOGUE_END)
        self._after, self._after_seq, self._last = number, 0, QUEUED_NUMBER
        self._transcript = Transcript()
        data = self._at_part({"reason": "log_rolled_back"})
        return self._frame(number, "response.output_text.reset", data)

    def _events(self, logged: Logged) -> Iterator[tuple[int, str, dict[str, Any]]]:
        before = self._transcript.status
        self._transcript.fold(logged.seq, logged.reply)
        match logged.reply:
            case Started() if before == "queued":
                yield 2, "response.in_progress", {"response": response_object(self._request, self._transcript)}
            case SequenceStarted(index=0) if self._last < PROLOGUE_END:
                yield 3, "response.output_item.added", {"output_index": 0, "item": self._empty_item()}
                yield PROLOGUE_END, "response.content_part.added", self._at_part({"part": _part("", [])})
            case SequenceFinished(index=0):
                yield from enumerate_events(logged.seq + OFFSET, self._sequence_done())
            case Reset(reason=reason):
                yield logged.seq + OFFSET, "response.output_text.reset", self._at_part({"reason": reason})
            case reply if is_terminal(reply):
                kind = f"response.{self._transcript.status}"
                number = max(logged.seq + OFFSET, self._last + 1)
                yield number, kind, {"response": response_object(self._request, self._transcript)}
            case _:
                return

    def _sequence_done(self) -> Iterator[tuple[str, dict[str, Any]]]:
        item = _item(self._request, self._transcript)
        part = item["content"][0]
        for at, annotation in enumerate(part["annotations"]):
            data = self._at_part({"annotation_index": at, "annotation": annotation})
            yield "response.output_text.annotation.added", data
        yield "response.output_text.done", self._at_part({"text": part["text"], "logprobs": []})
        yield "response.content_part.done", self._at_part({"part": part})
        yield "response.output_item.done", {"output_index": 0, "item": item}

    def _empty_item(self) -> dict[str, Any]:
        return {"id": self._item_id, "type": "message", "status": "in_progress", "role": "assistant", "content": []}

    def _at_part(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"item_id": self._item_id, "output_index": 0, "content_index": 0, **data}

    def _frame(self, number: int, kind: str, data: dict[str, Any], cursor: str = "") -> bytes:
        return sse.frame({"type": kind, "sequence_number": number, **data}, event=kind, event_id=cursor)


def enumerate_events(
    first: int, events: Iterator[tuple[str, dict[str, Any]]]
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Number events consecutively from ``first``."""
    for number, (kind, data) in enumerate(events, first):
        yield number, kind, data


def _item(request: InferenceRequest, transcript: Transcript) -> dict[str, Any]:
    status = {"completed": "completed", "in_progress": "in_progress"}.get(transcript.status, "incomplete")
    if transcript.status == "in_progress" and 0 in transcript.reasons:
        status = "completed"
    annotations = [file_citation(mark) for mark in citations(transcript.text, request.passages)]
    return {
        "id": _item_id(request),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": [_part(transcript.text, annotations)],
    }


def _item_id(request: InferenceRequest) -> str:
    return f"msg_{request.id}"


def _part(text: str, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.total_tokens,
    }
