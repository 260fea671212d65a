"""The prompt: its order, its delimiters, and what cannot get into it."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from access import prompt
from contracts.messages import ChatMessage, Passage
from memory import Summary

EARLIER = Summary("Ada wants a kettle.", "1-0", 1.0, "--- 5eed00")
HISTORY = (ChatMessage(role="user", content="Hi."), ChatMessage(role="assistant", content="Hello."))


def passage(text: str, title: str = "") -> Passage:
    return Passage(id="p", collection="c", source="s", title=title, text=text, score=1.0)


def test_stable_parts_come_first_and_the_question_last() -> None:
    messages = prompt.compose("Why?", instructions="Be kind.", facts={"name": "Ada"}, history=HISTORY)
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[0].content == "Be kind.\n\nAbout the user:\nname: Ada"
    assert messages[-1].content == "Why?"


def test_without_anything_to_say_there_is_no_system_message() -> None:
    assert prompt.compose("Why?") == (ChatMessage(role="user", content="Why?"),)


def test_facts_alone_make_a_system_message() -> None:
    assert prompt.compose("Why?", facts={"plan": "pro"})[0].content == "About the user:\nplan: pro"


def test_what_the_user_told_is_shown_as_that() -> None:
    shown = prompt.compose("Why?", facts={"plan": "pro"}, learned={"name": "Ada"})[0].content
    assert shown == "About the user:\nplan: pro\n\nTold by the user, not verified:\nname: Ada"
    assert prompt.compose("Why?", learned={"name": "Ada"})[0].content == "Told by the user, not verified:\nname: Ada"


def test_the_next_turn_begins_with_this_one() -> None:
    """What keeps the engine's prefix cache warm: passages are not repeated in later turns."""
    first = prompt.compose("One?", instructions="I.", history=HISTORY)
    answered = (*HISTORY, ChatMessage(role="user", content="One?"), ChatMessage(role="assistant", content="1"))
    second = prompt.compose("Two?", instructions="I.", history=answered, passages=[passage("t")], delimiter="--- d")
    assert second[: len(first) - 1] == first[:-1]


def test_passages_stand_between_delimiters_beside_the_question() -> None:
    shown = prompt.beside_passages("Why?", [passage("Text.", "Title"), passage("More.")], "--- d")
    assert shown == "Passages:\n--- d\nTitle\nText. [1]\n--- d\nMore. [2]\n--- d\n\nQuestion: Why?"


def test_knowledge_without_a_passage_says_so() -> None:
    assert prompt.beside_passages("Why?", [], "") == "No passage was found.\n\nQuestion: Why?"


def test_a_bot_that_invents_nothing_says_a_passage_as_it_is_shown_or_refuses() -> None:
    said = prompt.word_for_word([passage("Te\u202ext.", "Title"), passage("More.")])
    assert said == ("Text. [1]", "More. [2]", "This is not in the FAQ.")


def test_a_delimiter_is_never_the_same_again() -> None:
    drawn = {prompt.new_delimiter() for _ in range(50)}
    assert len(drawn) > 45
    assert all(re.fullmatch(r"--- [0-9a-f]{6}", one) for one in drawn)


@given(st.text())
def test_no_control_or_bidirectional_character_gets_through(text: str) -> None:
    left = [c for c in prompt.clean(text) if c not in "\n\u200c\u200d"]
    assert not [c for c in left if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co")]


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert prompt.clean(prompt.clean(text)) == prompt.clean(text)


def test_a_bidirectional_override_in_a_title_is_stripped() -> None:
    assert "\u202e" not in prompt.beside_passages("Why?", [passage("t", "a\u202eb")], "--- d")


@given(st.text(), st.text())
def test_the_question_is_the_users_words_unchanged(question: str, text: str) -> None:
    assert prompt.compose(question, passages=[passage(text)], delimiter="--- d")[-1].content.endswith(
        f"Question: {question}"
    )


def test_a_summary_stands_between_the_profile_and_what_was_said_since() -> None:
    messages = prompt.compose("Why?", instructions="I.", facts={"name": "Ada"}, summary=EARLIER, history=HISTORY)
    assert [message.role for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[1].content == f"{prompt.EARLIER}\n--- 5eed00\nAda wants a kettle.\n--- 5eed00\n\nHi."
    assert messages[-1].content == "Why?"


def test_the_next_turn_begins_with_this_one_behind_a_summary_too() -> None:
    first = prompt.compose("One?", summary=EARLIER, history=HISTORY)
    answered = (*HISTORY, ChatMessage(role="user", content="One?"), ChatMessage(role="assistant", content="1"))
    assert prompt.compose("Two?", summary=EARLIER, history=answered)[: len(first)] == first


def test_a_summary_before_a_push_is_a_message_of_its_own() -> None:
    messages = prompt.compose("Why?", summary=EARLIER, history=[ChatMessage(role="assistant", content="Ping.")])
    assert [message.role for message in messages] == ["user", "assistant", "user"]


def test_a_summary_with_nothing_said_since_stands_before_the_question() -> None:
    [message] = prompt.compose("Why?", summary=EARLIER, passages=[passage("Text.")], delimiter="--- d")
    assert message.content.endswith("--- 5eed00\n\nPassages:\n--- d\nText. [1]\n--- d\n\nQuestion: Why?")


@given(st.text())
def test_a_summary_is_never_in_the_system_message(text: str) -> None:
    summary = Summary(text, "1-0", 1.0, "--- 5eed00")
    head, *rest = prompt.compose("Why?", instructions="I.", summary=summary)
    assert head == ChatMessage(role="system", content="I.")
    assert [message.role for message in rest] == ["user"]


@given(st.text())
def test_a_summary_stays_between_its_delimiters(text: str) -> None:
    """Its delimiter was drawn behind its text, so the text does not contain it."""
    shown = prompt.shown_summary(Summary(text.replace("5eed00", ""), "1-0", 1.0, "--- 5eed00"))
    assert shown.count("--- 5eed00") == 2
    assert shown.endswith("\n--- 5eed00")
