"""Coming back: a reload, a second window, another service, and a server that dies, all in the middle of an answer."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from openai import OpenAI
from playwright.async_api import BrowserContext, expect

from tests.browser.chat_page import ChatPage
from tests.servers import wait_until
from tests.stack import API_KEY, Stack, get

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_reload_in_mid_answer_changes_nothing(page: ChatPage) -> None:
    await page.ask("tokens=60 pause=0.05")
    before = await page.until_words(5)
    await page.page.reload()
    await page.until_words(6)  # until it shows the answer, nothing on it is busy
    after = await page.until_ended()
    assert after.startswith(before)
    assert len(after.split()) == 60


async def test_a_question_sent_just_before_a_reload_is_asked_once(page: ChatPage, client: OpenAI) -> None:
    await page.ask("tokens=9 first=0.5")
    await page.page.reload()
    assert len((await page.until_words(9)).split()) == 9
    await page.until_ended()
    assert len(client.conversations.items.list(page.conversation).data) == 2


async def test_two_windows_on_two_access_processes_show_one_conversation(
    page: ChatPage, context: BrowserContext, fleet: Stack
) -> None:
    await page.ask("tokens=3")
    await page.until_ended()
    other = await ChatPage.opened(context, fleet.access_ports[1], conversation=page.conversation)
    await other.ask("tokens=40 pause=0.05")
    await expect(page.page.locator(".bubble").last).to_have_text("tokens=40 pause=0.05")
    await expect(page.stop).to_be_visible()
    await page.until_words(3)
    whole = await page.until_ended()
    assert whole == await other.until_ended()
    assert len(whole.split()) == 40


async def test_the_access_process_dies_in_mid_answer_and_the_page_goes_on(page: ChatPage, fleet: Stack) -> None:
    await page.ask("tokens=80 pause=0.05")
    before = await page.until_words(5)
    fleet.child("access-0").kill()
    await expect(page.page.get_by_text("Connection lost. Reconnecting …")).to_be_visible()
    _start_again(fleet)
    after = await page.until_ended()
    assert after.startswith(before)
    assert len(after.split()) == 80
    await expect(page.page.get_by_text("Connection lost. Reconnecting …")).to_have_count(0)


async def test_what_is_asked_without_a_network_is_answered_when_there_is_one_again(
    page: ChatPage, context: BrowserContext, client: OpenAI
) -> None:
    await page.ask("tokens=3")
    await page.until_ended()
    await context.set_offline(True)
    await page.ask("tokens=11")
    await expect(page.page.locator("article[aria-busy=true]")).to_be_visible()
    await context.set_offline(False)
    assert len((await page.until_words(11)).split()) == 11
    await page.until_ended()
    assert len(client.conversations.items.list(page.conversation).data) == 4


async def test_a_push_arrives_live_also_in_the_middle_of_an_answer(page: ChatPage, fleet: Stack) -> None:
    await page.ask("tokens=40 pause=0.05")
    await page.until_words(3)
    _push(fleet, page.conversation, "Your parcel is **here**.")
    push = page.page.locator(".push")
    await expect(push).to_contain_text("Your parcel is here.")
    await expect(page.stop).to_be_visible()
    await page.until_ended()
    assert len((await page.answers.first.inner_text()).split()) == 40


async def test_a_push_into_another_conversation_shows_as_a_badge_until_it_is_read(page: ChatPage, fleet: Stack) -> None:
    await page.ask("tokens=3")
    await page.until_ended()
    conversation = page.conversation
    await page.button("New chat").click()
    _push(fleet, conversation, "Are you still there?")
    await page.page.reload()  # as the next look at the other conversations would
    row = page.page.locator(f"a[href='#{conversation}']")
    await expect(row.locator(".badge")).to_contain_text("1 new message")
    await expect(page.page).to_have_title("(1) Penstock")
    await row.click()
    await expect(page.page.locator(".push")).to_contain_text("Are you still there?")
    await expect(row.locator(".badge")).to_have_count(0)


async def test_a_conversation_is_found_renamed_exported_and_deleted(page: ChatPage) -> None:
    await page.ask("tokens=8 about turbines")
    await page.until_ended()
    await page.button("Rename").click()
    await expect(page.page.get_by_role("textbox", name="Title")).to_be_focused()
    await page.page.get_by_role("textbox", name="Title").fill("Wheels and water")
    await page.button("Save").click()
    await expect(page.page.get_by_role("heading", level=1)).to_have_text("Wheels and water")
    async with page.page.expect_download() as exported:
        await page.button("Export as Markdown").click()
    file = await exported.value
    assert file.suggested_filename == "Wheels-and-water.md"
    assert b"tokens=8 about turbines" in _bytes(await file.path())
    await page.page.get_by_role("searchbox").fill("turbines")
    row = page.page.locator(f"a[href='#{page.conversation}']")
    await expect(row).to_contain_text("about turbines")
    await page.button("Delete").click()
    await page.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(page.page.get_by_role("heading", level=1)).to_have_text("What would you like to know?")
    await expect(row).to_have_count(0)


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _start_again(fleet: Stack) -> None:
    """The first access process, on the port it had."""
    port = fleet.access_ports[0]
    settings = {"PORT": str(port), "BOOTSTRAP_KEY": API_KEY, "PEPPER": "pepper"}
    fleet.start("access", [], {f"PENSTOCK_ACCESS__{name}": value for name, value in settings.items()})
    wait_until(lambda: get(port, "/livez")[0] == 200, f"access on {port} answering")


def _push(fleet: Stack, conversation: str, text: str) -> None:
    """What another service says, by a key that may do nothing else."""
    message = {"items": [{"type": "message", "role": "assistant", "content": text}]}
    with httpx2.Client(base_url=fleet.url(fleet.access_ports[1])) as http:
        headers = {"authorization": f"Bearer {_push_key(fleet)}"}
        http.post(f"/conversations/{conversation}/items", json=message, headers=headers).raise_for_status()


def _push_key(fleet: Stack) -> str:
    body = {"name": "orders", "tenant": "default", "scopes": ["push"]}
    url = f"http://127.0.0.1:{fleet.access_ports[1]}/admin/keys"
    made = httpx2.post(url, json=body, headers={"authorization": f"Bearer {API_KEY}"})
    return str(made.raise_for_status().json()["key"])
