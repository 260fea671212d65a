"""A real server that plays a Penstock, for what no real one can be made to say: hostile answers, lines that break."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from penstock.target import Target

RESPONSE = "resp_s0_" + "a" * 32
CONVERSATION = "conv_s0_" + "b" * 32
HOME = {"id": CONVERSATION, "title": "", "created_at": 1_700_000_000}


@dataclass
class Heard:
    """One request, as it came. ``body`` is its JSON, ``None`` where there was none."""

    method: str
    path: str
    cursor: str | None
    body: Any


@dataclass
class Actor:
    """Each request for a response's events is given the next of ``scenes``, and then the line ends.

    A scene is a text of frames, or a status with an error's code. ``title`` is the conversation's.
    """

    scenes: Sequence[str | tuple[int, str]]
    title: str = ""
    url: str = ""
    heard: list[Heard] = field(default_factory=list)

    @property
    def target(self) -> Target:
        return Target(self.url, "sk-x")

    @property
    def streams(self) -> list[Heard]:
        """The requests for an answer's events."""
        asked = [one for one in self.heard if one.path.startswith(("/v1/responses", "/v1/chat"))]
        return [one for one in asked if not one.path.endswith("/cancel")]

    def answer(self, method: str, path: str) -> str | tuple[int, str] | dict[str, Any]:
        """What is said to a request that was just heard."""
        if path.endswith("/cancel"):
            return response("", status="cancelled")
        if path.startswith(("/v1/responses", "/v1/chat")):
            return self.scenes[min(len(self.streams), len(self.scenes)) - 1]
        if path.startswith("/v1/models"):
            return {"data": [{"id": "actor", "state": "ready", "kind": "generate"}]}
        if path.endswith("/events"):
            return frame({"type": "conversation.snapshot", "items": []}, "1-0")
        return {**HOME, "title": self.title} if method == "POST" or CONVERSATION in path else {"data": [HOME]}


@contextlib.contextmanager
def acting(*scenes: str | tuple[int, str], title: str = "") -> Generator[Actor]:
    """An actor on a loopback port, until the block ends."""
    actor = Actor(scenes, title)

    class Stage(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._play()

        def do_POST(self) -> None:
            self._play()

        def log_message(self, format: str, *args: Any) -> None:
            """Nobody reads it."""

        def _play(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            actor.heard.append(Heard(self.command, self.path, self.headers.get("last-event-id"), body))
            said = actor.answer(self.command, self.path)
            status, code = said if isinstance(said, tuple) else (200, "")
            if isinstance(said, str):
                kind, content = "text/event-stream", said
            else:
                kind, content = "application/json", json.dumps(_error(code) if code else said)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.end_headers()
            self.wfile.write(content.encode("utf-8", "surrogatepass"))

    with ThreadingHTTPServer(("127.0.0.1", 0), Stage) as server:
        actor.url = f"http://127.0.0.1:{server.server_address[1]}"
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield actor
        finally:
            server.shutdown()
            serving.join(10)


def frame(data: dict[str, Any], cursor: str = "") -> str:
    """One event on the wire."""
    return (f"id: {cursor}\n" if cursor else "") + f"data: {json.dumps(data)}\n\n"


def created() -> str:
    return frame({"type": "response.created", "response": response("", status="queued")})


def delta(text: str, cursor: str) -> str:
    return frame({"type": "response.output_text.delta", "delta": text}, cursor)


def ended(text: str, *titles: str, status: str = "completed", **more: Any) -> str:
    """The end of an answer whose marks [1], [2], … name passages of these titles."""
    marks = [{"index": text.index(f"[{n}]"), "title": title} for n, title in enumerate(titles, 1)]
    return frame({"type": f"response.{status}", "response": response(text, marks, status=status, **more)}, "99-aa")


def completion(text: str) -> str:
    """A whole answer as chat completions stream it."""
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "actor"}
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
    return frame({**chunk, "choices": [choice]}) + "data: [DONE]\n\n"


def response(text: str, marks: Sequence[dict[str, Any]] = (), **more: Any) -> dict[str, Any]:
    """A response object."""
    part = {"type": "output_text", "text": text, "annotations": list(marks)}
    nothing = {"error": None, "incomplete_details": None, "usage": None}
    return {"id": RESPONSE, "output": [{"content": [part]}], **nothing, **more}


def _error(code: str) -> dict[str, Any]:
    return {"error": {"message": f"It is said: {code}", "code": code, "type": "x", "param": None}}
