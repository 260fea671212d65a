"""Engines that die, hang, or never end: the worker gives back, starts the engine anew, and blames no innocent."""

from __future__ import annotations

import asyncio

import pytest

from contracts import keys
from contracts.errors import EngineError
from contracts.ids import Shard
from contracts.messages import Failed, Finished
from inference_worker.engines.port import Description
from inference_worker.engines.scripted import ScriptedEngine, answer_tokens
from tests.integration.inference_worker.desk import Desk, request, token_ids, until, working


class Counted(ScriptedEngine):
    """Counts how often it was started, and can be killed."""

    starts = 0

    async def start(self) -> Description:
        self.starts += 1
        return await super().start()

    def kill(self) -> None:
        self._died = "a test ended it"


async def test_a_dead_engine_is_started_anew_and_its_requests_go_on_where_they_were(desk: Desk, redis_url: str):
    engine = Counted()
    async with working(redis_url, engine):
        mate = await desk.submit(asked := request("tokens=60 pause=0.02"))
        await until(lambda: _has_tokens(desk, mate, 5), "five tokens")
        engine.kill()
        log = await desk.end(mate)
    assert engine.starts == 2
    assert token_ids(log) == answer_tokens(asked.task, 0, 60)  # type: ignore[arg-type]
    assert await desk.redis.hget(keys.request(mate), "deaths") == b"1"


async def test_poison_in_a_batch_of_32_kills_three_engines_and_no_innocent(desk: Desk, redis_url: str):
    engine = Counted(slots=32)
    mates = [request(f"tokens=14 pause=0.005 number {number}") for number in range(31)]
    poison = request("tokens=14 pause=0.005 die_at=6")
    for asked in (*mates[:16], poison, *mates[16:]):
        await desk.submit(asked)
    async with working(redis_url, engine, slots=32):
        ended = [await desk.end(asked.id, 60) for asked in mates]
        last = (await desk.end(poison.id, 60))[-1]
    assert [token_ids(log) for log in ended] == [answer_tokens(asked.task, 0, 14) for asked in mates]  # type: ignore[arg-type]
    assert isinstance(last, Failed)
    assert last.failure.code == "request_gave_up"
    assert engine.starts == 1 + 3
    assert await desk.redis.xlen(keys.deadletters(Shard(0))) == 1


async def test_a_suspect_runs_alone_and_then_others_follow(desk: Desk, redis_url: str):
    suspect = await desk.leave_as_suspect(request("tokens=100 pause=0.02"))
    others = [await desk.submit(request(f"hello {number}")) for number in range(3)]
    async with working(redis_url, ScriptedEngine()):
        await until(lambda: _has_tokens(desk, suspect, 2), "the suspect running")
        others.append(await desk.submit(request("late")))
        await until(lambda: _has_tokens(desk, suspect, 20), "twenty tokens")
        states = [await desk.state(other) for other in others]
        assert await desk.state(suspect) == "running"
        assert states == ["queued"] * 4
        assert all([isinstance((await desk.end(other))[-1], Finished) for other in others])


@pytest.mark.parametrize("shard", [0, 1])
async def test_a_busy_worker_becomes_idle_for_a_suspect(desk: Desk, redis_url: str, shard: int):
    """Also when the suspect waits in another shard than the work that keeps coming."""
    async with working(redis_url, ScriptedEngine(slots=4), shards=shard + 1):
        running = await desk.submit(request("tokens=100 pause=0.01"))
        await until(lambda: _has_tokens(desk, running, 1), "the worker being busy")
        suspect = await desk.leave_as_suspect(request("tokens=5", shard=shard))
        others = [await desk.submit(request(f"tokens=100 pause=0.01 number {number}")) for number in range(16)]
        assert isinstance((await desk.end(suspect))[-1], Finished)
        assert "queued" in [await desk.state(other) for other in others]


async def test_a_hung_engine_is_started_anew_and_what_hangs_it_is_given_up(desk: Desk, redis_url: str):
    engine = Counted()
    asked = request("tokens=9 freeze_at=2")
    mate = request("tokens=60 pause=0.02")
    await desk.submit(asked)
    await desk.submit(mate)
    async with working(redis_url, engine, stuck_after_seconds=0.5):
        log = await desk.end(asked.id, 30)
        assert isinstance((await desk.end(mate.id, 30))[-1], Finished)
    assert isinstance(log[-1], Failed)
    assert engine.starts == 1 + 3


async def test_an_engine_that_never_ends_is_stopped_at_the_limit(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine()):
        log = await desk.ask(request("babble=1", max_tokens=50))
        assert isinstance((await desk.ask(request("hello")))[-1], Finished)
    assert isinstance(log[-1], Failed)
    assert log[-1].failure.code == "engine_error"
    assert len(token_ids(log)) <= 50


async def test_an_engine_that_does_not_start_again_ends_the_process_on_purpose(desk: Desk, redis_url: str):
    refused = asyncio.Event()

    class Mortal(Counted):
        async def start(self) -> Description:
            if self.starts:
                refused.set()
                raise EngineError("no second life")
            return await super().start()

    await desk.submit(request("die_at=1"))
    with pytest.raises(ExceptionGroup) as stopped:
        async with working(redis_url, Mortal()):
            await asyncio.wait_for(refused.wait(), 20)
    assert stopped.group_contains(EngineError)


async def test_a_worker_whose_engine_is_being_started_is_not_ready(desk: Desk, redis_url: str):
    gate = asyncio.Event()

    class Slow(Counted):
        async def start(self) -> Description:
            if self.starts:
                await gate.wait()
            return await super().start()

    async with working(redis_url, Slow()) as worker:
        await desk.submit(request("die_at=1"))
        await until(lambda: _says(worker.not_ready, "the engine is being started anew"), "the restart")
        gate.set()
        await until(lambda: _says(worker.not_ready, ""), "taking again", 30)


async def _has_tokens(desk: Desk, request_id: str, count: int) -> bool:
    return await desk.tokens(request_id) >= count  # type: ignore[arg-type]


async def _says(not_ready: object, why: str) -> bool:
    return not_ready() == why  # type: ignore[operator]
