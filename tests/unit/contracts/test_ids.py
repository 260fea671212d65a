"""Ids: unguessable, and nothing else gets through their door."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.ids import (
    CONVERSATION_PREFIX,
    RESPONSE_PREFIX,
    BadId,
    Shard,
    is_model_name,
    is_name,
    new_generation,
    new_process_id,
    new_request_id,
    new_session_id,
    parse_public,
    shard_of,
)


@given(st.integers(min_value=0, max_value=9999))
def test_an_id_names_its_shard(shard: int) -> None:
    assert shard_of(new_request_id(Shard(shard))) == shard
    assert shard_of(new_session_id(Shard(shard))) == shard


def test_no_two_ids_are_the_same() -> None:
    assert len({new_request_id(Shard(0)) for _ in range(1000)}) == 1000


def test_a_public_id_gives_its_token_back() -> None:
    token = new_request_id(Shard(3))
    assert parse_public(f"{RESPONSE_PREFIX}{token}", RESPONSE_PREFIX) == token


def test_an_id_of_another_kind_is_none() -> None:
    with pytest.raises(BadId):
        parse_public(f"{CONVERSATION_PREFIX}{new_session_id(Shard(0))}", RESPONSE_PREFIX)


@pytest.mark.parametrize("end", ["\n", "}", ":", "0", " ", "\0", "*"])
def test_nothing_may_follow_a_token(end: str) -> None:
    with pytest.raises(BadId):
        shard_of(new_request_id(Shard(0)) + end)


@given(st.text())
def test_other_text_is_no_id(text: str) -> None:
    with pytest.raises(BadId):
        shard_of(text)


@given(st.text(alphabet=st.sampled_from("aZ0._-/:{}*\n \0é")))
def test_a_name_holds_nothing_that_a_redis_key_could_mean_something_by(text: str) -> None:
    if is_name(text):
        assert not set(text) & set(":{}*?[]\n \0/")
    if is_model_name(text):
        assert not set(text) & set(":{}*?[]\n \0")


def test_names_are_bounded() -> None:
    assert is_name("a" * 64)
    assert not is_name("a" * 65)
    assert not is_model_name("a" * 129)


def test_a_generation_is_hexadecimal_as_cursors_expect() -> None:
    assert int(new_generation(), 16) >= 0


def test_a_process_name_begins_with_its_role() -> None:
    assert new_process_id("access").startswith("access-")
