"""A session's stream, read back as turns."""

from __future__ import annotations

from contracts.ids import RequestId
from memory.history import Turn, _entries, position_of
from memory.history import _turns as joined

A, B = RequestId("s0_" + "a" * 32), RequestId("s0_" + "b" * 32)


Raw = tuple[bytes, dict[bytes, bytes]]


def _turns(raw: list[Raw], running: RequestId | None = None) -> list[Turn]:
    return joined(_entries(raw), running)


def entry(at: int, **fields: str) -> Raw:
    return f"{at}-0".encode(), {name.encode(): value.encode() for name, value in fields.items()}


def started(at: int, request: str, text: str) -> Raw:
    return entry(at, type="turn.started", request=request, text=text)


def finished(at: int, request: str, text: str, status: str = "done") -> Raw:
    return entry(at, type="turn.finished", request=request, text=text, status=status)


def test_a_finish_joins_its_start() -> None:
    assert _turns([started(1, A, "q"), finished(2, A, "a")]) == [Turn("1-0", "q", "a", "done", A)]


def test_answers_find_their_questions_in_any_order() -> None:
    turns = _turns([started(1, A, "first"), started(2, B, "second"), finished(3, B, "b"), finished(4, A, "a")])
    assert [(turn.question, turn.answer) for turn in turns] == [("first", "a"), ("second", "b")]


def test_a_push_between_question_and_answer_keeps_its_place() -> None:
    turns = _turns([started(1, A, "q"), entry(2, type="push", text="ping", publisher="p"), finished(3, A, "a")])
    assert [turn.status for turn in turns] == ["done", "push"]


def test_a_turn_without_its_end_is_running_if_its_request_is() -> None:
    [turn] = _turns([started(1, A, "q")], running=A)
    assert (turn.status, turn.messages) == ("running", ())


def test_a_turn_whose_answer_is_neither_there_nor_made_is_unanswered() -> None:
    for running in (None, B):
        [turn] = _turns([started(1, A, "q")], running)
        assert (turn.status, turn.messages) == ("unanswered", ())


def test_a_question_that_was_put_in_alone_is_never_running() -> None:
    assert _turns([started(1, "", "q")])[0].status == "unanswered"


def test_an_answer_keeps_the_name_of_its_turn_when_the_question_is_gone() -> None:
    gone = entry(3, type="item.deleted", request=A, turn="1-0", role="user")
    [turn] = _turns([entry(2, type="turn.finished", request=A, status="done", text="a", turn="1-0"), gone])
    assert (turn.id, turn.question, turn.answer) == ("1-0", None, "a")


def test_answers_that_were_put_in_find_their_own_question() -> None:
    first, second = started(1, "", "q1"), started(2, "", "q2")
    turns = _turns([first, second, entry(3, type="turn.finished", request="", text="a1", status="done", turn="1-0")])
    assert [(turn.question, turn.answer) for turn in turns] == [("q1", "a1"), ("q2", None)]


def test_an_answer_whose_question_is_out_of_reach_stands_alone() -> None:
    [turn] = _turns([finished(2, A, "a")])
    assert (turn.question, turn.answer) == (None, "a")


def test_what_a_newer_release_wrote_is_passed_over() -> None:
    assert _turns([entry(1, type="turn.summarised", text="…"), started(2, A, "q")])[0].question == "q"


def test_bytes_that_are_no_text_do_not_stop_the_reading() -> None:
    [turn] = _turns([(b"1-0", {b"type": b"push", b"text": b"\xff"})])
    assert turn.answer == "\ufffd"


def test_a_turn_knows_when_it_began() -> None:
    assert Turn("1700000000250-3", "q", "a", "done").at == 1_700_000_000.25


def test_a_push_says_who_sent_it_and_what_with() -> None:
    [turn] = _turns([entry(1, type="push", publisher="orders", id="7", text="ping", metadata='{"order":"7"}')])
    assert (turn.publisher, turn.metadata) == ("orders", {"order": "7"})


def test_entries_are_ordered_as_numbers() -> None:
    assert sorted(["10-0", "9-11", "9-2"], key=position_of) == ["9-2", "9-11", "10-0"]
