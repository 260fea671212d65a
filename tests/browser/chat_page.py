"""The chat page as a person uses it: by the names of what is on it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from playwright.async_api import BrowserContext, Locator, Page, expect

from tests.stack import API_KEY

SECONDS = 20
_CONVERSATION = re.compile(r"#(conv_\w+)$")


@dataclass
class ChatPage:
    """One window. ``wrong`` is what its scripts and its policy complained of, ``asked`` every address it asked for."""

    page: Page
    port: int
    wrong: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])

    @classmethod
    async def opened(
        cls, context: BrowserContext, port: int, *, key: str = API_KEY, conversation: str = ""
    ) -> ChatPage:
        """A new window, entered by the link that brings the key along."""
        made = cls(await context.new_page(), port)
        made.page.on("pageerror", lambda error: made.wrong.append(str(error)))
        made.page.on("console", lambda said: made.wrong.append(said.text) if "Content Security" in said.text else None)
        made.page.on("request", lambda request: made.asked.append(request.url))
        await made.page.goto(f"http://127.0.0.1:{port}/chat/#key={key}")
        await made.until_ready()
        if conversation:
            await made.page.goto(f"http://127.0.0.1:{port}/chat/#{conversation}")
            await made.page.reload()
            await made.until_ready()
        return made

    @property
    def question(self) -> Locator:
        return self.page.get_by_role("textbox", name="Your question")

    @property
    def questions(self) -> Locator:
        return self.page.locator(".bubble")

    @property
    def dialog(self) -> Locator:
        return self.page.get_by_role("dialog")

    @property
    def answers(self) -> Locator:
        return self.page.locator("article .prose")

    @property
    def stop(self) -> Locator:
        return self.button("Stop")

    @property
    def conversation(self) -> str:
        """The id in the address."""
        match = _CONVERSATION.search(self.page.url)
        assert match is not None, self.page.url
        return match[1]

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    async def until_ready(self) -> None:
        """Once it knows the models; before that it sends nothing."""
        await expect(self.page.get_by_role("combobox", name="Model")).not_to_be_empty()

    async def ask(self, question: str) -> None:
        await self.question.fill(question)
        await self.question.press("Enter")
        await expect(self.questions.last).to_have_text(question)

    async def edit(self, at: int, question: str) -> None:
        """Ask another one in place of a question on the page."""
        await self.questions.nth(at).hover()
        await self.button("Edit and ask again").nth(at).click()
        editor = self.page.get_by_role("textbox", name="Edit and ask again")
        await editor.fill(question)
        await editor.press("Enter")

    async def until_words(self, count: int) -> str:
        """The last answer, once it has at least so many words."""
        await expect(self.answers.last).to_have_text(re.compile(rf"(\S+\s+){{{count - 1}}}\S+"), timeout=SECONDS * 1000)
        return await self.answers.last.inner_text()

    async def until_ended(self) -> str:
        """The last answer, once nothing is added any more."""
        await expect(self.page.locator("article[aria-busy=true]")).to_have_count(0, timeout=SECONDS * 1000)
        await expect(self.button("Send")).to_be_visible()
        return await self.answers.last.inner_text()
