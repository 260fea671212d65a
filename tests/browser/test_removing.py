"""Removing: what is asked anew leaves nothing of the old, an exchange is deleted everywhere, or it is said why not."""

from __future__ import annotations

import re
from typing import Any

import pytest
from openai import OpenAI
from playwright.async_api import Browser, BrowserContext, Route, expect

from tests.browser.chat_page import ChatPage
from tests.browser.test_looks import findings
from tests.servers import wait_until
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

OFFLINE = "The server cannot be reached."
STILL_THERE = "What you still see is still in the conversation."


async def test_asking_again_leaves_the_newest_answer_only(page: ChatPage, client: OpenAI) -> None:
    """The model reads what it read the first time, so the scripted one says the same."""
    await page.ask("tokens=5")
    whole = await page.until_ended()
    before = _items(client, page.conversation)
    await page.button("Ask again").click()
    _until_others(client, page.conversation, before)
    await expect(page.questions).to_have_text(["tokens=5"])
    assert await page.until_ended() == whole
    assert _said(client, page.conversation) == ["tokens=5", whole]


async def test_an_edited_question_takes_the_place_of_the_last_one(page: ChatPage, client: OpenAI) -> None:
    await page.ask("tokens=3 one")
    await page.until_ended()
    await page.ask("tokens=5 two")
    await page.until_ended()
    await page.edit(1, "tokens=7 two")
    await expect(page.questions).to_have_text(["tokens=3 one", "tokens=7 two"])
    whole = await page.until_words(7)
    await page.until_ended()
    assert _said(client, page.conversation)[2:] == ["tokens=7 two", whole]


async def test_a_question_that_is_being_answered_is_stopped_when_it_is_edited(page: ChatPage, client: OpenAI) -> None:
    await page.ask("tokens=2000 pause=0.05")
    await page.until_words(3)
    await page.edit(0, "tokens=4")
    await expect(page.questions).to_have_text(["tokens=4"])
    whole = await page.until_words(4)
    await page.until_ended()
    await expect(page.answers).to_have_count(1)
    assert _said(client, page.conversation) == ["tokens=4", whole]


async def test_what_another_service_said_after_the_last_question_stays(page: ChatPage, client: OpenAI) -> None:
    await page.ask("tokens=3")
    await page.until_ended()
    _say(client, page.conversation, "Your parcel is here.")
    await expect(page.page.locator(".push")).to_be_visible()
    await page.edit(0, "tokens=6")
    await expect(page.questions).to_have_text(["tokens=6"])
    await page.until_words(6)
    await page.until_ended()
    assert _said(client, page.conversation)[:2] == ["Your parcel is here.", "tokens=6"]


async def test_an_earlier_question_is_asked_anew_when_it_is_agreed_that_what_followed_goes(
    page: ChatPage, client: OpenAI
) -> None:
    for question in ("tokens=2 one", "tokens=2 two", "tokens=2 three"):
        await page.ask(question)
        await page.until_ended()
    _say(client, page.conversation, "Your parcel is here.")
    await expect(page.page.locator(".push")).to_be_visible()
    await page.edit(1, "tokens=6 instead")
    await expect(page.dialog).to_contain_text("From this question on, 5 messages are deleted for good, on all devices.")
    await page.dialog.get_by_role("button", name="Cancel").click()
    assert len(_said(client, page.conversation)) == 7
    await page.page.get_by_role("textbox", name="Edit and ask again").press("Enter")
    await page.button("Delete and ask again").click()
    await expect(page.questions).to_have_text(["tokens=2 one", "tokens=6 instead"])
    whole = await page.until_words(6)
    await page.until_ended()
    assert _said(client, page.conversation)[2:] == ["tokens=6 instead", whole]


async def test_an_exchange_that_is_deleted_goes_from_both_windows(
    page: ChatPage, context: BrowserContext, fleet: Stack, client: OpenAI
) -> None:
    await page.ask("tokens=2 keep")
    await page.until_ended()
    await page.ask("tokens=2 regret")
    await page.until_ended()
    other = await ChatPage.opened(context, fleet.access_ports[1], conversation=page.conversation)
    await expect(other.questions).to_have_count(2)
    await page.questions.last.hover()
    await page.button("Delete question and answer").last.click()
    await expect(page.dialog).to_contain_text("2 messages are deleted for good, on all devices.")
    await page.dialog.get_by_role("button", name="Delete").last.click()
    for window in (page, other):
        await expect(window.questions).to_have_text(["tokens=2 keep"])
        await expect(window.answers).to_have_count(1)
    assert len(_said(client, page.conversation)) == 2


async def test_a_message_of_another_service_is_deleted_in_the_window_that_answers(
    page: ChatPage, client: OpenAI
) -> None:
    await page.ask("tokens=2")
    await page.until_ended()
    _say(client, page.conversation, "Your parcel is here.")
    push = page.page.locator(".push")
    await push.hover()
    await page.button("Delete message").click()
    await expect(page.dialog).to_contain_text("1 message is deleted for good, on all devices.")
    await page.dialog.get_by_role("button", name="Delete").last.click()
    await expect(push).to_have_count(0)
    assert len(_said(client, page.conversation)) == 2


async def test_deleting_takes_a_keyboard_only_and_is_said_to_a_screen_reader(page: ChatPage) -> None:
    await page.ask("tokens=2")
    await page.until_ended()
    await page.button("Delete question and answer").focus()
    await page.page.keyboard.press("Enter")
    await expect(page.dialog.get_by_role("button", name="Cancel")).to_be_focused()
    await page.page.keyboard.press("Escape")
    await expect(page.button("Delete question and answer")).to_be_focused()
    await page.page.keyboard.press("Enter")
    await page.page.keyboard.press("Tab")
    await page.page.keyboard.press("Enter")
    await expect(page.questions).to_have_count(0)
    await expect(page.page.get_by_role("status").filter(has_text="Deleted.")).to_have_count(1)
    await expect(page.page.get_by_role("main")).to_be_focused()


async def test_without_a_network_nothing_goes_and_nothing_is_asked_until_it_is_tried_again(
    page: ChatPage, context: BrowserContext, client: OpenAI
) -> None:
    await page.ask("tokens=5")
    whole = await page.until_ended()
    before = _items(client, page.conversation)
    await context.set_offline(True)
    await page.button("Ask again").click()
    await expect(page.dialog).to_contain_text(OFFLINE)
    await expect(page.dialog).to_contain_text(STILL_THERE)
    await expect(page.questions).to_have_count(1)
    await expect(page.answers).to_have_text(whole)
    assert _items(client, page.conversation) == before
    await context.set_offline(False)
    await page.dialog.get_by_role("button", name="Try again").click()
    _until_others(client, page.conversation, before)
    await expect(page.questions).to_have_text(["tokens=5"])
    await page.until_ended()
    wait_until(lambda: _said(client, page.conversation) == ["tokens=5", whole], "the same answer, in its place")


async def test_a_break_in_the_middle_keeps_what_is_older_and_the_draft(page: ChatPage, client: OpenAI) -> None:
    """The server fails at the third of four messages; who closes the dialog finds the words that were to be asked."""
    for question in ("tokens=2 one", "tokens=2 two"):
        await page.ask(question)
        await page.until_ended()
    kept = _said(client, page.conversation)[:2]
    deleted: list[str] = []

    async def fails(route: Route) -> None:
        deleted.append(route.request.url)
        if len(deleted) == 3:
            await route.fulfill(status=500, json={"error": {"message": "The store is away.", "code": None}})
        else:
            await route.continue_()

    await page.page.route(re.compile("/items/"), fails)
    await page.edit(0, "tokens=4 instead")
    await page.button("Delete and ask again").click()
    await expect(page.dialog).to_contain_text("The store is away.")
    await expect(page.questions).to_have_count(0)
    assert _said(client, page.conversation) == kept
    await page.dialog.get_by_role("button", name="Cancel").click()
    editor = page.page.get_by_role("textbox", name="Edit and ask again")
    await expect(editor).to_have_value("tokens=4 instead")
    await editor.press("Enter")
    await expect(page.questions).to_have_text(["tokens=4 instead"])
    whole = await page.until_words(4)
    await page.until_ended()
    assert _said(client, page.conversation) == ["tokens=4 instead", whole]


async def test_a_question_whose_answer_another_program_deleted_waits_for_nothing(
    page: ChatPage, client: OpenAI
) -> None:
    await page.ask("tokens=2")
    await page.until_ended()
    [_, answer] = _items(client, page.conversation)
    client.conversations.items.delete(answer.id, conversation_id=page.conversation)
    await expect(page.answers).to_have_count(0)
    await page.page.reload()
    await expect(page.questions).to_have_count(1)
    await expect(page.button("Send")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_what_is_asked_before_deleting(
    page: ChatPage, browser: Browser, fleet: Stack, scheme: Any
) -> None:
    await page.ask("tokens=2")
    await page.until_ended()
    seeing = {"bypass_csp": True, "color_scheme": scheme, "reduced_motion": "reduce", "locale": "en-GB"}
    async with await browser.new_context(**seeing) as context:
        seen = await ChatPage.opened(context, fleet.access_ports[1], conversation=page.conversation)
        await seen.questions.hover()
        await seen.button("Delete question and answer").click()
        assert await findings(seen.page) == []
        await context.set_offline(True)
        await seen.dialog.get_by_role("button", name="Delete").last.click()
        await expect(seen.dialog).to_contain_text(OFFLINE)
        assert await findings(seen.page) == []


def _say(client: OpenAI, conversation: str, text: str) -> None:
    """What another service says."""
    client.conversations.items.create(conversation, items=[{"type": "message", "role": "assistant", "content": text}])


def _until_others(client: OpenAI, conversation: str, before: list[Any]) -> None:
    """Until a question and its answer stand in the conversation, and nothing of what was there."""

    def asked_anew() -> bool:
        now = _items(client, conversation)
        return len(now) == 2 and not {item.id for item in now} & {item.id for item in before}

    wait_until(asked_anew, "the question being asked anew, in place of the old one")


def _said(client: OpenAI, conversation: str) -> list[str]:
    """What each item says so far."""
    return ["".join(part.text for part in item.content).strip() for item in _items(client, conversation)]


def _items(client: OpenAI, conversation: str) -> list[Any]:
    return list(client.conversations.items.list(conversation, order="asc").data)
