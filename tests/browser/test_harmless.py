"""What is said is data: it runs nothing, loads nothing, and leads nowhere unseen."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from openai import OpenAI
from playwright.async_api import BrowserContext, Route, expect

from tests.browser.chat_page import ChatPage
from tests.stack import API_KEY, Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = """
<script>window.pwned = 1</script> <img src=x onerror="window.pwned = 1"> <iframe src="https://evil.example"></iframe>

<div style="background:url(https://evil.example/a.png)" onmouseover="window.pwned = 1">over</div>

[click me](javascript:window.pwned=1) [and me](data:text/html,<script>1</script>) [home](/v1/models)
[your bank](https://evil.example/login) <javascript:window.pwned=1>

![tracker](https://evil.example/pixel.png "t") ![inline](data:image/png;base64,AAAA)

```html
<script>window.pwned = 1</script>
```
"""


async def test_hostile_markdown_stays_text(page: ChatPage, client: OpenAI) -> None:
    await page.ask("tokens=2")
    await page.until_ended()
    message = {"type": "message", "role": "assistant", "content": HOSTILE}
    client.conversations.items.create(page.conversation, items=[message])
    push = page.page.locator(".push .prose")
    await expect(push).to_contain_text("window.pwned = 1")
    assert await page.page.evaluate("window.pwned") is None
    assert await push.locator("script, img, iframe, style, [style], [onerror], [onmouseover]").count() == 0
    links = await push.locator("a").evaluate_all("all => all.map(one => [one.href, one.rel])")
    assert {href for href, _ in links} == {"https://evil.example/login", "https://evil.example/pixel.png"}
    assert all("noopener" in rel and "noreferrer" in rel for _, rel in links)
    await expect(push).to_contain_text("your bank (evil.example)")
    assert {urlsplit(url).netloc for url in page.asked} == {f"127.0.0.1:{page.port}"}
    assert page.wrong == []


async def test_the_key_leaves_the_address_and_a_wrong_one_is_asked_for_again(
    page: ChatPage, context: BrowserContext, fleet: Stack
) -> None:
    assert API_KEY not in page.page.url
    assert API_KEY not in "".join(page.asked)
    window = await context.new_page()
    await window.goto(f"http://127.0.0.1:{fleet.access_ports[1]}/chat")
    await window.get_by_label("API key").fill("sk-wrong000_wrong")
    await window.get_by_role("button", name="Continue").click()
    await expect(window.get_by_role("alert")).to_have_text("This key is not valid.")


async def test_a_mark_opens_the_passage_it_names(page: ChatPage) -> None:
    """What the server would say is given here, because the scripted engine cites nothing."""
    conversation = {"id": "conv_cited", "object": "conversation", "created_at": 1, "title": "Delivery", "metadata": {}}
    text = "It takes 3 days [1]."
    content = [{"type": "output_text", "text": text, "annotations": []}]
    item = {"id": "msg_1_0_assistant", "role": "assistant", "status": "completed", "content": content, "created_at": 1}
    snapshot = {
        "type": "conversation.snapshot",
        "conversation": conversation,
        "response": None,
        "items": [{**item, "response_id": "resp_cited"}],
    }
    passage = {"type": "file_citation", "index": text.index("["), "title": "Shipping", "text": "Three days."}
    response = {"id": "resp_cited", "output": [{"content": [{"text": text, "annotations": [passage]}]}]}

    async def events(route: Route) -> None:
        await route.fulfill(content_type="text/event-stream", body=f"data: {json.dumps(snapshot)}\n\n")

    async def cited(route: Route) -> None:
        await route.fulfill(json=response)

    await page.page.route("**/v1/conversations/conv_cited/events", events)
    await page.page.route("**/v1/responses/resp_cited", cited)
    await page.page.goto(f"http://127.0.0.1:{page.port}/chat/#conv_cited")
    await page.button("Open passage 1").click()
    await expect(page.page.get_by_role("dialog")).to_contain_text("Three days.")
    await page.page.keyboard.press("Escape")
    await expect(page.page.get_by_role("dialog")).to_have_count(0)
    await expect(page.button("Open passage 1")).to_be_focused()
