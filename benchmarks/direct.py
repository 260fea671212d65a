"""The floor: the scripted engine behind a bare ASGI application, one process, one event a token.

Nothing can be put before an engine that costs less and still answers HTTP; what a pipeline adds is counted from here.
``python -m benchmarks.direct --port 8001 --slots 1000 --step 0``
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import uvicorn

from benchmarks.chat import last_chunks, request_of, text_chunk
from inference_worker.engines.scripted import ScriptedEngine

Message = dict[str, Any]

_STREAM = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_JSON = [(b"content-type", b"application/json")]


class Direct:
    """The ASGI application. Requests beyond ``slots`` wait, as in an engine."""

    def __init__(self, slots: int, step_seconds: float):
        self._engine = ScriptedEngine(slots=slots, step_seconds=step_seconds)
        self._free = asyncio.Semaphore(slots)

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == "/v1/chat/completions":
            async with self._free:
                await self._answer(await _body(receive), send)
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": _JSON})
            await send({"type": "http.response.body", "body": b'{"object":"list","data":[{"id":"scripted"}]}'})

    async def _answer(self, body: bytes, send: Any) -> None:
        try:
            request = request_of(body)
        except msgspec.MsgspecError:
            await send({"type": "http.response.start", "status": 400, "headers": _JSON})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": _STREAM})
        finish, prompt, tokens = "stop", 0, 0
        async with aclosing(self._engine.generate(request)) as deltas:
            async for delta in deltas:
                finish, prompt, tokens = (
                    delta.finish_reason or finish,
                    delta.prompt_tokens,
                    tokens + len(delta.token_ids),
                )
                if delta.text:
                    await send({"type": "http.response.body", "body": text_chunk(delta.text), "more_body": True})
        await send({"type": "http.response.body", "body": last_chunks(finish, prompt, tokens)})


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.direct", description="The scripted engine behind bare ASGI.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, default=1000)
    parser.add_argument("--step", type=float, default=0.0, help="seconds between two tokens")
    given = parser.parse_args()
    uvicorn.run(Direct(given.slots, given.step), host="127.0.0.1", port=given.port, log_level="warning", lifespan="off")


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


if __name__ == "__main__":
    main()
