"""What came back: streams of chat completions read from their recorded parts, and compared for loss. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import msgspec

from benchmarks.wire import Recorded

Difference = Literal["same", "lost", "doubled", "diverged"]

LONGEST_TOKEN = 32
"""Characters; a difference within so many of the end may be one token that was rounded to another."""
_DONE = b"[DONE]"


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Chunk(msgspec.Struct):
    """The part of ``chat.completion.chunk`` that we look at; ``error`` stands alone in a stream that failed."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(_Chunk)


@dataclass(frozen=True)
class Answer:
    """One answer as its client saw it. Seconds count from the moment its question was due.

    ``gaps`` are the pauses between two events with text; ``tokens`` is what the server says it generated. ``problem``
    says why this is no whole answer; '' when it is one.
    """

    first_token: float
    ended: float
    gaps: tuple[float, ...]
    text: str
    prompt_tokens: int
    tokens: int
    finish: str
    problem: str = ""

    @property
    def per_token(self) -> float:
        """Seconds from token to token, over the whole answer."""
        return sum(self.gaps) / max(1, self.tokens - 1)


def read(recorded: Recorded, limit: int) -> Answer:
    """The answer in one exchange that asked for ``limit`` tokens; never raises, whatever the server sent."""
    events, problem = _chunks(recorded)
    texts = _texts(events)
    usage = next((chunk.usage for _, chunk in reversed(events) if chunk.usage), _Usage(0, 0))
    finish = next((choice.finish_reason for _, chunk in events for choice in chunk.choices if choice.finish_reason), "")
    moments = [moment for moment, _ in texts]
    return Answer(
        first_token=(moments[0] if moments else recorded.ended) - recorded.due,
        ended=recorded.ended - recorded.due,
        gaps=tuple(after - before for before, after in pairwise(moments)),
        text="".join(text for _, text in texts),
        prompt_tokens=usage.prompt_tokens,
        tokens=usage.completion_tokens,
        finish=finish,
        problem=problem or _missing(finish, usage, limit),
    )


def pieces(recorded: Recorded) -> list[tuple[float, str]]:
    """Each event with text, and the moment at which it was complete (``time.perf_counter`` seconds)."""
    return _texts(_chunks(recorded)[0])


def compare(answer: Answer, reference: Answer) -> Difference:
    """How an answer differs from the other side's answer to the same prompt.

    Both decode greedily, so they agree but for rounding, after which the rest differs altogether. A lost token looks
    otherwise: with as many tokens counted, one piece of text is missing and what stands before and behind it is the
    same; a doubled one likewise. Near the end a rounded last token could look so too, and is given the benefit.
    """
    if answer.text == reference.text:
        return "same"
    shorter, longer = sorted((answer.text, reference.text), key=len)
    before = _common(shorter, longer)
    behind = min(_common(shorter[::-1], longer[::-1]), len(shorter) - before)
    missing = len(longer) - len(shorter)
    is_piece = missing > 0 and before + behind == len(shorter) and max(behind, missing) > LONGEST_TOKEN
    if answer.tokens != reference.tokens or not is_piece:
        return "diverged"
    return "lost" if shorter == answer.text else "doubled"


def _texts(events: list[tuple[float, _Chunk]]) -> list[tuple[float, str]]:
    return [
        (moment, choice.delta.content) for moment, chunk in events for choice in chunk.choices if choice.delta.content
    ]


def _chunks(recorded: Recorded) -> tuple[list[tuple[float, _Chunk]], str]:
    """Every chunk with the moment at which it was complete, and what is wrong with the stream."""
    chunks: list[tuple[float, _Chunk]] = []
    if recorded.problem:
        return chunks, recorded.problem
    if recorded.status != 200:
        return chunks, f"status {recorded.status}: {b''.join(part for _, part in recorded.parts)[:300]!r}"
    for moment, data in _events(recorded):
        if data == _DONE:
            return chunks, ""
        try:
            chunk = _decoder.decode(data)
        except msgspec.MsgspecError as error:
            return chunks, f"not a chunk: {error}"
        if chunk.error is not None:
            return chunks, f"error in the stream: {str(chunk.error)[:300]}"
        chunks.append((moment, chunk))
    return chunks, "no [DONE]"


def _events(recorded: Recorded) -> Iterator[tuple[float, bytes]]:
    """The data of each server-sent event, with the moment at which it was complete."""
    rest = b""
    for moment, part in recorded.parts:
        *whole, rest = (rest + part).split(b"\n\n")
        for event in whole:
            if event.startswith(b"data: "):
                yield moment, event.removeprefix(b"data: ")


def _missing(finish: str, usage: _Usage, limit: int) -> str:
    if not finish:
        return "no finish reason"
    if not usage.completion_tokens:
        return "no usage"
    if finish == "length" and usage.completion_tokens != limit:
        return f"cut at {usage.completion_tokens} tokens, though {limit} were asked for"
    return ""


def _common(one: str, other: str) -> int:
    """Length of the common beginning."""
    for length, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return length
    return min(len(one), len(other))
