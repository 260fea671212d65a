"""API keys: their shape, how they are found, and what a caller may do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from access.auth import Caller, Forbidden, KeyRing, Unauthenticated, _bearer, _prefix
from contracts import connection, keys
from contracts.ids import TenantId

DIGEST = "5f" * 32
KEY = "sk-0123456789ab_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef0123456789-"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "sk-abc", "bearer\t"])
def test_without_a_bearer_key_nobody_is_let_in(header: str | None) -> None:
    with pytest.raises(Unauthenticated) as raised:
        _bearer(header)
    assert raised.value.code == "missing_api_key"


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER  {KEY} "])
def test_the_scheme_may_be_written_in_any_case(header: str) -> None:
    assert _bearer(header) == KEY


def test_a_key_of_ours_is_found_by_its_prefix() -> None:
    assert _prefix(KEY, DIGEST) == "0123456789ab"


def test_a_key_chosen_by_hand_is_found_by_its_hash() -> None:
    assert _prefix("correct horse battery staple", DIGEST) == DIGEST[:32]


@given(st.text())
def test_whatever_is_sent_as_a_key_can_not_leave_its_place_in_a_redis_key(key: str) -> None:
    assert keys.api_key(_prefix(key, DIGEST)).count(":") == 2
    assert _prefix(key, DIGEST).isalnum()


@given(st.text())
def test_a_digest_tells_nothing_of_its_key(key: str) -> None:
    ring = KeyRing(connection.commands("redis://127.0.0.1:1/0"), "pepper")
    assert len(ring._digest(key)) == 64
    assert ring._digest(key) != KeyRing(connection.commands("redis://127.0.0.1:1/0"), "other")._digest(key)


def test_a_scope_that_is_missing_is_named() -> None:
    caller = Caller(TenantId("acme"), "k", frozenset({"inference"}))
    caller.require("inference")
    with pytest.raises(Forbidden, match="'admin'"):
        caller.require("admin")
