"""What the rendering tests share: a request, the logs that workers write, and the reading of frames."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from access.follower import Logged
from contracts.ids import Generation, Shard, TenantId, WorkerId, new_request_id
from contracts.messages import (
    Cancelled,
    ChatMessage,
    Delta,
    Failed,
    Failure,
    Finished,
    Generate,
    InferenceRequest,
    Passage,
    Reply,
    Reset,
    SequenceFinished,
    SequenceStarted,
    Started,
    Usage,
    is_terminal,
)

USAGE = Usage(prompt_tokens=7, completion_tokens=5)
PASSAGES = (
    Passage(
        id="p1", collection="vs_1", source="faq.csv#returns", title="Returns?", text="Within 30 days.", score=0.91234
    ),
    Passage(id="p2", collection="vs_1", source="faq.csv#delivery", title="Delivery?", text="Two days.", score=0.5),
)

ENDS = (
    Finished(usage=USAGE),
    Finished(usage=USAGE, status="incomplete"),
    Finished(usage=USAGE, status="expired"),
    Failed(failure=Failure(code="engine_error", message="The engine failed.")),
    Cancelled(usage=USAGE),
)


def request(passages: tuple[Passage, ...] = (), **changes: Any) -> InferenceRequest:
    fields: dict[str, Any] = {
        "id": new_request_id(Shard(0)),
        "tenant": TenantId("acme"),
        "user": "",
        "key": "k",
        "model": "scripted",
        "service_class": "interactive",
        "task": Generate(messages=(ChatMessage(role="user", content="Hello?"),)),
        "created_at": 1_700_000_000.5,
        "deadline_seconds": 60.0,
        "passages": passages,
    }
    return InferenceRequest(**(fields | changes))


def logged(replies: Sequence[Reply], generation: str = "00000000000000a1") -> list[Logged]:
    """The replies as the log numbers them."""
    return [Logged(seq, Generation(generation), reply, is_terminal(reply)) for seq, reply in enumerate(replies, 1)]


def answer(*texts: str, end: Reply = ENDS[0], reason: Any = "stop") -> list[Reply]:
    """A log without incidents."""
    deltas = [Delta(text=text, token_ids=(at,)) for at, text in enumerate(texts)]
    return [Started(worker=WorkerId("w-1")), SequenceStarted(), *deltas, SequenceFinished(reason=reason), end]


def events(frames: bytes) -> list[dict[str, Any]]:
    """The JSON objects of a stream of frames."""
    lines = [line for line in frames.decode().split("\n") if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@st.composite
def answers(draw: st.DrawFn) -> list[Reply]:
    """Logs as workers leave them: continued by another worker, reset and begun again, ended in every way."""
    replies: list[Reply] = [Started(worker=WorkerId("w-1")), SequenceStarted()]
    for incident in draw(st.lists(st.sampled_from(["text", "text", "silent", "continued", "reset"]), max_size=12)):
        match incident:
            case "text":
                replies.append(Delta(text=draw(st.text(min_size=1, max_size=6)), token_ids=(1,)))
            case "silent":
                replies.append(Delta(text="", token_ids=(2, 3)))
            case "continued":
                replies.append(Started(worker=WorkerId("w-2")))
            case _:
                replies += [Reset(reason="other weights"), Started(worker=WorkerId("w-3")), SequenceStarted()]
    end = draw(st.sampled_from(ENDS))
    finishes = [SequenceFinished(reason=draw(st.sampled_from(("stop", "length"))))]
    whole = isinstance(end, Finished) and end.status != "expired"
    return [*replies, *(finishes if whole or draw(st.booleans()) else []), end]
