"""Bodies looked at before they are parsed: how deep they nest, and whether what they say is text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access.guard import MAX_DEPTH, halves_a_character, too_deep

json_values = st.recursive(
    st.none() | st.text(max_size=8) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    match value:
        case list():
            return 1 + max(map(depth_of, value), default=0)
        case dict():
            return 1 + max(map(depth_of, value.values()), default=0)
        case _:
            return 0


def test_the_bound_itself_is_allowed() -> None:
    assert not too_deep(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)


def test_one_more_is_too_deep() -> None:
    assert too_deep(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_a_bomb_that_never_closes_is_too_deep() -> None:
    assert too_deep(b'{"a":' * 500_000)


def test_brackets_in_a_string_do_not_count() -> None:
    assert not too_deep(json.dumps({"text": "[" * 1000}).encode())


def test_an_escaped_quote_does_not_end_a_string() -> None:
    assert not too_deep(json.dumps({"text": '"' + "[" * 1000}).encode())


def test_siblings_are_not_depth() -> None:
    assert not too_deep(b"[" + b",".join([b"[]"] * 1000) + b"]")


@given(json_values, st.integers(min_value=1, max_value=6))
def test_it_agrees_with_a_parser(value: Any, most: int) -> None:
    assert too_deep(json.dumps(value).encode(), most) == (depth_of(value) > most)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_text_is_let_through_however_it_is_escaped(text: str) -> None:
    assert not halves_a_character(json.dumps({text: text}).encode())


@pytest.mark.parametrize("body", [rb'{"a": "\ud800"}', rb'{"\uDFFF": 1}', rb'["\ud83d\ud83d\ude00"]'])
def test_half_a_character_is_found(body: bytes) -> None:
    assert halves_a_character(body)


def test_an_escaped_backslash_before_it_is_text() -> None:
    assert not halves_a_character(rb'{"a": "\\ud800"}')


def test_malformed_json_is_left_to_the_parser() -> None:
    assert not halves_a_character(rb'{"a": "\ud800')
