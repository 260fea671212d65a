"""An OpenAI-compatible upstream as an engine: a real HTTP server, which can say no."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

from contracts.messages import Failed, Finished, Reset
from inference_worker.engines.openai import OpenAIEngine
from inference_worker.worker import Worker
from tests.integration.inference_worker.desk import Desk, request, text, until, working

WORDS = ("the ", "wheel ", "turns")


class Upstream:
    """Streams ``WORDS``, after refusing ``refusals`` times with ``status``."""

    def __init__(self) -> None:
        self.refusals = 0
        self.status = 429
        self.headers = ""
        self.asked: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        self.asked.append(json.loads(await reader.readexactly(length)))
        self.times.append(asyncio.get_running_loop().time())
        if self.refusals:
            self.refusals -= 1
            body = json.dumps(
                {"error": {"message": "max_tokens is too large", "code": "too_large", "param": "max_tokens"}}
            )
            writer.write(self._head(f"{self.status} No", "application/json", self.headers) + body.encode())
        else:
            writer.write(self._head("200 OK", "text/event-stream", "") + self._stream())
        await writer.drain()
        writer.close()

    def _stream(self) -> bytes:
        chunks: list[dict[str, Any]] = [{"choices": [_choice(word)]} for word in WORDS]
        chunks.append({"choices": [_choice("", "stop")]})
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        chunks.append({"choices": [], "usage": usage})
        common = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        events = [f"data: {json.dumps(common | chunk)}\n\n" for chunk in chunks]
        return ("".join(events) + "data: [DONE]\n\n").encode()

    @staticmethod
    def _head(status: str, kind: str, more: str) -> bytes:
        return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nConnection: close\r\n{more}\r\n".encode()


def _choice(content: str, reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": reason}


async def _refused(worker: Worker) -> bool:
    return "refuses" in worker.not_ready()


@contextlib.asynccontextmanager
async def upstream() -> AsyncGenerator[Upstream, None]:
    stub = Upstream()
    server = await asyncio.start_server(stub.answer, "127.0.0.1", 0)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield stub
    finally:
        server.close()


def engine(stub: Upstream) -> OpenAIEngine:
    return OpenAIEngine(stub.url, "m", "their-model", slots=2)


async def test_an_upstreams_answer_is_streamed_with_its_own_usage(desk: Desk, redis_url: str):
    async with upstream() as stub, working(redis_url, engine(stub)):
        log = await desk.ask(request(model="their-model", temperature=0.5, max_tokens=9))
    assert text(log) == "the wheel turns"
    assert isinstance(log[-1], Finished)
    assert (log[-1].usage.prompt_tokens, log[-1].usage.completion_tokens) == (7, 3)
    [body] = stub.asked
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0.5, 9)
    assert "top_p" not in body


async def test_an_upstream_is_told_which_texts_the_answer_may_be(desk: Desk, redis_url: str):
    async with upstream() as stub, working(redis_url, engine(stub)):
        await desk.ask(request(model="their-model", choices=("Yes. [1]", "No.")))
    assert stub.asked[0]["structured_outputs"] == {"choice": ["Yes. [1]", "No."]}


async def test_a_429_sends_the_request_back_for_later_and_the_caller_sees_none_of_it(desk: Desk, redis_url: str):
    async with upstream() as stub, working(redis_url, engine(stub)):
        stub.refusals, stub.headers = 1, "retry-after-ms: 300\r\n"
        log = await desk.ask(request(model="their-model"))
    assert text(log) == "the wheel turns"
    assert not any(isinstance(reply, Failed | Reset) for reply in log)
    assert stub.times[1] - stub.times[0] >= 0.3


async def test_a_worker_whose_upstream_refuses_takes_nothing(desk: Desk, redis_url: str):
    async with upstream() as stub, working(redis_url, engine(stub)) as worker:
        stub.refusals, stub.headers = 1, "retry-after: 1\r\n"
        first = await desk.submit(request(model="their-model"))
        await until(lambda: _refused(worker), "a refusal")
        second = await desk.submit(request(model="their-model"))
        await asyncio.sleep(0.3)
        assert await desk.state(second) == "queued"
        assert "refuses" in worker.not_ready()
        await asyncio.gather(desk.end(first), desk.end(second))
    assert len(stub.asked) == 3


async def test_an_upstream_that_is_down_does_not_fail_requests(desk: Desk, redis_url: str):
    async with upstream() as stub:
        pass
    async with working(redis_url, engine(stub)):
        waiting = await desk.submit(request(model="their-model"))
        await asyncio.sleep(0.5)
        assert await desk.log(waiting) == []


async def test_a_request_the_upstream_rejects_is_the_callers_error(desk: Desk, redis_url: str):
    async with upstream() as stub, working(redis_url, engine(stub)):
        stub.refusals, stub.status = 1, 400
        log = await desk.ask(request(model="their-model"))
    assert isinstance(log[-1], Failed)
    failure = log[-1].failure
    assert (failure.fault, failure.code, failure.param) == ("caller", "too_large", "max_tokens")
