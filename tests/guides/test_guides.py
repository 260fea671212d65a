"""The guides: every snippet of a page does what the page says, from ``make up`` to its end."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect, sync_playwright

from penstock.folder import DataFolder
from tests.browser.conftest import chromium
from tests.guides.reader import START_SECONDS, Reader, reading
from tests.stack import ROOT

GUIDES = ROOT / "docs" / "guides"
PACKAGES = ROOT / "tests" / "guides" / "ai_sdk"
QUESTION = "How do I descale the kettle?"
START_MS = 1000 * START_SECONDS
_KEY = re.compile(r"sk-[\w-]+")
WHOLE = re.compile(r"^Fill in 0\.5 litres of water .* then boil clear water twice\. \[1\]$")

# A start takes a loaded machine minutes.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody who has come to the end of the guide to a chat frontend, with everything still running."""
    with reading(tmp_path_factory.mktemp("chat")) as reader:
        reader.follow(GUIDES / "chat-frontend.md")
        yield reader


@pytest.fixture
def page(chat: Reader) -> Iterator[Page]:
    """The guide's own page in a browser that has never seen it, opened with the key that the guide makes."""
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium here; on Debian: apt install chromium")
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(
            # Root, as in a container, has no sandbox; what the page holds is our own.
            executable_path=executable,
            args=["--no-sandbox"],
        ) as browser,
    ):
        opened = browser.new_page()
        opened.set_default_timeout(30_000)
        opened.goto(f"{chat.url(3000)}/#key={_KEY.findall(chat.said)[-1]}")
        yield opened


@pytest.mark.parametrize("guide", ["push.md", "faq-bot.md"])
def test_every_snippet_does_what_its_page_says(guide: str, tmp_path: Path) -> None:
    with reading(tmp_path) as reader:
        reader.follow(GUIDES / guide)


def test_a_chat_frontend_stands_after_ten_minutes(chat: Reader) -> None:
    assert chat.printed.endswith("arrive the next working day. [1]")


def test_the_page_goes_on_after_a_reload_in_mid_answer(chat: Reader, page: Page) -> None:
    with chat.upstream.held():
        begun = ask(page)
        page.reload()
        expect(paragraphs(page)).to_have_text([QUESTION, begun])
    expect(paragraphs(page)).to_have_text([QUESTION, WHOLE])


def test_a_reload_afterwards_shows_what_was_said_once(page: Page) -> None:
    ask(page)
    expect(paragraphs(page)).to_have_text([QUESTION, WHOLE])
    page.reload()
    expect(paragraphs(page)).to_have_text([QUESTION, WHOLE])


def test_a_page_whose_access_process_dies_takes_the_stream_up_where_it_was(chat: Reader, page: Page) -> None:
    cursors: list[str | None] = []
    page.on("request", lambda request: cursors.append(request.headers.get("last-event-id")))
    with chat.upstream.held():
        ask(page)
        kill_access(chat)
    expect(paragraphs(page)).to_have_text([QUESTION, WHOLE], timeout=START_MS)
    assert any(cursors)


def test_a_refusal_is_shown_to_who_asks(chat: Reader, page: Page) -> None:
    page.route("**/v1/responses", lambda route: route.continue_(post_data='{"model": "nobody"}'))
    page.get_by_role("textbox", name="Question").fill(QUESTION)
    page.keyboard.press("Enter")
    expect(paragraphs(page).last).to_have_text(re.compile("input"))


def test_the_packages_that_run_here_are_those_that_the_page_names() -> None:
    pinned = json.loads((PACKAGES / "package.json").read_text(encoding="utf-8"))["dependencies"]
    told = (GUIDES / "chat-frontend.md").read_text(encoding="utf-8")
    for name, version in pinned.items():
        built = json.loads((PACKAGES / "built" / name / "package.json").read_text(encoding="utf-8"))
        assert built["version"] == version
        assert version in told


def paragraphs(page: Page) -> Locator:
    return page.locator("main p")


def ask(page: Page) -> str:
    """Put the question; what there is of the answer once it has begun."""
    page.get_by_role("textbox", name="Question").fill(QUESTION)
    page.keyboard.press("Enter")
    expect(paragraphs(page).last).to_have_text(re.compile(r"^Fill in 0\.5 litres"))
    return paragraphs(page).last.inner_text()


def kill_access(chat: Reader) -> None:
    """As a machine dies; the launcher starts another one."""
    (child,) = [child for child in DataFolder(chat.folder / ".penstock").running() if child.name == "access-0"]
    os.kill(child.pid, signal.SIGKILL)
