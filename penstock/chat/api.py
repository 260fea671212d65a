"""What the chat asks of a Penstock over HTTP: any access process, as any other client."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

from penstock.chat import said, screen
from penstock.chat.said import NOT_AS_DOCUMENTED, Answer, Conversation, Item, Model
from penstock.errors import CommandError
from penstock.target import Target

PATIENCE_SECONDS = 120
"""For which a question may wait for admission, or for another answer of its conversation. A person sees the queue and
can stop, so it is long."""
SILENCE_SECONDS = 30.0
"""A stream that says nothing for so long is dead: the server sends a comment every ten seconds."""
PAGE = 100
MOST_TITLE = 200
LARGEST_EVENT_BYTES = 64 << 20
"""A snapshot has up to 100 items of 32,000 characters."""


class Unreachable(CommandError):
    """Nobody answers, or the connection broke."""


class Refused(CommandError):
    """The server said no. ``http_status`` and ``code`` are its own, 0 and empty where it is no Penstock."""

    def __init__(self, message: str, http_status: int, code: str = ""):
        super().__init__(screen.harmless_line(message))
        self.http_status = http_status
        self.code = code


@dataclass(frozen=True)
class Question:
    """What is asked. The same ``idempotency_key`` is the same request, however often it is sent."""

    text: str
    model: str
    conversation: str
    idempotency_key: str


class Events:
    """A stream of server-sent events: their JSON and the cursor behind each. ``cut`` ends it from another thread."""

    def __init__(self, answer: httpx2.Response):
        self._answer = answer

    def __iter__(self) -> Iterator[tuple[Any, str]]:
        for event in httpx2.EventSource(self._answer, max_event_size=LARGEST_EVENT_BYTES):
            if event.data:
                yield event.json(), event.id

    def cut(self) -> None:
        with contextlib.suppress(OSError, KeyError):
            self._answer.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)


class Api:
    """One caller at one Penstock. ``user`` is the end user it acts for, empty for none.

    Every method raises ``Unreachable`` or ``Refused``.
    """

    def __init__(self, http: httpx2.Client, user: str = ""):
        self._http = http
        self._user = user

    @property
    def url(self) -> str:
        return str(self._http.base_url).rstrip("/")

    def models(self) -> list[Model]:
        """What can be asked, presets first."""
        with self._translated():
            models = [said.model_of(listed) for listed in self._send("GET", "/v1/models")["data"]]
            return sorted((model for model in models if model.answers), key=lambda model: not model.is_preset)

    def create(self, title: str) -> Conversation:
        body = {"title": title[:MOST_TITLE], **({"user": self._user} if self._user else {})}
        with self._translated():
            return said.conversation_of(self._send("POST", "/v1/conversations", body))

    def conversations(self) -> list[Conversation]:
        """The user's newest, newest first."""
        user = f"&user={quote(self._user, safe='')}" if self._user else ""
        with self._translated():
            found = self._send("GET", f"/v1/conversations?limit={PAGE}{user}")["data"]
            return [said.conversation_of(one) for one in found]

    def conversation(self, conversation: str) -> Conversation:
        with self._translated():
            return said.conversation_of(self._send("GET", _at(conversation)))

    def rename(self, conversation: str, title: str) -> Conversation:
        with self._translated():
            return said.conversation_of(self._send("POST", _at(conversation), {"title": title[:MOST_TITLE]}))

    def delete(self, conversation: str) -> None:
        self._send("DELETE", _at(conversation))

    def items(self, conversation: str, most: int | None = None) -> list[Item]:
        """What was said, oldest first; with ``most`` only the last so many."""
        found: list[Item] = []
        after = ""
        with self._translated():
            while True:
                limit = min(PAGE, most - len(found)) if most is not None else PAGE
                page = self._send("GET", f"{_at(conversation)}/items?order=desc&limit={limit}{after}")
                found += [said.item_of(one) for one in page["data"]]
                if not page["has_more"] or (most is not None and len(found) >= most):
                    return found[::-1]
                after = f"&after={quote(str(page['last_id']), safe='')}"

    def response(self, response: str) -> Answer:
        with self._translated():
            return said.answer_of(self._send("GET", f"/v1/responses/{quote(response, safe='')}"))

    def cancel(self, response: str) -> Answer:
        """Stop an answer wherever it is; as it is then."""
        with self._translated():
            return said.answer_of(self._send("POST", f"/v1/responses/{quote(response, safe='')}/cancel"))

    def ask(self, question: Question, read_seconds: float = PATIENCE_SECONDS + 10) -> AbstractContextManager[Events]:
        """Ask, and have the answer's events: a context that gives ``Events``.

        While another answer keeps the conversation busy, not even a status comes: ``read_seconds`` outlasts it.
        """
        body = {
            "model": question.model,
            "input": question.text,
            "conversation": question.conversation,
            "idempotency_key": question.idempotency_key,
            "stream": True,
            **({"user": self._user} if self._user else {}),
        }
        patience = {"x-penstock-wait": str(PATIENCE_SECONDS)}
        return self._stream("POST", "/v1/responses", read_seconds, body=body, headers=patience)

    def follow(self, response: str, cursor: str) -> AbstractContextManager[Events]:
        """An answer's events behind ``cursor``, from the first on without one: a context that gives ``Events``."""
        path = f"/v1/responses/{quote(response, safe='')}?stream=true"
        return self._stream("GET", path, SILENCE_SECONDS, headers=_behind(cursor))

    def happenings(self, conversation: str, cursor: str) -> AbstractContextManager[Events]:
        """Everything that happens in a conversation, see docs/pushes.md: a context that gives ``Events``."""
        return self._stream("GET", f"{_at(conversation)}/events", SILENCE_SECONDS, headers=_behind(cursor))

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        with self._translated():
            return _checked(self._http.request(method, path, json=body)).json()

    @contextlib.contextmanager
    def _stream(
        self, method: str, path: str, read_seconds: float, *, headers: dict[str, str], body: Any = None
    ) -> Generator[Events]:
        timeout = httpx2.Timeout(10, read=read_seconds)
        with (
            self._translated(),
            self._http.stream(method, path, json=body, headers=headers, timeout=timeout) as answer,
        ):
            if answer.is_error:
                answer.read()
            yield Events(_checked(answer))

    @contextlib.contextmanager
    def _translated(self) -> Generator[None]:
        """The one place where the library's errors, and what no Penstock says, become ours."""
        try:
            yield
        except httpx2.HTTPError as error:
            message = f"Nothing answers at {self.url}. Start it with 'penstock up', or say where it is with --url."
            raise Unreachable(message) from error
        except NOT_AS_DOCUMENTED as error:
            raise Refused(f"What answers at {self.url} is no Penstock. Say where it is with --url.", 0) from error


@contextlib.contextmanager
def opened(at: Target, user: str = "") -> Generator[Api]:
    """The API of a running Penstock."""
    headers = {"Authorization": f"Bearer {at.key}"}
    try:
        http = httpx2.Client(base_url=at.url, headers=headers, timeout=httpx2.Timeout(10, read=SILENCE_SECONDS))
    except httpx2.InvalidURL as error:
        raise Refused(
            f"'{at.url}' is no address ({error}). Give --url one such as http://127.0.0.1:8000.", 0
        ) from error
    with http:
        yield Api(http, user)


def _at(conversation: str) -> str:
    return f"/v1/conversations/{quote(conversation, safe='')}"


def _behind(cursor: str) -> dict[str, str]:
    return {"last-event-id": cursor} if cursor else {}


def _checked(answer: httpx2.Response) -> httpx2.Response:
    if not answer.is_error:
        return answer
    try:
        error = answer.json()["error"]
        message, code = str(error["message"]), str(error["code"] or "")
    except NOT_AS_DOCUMENTED:
        message, code = f"The server answered with status {answer.status_code}.", ""
    if (seconds := answer.headers.get("retry-after", "")).isdecimal():
        message += f" Try again in {seconds} s."
    raise Refused(message, answer.status_code, code)
