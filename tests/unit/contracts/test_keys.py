"""Every key: in its slot, documented, and out of reach of what users write."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import keys
from contracts.ids import AccessId, RequestId, SessionId, Shard, TenantId, WorkerId

REQUEST = RequestId("s3_" + "0" * 32)
SESSION = SessionId("s3_" + "1" * 32)
SAMPLE: dict[str, Any] = {
    "request_id": REQUEST,
    "session_id": SESSION,
    "shard": Shard(3),
    "model": "org/model-1",
    "service_class": "batch",
    "worker": WorkerId("worker-1"),
    "access": AccessId("access-1"),
    "tenant": TenantId("acme"),
    "user": "user",
    "key": "key",
    "file_id": "file-1",
    "prefix": "0123456789ab",
    "sha256": "f" * 64,
    "period": "2026-11",
    "account": "0" * 32,
    "publisher": "hotels",
    "target": SESSION,
    "push_id": "stay-7",
}
FUNCTIONS: dict[str, Callable[..., str]] = {
    name: function
    for name, function in inspect.getmembers(keys, inspect.isfunction)
    if function.__module__ == keys.__name__ and name != "hashed"
}
KEYS = {name: function for name, function in FUNCTIONS.items() if not (function.__doc__ or "").startswith("not a key")}


def made(function: Callable[..., str], **changes: Any) -> str:
    return function(**{name: (SAMPLE | changes)[name] for name in inspect.signature(function).parameters})


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_docstring_says_type_content_writer_and_end(name: str) -> None:
    assert len((FUNCTIONS[name].__doc__ or "").split("; ")) == 4


def test_no_two_functions_make_the_same_key() -> None:
    whole = [made(function) for function in FUNCTIONS.values()]
    assert len(set(whole)) == len(whole)


@pytest.mark.parametrize("name", [name for name in KEYS if name != "library_name"])
def test_every_key_begins_with_our_prefix(name: str) -> None:
    assert made(KEYS[name]).startswith(keys.PREFIX)


def test_all_keys_of_a_request_and_its_session_share_a_slot() -> None:
    ours = [
        function
        for function in KEYS.values()
        if {"shard", "request_id", "session_id"} & set(inspect.signature(function).parameters)
    ]
    tags = {re.findall(r"\{(.*?)\}", made(function))[0] for function in ours if function is not keys.verdict}
    assert tags == {"s3"}


def test_all_keys_of_the_gate_share_a_slot() -> None:
    gate = [keys.verdict, keys.ledger, keys.reservations, keys.limits, keys.gate_status, keys.active_limiter]
    assert all(made(function).startswith(keys.gate_prefix()) for function in gate)


@given(st.text(), st.text())
def test_what_users_write_never_stands_in_a_key(written: str, other: str) -> None:
    tenant = TenantId("acme")
    whole = [
        keys.sessions(Shard(0), tenant, written),
        keys.profile(tenant, written),
        keys.idempotency(Shard(0), tenant, written),
        keys.stored_file(tenant, written),
        keys.pushed(Shard(0), tenant, "hotels", written),
        keys.push_target(Shard(0), tenant, "hotels", written),
    ]
    assert all(re.fullmatch(r"penstock:(\{s0\}:)?[a-z]+:[0-9a-f]{32}", key) for key in whole)
    assert written == other or keys.profile(tenant, written) != keys.profile(tenant, other)


@given(st.text(), st.text(), st.text(), st.text())
def test_parts_can_not_be_pushed_together(a: str, b: str, c: str, d: str) -> None:
    """Tenant ``a`` with user ``bc`` is not tenant ``ab`` with user ``c``."""
    assert ((a, b) == (c, d)) == (keys.hashed(a, b) == keys.hashed(c, d))
