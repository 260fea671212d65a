"""For whom a key speaks, asked with the key itself."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.stack import API_KEY, Stack


def test_a_key_says_for_whom_it_speaks_in_the_words_of_its_making(pair: Stack) -> None:
    made = _made(pair, {"name": "page", "tenant": "acme", "scopes": ["push", "inference"], "user": "ada"})
    said = _asked(pair, made["key"]).json()
    assert said == {name: made[name] for name in ("id", "object", "tenant", "user")} | {"scopes": ["inference", "push"]}


@pytest.mark.parametrize("scope", ["inference", "knowledge", "push", "admin"])
def test_every_scope_may_ask_and_nobodys_key_names_no_user(pair: Stack, scope: str) -> None:
    made = _made(pair, {"name": "page", "tenant": "acme", "scopes": [scope]})
    answer = _asked(pair, made["key"])
    assert (answer.status_code, answer.json()["user"]) == (200, None)
    assert made["key"] not in answer.text


def test_a_wrong_key_learns_nothing(pair: Stack) -> None:
    answer = _asked(pair, "sk-wrong000_wrong")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def _made(pair: Stack, body: dict[str, Any]) -> dict[str, Any]:
    with httpx2.Client(base_url=pair.url()[:-3], headers={"authorization": f"Bearer {API_KEY}"}) as admin:
        return admin.post("/admin/keys", json=body).raise_for_status().json()


def _asked(pair: Stack, key: str) -> httpx2.Response:
    with httpx2.Client(base_url=pair.url()[:-3], headers={"authorization": f"Bearer {key}"}) as caller:
        return caller.get("/v1/key")
