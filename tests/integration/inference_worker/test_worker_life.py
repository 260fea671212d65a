"""A worker's life beside its requests: heartbeat, health, embeddings, Redis that comes and goes."""

from __future__ import annotations

import asyncio
import hashlib
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from contracts import keys
from contracts.messages import Delta, Embed, Failed, Finished, Heartbeat, SequenceFinished, SequenceStarted, Started
from inference_worker.engines.embedder import EmbedderEngine
from inference_worker.engines.port import Description
from inference_worker.engines.scripted import ScriptedEngine, answer_tokens
from tests.integration.inference_worker.desk import Desk, request, token_ids, until, working
from tests.servers import free_port


async def test_a_heartbeat_says_what_is_served_and_how_much_room_there_is(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine(slots=4), name="worker-1"):
        await desk.submit(request("tokens=400 pause=0.01"))

        async def busy() -> bool:
            beat = await _beat(desk, "worker-1")
            return beat is not None and beat.free_slots == 3

        await until(busy, "a heartbeat with one slot taken")
        beat = await _beat(desk, "worker-1")
    assert beat is not None
    assert (beat.model.name, beat.model.max_model_len, beat.slots, beat.state) == ("scripted", 8192, 4, "ready")
    assert abs(beat.at - time.time()) < 10
    assert await desk.redis.hlen(keys.fleet()) == 0


async def test_an_embedder_announces_its_tokenizer_and_dimensions(desk: Desk, redis_url: str, embedder: Embedder):
    async with working(redis_url, embedder.engine, "embedder-1", embedder.description):
        await until(lambda: _is_announced(desk, "embedder-1"), "a heartbeat")
        beat = await _beat(desk, "embedder-1")
        assert beat is not None
        stored: Any = await desk.redis.get(keys.tokenizer(beat.model.tokenizer_sha256))
        ttl = await desk.redis.ttl(keys.tokenizer(beat.model.tokenizer_sha256))
    assert (beat.model.name, beat.model.kind, beat.model.dimensions) == ("penstock-embed", "embed", 384)
    assert hashlib.sha256(stored).hexdigest() == beat.model.tokenizer_sha256
    assert 86_000 < ttl <= 86_400


async def test_each_text_gets_its_vector_in_order(desk: Desk, redis_url: str, embedder: Embedder):
    async with working(redis_url, embedder.engine, started=embedder.description):
        log = await desk.ask(request(model="penstock-embed", task=Embed(texts=("water", "fire", "water"))))
    assert isinstance(log[0], Started)
    assert log[1] == SequenceStarted()
    deltas = [reply for reply in log if isinstance(reply, Delta)]
    assert [delta.index for delta in deltas] == [0, 1, 2]
    first, other, same = (struct.unpack("<384f", delta.vector or b"") for delta in deltas)
    assert _dot(first, same) == pytest.approx(1.0, abs=1e-4)
    assert _dot(first, other) < 0.9
    assert log[-2] == SequenceFinished()
    assert isinstance(log[-1], Finished)
    assert (log[-1].usage.prompt_tokens, log[-1].usage.completion_tokens) == (9, 0)


async def test_queries_that_queue_are_computed_in_few_batches(desk: Desk, redis_url: str, embedder: Embedder):
    asked = [request(model="penstock-embed", task=Embed(texts=(f"question {number}",))) for number in range(30)]
    ids = [await desk.submit(one) for one in asked]
    before = embedder.engine.batches
    async with working(redis_url, embedder.engine, started=embedder.description):
        await asyncio.gather(*(desk.end(request_id) for request_id in ids))
    assert embedder.engine.batches - before <= 6


async def test_text_asked_of_an_embedder_is_the_callers_error(desk: Desk, redis_url: str, embedder: Embedder):
    async with working(redis_url, embedder.engine, started=embedder.description):
        log = await desk.ask(request(model="penstock-embed"))
    assert isinstance(log[-1], Failed)
    assert (log[-1].failure.fault, log[-1].failure.param) == ("caller", "model")


async def test_health_tells_taking_from_draining_and_serves_metrics(desk: Desk, redis_url: str):
    port = free_port()
    async with working(redis_url, ScriptedEngine(slots=1), port=port) as worker:
        await desk.ask(request("hello"))
        assert await _get(port, "/livez") == (200, "alive\n")
        assert await _get(port, "/readyz") == (200, "taking\n")
        _, metrics = await _get(port, "/metrics")
        assert "penstock_worker_tokens_total 24.0" in metrics
        assert (await _get(port, "/nothing"))[0] == 404
        running = await desk.submit(request("tokens=3 hang_at=2"))
        await until(lambda: _is_running(desk, running), "the request running")
        worker.drain()
        assert (await _get(port, "/readyz"))[0] in (503, 0)


async def test_a_worker_whose_takes_get_no_answer_is_not_ready(desk: Desk, redis_url: str):
    async def says(why: str) -> bool:
        return worker.not_ready() == why

    async with working(redis_url, ScriptedEngine()) as worker:
        await desk.ask(request("hello"))
        await desk.redis.execute_command("CLIENT", "PAUSE", 6000, "ALL")
        await until(lambda: says("the take loop is silent"), "the silence being noticed", 15)
        await until(lambda: says(""), "taking again", 30)


async def test_a_rolled_back_log_is_written_again(desk: Desk, redis_url: str):
    asked = request("tokens=80 pause=0.01")
    async with working(redis_url, ScriptedEngine()):
        await desk.submit(asked)
        await until(lambda: _has_log(desk, asked.id, 12), "twelve replies")
        # What a power loss with everysec does: the log loses its last entries, and its last number with them.
        lost: Any = await desk.redis.xrange(keys.replies(asked.id), min="8")
        kept: Any = await desk.redis.xrange(keys.replies(asked.id), max="7")
        assert lost
        pipeline = desk.redis.pipeline(transaction=True)
        pipeline.delete(keys.replies(asked.id))
        for number, fields in kept:
            pipeline.xadd(keys.replies(asked.id), fields, id=number)
        await pipeline.execute()
        log = await desk.end(asked.id)
    assert token_ids(log) == answer_tokens(asked.task, 0, 80)  # type: ignore[arg-type]


async def test_an_emptied_redis_does_not_stop_the_worker(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine()):
        await desk.ask(request("hello"))
        await desk.redis.flushall()
        assert isinstance((await desk.ask(request("hello")))[-1], Finished)


async def test_a_silent_request_keeps_its_lease(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine(), lease_seconds=0.4):
        asked = request("tokens=3 first=1.2")
        log = await desk.ask(asked)
        assert len(await desk.generations(asked.id)) == 1
    assert isinstance(log[-1], Finished)


@dataclass(frozen=True)
class Embedder:
    engine: EmbedderEngine
    description: Description


@pytest.fixture(scope="module")
def embedder() -> Iterator[Embedder]:
    """One embedder for all tests of this module: importing torch takes its time."""
    engine = EmbedderEngine("", "", slots=32)
    yield Embedder(engine, asyncio.run(engine.start()))
    asyncio.run(engine.stop())


async def _beat(desk: Desk, worker: str) -> Heartbeat | None:
    wire: Any = await desk.redis.hget(keys.fleet(), worker)
    return Heartbeat.decode(wire) if wire else None


async def _is_announced(desk: Desk, worker: str) -> bool:
    return await _beat(desk, worker) is not None


async def _is_running(desk: Desk, request_id: Any) -> bool:
    return await desk.state(request_id) == "running"


async def _has_log(desk: Desk, request_id: Any, count: int) -> bool:
    return await desk.redis.xlen(keys.replies(request_id)) >= count


def _dot(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


async def _get(port: int, path: str) -> tuple[int, str]:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return 0, ""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split(" ")[1]), body
