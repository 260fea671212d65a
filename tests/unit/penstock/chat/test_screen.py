"""What a person sees, and what never reaches a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.chat import screen
from penstock.chat.commands import COMMANDS
from penstock.chat.said import Answer, Citation, Conversation, Item, Model, Problem, Queued, Summary

AT = 1_700_000_000.0


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_shown(text: str) -> None:
    shown = screen.harmless(text)
    assert not [sign for sign in shown if unicodedata.category(sign) == "Cc" and sign not in "\n\t"]
    assert not set(shown) & {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("\x9b2J", "\N{REPLACEMENT CHARACTER}2J"),
        ("title\x07", "title␇"),
        ("one\r\ntwo\rthree", "one\ntwothree"),
        ("a\tb\n", "a\tb\n"),
        ("del\x7f", "del␡"),
        ("user\N{RIGHT-TO-LEFT OVERRIDE}nimda", "user\N{REPLACEMENT CHARACTER}nimda"),
        ("水壶 👩‍🔬 שלום", "水壶 👩‍🔬 שלום"),
    ],
)
def test_control_characters_become_pictures_and_languages_stay(text: str, shown: str) -> None:
    assert screen.harmless(text) == shown


def test_a_sequence_in_pieces_is_as_harmless_as_a_whole_one() -> None:
    assert "".join(map(screen.harmless, "\x1b[2J")) == screen.harmless("\x1b[2J")


@given(st.text())
def test_titles_and_names_stand_on_one_line(text: str) -> None:
    assert len(screen.harmless_line(text).splitlines()) <= 1


@given(st.text(), st.integers(1, 200))
def test_a_status_never_takes_a_second_row(line: str, columns: int) -> None:
    assert len(screen.fitted(line, columns)) <= max(columns - 1, 1)


@pytest.mark.parametrize(("seconds", "told"), [(0, "1 s"), (12.4, "12 s"), (89, "89 s"), (120, "2 min"), (7200, "2 h")])
def test_a_wait_is_told_in_the_unit_a_person_would_name(seconds: float, told: str) -> None:
    assert screen.waiting_line(Queued(3, seconds)) == f"waiting: place 3 in the queue, about {told}"


def test_under_an_answer_stands_what_it_cites_and_what_is_to_be_known() -> None:
    cited = (Citation(2, "Returns\x1b[0m", "…"), Citation(1, "Refunds", "…"))
    answer = Answer("resp_1", "incomplete", "Yes [2] [1]", cited, "max_output_tokens", "timeout")
    assert screen.footnotes(answer) == [
        "[2] Returns␛[0m",
        "[1] Refunds",
        "No knowledge was used: timeout.",
        "Cut off: the answer has reached its longest length.",
    ]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer("", "failed", problem=Problem("no_workers", "Nobody\x1b serves it.")), "Nobody␛ serves it."),
        (Answer("r", "cancelled"), "The answer was cancelled elsewhere."),
        (Answer("r", "incomplete", incomplete="deadline"), "There is no answer: its time was up."),
    ],
)
def test_an_answer_that_did_not_come_says_why(answer: Answer, told: str) -> None:
    assert screen.failure(answer) == told


def test_help_has_every_command() -> None:
    shown = "\n".join(screen.help_lines())
    assert [name for name in COMMANDS if f"/{name}" not in shown] == []


def test_conversations_are_numbered_and_the_current_one_has_a_star() -> None:
    listed = [Conversation("conv_b", "", AT), Conversation("conv_a", "Two\nlines\x1b]0;x\x07", AT)]
    first, second = screen.conversation_lines(listed, "conv_a")
    assert first.startswith("  1  20")
    assert first.endswith(screen.UNTITLED)
    assert second.startswith("* 2  20")
    assert second.endswith("Two lines␛]0;x␇")


def test_a_model_that_would_not_answer_says_so() -> None:
    models = [Model("faq-bot", "ready", True, True), Model("big", "no_workers", False, True)]
    assert screen.model_lines(models, "faq-bot") == ["* faq-bot", "  big (no_workers)"]


def test_a_message_says_who_spoke() -> None:
    assert screen.item_lines(Item("i", "user", "Hi.\n", AT))[0].startswith("[you, ")
    assert screen.item_lines(Item("i", "assistant", "Hello.", AT))[0].startswith("[answer, ")
    pushed = screen.item_lines(Item("i", "assistant", "Your room\nis ready.", AT, publisher="hotels"))
    assert pushed[0].startswith("[hotels, ")
    assert pushed[1:] == ["Your room", "is ready."]


def test_a_conversation_is_exported_with_what_its_answers_cite() -> None:
    items = [Item("a", "user", "May I?", 0.0), Item("b", "assistant", "Yes [1].", 60.0, "resp_1")]
    returns = Conversation("conv_a", "Returns\n# not a heading", 0.0)
    text = screen.markdown(returns, items, {"b": [Citation(1, "Returns", "Within\n30 days.")]})
    assert text == (
        "# Returns # not a heading\n\n"
        "**You** · 1970-01-01 00:00 UTC\n\nMay I?\n\n"
        "**Answer** · 1970-01-01 00:01 UTC\n\nYes [1].\n\n"
        "> [1] Returns: Within 30 days.\n"
    )


@pytest.mark.parametrize(("until", "place"), [(-1.0, 1), (0.0, 3), (60.0, 4), (99.0, 4)])
def test_an_export_has_the_summary_behind_what_it_covers(until: float, place: int) -> None:
    items = [Item("a", "user", "May I?", 0.0), Item("b", "assistant", "Yes.", 0.0), Item("c", "user", "Now?", 60.0)]
    kettles = Conversation("conv_a", "Kettles", 0.0, Summary("Ada may.\x1b]0;x\x07", until, 120.0))
    parts = screen.markdown(kettles, items, {}).split("\n\n**")
    said = "Earlier messages are summarised for the model** · 1970-01-01 00:02 UTC\n\nAda may.␛]0;x␇"
    assert [part.strip() == said for part in parts].index(True) == place
    assert len(parts) == 5


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("How long?", "How-long.md"),
        ("../../etc/passwd", "etc-passwd.md"),
        ("水壶", "水壶.md"),
        ("", "conversation.md"),
        ("///", "conversation.md"),
        ("x" * 300, "x" * 60 + ".md"),
    ],
)
def test_a_title_names_a_file_whatever_is_in_it(title: str, name: str) -> None:
    assert screen.file_name(title) == name
