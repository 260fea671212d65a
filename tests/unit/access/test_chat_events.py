"""Chat completions: the object and the chunks say the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from access import sse
from access.chat_events import ChatStream, completion
from access.follower import ROLLED_BACK
from access.transcript import Transcript
from contracts.ids import WorkerId
from contracts.messages import Delta, Finished, Reply, Reset, SequenceFinished, SequenceStarted, Started
from tests.unit.access.logs_of_requests import ENDS, PASSAGES, USAGE, answer, events, logged, request


def streamed(replies: list[Reply], *, include_usage: bool = False, **changes: Any) -> bytes:
    stream = ChatStream(request(**changes), include_usage=include_usage)
    return b"".join(stream.frames([one]) for one in logged(replies))


def completed(replies: list[Reply], **changes: Any) -> dict[str, Any]:
    transcript = Transcript()
    for one in logged(replies):
        transcript.fold(one.seq, one.reply)
    return completion(request(**changes), transcript)


def content(chunks: list[dict[str, Any]], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk.get("choices", []) if choice["index"] == index]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=1)))
def test_the_chunks_add_up_to_the_answer(texts: list[str]) -> None:
    assert content(events(streamed(answer(*texts)))) == "".join(texts)


def test_a_continuation_by_another_worker_leaves_no_trace() -> None:
    replies = [*answer("one ", "two ")[:4], Started(worker=WorkerId("w-2")), Delta(text="three"), *answer()[2:]]
    assert content(events(streamed(replies))) == "one two three"


def test_the_first_chunk_carries_the_role() -> None:
    assert events(streamed(answer("a")))[0]["choices"][0]["delta"]["role"] == "assistant"


def test_every_chunk_has_the_same_id_time_and_model() -> None:
    chunks = events(streamed(answer("a", "b"), include_usage=True))
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1


def test_the_stream_ends_with_done() -> None:
    assert streamed(answer("a")).endswith(sse.DONE)


@pytest.mark.parametrize("end", ENDS, ids=lambda end: type(end).__name__)
def test_done_is_said_once_however_it_ends(end: Reply) -> None:
    assert streamed(answer("a", end=end)).count(sse.DONE) == 1


def test_usage_comes_last_and_only_when_asked_for() -> None:
    chunks = events(streamed(answer("a"), include_usage=True))
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], USAGE.total_tokens)
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert not any("usage" in chunk for chunk in events(streamed(answer("a"))))


def test_a_failure_in_mid_stream_is_an_error_object() -> None:
    assert events(streamed(answer("a", end=ENDS[3])))[-1]["error"]["code"] == "engine_error"


def test_a_cancelled_stream_says_so() -> None:
    assert events(streamed(answer("a", end=ENDS[4])))[-1]["error"]["code"] == "cancelled"


def test_a_reset_after_text_can_only_be_an_error() -> None:
    replies: list[Reply] = [*answer("wrong")[:3], Reset(reason="other weights")]
    assert events(streamed(replies))[-1]["error"]["code"] == "stream_reset"


def test_a_log_that_was_rolled_back_under_a_completion_ends_it() -> None:
    stream = ChatStream(request(), include_usage=False)
    shown = events(stream.frames(logged(answer("lost")[:3])) + stream.frames([ROLLED_BACK, *logged(answer("new"))]))
    assert content(shown) == "lost"
    assert shown[-1]["error"]["code"] == "stream_reset"


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=1), min_size=2))
def test_text_that_comes_together_is_one_chunk(texts: list[str]) -> None:
    stream = ChatStream(request(), include_usage=False)
    shown = events(stream.frames(logged(answer(*texts))))
    assert content(shown) == "".join(texts)
    assert len(shown) == len(events(streamed(answer("a"))))


def test_what_a_deadline_cut_is_finished_for_its_length() -> None:
    replies: list[Reply] = [*answer("a")[:3], Finished(usage=USAGE, status="expired")]
    assert events(streamed(replies))[-1]["choices"][0]["finish_reason"] == "length"


def test_two_sequences_do_not_mix() -> None:
    replies: list[Reply] = [
        SequenceStarted(index=0),
        SequenceStarted(index=1),
        Delta(index=1, text="b"),
        Delta(index=0, text="a"),
        SequenceFinished(index=0),
        SequenceFinished(index=1),
        Finished(usage=USAGE),
    ]
    chunks = events(streamed(replies))
    assert (content(chunks, 0), content(chunks, 1)) == ("a", "b")


def test_citations_come_with_the_finish() -> None:
    chunks = events(streamed(answer("Within 30 days. ", "[1]"), passages=PASSAGES))
    [mark] = chunks[-1]["choices"][0]["delta"]["annotations"]
    assert mark["url_citation"]["title"] == "Returns?"


def test_a_skipped_retrieval_is_told() -> None:
    assert completed(answer("a"), retrieval_skipped="timeout")["retrieval_skipped"] == "timeout"
    assert events(streamed(answer("a"), retrieval_skipped="timeout"))[-1]["retrieval_skipped"] == "timeout"


def test_the_object_is_one_that_openais_library_reads() -> None:
    whole = ChatCompletion.model_validate(completed(answer("a", reason="length"), passages=PASSAGES))
    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("a", "length")


def test_the_chunks_are_ones_that_openais_library_reads() -> None:
    chunks = [ChatCompletionChunk.model_validate(event) for event in events(streamed(answer("a"), include_usage=True))]
    assert chunks[1].choices[0].delta.content == "a"


def test_the_model_is_called_what_the_client_called_it() -> None:
    assert completed(answer("a"), served_as="faq-bot")["model"] == "faq-bot"
