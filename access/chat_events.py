"""Chat completions as OpenAI renders them: the whole object, and the chunks of a stream. Pure.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from access import sse
from access.follower import Logged, merged
from access.problems import body_of_failure
from access.transcript import Transcript, citations, served_name, url_citation
from contracts.ids import COMPLETION_PREFIX
from contracts.messages import (
    Cancelled,
    Delta,
    Failed,
    Failure,
    Finished,
    InferenceRequest,
    Reply,
    Reset,
    SequenceFinished,
    SequenceStarted,
    Usage,
)

_PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"
_encode = msgspec.json.encode
_RESET = Failure(
    code="stream_reset", message="The answer had to start again; ask again, or use /v1/responses, which can say so."
)
_CANCELLED = Failure(code="cancelled", message="The request was cancelled.", fault="caller")


def completion(request: InferenceRequest, transcript: Transcript) -> dict[str, Any]:
    """The ``chat.completion`` object of an ended request."""
    choices = [_choice(request, transcript, index) for index in sorted(transcript.texts) or [0]]
    return (
        _head(request, "chat.completion")
        | {"choices": choices, "usage": usage_of(transcript.usage)}
        | _skipped(request)
    )


def usage_of(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


class ChatStream:
    """Turns replies, in the order of the log, into frames of ``chat.completion.chunk``."""

    def __init__(self, request: InferenceRequest, *, include_usage: bool):
        self._request = request
        self._include_usage = include_usage
        self._head = _head(request, "chat.completion.chunk")
        self._around_text: dict[int, tuple[bytes, bytes]] = {}
        self._transcript = Transcript()
        self._opened: set[int] = set()
        self.ended = False

    def frames(self, batch: Sequence[Logged]) -> bytes:
        """What the client is sent for replies that follow those before; text that comes together is one chunk.

        Empty for replies it does not see, and for all after the end.
        """
        return b"".join([self._frames(logged.seq, logged.reply) for logged in merged(batch)])

    def _frames(self, seq: int, reply: Reply) -> bytes:  # noqa: C901, PLR0911  (one case for each kind of reply)
        if self.ended:
            return b""
        self._transcript.fold(seq, reply)
        match reply:
            case SequenceStarted(index=index) if index not in self._opened:
                self._opened.add(index)
                return self._chunk(index, {"role": "assistant", "content": ""})
            case Delta(index=index, text=text) if text:
                return self._text_chunk(index, text)
            case SequenceFinished(index=index, reason=reason):
                return self._finish_chunk(index, reason)
            case Finished(usage=usage, status=status):
                return self._cut_short(status) + self._end(usage)
            case Failed(failure=failure):
                return self._broken_off(failure)
            case Cancelled():
                return self._broken_off(_CANCELLED)
            case Reset() if self._opened:
                return self._broken_off(_RESET)
            case _:
                return b""

    def _finish_chunk(self, index: int, reason: str) -> bytes:
        marks = citations(self._transcript.texts.get(index, ""), self._request.passages)
        delta = {"annotations": [url_citation(mark) for mark in marks]} if marks else {}
        return self._chunk(index, delta, reason, _skipped(self._request))

    def _cut_short(self, status: str) -> bytes:
        """The finish chunks a deadline left unsaid."""
        unfinished = sorted(set(self._transcript.texts) - set(self._transcript.reasons)) if status == "expired" else []
        return b"".join(self._chunk(index, {}, "length") for index in unfinished)

    def _broken_off(self, failure: Failure) -> bytes:
        self.ended = True
        return sse.frame(body_of_failure(failure)) + sse.DONE

    def _end(self, usage: Usage) -> bytes:
        self.ended = True
        if not self._include_usage:
            return sse.DONE
        return sse.frame(self._head | {"choices": [], "usage": usage_of(usage)}) + sse.DONE

    def _text_chunk(self, index: int, text: str) -> bytes:
        """A chunk of text: all but the text is the same each time, and is rendered once."""
        if index not in self._around_text:
            before, _, after = self._chunk(index, {"content": _PLACE}).partition(_encode(_PLACE))
            self._around_text[index] = before, after
        before, after = self._around_text[index]
        return before + _encode(text) + after

    def _chunk(
        self, index: int, delta: dict[str, Any], reason: str | None = None, more: dict[str, Any] | None = None
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
        usage = {"usage": None} if self._include_usage else {}
        return sse.frame(self._head | {"choices": [choice]} | usage | (more or {}))


def _head(request: InferenceRequest, kind: str) -> dict[str, Any]:
    return {
        "id": f"{COMPLETION_PREFIX}{request.id}",
        "object": kind,
        "created": int(request.created_at),
        "model": served_name(request),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _choice(request: InferenceRequest, transcript: Transcript, index: int) -> dict[str, Any]:
    text = transcript.texts.get(index, "")
    marks = citations(text, request.passages)
    return {
        "index": index,
        "message": {
            "role": "assistant",
            "content": text,
            "refusal": None,
            "annotations": [url_citation(mark) for mark in marks],
        },
        "logprobs": None,
        "finish_reason": transcript.reasons.get(index, "length"),
    }


def _skipped(request: InferenceRequest) -> dict[str, Any]:
    """Retrieval was asked for and did not happen: the answer is weaker, and says so."""
    return {"retrieval_skipped": request.retrieval_skipped} if request.retrieval_skipped else {}
