"""The chat page in a real browser, on a small fleet of real processes around the scripted engine.

A question says how it is answered: ``tokens=40 pause=0.05`` takes two seconds.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from openai import OpenAI
from playwright.async_api import Browser, BrowserContext, async_playwright, expect

from penstock import embedded_redis
from tests.browser.chat_page import ChatPage
from tests.servers import redis_server
from tests.stack import Stack, stack

SLOTS = 4
PATIENCE_MS = 15_000
"""What a loaded machine may take for one step."""

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Two access processes, a limiter, and a worker that is soon full: four slots, and one grant for each."""
    folder = tmp_path_factory.mktemp("browser")
    settings = {
        "MILVUS_URI": "http://127.0.0.1:9",
        "PENSTOCK_ACCESS__PRESETS": '{"plain": {"model": "scripted"}}',
        "PENSTOCK_LIMITER__GRANTS_PER_SLOT": "1",
        "PENSTOCK_WORKER__SLOTS": str(SLOTS),
        "PENSTOCK_WORKER__LEASE_SECONDS": "1",
    }
    server = redis_server(embedded_redis.bundled_binary(), folder)
    with server as redis_url, stack(redis_url, folder, **settings) as made:
        made.limiter()
        made.worker()
        made.access()
        made.access()
        made.ready()
        made.ready(port=made.access_ports[1])
        yield made


@pytest.fixture
def client(fleet: Stack) -> OpenAI:
    """An OpenAI client of the second access process."""
    return fleet.client(fleet.access_ports[1])


def chromium() -> str | None:
    """The browser: the one that ``CHROMIUM`` names, else the one on the path; ``None`` if there is none."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium here; on Debian: apt install chromium")
    async with async_playwright() as playwright:
        # Root, as in a container, has no sandbox; what the pages hold is our own.
        made = await playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield made
        await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser profile of its own."""
    made = await browser.new_context(viewport={"width": 1180, "height": 760}, reduced_motion="reduce", locale="en-GB")
    made.set_default_timeout(PATIENCE_MS)
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext, fleet: Stack) -> ChatPage:
    """The chat page of the first access process, with the key."""
    return await ChatPage.opened(context, fleet.access_ports[0])
