"""``python -m tests.browser.pictures LINK``: the pictures of docs/chat-page.md, taken of a running Penstock.

``LINK`` is what ``penstock up`` prints for the chat page, with the key behind the ``#``. The sample FAQ is asked.
"""

from __future__ import annotations

import asyncio
import sys

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.browser.conftest import chromium
from tests.stack import ROOT

PICTURES = ROOT / "docs" / "images"
QUESTIONS = ("How long does delivery take?", "How do I start a return?")


async def main(link: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = await _window(browser, 1120, 720)
        await page.goto(link)
        await _take(page, "chat-welcome")
        for question in QUESTIONS:
            await page.get_by_role("textbox", name="Your question").fill(question)
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("button", name="Ask again", exact=True).last).to_be_enabled(timeout=60_000)
        await page.emulate_media(color_scheme="dark")
        await _take(page, "chat-dark")
        await page.emulate_media(color_scheme="light")
        await page.get_by_role("button", name="Open passage 1").last.click()
        await _take(page, "chat-light")
        await page.keyboard.press("Escape")
        await page.set_viewport_size({"width": 390, "height": 720})
        await _take(page, "chat-phone")
        await browser.close()


async def _window(browser: Browser, width: int, height: int) -> Page:
    context = await browser.new_context(
        viewport={"width": width, "height": height}, reduced_motion="reduce", locale="en-GB"
    )
    return await context.new_page()


async def _take(page: Page, name: str) -> None:
    await page.wait_for_load_state("networkidle" if name == "chat-welcome" else "load")
    await page.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
