"""What BM25 counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.terms import is_pair, language, terms


@pytest.mark.parametrize(
    "words",
    [
        ("order", "orders", "ordered", "ordering", "Order"),
        ("battery", "batteries"),
        ("box", "boxes"),
        ("stop", "stopped"),
    ],
)
def test_forms_of_a_word_are_one_term(words: tuple[str, ...]) -> None:
    assert len({tuple(terms(word)) for word in words}) == 1


def test_words_without_a_topic_are_left_out() -> None:
    assert terms("What is the price of it?") == terms("price")


def test_chinese_becomes_pairs_of_characters_and_the_characters() -> None:
    assert terms("除水垢") == ["u9664u6c34", "u6c34u57a2", "u9664", "u6c34", "u57a2"]


def test_a_chinese_question_word_is_no_term() -> None:
    assert set(terms("怎么除垢呢")) == {"u4e48u9664", *terms("除垢"), "u57a2u5462"}


def test_pairs_are_told_from_characters_and_words() -> None:
    assert [term for term in terms("除垢 wifi u2") if is_pair(term)] == ["u9664u57a2"]


def test_chinese_and_english_stand_side_by_side() -> None:
    assert terms("连接 Wi-Fi 网络") == ["u8fdeu63a5", "u8fde", "u63a5", "wi", "fi", "u7f51u7edc", "u7f51", "u7edc"]


def test_full_width_forms_equal_plain_ones() -> None:
    assert terms("Ｆ２") == terms("f2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("How?", "en"), ("水壶连不上 wifi", "zh"), ("Brightwater Pro 多少钱", "zh"), ("", "en"), ("42", "en")],
)
def test_the_language_is_that_of_most_words(text: str, expected: str) -> None:
    assert language(text) == expected


@given(st.text())
def test_terms_are_words_that_blanks_can_join(text: str) -> None:
    found = terms(text)
    assert " ".join(found).split() == found
