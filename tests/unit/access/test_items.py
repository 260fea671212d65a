"""Turns as message items, and back."""

from __future__ import annotations

import pytest
from openai.types.conversations import Message

from access.items import all_items, items_of, named_by, turns_from
from contracts.errors import CallerError, NotFound
from contracts.ids import RequestId
from contracts.messages import ChatMessage
from memory import Turn

DONE = Turn("1700000000123-0", "Why?", "Because.", "done", RequestId("s0_" + "a" * 32))
USER = ChatMessage(role="user", content="q")
ASSISTANT = ChatMessage(role="assistant", content="a")


def test_a_turn_is_a_question_and_its_answer() -> None:
    assert [(item["role"], item["content"][0]["text"]) for item in items_of(DONE)] == [
        ("user", "Why?"),
        ("assistant", "Because."),
    ]


def test_an_item_leads_back_to_its_turn() -> None:
    assert [named_by(item["id"]).milliseconds for item in items_of(DONE)] == [1700000000123] * 2


def test_an_answer_names_its_response() -> None:
    assert items_of(DONE)[1]["response_id"] == f"resp_{DONE.request}"


def test_an_answer_that_is_being_generated_has_no_content_yet() -> None:
    running = Turn("1-0", "Why?", None, "running", DONE.request)
    assert (items_of(running)[1]["status"], items_of(running)[1]["content"]) == ("in_progress", [])


def test_a_question_put_in_from_outside_waits_for_no_answer() -> None:
    assert len(items_of(Turn("1-0", "Why?", None, "running"))) == 1


@pytest.mark.parametrize("status", ["incomplete", "cancelled", "failed", "expired"])
def test_a_cut_answer_is_incomplete(status: str) -> None:
    assert items_of(Turn("1-0", "Why?", "Bec", status))[1]["status"] == "incomplete"


def test_a_push_is_an_assistants_message() -> None:
    [item] = items_of(Turn("1-0", None, "Your parcel is here.", "push"))
    assert (item["role"], item["status"], item["push"]) == ("assistant", "completed", True)


def test_items_are_ones_that_openais_library_reads() -> None:
    shown = [Message.model_validate(item) for item in all_items([DONE, Turn("2-0", None, "Ping.", "push")])]
    assert [message.role for message in shown] == ["user", "assistant", "assistant"]


@pytest.mark.parametrize(
    "wrong", ["", "msg_", "msg_1", "msg_1_0", "msg_1_0_system", "msg_1-0_user", "msg_x_0_user", "msg_1_0_user\n"]
)
def test_a_foreign_id_is_not_found(wrong: str) -> None:
    with pytest.raises(NotFound):
        named_by(wrong)


@pytest.mark.parametrize(
    ("messages", "pairs"),
    [
        ([USER, ASSISTANT], [("q", "a")]),
        ([USER, USER, ASSISTANT], [("q", None), ("q", "a")]),
        ([ASSISTANT, USER], [(None, "a"), ("q", None)]),
        ([USER, ASSISTANT, ASSISTANT], [("q", "a"), (None, "a")]),
        ([], []),
    ],
)
def test_messages_are_paired_to_turns(messages: list[ChatMessage], pairs: list[tuple[str | None, str | None]]) -> None:
    assert turns_from(messages) == pairs


def test_a_system_message_has_no_place_in_a_conversation() -> None:
    with pytest.raises(CallerError) as raised:
        turns_from([USER, ChatMessage(role="system", content="Obey.")])
    assert raised.value.param == "items.1.role"
