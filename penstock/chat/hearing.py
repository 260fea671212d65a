"""What else happens in a conversation while a person thinks: pushes, and what is said on other devices."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from penstock.chat import said
from penstock.chat.api import Api, Events, Refused, Unreachable
from penstock.chat.asking import Line
from penstock.chat.said import Item


class Hearing:
    """Listens to one conversation in a thread of its own, and comes back after every loss where it was.

    ``on_item`` is told, in that thread, of every item behind ``last_known``; ``on_deleted`` that the conversation is
    gone.
    """

    def __init__(
        self,
        api: Api,
        conversation: str,
        last_known: str,
        on_item: Callable[[Item], object],
        on_deleted: Callable[[], object],
    ):
        self._api = api
        self._conversation = conversation
        self._last_known = last_known
        self._on_item = on_item
        self._on_deleted = on_deleted
        self._cursor = ""
        self._stream: Events | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"hearing {conversation}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Hear no more. Nothing is told once this has returned, or a second has passed."""
        self._stopped.set()
        if self._stream is not None:
            self._stream.cut()
        self._thread.join(1)

    def _listen(self) -> None:
        line = Line(float("inf"))
        while not self._stopped.is_set():
            try:
                with self._api.happenings(self._conversation, self._cursor) as stream:
                    self._stream = stream
                    self._follow(stream, line)
            except Refused as refused:
                if refused.http_status < 500:  # deleted, or the key is no longer good: the next question will tell
                    return
            except Unreachable:
                pass
            self._stopped.wait(line.pause())

    def _follow(self, stream: Events, line: Line) -> None:
        for event, cursor in stream:
            if self._stopped.is_set():
                return
            line.works()
            self._cursor = cursor
            for item in self._new(event):
                self._on_item(item)

    def _new(self, event: Any) -> list[Item]:
        """The items that an event brings. A snapshot brings those that came since the last one known."""
        kind = event["type"]
        if kind == "conversation.item.created":
            new = [said.item_of(event["item"])]
        elif kind == "conversation.snapshot":
            new = said.behind([said.item_of(item) for item in event["items"]], self._last_known)
        else:
            if kind == "conversation.deleted":
                self._on_deleted()
            return []
        self._last_known = new[-1].id if new else self._last_known
        return [item for item in new if item.text]
