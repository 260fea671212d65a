"""From messages to token ids, by the model's own chat template. User text stays text.

A content that spells a special token (``<|assistant|>``) must not become one: it could speak as another role. Only such
contents are tokenised apart from the template; all others go the model's own way, token for token.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any, cast

from contracts.errors import CallerError, EngineError
from contracts.messages import ChatMessage, Generate


class Prompter:
    """Makes prompts for one model. ``tokenizer`` is a fast Hugging Face tokenizer with a chat template."""

    def __init__(self, tokenizer: Any):
        self._tokenizer = tokenizer
        special = sorted((str(token) for token in tokenizer.get_added_vocab()), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special))) if special else None

    def token_ids(self, task: Generate) -> list[int]:
        """The prompt of ``task``.

        Raises:
            CallerError: the model's template refuses these messages (their roles or their order).
        """
        contents = [message.content for message in task.messages]
        if self._special is None or not any(self._special.search(content) for content in contents):
            return self._encode(self._render(task.messages, task.tools))
        marks = [f"mark{secrets.token_hex(8)}" for _ in contents]
        pairs = zip(task.messages, marks, strict=True)
        marked = [ChatMessage(role=message.role, content=mark) for message, mark in pairs]
        return self._encode_apart(self._render(marked, task.tools), dict(zip(marks, contents, strict=True)))

    def left_of(self, choices: Sequence[str], said: Sequence[int]) -> tuple[str, ...]:
        """What of ``choices`` can still follow the tokens ``said``: the rest of each that begins with their text."""
        if not choices or not said:
            return tuple(choices)
        text = self._tokenizer.decode(list(said), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        rests = tuple(choice.removeprefix(text) for choice in choices if choice.startswith(text))
        if not rests:
            raise EngineError("The answer's log is no beginning of any text that it may be.")
        return rests

    def _render(self, messages: Sequence[ChatMessage], tools: Sequence[dict[str, Any]]) -> str:
        conversation = [{"role": message.role, "content": message.content} for message in messages]
        try:
            rendered = self._tokenizer.apply_chat_template(
                conversation, tools=list(tools) or None, add_generation_prompt=True, tokenize=False
            )
        except (ValueError, TypeError, RuntimeError, *_template_errors()) as error:
            raise CallerError(
                f"The model's chat template refuses these messages: {type(error).__name__}. "
                "Check the order of the roles.",
                param="messages",
            ) from error
        return cast(str, rendered)

    def _encode_apart(self, rendered: str, contents: dict[str, str]) -> list[int]:
        ids: list[int] = []
        for part in re.split("(" + "|".join(contents) + ")", rendered):
            if part in contents:
                ids += self._encode(contents[part], split_special_tokens=True)
            elif part:
                ids += self._encode(part)
        return ids

    def _encode(self, text: str, **how: bool) -> list[int]:
        return cast("list[int]", self._tokenizer.encode(text, add_special_tokens=False, **how))


def _template_errors() -> tuple[type[Exception], ...]:
    from jinja2 import TemplateError

    return (TemplateError,)
