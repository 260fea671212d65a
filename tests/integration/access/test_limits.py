"""Limits from end to end: set over HTTP or by the command, in force at the gate, told to clients, and accounted for."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from openai import OpenAI, RateLimitError

from access.routes.limits import LimitsBody
from tests.integration.access.conftest import error
from tests.servers import wait_until
from tests.stack import API_KEY, Stack

EVERY_LIMIT = {
    "tokens_per_minute": 200_000,
    "requests_per_minute": 600,
    "concurrency": 8,
    "user_tokens_per_minute": 50_000,
    "user_requests_per_minute": 100,
    "user_concurrency": 2,
    "key_tokens_per_minute": 100_000,
    "key_requests_per_minute": 300,
    "key_concurrency": 4,
    "tokens_per_day": 5_000_000,
    "tokens_per_month": 0,
    "usd_per_day": 2.5,
    "usd_per_month": 50.0,
    "wait_seconds": 0.5,
    "weight": 2.0,
    "on_full": "batch",
    "fail_open": True,
}


@pytest.fixture
def admin(pair: Stack) -> Iterator[httpx2.Client]:
    base = f"http://127.0.0.1:{pair.access_ports[0]}"
    with httpx2.Client(base_url=base, headers={"authorization": f"Bearer {API_KEY}"}, timeout=60) as http:
        yield http


@pytest.fixture
def tenant() -> str:
    """One that nobody else has, so its limits are read when it first asks."""
    return f"tenant-{secrets.token_hex(4)}"


def sdk_of(pair: Stack, admin: httpx2.Client, tenant: str) -> OpenAI:
    made = admin.post("/admin/keys", json={"name": "k", "tenant": tenant, "scopes": ["inference"]}).json()
    return pair.client(key=made["key"])


def ask(sdk: OpenAI, question: str = "tokens=4", **more: Any) -> Any:
    return sdk.chat.completions.create(model="plain", messages=[{"role": "user", "content": question}], **more)


def limits_of(admin: httpx2.Client, tenant: str) -> dict[str, Any]:
    return admin.get(f"/admin/limits/{tenant}").json()


def settled(admin: httpx2.Client, tenant: str) -> bool:
    total = limits_of(admin, tenant)["ledger"]["total"]
    return total["settled"]["tokens"] > 0 and total["reserved"]["tokens"] == 0


def test_every_limit_is_set_shown_and_taken_away(admin: httpx2.Client, tenant: str) -> None:
    assert set(EVERY_LIMIT) == set(LimitsBody.model_fields)
    assert admin.put(f"/admin/limits/{tenant}", json=EVERY_LIMIT).json()["limits"] == EVERY_LIMIT
    assert limits_of(admin, tenant)["limits"] == EVERY_LIMIT
    assert admin.put(f"/admin/limits/{tenant}", json={"weight": None}).json()["limits"] == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokens_per_minute", 0),
        ("tokens_per_minute", 1.5),
        ("user_concurrency", -1),
        ("key_requests_per_minute", "60"),
        ("tokens_per_day", -1),
        ("usd_per_day", -0.01),
        ("usd_per_month", 10**7),
        ("wait_seconds", 3601),
        ("weight", 0),
        ("on_full", "drop"),
        ("fail_open", 1),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(admin: httpx2.Client, tenant: str, name: str, value: Any) -> None:
    assert error(admin.put(f"/admin/limits/{tenant}", json={name: value}), 400)["param"] == name
    assert limits_of(admin, tenant)["limits"] == {}


def test_a_bad_tenant_has_no_limits(admin: httpx2.Client) -> None:
    assert error(admin.get("/admin/limits/a b"), 404)["code"] == "tenant_not_found"


def test_limits_are_in_force(pair: Stack, admin: httpx2.Client, tenant: str) -> None:
    admin.put(f"/admin/limits/{tenant}", json={"tokens_per_minute": 1000, "wait_seconds": 0})
    with pytest.raises(RateLimitError) as refused:
        ask(sdk_of(pair, admin, tenant), max_tokens=2000)
    assert refused.value.code == "rate_limit_exceeded"


def test_the_ledger_balances_for_each_model(pair: Stack, admin: httpx2.Client, tenant: str) -> None:
    ask(sdk_of(pair, admin, tenant), max_tokens=8)
    wait_until(lambda: settled(admin, tenant), "the settlement")
    ledger = limits_of(admin, tenant)["ledger"]
    sums = ledger["models"]["scripted"]
    assert sums["requests"] == 1
    assert sums["granted"]["tokens"] == sums["settled"]["tokens"] + sums["refunded"]["tokens"] > 0
    assert ledger["total"] == sums
    assert ledger["today"] == ledger["month"] == sums["settled"]


def test_openais_library_waits_out_a_short_limit(pair: Stack, admin: httpx2.Client, tenant: str) -> None:
    admin.put(f"/admin/limits/{tenant}", json={"tokens_per_minute": 1200, "wait_seconds": 0})
    sdk = sdk_of(pair, admin, tenant)
    ask(sdk, "tokens=1100", max_tokens=1100)
    wait_until(lambda: settled(admin, tenant), "the settlement")
    began = time.monotonic()
    answer = ask(sdk.with_options(max_retries=2), max_tokens=100)  # 20 tokens a second come back
    assert answer.choices[0].message.content
    assert 0.3 < time.monotonic() - began < 8


def test_openais_library_does_not_come_back_for_a_quota(pair: Stack, admin: httpx2.Client, tenant: str) -> None:
    admin.put(f"/admin/limits/{tenant}", json={"tokens_per_day": 100})
    sdk = sdk_of(pair, admin, tenant)
    ask(sdk, "tokens=70", max_tokens=70)
    wait_until(lambda: settled(admin, tenant), "the settlement")
    with pytest.raises(RateLimitError) as refused:
        ask(sdk.with_options(max_retries=2), max_tokens=70)
    assert refused.value.code == "quota_exceeded"
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert refused.value.request.headers["x-stainless-retry-count"] == "0"


def penstock_limits(pair: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``penstock limits`` against the pair's first access process."""
    command = [sys.executable, "-m", "penstock", "limits", *arguments, "--url", pair.url().removesuffix("/v1")]
    environment = os.environ | {"PENSTOCK_API_KEY": API_KEY, "COLUMNS": "120"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


def test_the_command_changes_what_it_names_and_leaves_the_rest(pair: Stack, tenant: str) -> None:
    penstock_limits(pair, "set", tenant, "concurrency=2", "on_full=batch")
    told = penstock_limits(pair, "set", tenant, "concurrency=", "fail_open=true", "--json")
    assert json.loads(told.stdout)["limits"] == {"on_full": "batch", "fail_open": True}
    told = penstock_limits(pair, "clear", tenant, "--json")
    assert json.loads(told.stdout)["limits"] == {}


def test_the_command_shows_the_ledger_to_people(pair: Stack, admin: httpx2.Client, tenant: str) -> None:
    ask(sdk_of(pair, admin, tenant), max_tokens=8)
    shown = penstock_limits(pair, "show", tenant)
    assert shown.returncode == 0, shown.stderr
    assert [
        word for word in (f"Limits of {tenant}", "scripted", "granted", "this month") if word not in shown.stdout
    ] == []


def test_what_the_service_refuses_is_said_in_one_sentence(pair: Stack, tenant: str) -> None:
    told = penstock_limits(pair, "set", tenant, "on_full=drop")
    assert told.returncode == 1
    assert told.stderr.startswith("penstock: Invalid value for 'on_full'")
