"""FastAPI, ``StreamingResponse``, and one blocking XREAD per client."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from redis.asyncio import Redis

from benchmarks.chat import last_chunks, text_chunk

app = FastAPI()
redis = Redis.from_url(os.environ["REDIS_URL"], max_connections=20_000, socket_timeout=None)


@app.get("/readyz")
async def readyz() -> bool:
    return await redis.ping()


@app.post("/v1/chat/completions")
async def chat(request: Request) -> StreamingResponse:
    replies = f"naive:replies:{uuid4()}"
    await redis.xadd("naive:requests", {"replies": replies, "body": await request.body()})
    return StreamingResponse(events(replies), media_type="text/event-stream")


async def events(replies: str) -> AsyncGenerator[bytes]:
    last = b"0"
    while True:
        answer: Any = await redis.xread({replies: last}, block=5000)
        for entry, fields in answer[0][1] if answer else ():
            last = entry
            if b"text" in fields:
                yield text_chunk(fields[b"text"].decode())
            else:
                yield last_chunks(fields[b"end"].decode(), int(fields[b"prompt"]), int(fields[b"tokens"]))
                await redis.expire(replies, 60)
                return
