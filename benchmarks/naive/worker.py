"""Takes requests one by one, a task for each, and writes every token with an XADD of its own."""

from __future__ import annotations

import argparse
import asyncio
import os
from typing import Any

import uvloop
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from benchmarks.chat import request_of
from inference_worker.engines.scripted import ScriptedEngine


async def serve(redis: Redis, engine: ScriptedEngine, entry: bytes, fields: dict[bytes, bytes]) -> None:
    replies, finish, prompt, tokens = fields[b"replies"], "stop", 0, 0
    async for delta in engine.generate(request_of(fields[b"body"])):
        finish, prompt, tokens = delta.finish_reason or finish, delta.prompt_tokens, tokens + len(delta.token_ids)
        if delta.text:
            await redis.xadd(replies, {"text": delta.text})
    await redis.xadd(replies, {"end": finish, "prompt": prompt, "tokens": tokens})
    await redis.xack("naive:requests", "workers", entry)


async def run(slots: int, step_seconds: float) -> None:
    redis = Redis.from_url(os.environ["REDIS_URL"], max_connections=20_000, socket_timeout=None)
    engine, free = ScriptedEngine(slots=slots, step_seconds=step_seconds), asyncio.Semaphore(slots)
    try:
        await redis.xgroup_create("naive:requests", "workers", "0", mkstream=True)
    except ResponseError:
        pass  # another worker made it
    async with asyncio.TaskGroup() as group:
        while True:
            await free.acquire()
            answer: Any = None
            while not answer:
                answer = await redis.xreadgroup("workers", f"{os.getpid()}", {"naive:requests": ">"}, 1, block=5000)
            task = group.create_task(serve(redis, engine, *answer[0][1][0]))
            task.add_done_callback(lambda _: free.release())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.naive.worker")
    parser.add_argument("--slots", type=int, default=1000)
    parser.add_argument("--step", type=float, default=0.0, help="seconds between two tokens")
    given = parser.parse_args()
    uvloop.run(run(given.slots, given.step))
