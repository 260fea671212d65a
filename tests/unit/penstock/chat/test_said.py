"""What the API says, as values."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.chat import said
from penstock.chat.said import Answer, Citation, Ended, Item, Model, Named, Problem, Queued, Text, Voided
from penstock.errors import CommandError

RESPONSE: dict[str, Any] = {
    "id": "resp_1",
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "output": [],
    "usage": {"total_tokens": 3},
}
READY = Model("small", "ready", False, True)
PRESET = Model("faq-bot", "ready", True, True)
STARTING = Model("big", "starting", True, True)


def response(text: str, annotations: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": annotations}
    return {**RESPONSE, "output": [{"content": [part]}], **more}


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"type": "response.created", "response": RESPONSE}, Named("resp_1")),
        ({"type": "response.queued", "position": 2, "eta_seconds": 3.5}, Queued(2, 3.5)),
        ({"type": "response.output_text.delta", "delta": "Hi"}, Text("Hi")),
        ({"type": "response.output_text.reset"}, Voided()),
        ({"type": "response.output_text.done", "text": "Hi"}, None),
        ({"type": "something.new"}, None),
        (
            {"type": "error", "code": "no_workers", "message": "Nobody."},
            Ended(Answer("", "failed", problem=Problem("no_workers", "Nobody."))),
        ),
    ],
)
def test_events_say_what_a_reader_is_to_know(event: dict[str, Any], told: Any) -> None:
    assert said.told(event) == told


@pytest.mark.parametrize("status", ["completed", "incomplete", "failed", "cancelled"])
def test_every_end_ends(status: str) -> None:
    told = said.told({"type": f"response.{status}", "response": {**RESPONSE, "status": status}})
    assert isinstance(told, Ended)
    assert told.answer.status == status


def test_a_citation_has_the_number_of_its_mark_and_stands_once() -> None:
    text = "Yes [2], as [1] says [2]."
    marks = [
        {"index": 4, "title": "Returns", "text": "Within 30 days."},
        {"index": 12, "title": "", "filename": "faq.csv", "text": "…"},
        {"index": 21, "title": "Returns", "text": "Within 30 days."},
        {"index": 1, "title": "no mark stands here"},
    ]
    answer = said.answer_of(response(text, marks))
    assert answer.citations == (Citation(2, "Returns", "Within 30 days."), Citation(1, "faq.csv", "…"))


@pytest.mark.parametrize(
    "event",
    [None, [], "x", {}, {"type": "response.created"}, {"type": "response.queued", "position": "?", "eta_seconds": 1}],
)
def test_what_no_penstock_says_raises_what_is_said_of_it(event: Any) -> None:
    with pytest.raises(said.NOT_AS_DOCUMENTED):
        said.told(event)


@pytest.mark.parametrize(
    ("answer", "answered"),
    [
        (Answer("r", "completed"), True),
        (Answer("r", "incomplete", "some"), True),
        (Answer("r", "incomplete", ""), False),
        (Answer("r", "failed", "some"), False),
        (Answer("r", "cancelled", "some"), False),
    ],
)
def test_what_was_cut_off_is_an_answer_if_there_is_any_of_it(answer: Answer, answered: bool) -> None:
    assert answer.answered is answered


def test_the_first_choice_is_the_first_that_is_ready() -> None:
    assert said.first_choice([STARTING, PRESET, READY]) == PRESET
    assert said.first_choice([STARTING]) == STARTING


def test_no_model_at_all_is_said() -> None:
    with pytest.raises(CommandError, match="serves no model yet"):
        said.first_choice([])


def test_a_model_that_is_not_there_is_refused_with_those_that_are() -> None:
    assert said.named([PRESET, READY], "small") == READY
    with pytest.raises(CommandError, match=r"no model 'huge'. There are: faq-bot, small\."):
        said.named([PRESET, READY], "huge")


def test_a_push_is_told_apart_from_an_answer() -> None:
    found = {"id": "i", "role": "assistant", "content": [{"text": "Ping."}], "created_at": 1}
    assert said.item_of(found) == Item("i", "assistant", "Ping.", 1.0)
    assert said.item_of({**found, "push": True, "publisher": "hotels"}).publisher == "hotels"


def test_what_lies_behind_a_known_item_is_new() -> None:
    items = [Item(name, "user", name, 0.0) for name in "abc"]
    assert said.behind(items, "a") == items[1:]
    assert said.behind(items, "c") == []
    assert said.behind(items, "") == items
    assert said.behind(items, "long gone") == []
