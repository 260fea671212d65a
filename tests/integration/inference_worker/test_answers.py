"""A worker answers: from the queue to the end of the log, on a real Redis, with the scripted engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from contracts import keys
from contracts.ids import Shard
from contracts.messages import Embed, Failed, Finished, InferenceRequest, SequenceFinished, SequenceStarted, Started
from inference_worker.engines.port import EngineDelta
from inference_worker.engines.scripted import ScriptedEngine, answer_tokens, token_text
from tests.integration.inference_worker.desk import Desk, request, text, token_ids, until, working


async def test_an_answer_begins_with_started_and_ends_with_its_usage(desk: Desk, redis_url: str):
    asked = request("hello", max_tokens=5)
    async with working(redis_url, ScriptedEngine()):
        log = await desk.ask(asked)
    assert isinstance(log[0], Started)
    assert log[1] == SequenceStarted()
    assert log[-2] == SequenceFinished(reason="length")
    assert isinstance(log[-1], Finished)
    assert log[-1].status == "incomplete"
    assert (log[-1].usage.prompt_tokens, log[-1].usage.completion_tokens) == (2, 5)


async def test_the_log_holds_every_token_and_exactly_its_text(desk: Desk, redis_url: str):
    asked = request("tokens=200")
    async with working(redis_url, ScriptedEngine()):
        log = await desk.ask(asked)
    expected = answer_tokens(asked.task, 0, 200)
    assert token_ids(log) == expected
    assert text(log) == "".join(map(token_text, expected))


async def test_what_gathers_during_an_append_is_written_as_one_delta(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine()):
        log = await desk.ask(request("tokens=500"))
    assert len(log) < 400


async def test_the_end_leaves_no_lease_no_entry_and_a_usage_to_settle(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine()):
        await desk.ask(request("hello"))
    assert await desk.redis.zcard(keys.leases(Shard(0), "scripted")) == 0
    assert await desk.redis.xlen(keys.requests(Shard(0), "scripted", "interactive")) == 0
    entries: Any = await desk.redis.xrange(keys.usage(Shard(0)))
    [(_, record)] = entries
    assert record[b"state"] == b"done"
    assert record[b"usage"]


async def test_several_sequences_are_told_apart(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine()):
        log = await desk.ask(request("tokens=6", n=3))
    assert {reply.index for reply in log if isinstance(reply, SequenceFinished)} == {0, 1, 2}


async def test_an_engine_error_fails_one_request_and_not_the_next(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine()):
        bad, good = await asyncio.gather(desk.ask(request("fail_at=3")), desk.ask(request("hello")))
    assert isinstance(bad[-1], Failed)
    assert bad[-1].failure.fault == "engine"
    assert isinstance(good[-1], Finished)


async def test_a_prompt_beyond_the_context_is_the_callers_error_with_numbers(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine(max_model_len=10)):
        log = await desk.ask(request("word " * 20))
    [failed] = log
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.failure.fault) == ("context_length_exceeded", "caller")
    assert failed.failure.param == "messages"
    assert "21 tokens" in failed.failure.message
    assert "10" in failed.failure.message


async def test_embeddings_asked_of_a_text_model_are_the_callers_error(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine()):
        log = await desk.ask(request(task=Embed(texts=("hello",))))
    assert isinstance(log[-1], Failed)
    assert (log[-1].failure.fault, log[-1].failure.param) == ("caller", "model")


class Counting(ScriptedEngine):
    """The scripted engine, with an eye on how many requests it runs at once."""

    running = most = 0

    async def generate(
        self, request: InferenceRequest, continue_from: Sequence[int] = ()
    ) -> AsyncGenerator[EngineDelta, None]:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            async for delta in super().generate(request, continue_from):
                yield delta
        finally:
            self.running -= 1


async def test_the_engine_never_runs_more_than_its_slots(desk: Desk, redis_url: str):
    engine = Counting(slots=3)
    ids = [await desk.submit(request("tokens=10 pause=0.02")) for _ in range(12)]
    async with working(redis_url, engine):

        async def all_done() -> bool:
            return [await desk.state(request_id) for request_id in ids] == ["done"] * 12

        await until(all_done, "all answers")
    assert engine.most == 3


async def test_urgent_requests_overtake_a_full_batch_queue(desk: Desk, redis_url: str):
    slow = [await desk.submit(request("tokens=5 pause=0.02", service_class="batch")) for _ in range(6)]
    urgent = await desk.submit(request("tokens=1"))
    async with working(redis_url, ScriptedEngine(slots=1)):
        await desk.end(urgent)
        assert [await desk.state(request_id) for request_id in slow].count("done") == 0


async def test_all_shards_are_served(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine(), shards=3):
        logs = await asyncio.gather(*(desk.ask(request("hello", shard=shard)) for shard in range(3)))
    assert all(isinstance(log[-1], Finished) for log in logs)


async def test_a_deadline_ends_the_answer_with_what_there_is(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine()):
        log = await desk.ask(request("tokens=1000 pause=0.02", deadline=0.5))
    assert isinstance(log[-1], Finished)
    assert log[-1].status == "expired"
    assert 0 < log[-1].usage.completion_tokens == len(token_ids(log)) < 100


async def test_cancelling_stops_the_engine_and_frees_the_slot(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine(slots=1)):
        running = await desk.submit(request("tokens=3 hang_at=2"))
        await until(lambda: _has_tokens(desk, running), "a token")
        await desk.protocol.cancel(running)
        log = await desk.end(running, seconds=2)
        assert await desk.state(running) == "cancelled"
        assert log[-1].usage.completion_tokens == len(token_ids(log)) == 2  # type: ignore[union-attr]
        assert isinstance((await desk.ask(request("hello")))[-1], Finished)


async def test_a_fenced_worker_stops_and_writes_nothing_more(desk: Desk, redis_url: str):
    async with working(redis_url, ScriptedEngine(slots=1)) as worker:
        running = await desk.submit(request("tokens=1000 pause=0.01"))
        await until(lambda: _has_tokens(desk, running), "a token")
        await desk.redis.hset(keys.request(running), "generation", "another")
        before = await desk.tokens(running)
        assert isinstance((await desk.ask(request("hello")))[-1], Finished)  # its only slot is free again
        assert await desk.tokens(running) <= before + 5
        assert worker.not_ready() == ""


async def _has_tokens(desk: Desk, request_id: str) -> bool:
    return await desk.tokens(request_id) >= 2  # type: ignore[arg-type]
