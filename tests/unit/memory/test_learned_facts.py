"""What a model says about a user: only lines of the right form and kind are facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory.learned import MAX_CHARACTERS, Known, Learned, learned_from, read_facts

ALLOWED = ("name", "city")


def test_lines_of_the_right_form_are_facts() -> None:
    assert read_facts("name: Ada\n city : Paris, near the river: left bank \n", ALLOWED) == {
        "name": "Ada",
        "city": "Paris, near the river: left bank",
    }


@pytest.mark.parametrize(
    "line",
    [
        "name",
        "name Ada",
        "name:",
        "name: unknown",
        "name: Not stated.",
        "name: -",
        "plan: gold",
        "Name: Ada",
        "- name: Ada",
        "**name**: Ada",
        "The name: Ada",
        "__class__: x",
        "name: " + "x" * (MAX_CHARACTERS + 1),
        '{"name": "Ada"}',
        ":since: 0",
    ],
)
def test_anything_else_is_dropped(line: str) -> None:
    assert read_facts(f"{line}\ncity: Paris", ALLOWED) == {"city": "Paris"}


def test_of_a_name_that_comes_twice_the_first_line_counts() -> None:
    assert read_facts("name: Ada\nname: Eve", ALLOWED) == {"name": "Ada"}


@given(st.text())
def test_whatever_a_model_says_the_facts_are_few_short_and_on_one_line(text: str) -> None:
    for name, value in read_facts(f"{text}\nname: {text}", ALLOWED).items():
        assert name in ALLOWED
        assert 0 < len(value) <= MAX_CHARACTERS
        assert value.splitlines() == [value]


def test_what_is_registered_stands_before_what_was_told() -> None:
    told = {name: Learned(name.upper(), 1, "s0_x") for name in ALLOWED}  # type: ignore[arg-type]
    assert Known({"name": "Ada"}, told, 0).said == {"city": "CITY"}


def test_a_fact_of_a_form_that_is_not_ours_is_none() -> None:
    assert learned_from({b"name": b"{", b":since": b"7"}) == ({}, 7)
