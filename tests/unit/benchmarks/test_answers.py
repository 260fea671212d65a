"""Reading recorded streams, and telling lost tokens from rounding."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.answers import Answer, compare, read
from benchmarks.wire import Recorded

STORY = "the gate lets through just what the wheel below can turn into light for the town and no more"


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text is not None else {}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


def usage(tokens: int) -> bytes:
    counts = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    return b"data: " + json.dumps({"choices": [], "usage": counts}).encode() + b"\n\n"


def recorded(*parts: tuple[float, bytes], status: int = 200) -> Recorded:
    return Recorded(due=10.0, status=status, parts=list(parts), ended=parts[-1][0] if parts else 10.0)


def answer(text: str, tokens: int = 64) -> Answer:
    return Answer(0.01, 0.1, (0.001,), text, 9, tokens, "length")


def test_the_first_token_counts_from_the_moment_the_question_was_due() -> None:
    stream = recorded(
        (10.1, chunk("")),
        (10.2, chunk("Hel")),
        (10.5, chunk("lo")),
        (10.6, chunk(finish="stop") + usage(2)),
        (10.7, b"data: [DONE]\n\n"),
    )
    got = read(stream, 64)
    assert (got.text, got.tokens, got.finish, got.problem) == ("Hello", 2, "stop", "")
    assert (got.first_token, got.ended) == (pytest.approx(0.2), pytest.approx(0.7))
    assert got.gaps == (pytest.approx(0.3),)


def test_an_event_counts_from_the_part_that_completes_it() -> None:
    whole = chunk("Hi")
    stream = recorded((10.1, whole[:7]), (10.4, whole[7:] + chunk(finish="stop") + usage(1) + b"data: [DONE]\n\n"))
    assert read(stream, 64).first_token == pytest.approx(0.4)


def test_comments_and_empty_deltas_are_no_tokens() -> None:
    stream = recorded(
        (10.1, b": waiting\n\n" + chunk("")),
        (10.3, chunk("Hi") + chunk(finish="stop") + usage(1) + b"data: [DONE]\n\n"),
    )
    assert read(stream, 64).first_token == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (chunk("Hi") + chunk(finish="stop") + usage(1), "no [DONE]"),
        (chunk("Hi") + usage(1) + b"data: [DONE]\n\n", "no finish reason"),
        (chunk("Hi") + chunk(finish="stop") + b"data: [DONE]\n\n", "no usage"),
        (
            chunk("Hi") + chunk(finish="length") + usage(63) + b"data: [DONE]\n\n",
            "cut at 63 tokens, though 64 were asked for",
        ),
        (b'data: {"error": {"message": "gone"}}\n\n', "error in the stream: {'message': 'gone'}"),
        (b"data: {nonsense\n\n", "not a chunk: JSON is malformed: object keys must be strings (byte 1)"),
    ],
)
def test_what_is_no_whole_answer_says_why(body: bytes, problem: str) -> None:
    assert read(recorded((10.1, body)), 64).problem == problem


def test_a_refusal_is_a_problem_with_its_words() -> None:
    assert "status 429" in read(recorded((10.1, b'{"error": {}}'), status=429), 64).problem


def test_a_lost_connection_is_a_problem() -> None:
    broken = Recorded(due=10.0, status=200, ended=11.0, problem="connection lost: closed by the server")
    assert read(broken, 64).problem == "connection lost: closed by the server"


def test_the_same_text_is_the_same() -> None:
    assert compare(answer(STORY), answer(STORY)) == "same"


def test_a_piece_missing_in_the_middle_is_a_lost_token() -> None:
    assert compare(answer(STORY.replace(" through", "")), answer(STORY)) == "lost"


def test_a_piece_that_comes_twice_is_a_doubled_token() -> None:
    assert compare(answer(STORY.replace(" through", " through through")), answer(STORY)) == "doubled"


def test_a_missing_end_is_lost_when_it_is_longer_than_a_token() -> None:
    assert compare(answer(STORY[:40]), answer(STORY)) == "lost"


def test_texts_that_go_different_ways_have_diverged() -> None:
    assert compare(answer(STORY[:30] + " something else altogether"), answer(STORY)) == "diverged"


def test_an_end_that_one_side_rounded_to_a_shorter_token_has_diverged() -> None:
    assert compare(answer(STORY + " the"), answer(STORY + " there")) == "diverged"


def test_an_answer_that_one_side_ended_earlier_has_diverged() -> None:
    assert compare(answer(STORY[:40], tokens=20), answer(STORY, tokens=64)) == "diverged"
