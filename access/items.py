"""A conversation's turns as OpenAI's message items. Pure.

An item's id is its turn's with the role behind it, ``msg_<milliseconds>_<n>_user``: whoever has one finds its turn.

Source: https://platform.openai.com/docs/api-reference/conversations/list-items
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from contracts.errors import CallerError, NotFound
from contracts.functions import Speaker
from contracts.ids import RESPONSE_PREFIX
from contracts.messages import ChatMessage
from memory import Turn

Item = dict[str, Any]

_ID = re.compile(r"msg_(\d{1,15})_(\d{1,10})_(user|assistant)")


@dataclass(frozen=True)
class ItemName:
    """What an item's id says: the name of its turn, and who spoke."""

    turn: str
    speaker: Speaker

    @property
    def milliseconds(self) -> int:
        """When the turn began, as Redis counts."""
        return int(self.turn.split("-")[0])


def items_of(turn: Turn) -> list[Item]:
    """The user's message and the answer, as far as there are any; one that is being generated has no content yet."""
    items: list[Item] = []
    if turn.question is not None:
        items.append(_item(turn, "user", "completed", turn.question))
    if turn.answer is not None:
        items.append(_item(turn, "assistant", _status(turn), turn.answer))
    elif turn.request is not None and turn.status == "running":
        items.append(_item(turn, "assistant", "in_progress", None))
    return items


def all_items(turns: Iterable[Turn]) -> list[Item]:
    """The items of several turns, in their order."""
    return [item for turn in turns for item in items_of(turn)]


def item_id(turn: str, role: str) -> str:
    """The public id of what ``role`` said in a turn."""
    return f"msg_{turn.replace('-', '_')}_{role}"


def named_by(item_id: str) -> ItemName:
    """Raises ``NotFound`` if the id is none of ours."""
    match = _ID.fullmatch(item_id)
    if match is None:
        raise unknown_item(item_id)
    return ItemName(f"{match[1]}-{match[2]}", cast(Speaker, match[3]))


def unknown_item(item_id: str) -> NotFound:
    return NotFound(f"No item with id '{item_id[:80]}' in this conversation.", code="item_not_found", param="item_id")


def turns_from(messages: Sequence[ChatMessage]) -> list[tuple[str | None, str | None]]:
    """Messages paired to (question, answer); a message that has no partner beside it stands alone.

    Raises:
        CallerError: a system message, for which a conversation has no place.
    """
    pairs: list[tuple[str | None, str | None]] = []
    for at, message in enumerate(messages):
        if message.role == "system":
            text = "A conversation holds what users and assistants said. Send instructions with each request."
            raise CallerError(text, code="unsupported_value", param=f"items.{at}.role")
        if message.role == "user":
            pairs.append((message.content, None))
        elif pairs and pairs[-1][1] is None:
            pairs[-1] = (pairs[-1][0], message.content)
        else:
            pairs.append((None, message.content))
    return pairs


def _item(turn: Turn, role: Literal["user", "assistant"], status: str, text: str | None) -> Item:
    kind = "input_text" if role == "user" else "output_text"
    more = {"annotations": [], "logprobs": []} if role == "assistant" else {}
    item: Item = {
        "id": item_id(turn.id, role),
        "type": "message",
        "role": role,
        "status": status,
        "content": [] if text is None else [{"type": kind, "text": text, **more}],
        "created_at": turn.at,
    }
    if turn.request is not None:
        item["response_id"] = f"{RESPONSE_PREFIX}{turn.request}"
    if turn.status == "push":
        item |= {"push": True, "publisher": turn.publisher, "metadata": dict(turn.metadata)}
    return item


def _status(turn: Turn) -> str:
    return "completed" if turn.status in ("done", "push") else "incomplete"
