"""Requests outlive their workers: real processes, killed and drained."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts import keys
from contracts.functions import Chunk, Grant
from contracts.ids import RequestId, Shard, WorkerId, new_generation
from contracts.messages import (
    CLASSES,
    Delta,
    Finished,
    InferenceRequest,
    Reset,
    SequenceFinished,
    SequenceStarted,
    Started,
)
from inference_worker.engines.scripted import ScriptedEngine, answer_tokens, token_text
from tests.integration.inference_worker.desk import (
    Desk,
    request,
    text,
    token_ids,
    until,
    worker_process,
    working,
)

LEASE = "--lease-seconds=1"


async def test_a_killed_workers_answer_is_continued_and_nobody_can_tell(desk: Desk, redis_url: str, tmp_path: Path):
    asked = request("tokens=60 pause=0.02")
    with worker_process(redis_url, tmp_path, LEASE) as first:
        await desk.submit(asked)
        await until(lambda: _tokens(desk, asked.id, 10), "ten tokens")
        first.send_signal(signal.SIGKILL)
        with worker_process(redis_url, tmp_path, LEASE):
            log = await desk.end(asked.id)
    expected = answer_tokens(asked.task, 0, 60)  # type: ignore[arg-type]
    assert token_ids(log) == expected
    assert text(log) == "".join(map(token_text, expected))
    assert len(await desk.generations(asked.id)) == 2
    assert [type(reply) for reply in log].count(Started) == 1
    assert log[-1] == Finished(usage=log[-1].usage)  # type: ignore[union-attr]
    assert log[-1].usage.completion_tokens == 60  # type: ignore[union-attr]


async def test_sigterm_lets_running_answers_finish(desk: Desk, redis_url: str, tmp_path: Path):
    asked = request("tokens=60 pause=0.02")
    with worker_process(redis_url, tmp_path) as worker:
        await desk.submit(asked)
        await until(lambda: _tokens(desk, asked.id, 3), "three tokens")
        worker.send_signal(signal.SIGTERM)
        await until(lambda: _said(worker, "worker.draining"), "the drain")
        late = await desk.submit(request("hello"))
        log = await desk.end(asked.id)
        assert await _exit_code(worker) == 0
    assert len(token_ids(log)) == 60
    assert len(await desk.generations(asked.id)) == 1
    assert await desk.state(late) == "queued"
    assert await desk.redis.hlen(keys.fleet()) == 0


@pytest.mark.parametrize(("grace", "signals"), [("0.2", 1), ("60", 2)], ids=["grace over", "second signal"])
async def test_what_does_not_finish_is_handed_over_without_a_death(
    desk: Desk, redis_url: str, tmp_path: Path, grace: str, signals: int
):
    asked = request("tokens=5000 pause=0.02")
    with worker_process(redis_url, tmp_path, f"--grace-seconds={grace}") as first:
        await desk.submit(asked)
        await until(lambda: _tokens(desk, asked.id, 3), "three tokens")
        with worker_process(redis_url, tmp_path):
            await until(lambda: _fleet(desk, 2), "the second worker", seconds=30)
            for _ in range(signals):
                first.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.1)  # two signals at once would be one
            assert await _exit_code(first) == 0
            handed_over = await desk.tokens(asked.id)
            await until(lambda: _tokens(desk, asked.id, handed_over + 10), "ten more tokens")
            await desk.protocol.cancel(asked.id)
            log = await desk.end(asked.id)
    said = token_ids(log)
    assert said == answer_tokens(asked.task, 0, len(said))  # type: ignore[arg-type]
    assert len(await desk.generations(asked.id)) == 2
    assert await desk.redis.hget(keys.request(asked.id), "deaths") == b"0"


async def test_each_request_has_one_canonical_line(desk: Desk, redis_url: str, tmp_path: Path):
    asked = request("please keep this to yourself")
    with worker_process(redis_url, tmp_path) as worker:
        await desk.ask(asked)
        worker.send_signal(signal.SIGTERM)
        await _exit_code(worker)
        said = worker.log.read_text()  # type: ignore[attr-defined]
    lines = [json.loads(line) for line in said.splitlines()]
    [line] = [line for line in lines if line["event"] == "request.ended"]
    assert (line["request"], line["outcome"], line["completion_tokens"]) == (asked.id, "done", 24)
    assert "yourself" not in said


async def test_another_revision_of_the_model_starts_again_behind_a_reset(desk: Desk, redis_url: str):
    asked = request("tokens=6")
    await _left_behind(
        desk, asked, Started(worker=WorkerId("w"), model_revision="older"), Delta(text="old ", token_ids=(1,))
    )
    async with working(redis_url, ScriptedEngine()):
        log = await desk.end(asked.id)
    reset = next(at for at, reply in enumerate(log) if isinstance(reply, Reset))
    assert token_ids(log[reset:]) == answer_tokens(asked.task, 0, 6)  # type: ignore[arg-type]
    assert isinstance(log[-1], Finished)
    assert log[-1].usage.completion_tokens == 6


async def test_an_answer_that_lacks_only_its_end_gets_it(desk: Desk, redis_url: str):
    asked = request("tokens=2")
    started = Started(worker=WorkerId("w"), model_revision="scripted-1")
    said = Delta(text="water comes ", token_ids=(0, 1))
    await _left_behind(desk, asked, started, SequenceStarted(), said, SequenceFinished(reason="length"))
    async with working(redis_url, ScriptedEngine()):
        log = await desk.end(asked.id)
    assert token_ids(log) == [0, 1]
    assert isinstance(log[-1], Finished)
    assert (log[-1].status, log[-1].usage.prompt_tokens, log[-1].usage.completion_tokens) == ("incomplete", 2, 2)


async def test_the_session_gets_the_whole_text_of_a_continued_answer(desk: Desk, redis_url: str):
    asked = request("tokens=6")
    expected = answer_tokens(asked.task, 0, 6)  # type: ignore[arg-type]
    said = Delta(text=token_text(expected[0]), token_ids=(expected[0],))
    await _left_behind(desk, asked, Started(worker=WorkerId("w"), model_revision="scripted-1"), SequenceStarted(), said)
    async with working(redis_url, ScriptedEngine()):
        log = await desk.end(asked.id)
    assert text(log) == "".join(map(token_text, expected))
    assert not any(isinstance(reply, Reset) for reply in log)


async def _left_behind(desk: Desk, asked: InferenceRequest, *replies: Any) -> None:
    """A request that another worker took, wrote ``replies`` for, and released."""
    await desk.submit(asked)
    lease = timedelta(seconds=5)
    classes, worker = CLASSES, WorkerId("worker-before")
    [grant] = await desk.protocol.take(
        Shard(0), "scripted", worker, new_generation(), slots=1, lease=lease, classes=classes
    )
    assert isinstance(grant, Grant)
    await desk.protocol.append(Shard(0), [Chunk(asked.id, grant.generation, 1, replies)], lease)
    await desk.protocol.release(Shard(0), [(asked.id, grant.generation)])


async def _tokens(desk: Desk, request_id: RequestId, count: int) -> bool:
    return await desk.tokens(request_id) >= count


async def _fleet(desk: Desk, count: int) -> bool:
    return await desk.redis.hlen(keys.fleet()) == count


async def _said(worker: Any, event: str) -> bool:
    return event in worker.log.read_text()


async def _exit_code(process: subprocess.Popen[bytes]) -> int:
    return await asyncio.to_thread(process.wait, 20)
