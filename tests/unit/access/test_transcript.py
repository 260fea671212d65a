"""A log folded into an answer, and the marks in it."""

from __future__ import annotations

import pytest
from hypothesis import given

from access.transcript import Transcript, citations, file_citation, url_citation
from contracts.messages import Delta, Failed, Failure, Finished, Reply, Reset, SequenceStarted, Usage
from tests.unit.access.logs_of_requests import ENDS, PASSAGES, USAGE, answer, answers


def folded(replies: list[Reply]) -> Transcript:
    transcript = Transcript()
    for seq, reply in enumerate(replies, 1):
        transcript.fold(seq, reply)
    return transcript


def test_an_answer_is_its_deltas_in_order() -> None:
    assert folded(answer("Within ", "30 ", "days.")).text == "Within 30 days."


def test_a_reset_forgets_what_was_said() -> None:
    assert (
        folded([SequenceStarted(), Delta(text="wrong"), Reset(reason="r"), SequenceStarted(), Delta(text="right")]).text
        == "right"
    )


@pytest.mark.parametrize(
    ("end", "status", "why"),
    [
        (ENDS[0], "completed", None),
        (ENDS[1], "incomplete", "max_output_tokens"),
        (ENDS[2], "incomplete", "deadline"),
        (ENDS[3], "failed", None),
        (ENDS[4], "cancelled", None),
    ],
)
def test_each_end_has_its_status(end: Reply, status: str, why: str | None) -> None:
    transcript = folded(answer("a", end=end))
    assert (transcript.status, transcript.incomplete) == (status, why)


def test_a_failed_answer_still_counts_its_tokens() -> None:
    failed = Failed(failure=Failure(code="engine_error", message="m"), usage=USAGE)
    assert folded(answer("a", end=failed)).usage == USAGE


def test_a_log_without_replies_is_queued() -> None:
    assert Transcript().status == "queued"


@given(answers())
def test_every_log_ends(replies: list[Reply]) -> None:
    assert folded(replies).ended


def test_embeddings_are_kept_by_their_index() -> None:
    transcript = folded([Delta(index=1, vector=b"\0\0\0\0"), Finished(usage=Usage())])
    assert transcript.vectors == {1: b"\0\0\0\0"}


def test_a_mark_cites_the_passage_of_its_number() -> None:
    [citation] = citations("Two days. [2]", PASSAGES)
    assert (citation.passage.id, citation.start, citation.end) == ("p2", 10, 13)


@pytest.mark.parametrize("text", ["[0]", "[3]", "[99]", "[]", "[a]", "[-1]", "[100]", ""])
def test_a_mark_without_a_passage_cites_nothing(text: str) -> None:
    assert citations(text, PASSAGES) == []


def test_a_file_citation_names_source_and_score() -> None:
    [citation] = citations("Within 30 days. [1]", PASSAGES)
    shown = file_citation(citation)
    assert (shown["type"], shown["filename"], shown["index"], shown["score"]) == (
        "file_citation",
        "faq.csv#returns",
        16,
        0.9123,
    )


def test_a_url_citation_says_where_its_mark_stands() -> None:
    [citation] = citations("Within 30 days. [1]", PASSAGES)
    shown = url_citation(citation)["url_citation"]
    assert (shown["start_index"], shown["end_index"], shown["title"]) == (16, 19, "Returns?")
