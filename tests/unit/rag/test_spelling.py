"""One slip is forgiven, and nothing that could as well be another word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.spelling import meant

KNOWN = frozenset({"warranty", "kettl", "student", "deliver", "receiv", "cost", "u4fddu4fee"})


@pytest.mark.parametrize(
    ("slip", "word"),
    [
        ("waranty", "warranty"),
        ("warrranty", "warranty"),
        ("warrenty", "warranty"),
        ("studnet", "student"),
        ("ketl", "kettl"),
        ("reciev", "receiv"),
        ("deliverr", "deliver"),
    ],
)
def test_a_letter_too_few_too_many_wrong_or_swapped_is_forgiven(slip: str, word: str) -> None:
    assert meant({slip}, KNOWN) == {word}


@pytest.mark.parametrize("word", ["wrnty", "most", "cast", "student", "arranty", "u4fddu4fef", "covid19", ""])
def test_what_is_no_single_slip_stays_as_it_is(word: str) -> None:
    assert meant({word}, KNOWN) == {word}


def test_a_slip_between_two_words_may_mean_either() -> None:
    assert meant({"stanes"}, {"stones", "stages", "other"}) == {"stones", "stages"}


def test_a_known_word_is_not_taken_for_its_neighbour() -> None:
    assert meant({"scales"}, {"scales", "scaler"}) == {"scales"}


@given(st.sets(st.text(max_size=12), max_size=5), st.sets(st.text(min_size=1, max_size=12), max_size=20))
def test_whatever_is_asked_each_word_stays_or_becomes_known_ones(words: set[str], known: set[str]) -> None:
    found = meant(words, known)
    assert words & known <= found
    assert found <= words | known
    assert bool(found) == bool(words)
