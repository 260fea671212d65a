"""A device on a conversation: reads its stream of events in a thread, as a browser does."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.servers import wait_until
from tests.stack import API_KEY

ITEM = "conversation.item.created"
DELTA = "response.output_text.delta"


@dataclass
class Heard:
    """One event. ``id`` is its SSE id, if it has one."""

    kind: str
    id: str
    data: dict[str, Any]


@dataclass
class Device:
    """What was heard so far. ``last_id`` is what a browser would come back with."""

    events: list[Heard] = field(default_factory=list)
    status: int = 0
    ended: bool = False
    comments: int = 0

    @property
    def last_id(self) -> str:
        return next((event.id for event in reversed(self.events) if event.id), "")

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    @property
    def items(self) -> list[tuple[str, str, str]]:
        """Id, role and text of each item, as its events came."""
        found = [event.data["item"] for event in self.events if event.kind == ITEM]
        return [(item["id"], item["role"], item["content"][0]["text"]) for item in found]

    def text(self) -> str:
        """The running answer as the page shows it: what a snapshot says, and the deltas behind it."""
        shown = ""
        for event in self.events:
            if event.kind in ("conversation.snapshot", "conversation.resumed"):
                shown = (event.data["response"] or {}).get("text", "")
            elif event.kind == "response.created":
                shown = ""
            elif event.kind == DELTA:
                shown += event.data["delta"]
        return shown

    def until(self, kind: str, count: int = 1, seconds: float = 15) -> None:
        """Wait until ``count`` events of a kind were heard."""
        wait_until(lambda: self.kinds.count(kind) >= count, f"{count} times {kind} in {self.kinds}", seconds)


@contextlib.contextmanager
def device(port: int, conversation: str, last_id: str = "", key: str = API_KEY) -> Generator[Device]:
    """A device that listens, until the block ends."""
    made = Device()
    headers = {"authorization": f"Bearer {key}", **({"last-event-id": last_id} if last_id else {})}
    url = f"http://127.0.0.1:{port}/v1/conversations/{conversation}/events"
    with httpx2.Client(timeout=httpx2.Timeout(30, read=60)) as http, http.stream("GET", url, headers=headers) as answer:
        made.status = answer.status_code
        reading = threading.Thread(target=_read, args=(answer, made), daemon=True)
        reading.start()
        wait_until(lambda: bool(made.events) or made.ended, "the first event")
        yield made
        _cut(answer)
        reading.join(10)


def _read(answer: httpx2.Response, heard: Device) -> None:
    lines: list[str] = []
    with contextlib.suppress(httpx2.HTTPError, OSError, RuntimeError):
        for line in answer.iter_lines():
            if line.startswith(":"):
                heard.comments += 1
            elif line:
                lines.append(line)
            elif lines:
                heard.events.append(_event(lines))
                lines = []
    heard.ended = True


def _event(lines: list[str]) -> Heard:
    said = dict(line.split(": ", 1) for line in lines)
    return Heard(said.get("event", ""), said.get("id", ""), json.loads(said["data"]))


def _cut(answer: httpx2.Response) -> None:
    """Break the connection off under whoever reads it."""
    stream = answer.extensions["network_stream"]
    with contextlib.suppress(OSError):
        stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
