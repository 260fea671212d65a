"""Responses as events: numbers that rise, and streams that resume from any of them."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from access import sse
from access.follower import ROLLED_BACK
from access.response_events import ResponseStream, response_object
from access.transcript import Transcript
from contracts.ids import WorkerId
from contracts.messages import Delta, InferenceRequest, Reply, Started, Verdict
from tests.unit.access.logs_of_requests import ENDS, PASSAGES, answer, answers, events, logged, request

TERMINAL = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}


def streamed(asked: InferenceRequest, replies: list[Reply], **position: int) -> list[dict[str, Any]]:
    stream = ResponseStream(asked, **position)
    return events(stream.created() + b"".join(stream.frames([one]) for one in logged(replies)))


def text(shown: list[dict[str, Any]]) -> str:
    """What a client has on its screen: deltas added, and a reset begins anew."""
    found = ""
    for event in shown:
        if event["type"] == "response.output_text.reset":
            found = ""
        elif event["type"] == "response.output_text.delta":
            found += event["delta"]
    return found


def is_delta(event: dict[str, Any]) -> bool:
    return event["type"] == "response.output_text.delta"


def coalesced(stream: ResponseStream, replies: list[Reply], data: st.DataObject) -> list[dict[str, Any]]:
    """The events when replies arrive in batches of any size."""
    left, found = logged(replies), b""
    while left:
        size = data.draw(st.integers(min_value=1, max_value=len(left)))
        found += stream.frames(left[:size])
        left = left[size:]
    return events(found)


@given(answers())
def test_sequence_numbers_rise_strictly(replies: list[Reply]) -> None:
    numbers = [event["sequence_number"] for event in streamed(request(), replies)]
    assert all(before < after for before, after in itertools.pairwise(numbers))


@given(answers())
def test_exactly_one_event_is_the_end_and_it_is_the_last(replies: list[Reply]) -> None:
    kinds = [event["type"] for event in streamed(request(), replies)]
    assert [kind for kind in kinds if kind in TERMINAL] == kinds[-1:]


@given(answers())
def test_the_deltas_add_up_to_the_final_text(replies: list[Reply]) -> None:
    shown = streamed(request(), replies)
    transcript = Transcript()
    for one in logged(replies):
        transcript.fold(one.seq, one.reply)
    assert text(shown) == transcript.text


@given(answers(), st.data())
def test_text_that_comes_together_is_fewer_events_of_the_same_text(replies: list[Reply], data: st.DataObject) -> None:
    asked = request(PASSAGES)
    whole = streamed(asked, replies)
    together = [*events(ResponseStream(asked).created()), *coalesced(ResponseStream(asked), replies, data)]
    assert text(together) == text(whole)
    assert [event for event in together if not is_delta(event)] == [event for event in whole if not is_delta(event)]
    assert {event["sequence_number"] for event in together} <= {event["sequence_number"] for event in whole} | {
        one.seq + 2 for one in logged(replies)
    }


@given(answers(), st.data())
def test_resumed_behind_any_coalesced_event_the_text_is_the_same(replies: list[Reply], data: st.DataObject) -> None:
    asked = request(PASSAGES)
    before = [*events(ResponseStream(asked).created()), *coalesced(ResponseStream(asked, after=0), replies, data)]
    seen = before[: data.draw(st.integers(min_value=1, max_value=len(before)))]
    after = seen[-1]["sequence_number"]
    rest = coalesced(ResponseStream(asked, after=after), replies, data)
    assert text(seen + rest) == text(streamed(asked, replies))
    assert [event for event in seen + rest if not is_delta(event)] == [event for event in before if not is_delta(event)]


@given(answers(), answers(), st.data())
def test_after_a_rollback_the_client_has_the_text_of_the_new_log(
    lost: list[Reply], regrown: list[Reply], data: st.DataObject
) -> None:
    stream = ResponseStream(request())
    handed_on = data.draw(st.integers(min_value=1, max_value=len(lost) - 1))
    shown = events(stream.created() + stream.frames(logged(lost[:handed_on])))
    shown += events(stream.frames([ROLLED_BACK, *logged(regrown, "00000000000000b2")]))
    assert text(shown) == text(streamed(request(), regrown))
    kinds = [event["type"] for event in shown]
    assert kinds.count("response.output_item.added") == 1
    assert kinds[-1] in TERMINAL


@given(answers(), answers(), st.data())
def test_after_a_rollback_a_client_resumes_by_number_in_the_new_log(
    lost: list[Reply], regrown: list[Reply], data: st.DataObject
) -> None:
    stream = ResponseStream(request())
    stream.frames(logged(lost[:-1]))
    shown = events(b"".join(stream.frames([one]) for one in [ROLLED_BACK, *logged(regrown)]))
    seen = shown[: data.draw(st.integers(min_value=1, max_value=len(shown)))]
    rest = streamed(request(), regrown, after=seen[-1]["sequence_number"])
    assert text(seen + rest) == text(streamed(request(), regrown))


@given(answers(), st.data())
def test_resumed_behind_any_event_nothing_is_lost_or_doubled(replies: list[Reply], data: st.DataObject) -> None:
    asked = request(PASSAGES)
    whole = streamed(asked, replies)
    seen = data.draw(st.integers(min_value=0, max_value=len(whole)))
    after = whole[seen - 1]["sequence_number"] if seen else -1
    assert whole[:seen] + streamed(asked, replies, after=after) == whole


@given(answers(), st.data())
def test_resumed_behind_any_cursor_nothing_is_lost_or_doubled(replies: list[Reply], data: st.DataObject) -> None:
    asked = request(PASSAGES)
    stream = ResponseStream(asked)
    frames = [stream.created(), *(stream.frames([one]) for one in logged(replies))]
    cursors = [int(found) for frame in frames for found in re.findall(rb"^id: (\d+)-[0-9a-f]+$", frame, re.MULTILINE)]
    after_seq = data.draw(st.sampled_from(cursors))
    seen = events(b"".join(frames[: after_seq + 1]))
    assert seen + streamed(asked, replies, after_seq=after_seq) == events(b"".join(frames))


def test_the_prologue_is_numbered_from_nought() -> None:
    shown = [(event["sequence_number"], event["type"]) for event in streamed(request(), answer("a"))]
    assert shown[:4] == [
        (0, "response.created"),
        (2, "response.in_progress"),
        (3, "response.output_item.added"),
        (4, "response.content_part.added"),
    ]


def test_a_delta_is_numbered_by_its_reply() -> None:
    [delta] = [event for event in streamed(request(), answer("a")) if event["type"].endswith("text.delta")]
    assert delta["sequence_number"] == 3 + 2


def test_a_delta_is_framed_as_every_other_event() -> None:
    asked, [*_, delta] = request(), logged(answer('say "ja"\n')[:3])
    stream = ResponseStream(asked)
    part = {"item_id": f"msg_{asked.id}", "output_index": 0, "content_index": 0, "delta": 'say "ja"\n', "logprobs": []}
    data = {"type": "response.output_text.delta", "sequence_number": 5, **part}
    assert stream.frames([delta]) == sse.frame(data, event=data["type"], event_id=f"3-{delta.generation}")


def test_waiting_always_has_the_number_one() -> None:
    stream = ResponseStream(request())
    verdict = Verdict(id=request().id, decision="queued", position=3, tokens_ahead=900, eta_seconds=2.5)
    [queued] = events(stream.queued(verdict))
    assert (queued["sequence_number"], queued["position"], queued["eta_seconds"]) == (1, 3, 2.5)


def test_a_second_worker_does_not_begin_the_answer_again() -> None:
    replies: list[Reply] = [*answer("a")[:3], Started(worker=WorkerId("w-2")), Delta(text="b"), *answer()[2:]]
    kinds = [event["type"] for event in streamed(request(), replies)]
    assert (kinds.count("response.in_progress"), kinds.count("response.output_item.added")) == (1, 1)


def test_annotations_come_between_the_text_and_its_end() -> None:
    kinds = [event["type"] for event in streamed(request(PASSAGES), answer("30 days. [1] [2]"))]
    assert kinds[-6:] == [
        "response.output_text.annotation.added",
        "response.output_text.annotation.added",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_an_idle_end_has_no_cursor() -> None:
    [end] = logged([ENDS[4]], generation="-")
    assert b"\nid:" not in ResponseStream(request()).frames([end])


def objects(end: Reply) -> dict[str, Any]:
    transcript = Transcript()
    for one in logged(answer("30 days. [1]", end=end)):
        transcript.fold(one.seq, one.reply)
    return response_object(request(PASSAGES), transcript)


@pytest.mark.parametrize("end", [ENDS[0], ENDS[1], ENDS[4]])
def test_the_object_has_every_field_of_openais(end: Reply) -> None:
    assert Response.model_validate(objects(end)).output_text == "30 days. [1]"


@pytest.mark.parametrize("end", ENDS)
def test_openais_library_reads_the_object_however_it_ended(end: Reply) -> None:
    # Codes of our own, such as 'engine_error', are none of the library's; it does not validate what it reads.
    assert Response.construct(None, **objects(end)).output_text == "30 days. [1]"
