"""What tests of the worker do in place of access: submit requests and read their logs. And workers to answer them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis

from contracts import connection, keys
from contracts.functions import Protocol, Submission
from contracts.ids import RequestId, Shard, TenantId, WorkerId, new_request_id, shard_of
from contracts.messages import (
    CLASSES,
    ChatMessage,
    Delta,
    Embed,
    Generate,
    GenerationParameters,
    InferenceRequest,
    Reply,
    ServiceClass,
    decode_reply,
    is_terminal,
)
from inference_worker.engines.port import Description, Engine
from inference_worker.settings import WorkerSettings
from inference_worker.worker import Worker

ROOT = Path(__file__).parents[3]
RETENTION = timedelta(hours=1)


def request(
    text: str = "hello",
    *,
    model: str = "scripted",
    service_class: ServiceClass = "interactive",
    deadline: float = 60.0,
    shard: int = 0,
    task: Generate | Embed | None = None,
    **parameters: Any,
) -> InferenceRequest:
    """One request as access makes it."""
    message = ChatMessage(role="user", content=text)
    return InferenceRequest(
        id=new_request_id(Shard(shard)),
        tenant=TenantId("acme"),
        user="ann",
        key="k1",
        model=model,
        service_class=service_class,
        task=task or Generate(messages=(message,), parameters=GenerationParameters(**parameters)),
        created_at=time.time(),
        deadline_seconds=deadline,
    )


class Desk:
    """Submits and reads, as access does."""

    def __init__(self, redis: Redis, protocol: Protocol):
        self.redis = redis
        self.protocol = protocol

    async def submit(self, asked: InferenceRequest) -> RequestId:
        submitted = await self.protocol.submit(Submission(asked, RETENTION), queue_bound=1000)
        assert submitted.outcome == "ok"
        return asked.id

    async def leave_as_suspect(self, asked: InferenceRequest) -> RequestId:
        """A request that two engines have died over, at a worker of another name for the same model."""
        elsewhere, lease, shard = "elsewhere", timedelta(seconds=5), shard_of(asked.id)
        await self.submit(msgspec.structs.replace(asked, model=elsewhere))
        for death in range(2):
            [grant] = await self.protocol.take(
                shard, elsewhere, WorkerId("w"), f"{asked.id} {death}", slots=1, lease=lease, classes=CLASSES
            )
            await self.protocol.release(shard, [(grant.id, grant.generation)], "the engine died")
        await self.redis.hset(keys.request(asked.id), "model", asked.model)
        await self.redis.zrem(keys.leases(shard, elsewhere), asked.id)
        await self.redis.zadd(keys.leases(shard, asked.model), {asked.id: 0})
        return asked.id

    async def log(self, request_id: RequestId) -> list[Reply]:
        """The replies so far; their numbers are checked to be 1, 2, 3, …"""
        entries: Any = await self.redis.xrange(keys.replies(request_id))
        numbers = [int(number.split(b"-")[0]) for number, _ in entries]
        assert numbers == list(range(1, len(numbers) + 1)), "the log has a hole"
        return [decode_reply(payload) for _, fields in entries for payload in fields.values()]

    async def generations(self, request_id: RequestId) -> list[str]:
        """The generations that wrote, in order, each once."""
        entries: Any = await self.redis.xrange(keys.replies(request_id))
        return list(dict.fromkeys(name.decode().split(":")[0] for _, fields in entries for name in fields))

    async def end(self, request_id: RequestId, seconds: float = 20.0) -> list[Reply]:
        """The whole log, once it has its one end."""

        async def ended() -> bool:
            log = await self.log(request_id)
            return bool(log) and is_terminal(log[-1])

        await until(ended, "the end", seconds)
        log = await self.log(request_id)
        assert sum(map(is_terminal, log)) == 1
        return log

    async def ask(self, asked: InferenceRequest) -> list[Reply]:
        return await self.end(await self.submit(asked))

    async def state(self, request_id: RequestId) -> str:
        value: Any = await self.redis.hget(keys.request(request_id), "state")
        return value.decode()

    async def owner(self, request_id: RequestId) -> str:
        value: Any = await self.redis.hget(keys.request(request_id), "owner")
        return value.decode()

    async def tokens(self, request_id: RequestId) -> int:
        return len(token_ids(await self.log(request_id)))


def text(log: list[Reply]) -> str:
    return "".join(reply.text for reply in log if isinstance(reply, Delta))


def token_ids(log: list[Reply]) -> list[int]:
    return [token for reply in log if isinstance(reply, Delta) for token in reply.token_ids]


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds: float = 10.0) -> None:
    """Poll ``condition`` until it holds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if await condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{what} did not happen within {seconds} s")


@contextlib.asynccontextmanager
async def working(
    redis_url: str, engine: Engine, name: str = "worker-test", started: Description | None = None, **settings: Any
) -> AsyncGenerator[Worker, None]:
    """A worker in this process, drained at the end. An engine that was ``started`` before is left running."""
    chosen = WorkerSettings(redis_url=redis_url, grace_seconds=0.0, **settings)
    redis, bells = connection.commands(redis_url), connection.blocking(redis_url)
    description = started or await engine.start()
    worker = Worker(chosen, engine, description, redis=redis, bells=bells, name=WorkerId(name))
    task = asyncio.create_task(worker.run())
    try:
        yield worker
        worker.drain()
        await asyncio.wait_for(task, 20)
    finally:
        task.cancel()
        if started is None:
            await engine.stop()
        await bells.aclose()
        await redis.aclose()


@contextlib.contextmanager
def worker_process(redis_url: str, folder: Path, *arguments: str) -> Generator[subprocess.Popen[bytes], None, None]:
    """``python -m inference_worker --engine scripted`` in a process of its own, ended at the end."""
    command = [sys.executable, "-m", "inference_worker", "--engine", "scripted", "--redis-url", redis_url, *arguments]
    log = folder / f"worker-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, env={**os.environ, "LOG_FORMAT": "json"}
        )
    process.log = log  # type: ignore[attr-defined]  (for tests that read what it said)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
