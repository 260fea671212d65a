"""What one client was told, event by event, over all its connections. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from contracts.ids import COMPLETION_PREFIX, RESPONSE_PREFIX

ENDS = {"response.completed", "response.incomplete", "response.failed", "response.cancelled"}
NEVER_RAN = "access_lost"
GAVE_UP = "request_gave_up"
"""The end of a request over which three workers have died. Each of them might have died of it."""


@dataclass
class Transcript:
    """A stream of responses as the SDK would show it.

    ``request`` is the id it was given, ``text`` what it would have on its screen, ``end`` the status it was told at the
    end. ``cursor`` and ``number`` say where it would go on, ``at_cursor`` what it had when the cursor came: what came
    after it without one of its own is sent again. ``faults`` are things that must never happen.
    """

    request: str = ""
    text: str = ""
    end: str = ""
    error: str = ""
    cursor: str = ""
    number: int = -1
    at_cursor: tuple[int, str] = (-1, "")
    events: int = 0
    resets: int = 0
    faults: list[str] = field(default_factory=list)

    def take(self, frame: bytes) -> None:
        """One frame of the stream; heartbeats are nothing."""
        event, cursor, data = _parts(frame)
        if data is None:
            return
        if event == "error":
            self.error = data.get("code") or "error"
            return
        self.events += 1
        self._count(data)
        self._show(data)
        if cursor:
            self.cursor, self.at_cursor = cursor, (self.number, self.text)

    def return_to_cursor(self) -> None:
        """Go on behind the last event that had a cursor."""
        self.number, self.text = self.at_cursor

    def rewind(self, *, told: bool = False) -> None:
        """All will be sent from the beginning; ``told`` that what it has is void."""
        self.text, self.cursor, self.number, self.end, self.error = "", "", -1, "", ""
        self.resets += told

    def _count(self, data: dict[str, Any]) -> None:
        number = data["sequence_number"]
        repeated_place = data["type"] == "response.queued" and number == self.number
        begins_anew = data["type"] == "response.output_text.reset"
        if number <= self.number and not (repeated_place or begins_anew):
            self.faults.append(f"event {number} ({data['type']}) after event {self.number}")
        if self.end:
            self.faults.append(f"{data['type']} after the end")
        self.number = number

    def _show(self, data: dict[str, Any]) -> None:
        match data["type"]:
            case "response.created":
                self.request = data["response"]["id"].removeprefix(RESPONSE_PREFIX)
            case "response.output_text.delta":
                self.text += data["delta"]
            case "response.output_text.reset":
                self.text, self.cursor = "", ""
                self.resets += 1
            case "response.output_text.done":
                self._compare("the whole text", data["text"])
            case kind if kind in ENDS:
                self._compare("the response at the end", text_of(data["response"]))
                if never_ran(data["response"]):
                    self.error = NEVER_RAN
                else:
                    self.end = kind.removeprefix("response.")
            case _:
                pass

    def _compare(self, what: str, text: str) -> None:
        if text != self.text:
            self.faults.append(f"{what} is {text[:60]!r}…, the deltas gave {self.text[:60]!r}…")


@dataclass
class Completion:
    """A streamed chat completion."""

    request: str = ""
    text: str = ""
    end: str = ""
    error: str = ""
    events: int = 0
    faults: list[str] = field(default_factory=list)

    def take(self, frame: bytes) -> None:
        """One frame; ``[DONE]`` is the end."""
        if frame == b"data: [DONE]":
            self.end = self.end or "completed"
            return
        _, _, data = _parts(frame)
        if data is None:
            return
        if "error" in data:
            self.error = self.end = data["error"]["code"]
            return
        self.events += 1
        if self.end:
            self.faults.append("a chunk after the end")
        self.request = data["id"].removeprefix(COMPLETION_PREFIX)
        for choice in data["choices"]:
            self.text += choice["delta"].get("content") or ""


def never_ran(response: dict[str, Any]) -> bool:
    """Whether it failed because its access process died while it waited there: then its key is free, and it is to be
    asked again."""
    return response["status"] == "failed" and response["error"]["code"] == NEVER_RAN


def text_of(response: dict[str, Any]) -> str:
    """The text of a response object."""
    return "".join(part["text"] for item in response["output"] for part in item["content"])


def _parts(frame: bytes) -> tuple[str, str, dict[str, Any] | None]:
    """Event, cursor and data of a frame; no data in a comment."""
    fields = dict(line.split(b": ", 1) for line in frame.split(b"\n") if not line.startswith(b":"))
    data = msgspec.json.decode(fields[b"data"]) if b"data" in fields else None
    return fields.get(b"event", b"").decode(), fields.get(b"id", b"").decode(), data
