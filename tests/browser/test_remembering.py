"""What is remembered: facts about the user, shown with their source and forgotten, and what stands for old messages.

The scripted engine answers what a turn tells it to, so a turn that says ``say="city: Paris"`` teaches that, or is
summarised so.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Route, expect

from access.learning import EVERY
from tests.browser.chat_page import ChatPage
from tests.browser.test_looks import findings
from tests.servers import wait_until
from tests.stack import API_KEY, Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

Http = httpx2.Client
KNOWN = "What is remembered about you"
LEARN = "Learn from my conversations"
SUMMARISED = "Earlier messages are summarised for the model"
SUMMARISE = "Summarise earlier messages"
FILLER = "water comes down the pipe " * 4
HOSTILE = "<img src=x onerror=window.pwned=1>\u202e[x](javascript:window.pwned=1)"
LONG = "x" * 200


@pytest.fixture
def http(fleet: Stack) -> Iterator[Http]:
    """The second access process, with a key of every scope that is bound to nobody."""
    headers = {"authorization": f"Bearer {API_KEY}"}
    with Http(base_url=fleet.url(fleet.access_ports[1])[:-3], headers=headers, timeout=60) as opened:
        yield opened


@pytest.fixture
def user() -> str:
    return f"ada-{secrets.token_hex(4)}"


@pytest.fixture
def key(http: Http, user: str) -> str:
    """One that is bound to ``user``."""
    body = {"name": "page", "tenant": "default", "scopes": ["inference"], "user": user}
    return str(http.post("/admin/keys", json=body).raise_for_status().json()["key"])


@pytest.fixture(scope="module")
def brief(fleet: Stack) -> str:
    """A model that reads so little that ten turns push the oldest out."""
    fleet.worker("--engine", "scripted", "--served-name", "brief", "--max-model-len", "1024")
    for port in fleet.access_ports:
        client = fleet.client(port)
        wait_until(lambda client=client: _state(client, "brief") == "ready", "the model that reads little", 60)
    return "brief"


async def test_learning_is_off_until_it_is_switched_on(
    context: BrowserContext, fleet: Stack, http: Http, user: str, key: str
) -> None:
    page = await ChatPage.opened(context, fleet.access_ports[0], key=key)
    await _open_known(page)
    await expect(page.dialog).to_contain_text(f"Kept under the name {user}")
    await expect(page.dialog).to_contain_text("Nothing: learning is off.")
    await expect(_switch(page, LEARN)).not_to_be_checked()
    await _switch(page, LEARN).click()
    await expect(_switch(page, LEARN)).to_be_checked()
    assert _profile(http, user)["learn"] is True
    await page.page.reload()
    await page.until_ready()
    await _open_known(page)
    await expect(_switch(page, LEARN)).to_be_checked()
    await expect(page.dialog).to_contain_text("Nothing so far.")


async def test_a_learned_fact_leads_to_the_conversation_that_told_it(
    context: BrowserContext, fleet: Stack, http: Http, user: str, key: str
) -> None:
    conversation = _teach(http, user, "city: Paris", title="A trip")
    page = await ChatPage.opened(context, fleet.access_ports[0], key=key)
    await _open_known(page)
    await expect(_fact(page, "City")).to_contain_text("Paris")
    await _fact(page, "City").get_by_role("link", name="From “A trip”").click()
    await expect(page.dialog).to_have_count(0)
    await expect(page.page.get_by_role("heading", level=1)).to_have_text("A trip")
    assert page.conversation == conversation


async def test_a_fact_is_forgotten_by_keyboard_and_a_screen_reader_hears_of_it(
    context: BrowserContext, fleet: Stack, http: Http, user: str, key: str
) -> None:
    _teach(http, user, "city: Paris\nname: Ada")
    page = await ChatPage.opened(context, fleet.access_ports[0], key=key)
    await _open_known(page)
    await page.button("Forget: City").focus()
    await page.page.keyboard.press("Enter")
    await expect(_fact(page, "City")).to_have_count(0)
    await expect(page.dialog.get_by_role("status")).to_contain_text("Forgotten.")
    await expect(page.page.get_by_role("heading", name="Learned from your conversations")).to_be_focused()
    assert set(_profile(http, user)["learned"]) == {"name"}
    await page.page.keyboard.press("Escape")
    await expect(page.button("Settings")).to_be_focused()


async def test_switching_learning_off_asks_first_because_everything_is_forgotten(
    context: BrowserContext, fleet: Stack, http: Http, user: str, key: str
) -> None:
    _teach(http, user, "city: Paris\nname: Ada")
    page = await ChatPage.opened(context, fleet.access_ports[0], key=key)
    await _open_known(page)
    await _switch(page, LEARN).click()
    asked = page.page.get_by_role("dialog", name="Switch learning off")
    await expect(asked).to_contain_text("2 learned facts are forgotten for good.")
    await expect(asked.get_by_role("button", name="Cancel")).to_be_focused()
    await page.page.keyboard.press("Escape")
    await expect(asked).to_have_count(0)
    await expect(_switch(page, LEARN)).to_be_checked()
    assert len(_profile(http, user)["learned"]) == 2
    await _switch(page, LEARN).click()
    await page.button("Switch off").click()
    await expect(_switch(page, LEARN)).not_to_be_checked()
    await expect(page.dialog).to_contain_text("Nothing: learning is off.")
    assert (_profile(http, user)["learn"], _profile(http, user)["learned"]) == (False, {})


async def test_what_is_registered_is_shown_and_stands_in_the_place_of_what_was_learned(
    context: BrowserContext, fleet: Stack, http: Http, user: str, key: str
) -> None:
    _teach(http, user, "name: Eve")
    http.put(f"/v1/users/{user}/profile", json={"facts": {"name": "Ada", "support_plan": "gold"}})
    page = await ChatPage.opened(context, fleet.access_ports[0], key=key)
    await _open_known(page)
    await expect(page.dialog.locator("dl")).to_contain_text(re.compile("Name.*Ada.*Support plan.*gold", re.DOTALL))
    await expect(_fact(page, "Name")).to_contain_text("Not used: what is registered stands in its place.")
    assert await page.dialog.locator("dl button, dl input").count() == 0


async def test_the_source_of_a_fact_may_be_gone(
    context: BrowserContext, fleet: Stack, http: Http, user: str, key: str
) -> None:
    http.delete(f"/v1/conversations/{_teach(http, user, 'city: Paris')}")
    page = await ChatPage.opened(context, fleet.access_ports[0], key=key)
    await _open_known(page)
    await expect(_fact(page, "City")).to_contain_text("From a conversation that is no longer there")
    await expect(_fact(page, "City").get_by_role("link")).to_have_count(0)


async def test_who_has_a_key_that_is_nobodys_gives_themselves_a_name(page: ChatPage, http: Http, user: str) -> None:
    await page.ask("tokens=2")
    await page.until_ended()
    nobodys = page.conversation
    await _open_known(page)
    await expect(page.dialog).to_contain_text("Your key does not say who you are")
    await expect(page.dialog.get_by_role("switch")).to_have_count(0)
    await page.page.keyboard.press("Escape")
    await _name(page, user)
    await expect(page.dialog).to_contain_text(f"Kept under the name {user}")
    await expect(page.dialog.get_by_role("button", name="Change")).to_be_focused()
    await expect(_switch(page, LEARN)).not_to_be_checked()
    await page.page.keyboard.press("Escape")
    await expect(page.page.locator(f"a[href='#{nobodys}']")).to_have_count(0)
    await page.ask("tokens=3")
    await page.until_ended()
    assert http.get(f"/v1/conversations/{page.conversation}").json()["user"] == user
    await page.page.goto(f"http://127.0.0.1:{page.port}/chat/#key={API_KEY}")  # by the link again: still the same
    await page.page.reload()
    await page.until_ready()
    await expect(page.page.locator(".rows a")).to_have_count(1)
    await _open_known(page)
    await page.dialog.get_by_role("button", name="Change").click()
    await page.dialog.get_by_label("Your name").fill("")
    await page.button("Save").click()
    await expect(page.dialog).to_contain_text("Your key does not say who you are")
    await expect(page.dialog.get_by_label("Your name")).to_be_focused()
    await page.page.keyboard.press("Escape")
    await expect(page.page.locator(f"a[href='#{nobodys}']")).to_have_count(1)


async def test_a_name_may_hold_anything_else_and_goes_with_the_key(page: ChatPage, http: Http, user: str) -> None:
    odd = f"../李 <b>?#%2F&'\\/ {user}"
    await _name(page, odd)
    await expect(page.dialog.locator("bdi")).to_have_text(odd)
    await _switch(page, LEARN).click()
    await expect(_switch(page, LEARN)).to_be_checked()
    assert _profile(http, quote(odd, safe=""))["learn"] is True
    await page.page.keyboard.press("Escape")
    await page.ask("tokens=2")
    await page.until_ended()
    assert http.get(f"/v1/conversations/{page.conversation}").json()["user"] == odd
    await page.button("Settings").click()
    await page.button("Forget the key").click()
    await page.page.get_by_label("API key").fill(API_KEY)
    await page.button("Continue").click()
    await page.until_ready()
    await _open_known(page)
    await expect(page.dialog).to_contain_text("Your key does not say who you are")


@pytest.mark.parametrize("wrong", [".", "..", " . .. "])
async def test_a_name_that_no_address_can_hold_is_not_taken(page: ChatPage, wrong: str) -> None:
    await _name(page, wrong)
    assert await page.dialog.locator("input:invalid").count() == 1
    await expect(page.dialog.get_by_label("Your name")).to_be_visible()


async def test_hostile_facts_are_text_and_fit_a_phone(
    context: BrowserContext, fleet: Stack, http: Http, user: str, key: str
) -> None:
    _teach(http, user, "city: <img src=x onerror=window.pwned=1>", title=f"{HOSTILE} {LONG[:100]}")
    http.put(f"/v1/users/{user}/profile", json={"facts": {"note": HOSTILE, "m" * 32: LONG}}).raise_for_status()
    page = await ChatPage.opened(context, fleet.access_ports[0], key=key)
    await page.page.set_viewport_size({"width": 320, "height": 640})
    await page.button("Open the list of conversations").click()
    await _open_known(page)
    await expect(_fact(page, "City")).to_contain_text("<img src=x onerror=window.pwned=1>")
    await expect(_fact(page, "City").get_by_role("link")).to_contain_text("<img src=x")
    assert await page.dialog.locator("dl dd").all_inner_texts() == [LONG, HOSTILE]
    assert await page.dialog.locator("dd, .facts a").evaluate_all(
        "all => all.map(one => getComputedStyle(one).unicodeBidi)"
    ) == ["isolate", "isolate", "isolate"]
    assert await page.page.evaluate("window.pwned") is None
    assert await page.dialog.locator("img").count() == 0
    assert await page.dialog.evaluate("dialog => dialog.scrollWidth - dialog.clientWidth") == 0
    assert page.wrong == []


async def test_what_can_not_be_read_or_changed_says_so_and_is_tried_again(
    context: BrowserContext, fleet: Stack, http: Http, user: str, key: str
) -> None:
    _teach(http, user, "city: Paris")
    page = await ChatPage.opened(context, fleet.access_ports[0], key=key)
    away = [True]

    async def fails(route: Route) -> None:
        if away[0]:
            await route.fulfill(status=500, json={"error": {"message": "The store is away.", "code": None}})
        else:
            await route.continue_()

    await page.page.route(re.compile("/profile"), fails)
    await _open_known(page)
    await expect(page.dialog).to_contain_text("The store is away.")
    away[0] = False
    await page.dialog.get_by_role("button", name="Try again").click()
    await expect(_fact(page, "City")).to_be_visible()
    away[0] = True
    await page.button("Forget: City").click()
    await expect(page.dialog.get_by_role("alert")).to_contain_text("The store is away.")
    await expect(_fact(page, "City")).to_be_visible()
    away[0] = False
    await page.button("Forget: City").click()
    await expect(_fact(page, "City")).to_have_count(0)
    await expect(page.dialog.get_by_role("alert")).to_have_count(0)


async def test_a_fact_that_another_window_forgot_is_gone_without_a_complaint(
    context: BrowserContext, fleet: Stack, http: Http, user: str, key: str
) -> None:
    _teach(http, user, "city: Paris")
    page = await ChatPage.opened(context, fleet.access_ports[0], key=key)
    await _open_known(page)
    await expect(_fact(page, "City")).to_be_visible()
    http.delete(f"/v1/users/{user}/profile/learned/city").raise_for_status()
    await page.button("Forget: City").click()
    await expect(_fact(page, "City")).to_have_count(0)
    await expect(page.dialog.get_by_role("alert")).to_have_count(0)


async def test_what_the_model_reads_as_a_summary_is_said_where_that_ends(
    page: ChatPage, context: BrowserContext, fleet: Stack, http: Http, brief: str
) -> None:
    conversation = _full(http, 'say="Ada wants a kettle."')
    page = await ChatPage.opened(context, fleet.access_ports[0], conversation=conversation)
    await _open_summary(page)
    await expect(_switch(page, SUMMARISE)).not_to_be_checked()
    await _switch(page, SUMMARISE).click()
    await expect(_switch(page, SUMMARISE)).to_be_checked()
    await expect(page.dialog).to_contain_text("There is no summary yet.")
    await page.page.keyboard.press("Escape")
    _ask(http, conversation, brief)
    note = page.page.locator("details.summarised")
    await expect(note).to_contain_text(SUMMARISED)
    await expect(note.get_by_text("Ada wants a kettle.")).to_be_hidden()
    await note.locator("summary").focus()
    await page.page.keyboard.press("Enter")
    await expect(note.get_by_text("Ada wants a kettle.")).to_be_visible()
    until = http.get(f"/v1/conversations/{conversation}").json()["summary"]["until"]
    covered = [item for item in _items(http, conversation) if item["role"] == "user" and item["created_at"] <= until]
    assert 0 < len(covered) < 11
    assert await note.evaluate("note => [...note.closest('ol').children].indexOf(note.parentElement)") == len(covered)


async def test_switched_off_the_summary_is_gone_from_both_windows(
    context: BrowserContext, fleet: Stack, http: Http, brief: str
) -> None:
    conversation = _summarised(http, brief, 'say="Ada wants a kettle."')
    page = await ChatPage.opened(context, fleet.access_ports[0], conversation=conversation)
    other = await ChatPage.opened(context, fleet.access_ports[1], conversation=conversation)
    for window in (page, other):
        await expect(window.page.locator("details.summarised")).to_have_count(1)
    await _open_summary(page)
    await expect(page.dialog).to_contain_text("Ada wants a kettle.")
    await _switch(page, SUMMARISE).click()
    await expect(_switch(page, SUMMARISE)).not_to_be_checked()
    await expect(page.dialog).not_to_contain_text("Ada wants a kettle.")
    for window in (page, other):
        await expect(window.page.locator("details.summarised")).to_have_count(0)
    assert len(_items(http, conversation)) == 22


async def test_a_switch_that_fails_stays_as_it_was(page: ChatPage, context: BrowserContext) -> None:
    await page.ask("tokens=2")
    await page.until_ended()
    await _open_summary(page)
    await context.set_offline(True)
    await _switch(page, SUMMARISE).click()
    await expect(page.dialog.get_by_role("alert")).to_contain_text("The server cannot be reached.")
    await expect(_switch(page, SUMMARISE)).not_to_be_checked()
    await context.set_offline(False)
    await _switch(page, SUMMARISE).click()
    await expect(_switch(page, SUMMARISE)).to_be_checked()
    await expect(page.dialog.get_by_role("alert")).to_have_count(0)


async def test_a_hostile_summary_is_text_here_and_in_the_export(
    context: BrowserContext, fleet: Stack, http: Http, brief: str, tmp_path: Path
) -> None:
    conversation = _summarised(http, brief, 'say="<img src=x onerror=window.pwned=1> **bold**"')
    page = await ChatPage.opened(context, fleet.access_ports[0], conversation=conversation)
    note = page.page.locator("details.summarised")
    await note.locator("summary").click()
    await expect(note.locator("blockquote")).to_have_text("<img src=x onerror=window.pwned=1> **bold**")
    assert await note.locator("img, strong").count() == 0
    assert await page.page.evaluate("window.pwned") is None
    async with page.page.expect_download() as download:
        await page.button("Export as Markdown").click()
    await (await download.value).save_as(tmp_path / "said.md")
    exported = (tmp_path / "said.md").read_text(encoding="utf-8")
    assert exported.count(f"**{SUMMARISED}**") == 1
    assert exported.index("\n0 ") < exported.index(SUMMARISED) < exported.rindex("**You**")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_in_what_is_remembered(
    browser: Browser, fleet: Stack, http: Http, user: str, key: str, brief: str, scheme: Any
) -> None:
    _teach(http, user, "city: Paris\nname: Ada", title="A trip")
    http.put(f"/v1/users/{user}/profile", json={"facts": {"name": "Ada Lovelace"}})
    conversation = _summarised(http, brief, 'say="Ada wants a kettle."')
    seeing = {"bypass_csp": True, "color_scheme": scheme, "reduced_motion": "reduce", "locale": "en-GB"}
    async with await browser.new_context(**seeing) as context:
        page = await ChatPage.opened(context, fleet.access_ports[1], conversation=conversation)
        await page.page.locator("details.summarised summary").click()
        assert await findings(page.page) == []
        await _open_summary(page)
        assert await findings(page.page) == []
        await page.page.keyboard.press("Escape")
        await _open_known(page)
        await expect(page.dialog.get_by_label("Your name")).to_be_visible()
        assert await findings(page.page) == []
    async with await browser.new_context(**seeing) as context:
        page = await ChatPage.opened(context, fleet.access_ports[1], key=key)
        await _open_known(page)
        await expect(_fact(page, "City").get_by_role("link", name="A trip")).to_be_visible()
        assert await findings(page.page) == []
        await _switch(page, LEARN).click()
        assert await findings(page.page) == []


async def test_what_is_remembered_is_told_in_chinese(
    browser: Browser, fleet: Stack, http: Http, user: str, key: str
) -> None:
    _teach(http, user, "city: 巴黎", title="旅行")
    async with await browser.new_context(locale="zh-CN") as context:
        window = await context.new_page()
        await window.goto(f"http://127.0.0.1:{fleet.access_ports[0]}/chat/#key={key}")
        await window.get_by_role("button", name="设置").click()
        await window.get_by_role("button", name="关于你的记忆").click()
        await expect(window.get_by_role("switch", name="从我的对话中学习")).to_be_checked()
        await expect(window.locator(".facts li")).to_contain_text("城市")
        await expect(window.get_by_role("link", name="来自“旅行”")).to_be_visible()
        assert re.search("[A-Za-z]{3}", (await window.get_by_role("dialog").inner_text()).replace(user, "")) is None


async def _open_known(page: ChatPage) -> None:
    await page.button("Settings").click()
    await page.dialog.get_by_role("button", name=KNOWN).click()
    await expect(page.page.get_by_role("dialog", name=KNOWN)).to_be_visible()


async def _name(page: ChatPage, name: str) -> None:
    """Give the page a name, where the key says none."""
    await _open_known(page)
    await page.dialog.get_by_label("Your name").fill(name)
    await page.dialog.get_by_label("Your name").press("Enter")


async def _open_summary(page: ChatPage) -> None:
    await page.button("Earlier messages").click()
    await expect(page.dialog).to_be_visible()


def _switch(page: ChatPage, name: str) -> Locator:
    return page.page.get_by_role("switch", name=name)


def _fact(page: ChatPage, name: str) -> Locator:
    """A learned fact on the page."""
    return page.dialog.locator(".facts li").filter(has=page.page.get_by_text(name, exact=True))


def _profile(http: Http, user: str) -> dict[str, Any]:
    return http.get(f"/v1/users/{user}/profile").json()


def _teach(http: Http, user: str, facts: str, title: str = "Talk") -> str:
    """A conversation that has taught these facts, which are lines; learning is on from then on."""
    http.patch(f"/v1/users/{user}/profile", json={"learn": True}).raise_for_status()
    conversation = http.post("/v1/conversations", json={"user": user, "title": title[:200]}).json()["id"]
    for _ in range(EVERY + 1):
        _ask(http, conversation, "plain", f'say="{facts}"')
    names = {line.partition(":")[0] for line in facts.splitlines()}
    wait_until(lambda: set(_profile(http, user)["learned"]) == names, "the facts", 30)
    return str(conversation)


def _full(http: Http, script: str, *, summarize: bool = False) -> str:
    """A conversation whose window drops its oldest turns when it is asked in."""
    conversation = http.post("/v1/conversations", json={"summarize": summarize, "title": "Kettles"}).json()["id"]
    for number in range(10):
        question = {"role": "user", "content": f"{number} {FILLER} {script}"}
        pair = [question, {"role": "assistant", "content": FILLER}]
        http.post(f"/v1/conversations/{conversation}/items", json={"items": pair}).raise_for_status()
    return str(conversation)


def _summarised(http: Http, model: str, script: str) -> str:
    """A conversation whose oldest turns have been summarised."""
    conversation = _full(http, script, summarize=True)
    _ask(http, conversation, model)
    wait_until(lambda: http.get(f"/v1/conversations/{conversation}").json()["summary"] is not None, "the summary", 30)
    return conversation


def _ask(http: Http, conversation: str, model: str, words: str = "tokens=2") -> None:
    body = {"model": model, "conversation": conversation, "input": words, "max_output_tokens": 64}
    answer = http.post("/v1/responses", json=body)
    assert answer.status_code == 200, answer.text


def _items(http: Http, conversation: str) -> list[dict[str, Any]]:
    return http.get(f"/v1/conversations/{conversation}/items", params={"limit": 100, "order": "asc"}).json()["data"]


def _state(client: Any, model: str) -> str:
    return {one.id: one.state for one in client.models.list().data}.get(model, "")
