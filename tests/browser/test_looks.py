"""How it looks and to whom: light and dark, narrow windows, keyboards, screen readers, English and Chinese."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from openai import OpenAI
from playwright.async_api import Browser, Page, expect

from tests.browser.chat_page import ChatPage
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RICH = """## Parts

| part | what it does |
|---|---|
| gate | lets through |

```python
print("a line of code that is longer than a phone is wide, so that it has to scroll inside of its own box")
```

A-word-that-nobody-can-break-because-it-has-no-space-in-it-at-all-and-goes-on-and-on-and-on-for-longer-than-a-phone.
"""


async def test_the_page_follows_the_system_until_it_is_told_otherwise(page: ChatPage) -> None:
    light = await _ground(page.page)
    await page.page.emulate_media(color_scheme="dark")
    dark = await _ground(page.page)
    assert dark != light
    await page.button("Settings").click()
    await page.page.get_by_role("radio", name="Light").check()
    assert await _ground(page.page) == light
    await page.page.reload()
    await expect(page.question).to_be_visible()
    assert await _ground(page.page) == light


async def test_a_narrow_window_never_scrolls_sideways(page: ChatPage, client: OpenAI) -> None:
    await page.ask("tokens=20")
    await page.until_ended()
    client.conversations.items.create(
        page.conversation, items=[{"type": "message", "role": "assistant", "content": RICH}]
    )
    await expect(page.page.locator(".push table")).to_be_visible()
    for width in (768, 390, 320):
        await page.page.set_viewport_size({"width": width, "height": 640})
        assert await _sideways(page.page) == 0
    await page.button("Open the list of conversations").click()
    await expect(page.button("New chat")).to_be_in_viewport()
    assert await _sideways(page.page) == 0
    await page.button("New chat").click()
    await expect(page.page.get_by_role("heading", level=1)).to_be_in_viewport()
    assert await _sideways(page.page) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(page: ChatPage, client: OpenAI, browser: Browser, fleet: Stack, scheme: Any) -> None:
    """Axe is put into the page from outside, which the page's own policy would forbid."""
    await page.ask("tokens=5")
    await page.until_ended()
    client.conversations.items.create(
        page.conversation, items=[{"type": "message", "role": "assistant", "content": RICH}]
    )
    seeing = {"bypass_csp": True, "color_scheme": scheme, "reduced_motion": "reduce", "locale": "en-GB"}
    async with await browser.new_context(**seeing) as context:
        seen = await ChatPage.opened(context, fleet.access_ports[1])
        assert await findings(seen.page) == []
        await seen.page.goto(f"http://127.0.0.1:{seen.port}/chat/#{page.conversation}")
        await expect(seen.page.locator(".push table")).to_be_visible()
        assert await findings(seen.page) == []
        await seen.button("Settings").click()
        assert await findings(seen.page) == []


async def test_everything_is_reached_by_keyboard_and_answers_are_announced(page: ChatPage) -> None:
    await page.page.keyboard.press("Control+k")
    await expect(page.page.get_by_role("searchbox")).to_be_focused()
    await page.question.focus()
    await page.page.keyboard.type("tokens=6")
    await page.page.keyboard.press("Shift+Enter")
    await page.page.keyboard.type("please")
    await page.page.keyboard.press("Enter")
    whole = await page.until_ended()
    await expect(page.page.locator(".bubble")).to_have_text("tokens=6\nplease")
    await expect(page.question).to_be_focused()
    announced = page.page.get_by_role("log")
    await expect(announced).to_contain_text(whole)
    await expect(announced).to_contain_text("Answer complete")
    await page.page.keyboard.press("Shift+Tab")
    await expect(page.button("Ask again")).to_be_focused()


async def test_the_page_speaks_chinese_to_a_chinese_browser(browser: Browser, fleet: Stack) -> None:
    async with await browser.new_context(locale="zh-CN") as context:
        window = await context.new_page()
        await window.goto(f"http://127.0.0.1:{fleet.access_ports[0]}/chat/")
        await expect(window.get_by_role("heading", level=1)).to_have_text("请输入 API 密钥")
        assert await window.evaluate("document.documentElement.lang") == "zh-CN"


async def _ground(page: Page) -> str:
    return str(await page.evaluate("getComputedStyle(document.body).backgroundColor"))


async def _sideways(page: Page) -> int:
    """How far anything but a box of its own scrolls sideways, in pixels."""
    return int(
        await page.evaluate(
            "Math.max(...['html', '#main', '.scroll', '.welcome', '.sidebar', '.rows'].map(one => {"
            "const found = document.querySelector(one);"
            "return found ? found.scrollWidth - found.clientWidth : 0; }))"
        )
    )


async def findings(page: Page) -> list[str]:
    """What axe objects to: the rule and the first place, for rules of WCAG 2.2 A and AA and best practice."""
    await page.evaluate(AXE)
    found: Any = await page.evaluate("axe.run()")
    return [f"{one['impact']} {one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]
