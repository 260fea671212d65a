"""The first thing a request meets: an id, a bounded body, and a time limit on sending it. Raw ASGI.

A body is read here once, within its limits, and replayed to the application: too large is 413 before it is parsed,
nested too deeply is 400 before a parser recurses, too slow is 408 and holds no memory for long.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from datetime import timedelta

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from access import problems
from contracts.errors import CallerError

READ_DEADLINE = timedelta(seconds=15)
MAX_DEPTH = 32
UPLOADS = "/v1/files"
CHECKED_AT_ONCE = 65_536
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")


class Guard:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, max_upload_bytes: int):
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{secrets.token_hex(12)}"
        scope.setdefault("state", {})["request_id"] = request_id

        started = False

        async def named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._answer(scope, receive, named)
        except Exception as error:  # noqa: BLE001  (raised further, a server would log its text, which may quote a prompt)
            answer = problems.of_bug(error, scope["path"], request_id)
            if not started:
                await answer(scope, receive, named)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        try:
            body = await self._read(scope, receive)
        except CallerError as error:
            await problems.response(error)(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body; ``None`` when the client left."""
        headers = dict(scope["headers"])
        uploads = scope["path"] == UPLOADS
        if uploads and not headers.get(b"content-type", b"").startswith(b"multipart/form-data"):
            raise CallerError(
                "A file is sent as multipart/form-data, with the fields 'file' and 'purpose'.", param="file"
            )
        limit = self._max_upload_bytes if uploads else self._max_body_bytes
        if int(headers.get(b"content-length", b"0") or 0) > limit:
            raise _too_large(limit)
        try:
            async with asyncio.timeout(READ_DEADLINE.total_seconds()):
                body = await _collect(receive, limit)
        except TimeoutError:
            raise CallerError("The body did not arrive in time.", code="body_timeout") from None
        if body is None or uploads:
            return body
        # Long bodies take a while, and the others' streams must not wait for them.
        await asyncio.to_thread(_check_json, body) if len(body) > CHECKED_AT_ONCE else _check_json(body)
        return body


async def _collect(receive: Receive, limit: int) -> bytes | None:
    """The body's pieces; ``None`` when the client left among them."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return b"".join(chunks)


def _check_json(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise CallerError("The body is not UTF-8.", code="invalid_json") from error
    if b"\0" in body:
        raise CallerError("The body holds a NUL byte, which JSON does not allow.", code="invalid_json")
    if too_deep(body):
        raise CallerError(f"The JSON is nested deeper than {MAX_DEPTH} levels.", code="invalid_json")
    if halves_a_character(body):
        message = "The JSON holds half a character: a \\ud800 to \\udfff without its other half."
        raise CallerError(message, code="invalid_json")


def halves_a_character(body: bytes) -> bool:
    """Whether JSON in ``body`` has an escape for one half of a surrogate pair: no text, and nothing could be written
    with it again. Malformed JSON is left to who parses it."""
    if rb"\ud" not in body.lower():
        return False
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except ValueError:
        return False
    return False


def too_deep(body: bytes, most: int = MAX_DEPTH) -> bool:
    """Whether JSON in ``body`` nests deeper than ``most``. Brackets inside strings do not count."""
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > most:
            return True
    return False


def _too_large(limit: int) -> CallerError:
    return CallerError(
        f"The body is larger than {limit} bytes. Send less, or upload it as a file.", code="body_too_large"
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body that was read, then what the connection says next (that the client left)."""
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
