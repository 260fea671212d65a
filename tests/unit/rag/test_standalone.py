"""Which texts a question of a conversation is searched with, and which entries a follow-up may be answered from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.standalone import MOST_CHARACTERS, is_known, texts
from rag.terms import terms

TICKET = "What does a ticket cost?"


@pytest.mark.parametrize("question", ["and for kids?", "for how long?", "Until when?", "Does that include the museum?"])
def test_a_short_question_is_also_searched_behind_the_one_before(question: str) -> None:
    assert texts(question, [TICKET]) == (question, f"{TICKET} {question}")


@pytest.mark.parametrize("question", ["那 Pro 呢?", "要多久?", "还有白茶?", "在哪里关?"])
def test_a_short_chinese_question_is_too(question: str) -> None:
    assert texts(question, ["保修期有多长?"])[1] == f"保修期有多长? {question}"


def test_of_several_questions_before_the_last_one_counts() -> None:
    assert texts("and for kids?", ["Where can I park?", TICKET]) == ("and for kids?", f"{TICKET} and for kids?")


@pytest.mark.parametrize("question", ["Can visitors park behind the town hall?", "怎么用柠檬酸除垢"])
def test_a_question_with_enough_words_of_its_own_stands_for_itself(question: str) -> None:
    assert texts(question, [TICKET]) == (question,)


@pytest.mark.parametrize("history", [[], [""], ["  \n"], ["x" * (MOST_CHARACTERS + 1)]])
def test_without_a_question_to_lean_on_it_is_searched_as_it_is(history: list[str]) -> None:
    assert texts("and for kids?", history) == ("and for kids?",)


def test_an_entry_must_know_half_of_what_is_new() -> None:
    entry = frozenset(terms("Tickets cost 12 euros, kids pay half."))
    assert is_known("and for kids?", [TICKET], entry)
    assert is_known("and for kids with dogs?", [TICKET], entry)
    assert not is_known("and for dogs?", [TICKET], entry)


def test_what_the_question_before_has_said_is_not_new() -> None:
    assert is_known("and that ticket?", [TICKET], frozenset())


def test_a_question_without_a_topic_of_its_own_asks_about_the_one_before() -> None:
    assert is_known("for how long?", [TICKET], frozenset())
    assert is_known("然后呢?", ["怎么配对"], frozenset())


@given(st.text(), st.lists(st.text(), max_size=3))
def test_the_question_itself_always_comes_first(question: str, history: list[str]) -> None:
    first, *more = texts(question, history)
    assert first == question
    assert all(one == f"{history[-1]} {question}" for one in more)


@given(st.text(), st.text())
def test_an_entry_that_has_every_word_of_the_question_knows_it(question: str, before: str) -> None:
    assert is_known(question, [before], frozenset(terms(question)))
