"""Asking: an answer as it is made, stopped, copied, and the states of a question that has to wait."""

from __future__ import annotations

import re
import secrets
from typing import Any

import httpx2
import pytest
from openai import OpenAI
from playwright.async_api import BrowserContext, Route, expect

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import SLOTS
from tests.servers import wait_until
from tests.stack import API_KEY, Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_is_shown_as_it_is_generated_and_is_whole_at_its_end(page: ChatPage, client: OpenAI) -> None:
    await page.ask("tokens=30 pause=0.05")
    assert len((await page.until_words(3)).split()) < 30
    await expect(page.stop).to_be_visible()
    whole = await page.until_ended()
    assert len(whole.split()) == 30
    assert _answers(client, page.conversation) == [whole.split()]
    assert page.wrong == []


async def test_stop_ends_the_answer_and_keeps_what_there_is(page: ChatPage, client: OpenAI) -> None:
    await page.ask("tokens=400 pause=0.05")
    await page.until_words(4)
    await page.stop.click()
    kept = (await page.until_ended()).split()
    assert 4 <= len(kept) < 400
    await expect(page.page.get_by_text("Stopped.").first).to_be_visible()
    assert _answers(client, page.conversation) == [kept]


async def test_an_answer_is_copied_as_it_was_written(page: ChatPage, context: BrowserContext) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await page.ask("tokens=6")
    whole = await page.until_ended()
    await page.page.locator("article").get_by_role("button", name="Copy").click()
    await expect(page.button("Copied")).to_be_visible()
    assert (await page.page.evaluate("navigator.clipboard.readText()")).split() == whole.split()


async def test_who_has_to_wait_sees_the_place_in_the_queue_and_then_the_answer(page: ChatPage, client: OpenAI) -> None:
    long = "tokens=2000 pause=0.05"
    busy = [client.responses.create(model="plain", input=long, background=True) for _ in range(SLOTS)]
    try:
        wait_until(lambda: {_status(client, one.id) for one in busy} == {"in_progress"}, "the worker being full")
        await page.ask("tokens=5")
        await expect(page.page.get_by_text("Position 1 in the queue")).to_be_visible()
    finally:
        for one in busy:
            client.responses.cancel(one.id)
    assert len((await page.until_words(5)).split()) == 5


async def test_who_is_over_a_limit_is_told_when_to_come_back(context: BrowserContext, fleet: Stack) -> None:
    key = _narrow_key(fleet)
    page = await ChatPage.opened(context, fleet.access_ports[0], key=key)
    await page.ask("tokens=2")
    await page.until_ended()
    await page.ask("tokens=3")
    note = page.page.locator(".problem")
    await expect(note).to_contain_text("You have reached your limit.")
    await expect(note.get_by_role("button")).to_have_text(re.compile(r"Try again in \d\d s"))
    await expect(note.get_by_role("button")).to_be_disabled()


async def test_who_asks_a_model_that_nobody_serves_knows_it_before(page: ChatPage) -> None:
    async def nobody(route: Route) -> None:
        model = {"id": "plain", "object": "model", "kind": "generate", "state": "no_workers"}
        await route.fulfill(json={"object": "list", "data": [model]})

    await page.page.route("**/v1/models", nobody)
    await page.page.reload()
    await expect(page.page.get_by_text("No worker serves plain at the moment.")).to_be_visible()


def _answers(client: OpenAI, conversation: str) -> list[list[str]]:
    items: list[Any] = client.conversations.items.list(conversation, order="asc").data
    return [item.content[0].text.split() for item in items if item.role == "assistant"]


def _status(client: OpenAI, response: str) -> str | None:
    return client.responses.retrieve(response).status


def _narrow_key(fleet: Stack) -> str:
    """A key of a tenant that may ask once in a minute."""
    tenant = f"narrow{secrets.token_hex(4)}"
    with httpx2.Client(base_url=fleet.url()[:-3], headers={"authorization": f"Bearer {API_KEY}"}) as admin:
        limits = {"requests_per_minute": 1, "wait_seconds": 0}
        admin.put(f"/admin/limits/{tenant}", json=limits).raise_for_status()
        made = admin.post("/admin/keys", json={"name": "narrow", "tenant": tenant, "scopes": ["inference"]})
        return str(made.raise_for_status().json()["key"])
