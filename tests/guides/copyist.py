"""An upstream that answers as the bundled model is trained to: the passage it is shown and its mark, else the refusal.

So what a page shows of an answer rests on what retrieval really found, and no model has to be loaded for it.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from access.prompt import REFUSAL

NAME = "penstock-faq"
"""The bundled model's: the preset faq-bot stands on it."""
WORDS_AT_ONCE = 4
"""After so many an answer that is held back stops."""
HELD_SECONDS = 60.0
_FIRST_PASSAGE = re.compile(r"Passages:\n(--- \w+)\n[^\n]*\n(.*? \[1\])\n\1\n", re.DOTALL)


def answer(prompt: str) -> str:
    """The first passage of a prompt that ``access/prompt.py`` composed."""
    shown = _FIRST_PASSAGE.match(prompt)
    return shown[2] if shown else REFUSAL


class Copyist(ThreadingHTTPServer):
    """``POST /v1/chat/completions``, streamed, on a free port."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    @contextlib.contextmanager
    def held(self) -> Generator[None]:
        """Every answer that begins meanwhile stops after a few words, and goes on at the end."""
        self.may_go_on.clear()
        try:
            yield
        finally:
            self.may_go_on.set()


@contextlib.contextmanager
def copyist() -> Generator[Copyist]:
    """Run it."""
    with Copyist() as server:
        thread = threading.Thread(target=server.serve_forever, name="copyist")
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        words = re.findall(r"\S+\s*", answer(body["messages"][-1]["content"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for number, word in enumerate(words):
            if number == WORDS_AT_ONCE:
                cast(Copyist, self.server).may_go_on.wait(HELD_SECONDS)
            self._send([{"index": 0, "delta": {"content": word}, "finish_reason": None}])
        self._send([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        self._send([], {"prompt_tokens": 100, "completion_tokens": len(words), "total_tokens": 100 + len(words)})
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _send(self, choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> None:
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": NAME, "choices": choices}
        self.wfile.write(f"data: {json.dumps(chunk | {'usage': usage})}\n\n".encode())
