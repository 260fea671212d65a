"""Asking the gate, from the caller's side: real Redis, a real limiter."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from contracts import keys
from contracts.errors import DependencyDown, LimitExceeded, Overload
from contracts.ids import AccessId
from contracts.messages import Verdict
from tests.integration.limiter.gatehouse import (
    TENANT,
    announce,
    asking,
    eventually,
    ledger,
    limiter_running,
    query,
    report_usage,
    set_limits,
)


async def test_a_caller_within_its_limits_is_granted_and_told_what_is_left(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    await set_limits(redis, tokens_per_minute=1000)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        verdict = await admission.ask(query(tokens=300))
    assert verdict.decision == "granted"
    assert verdict.limits is not None
    assert (verdict.limits.limit_tokens, verdict.limits.remaining_tokens) == (1000, 700)
    assert verdict.grant_until > (await redis.time())[0]


async def test_64_callers_racing_for_the_last_tokens_get_exactly_what_is_there(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    await set_limits(redis, tokens_per_minute=1000)
    other = AccessId("access-2")
    async with limiter_running(redis_url), asking(redis_url) as here, asking(redis_url, other) as there:
        asks = [here.ask(query()) for _ in range(32)] + [there.ask(query(access=other)) for _ in range(32)]
        outcomes = await asyncio.gather(*asks, return_exceptions=True)
    assert sum(isinstance(outcome, Verdict) for outcome in outcomes) == 10
    assert sum(isinstance(outcome, LimitExceeded) for outcome in outcomes) == 54
    assert await ledger(redis) == {"granted": 1000, "settled": 0, "reserved": 1000, "refunded": 0}


async def test_a_caller_over_budget_learns_when_to_come_back(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    await set_limits(redis, tokens_per_minute=600)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        first = await admission.ask(query(tokens=600))
        await report_usage(redis, first.id, 600)
        await eventually(lambda: _settled(redis, 600), "settlement")
        with pytest.raises(LimitExceeded) as refused:
            await admission.ask(query(tokens=100))
    assert refused.value.code == "rate_limit_exceeded"
    assert 9 < refused.value.retry_after_seconds <= 10


async def test_a_lost_verdict_costs_a_poll(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        await admission.ask(query())
        started = time.monotonic()
        verdict = await admission.ask(query(access=AccessId("nobody-hears-this")))
    assert verdict.decision == "granted"
    assert 0.05 < time.monotonic() - started < 0.5


async def test_a_cut_subscription_leaves_nobody_waiting(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        await admission.ask(query())
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        async with asyncio.timeout(2):
            verdicts = await asyncio.gather(*(admission.ask(query()) for _ in range(20)))
    assert {verdict.decision for verdict in verdicts} == {"granted"}


async def test_an_ask_repeated_gets_the_same_verdict_and_costs_nothing(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    asked = query(tokens=100)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        first, second = await admission.ask(asked), await admission.ask(asked)
    assert first == second
    assert (await ledger(redis))["granted"] == 100


async def test_an_ask_repeated_after_its_end_is_not_granted_anew(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    asked = query(tokens=100)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        first = await admission.ask(asked)
        await report_usage(redis, asked.id, 60)
        await eventually(lambda: _settled(redis, 60), "settlement")
        second = await admission.ask(asked)
    assert first == second
    assert await ledger(redis) == {"granted": 100, "settled": 60, "reserved": 0, "refunded": 40}


async def test_a_waiting_caller_hears_its_position_and_goes_when_usage_settles(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    await set_limits(redis, concurrency=1)
    heard: list[Verdict] = []
    async with limiter_running(redis_url), asking(redis_url) as admission:
        running = await admission.ask(query())
        second = asyncio.create_task(admission.ask(query(patience=5)))
        await asyncio.sleep(0.05)
        third = asyncio.create_task(admission.ask(query(patience=5), heard.append))
        await eventually(lambda: _true(bool(heard)), "a first position")
        await report_usage(redis, running.id, 50)
        await report_usage(redis, (await second).id, 50)
        granted = await third
    assert granted.decision == "granted"
    assert (heard[0].position, heard[0].tokens_ahead) == (2, 100)


async def test_patience_that_ends_is_a_refusal(redis: Redis, redis_url: str) -> None:
    await announce(redis, slots=1)
    async with limiter_running(redis_url, grants_per_slot=1), asking(redis_url) as admission:
        await admission.ask(query())
        started = time.monotonic()
        with pytest.raises(Overload) as refused:
            await admission.ask(query(patience=0.3))
    assert refused.value.code == "patience_exhausted"
    assert 0.25 < time.monotonic() - started < 0.6


async def test_a_caller_who_leaves_frees_its_place(redis: Redis, redis_url: str) -> None:
    await announce(redis, slots=1)
    async with limiter_running(redis_url, grants_per_slot=1), asking(redis_url) as admission:
        running = await admission.ask(query())
        leaving = asyncio.create_task(admission.ask(query(patience=5)))
        await asyncio.sleep(0.1)
        behind = asyncio.create_task(admission.ask(query(patience=5)))
        await asyncio.sleep(0.1)
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving
        await report_usage(redis, running.id, 100)
        async with asyncio.timeout(1):
            assert (await behind).decision == "granted"


async def test_a_model_without_workers_is_refused_with_the_reason(redis: Redis, redis_url: str) -> None:
    async with limiter_running(redis_url), asking(redis_url) as admission:
        with pytest.raises(Overload) as refused:
            await admission.ask(query(patience=5))
    assert refused.value.code == "no_workers"
    assert refused.value.retry_after_seconds > 0


async def test_a_model_that_is_loading_is_said_to_be_starting(redis: Redis, redis_url: str) -> None:
    await announce(redis, state="loading")
    async with limiter_running(redis_url), asking(redis_url) as admission:
        with pytest.raises(Overload) as refused:
            await admission.ask(query())
    assert refused.value.code == "starting"


async def test_without_a_limiter_the_gate_is_closed(redis: Redis, redis_url: str) -> None:
    async with asking(redis_url, silence_allowed=timedelta(seconds=0.4)) as admission:
        with pytest.raises(DependencyDown) as down:
            await admission.ask(query(patience=5))
        assert not admission.heard
    assert down.value.retry_after_seconds > 0


async def test_limits_set_take_effect_within_a_second(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        before = await admission.ask(query())
        await set_limits(redis, tokens_per_minute=5000)
        await asyncio.sleep(0.9)
        after = await admission.ask(query())
    assert before.limits is not None
    assert before.limits.limit_tokens == 1_000_000
    assert after.limits is not None
    assert after.limits.limit_tokens == 5000


async def test_a_limiter_that_answers_is_heard(redis: Redis, redis_url: str) -> None:
    async with limiter_running(redis_url), asking(redis_url) as admission:
        await eventually(lambda: _true(admission.heard), "hearing the limiter", 3.0)
        assert await redis.exists(keys.active_limiter())


async def _settled(redis: Redis, tokens: int) -> bool:
    return int(await redis.hget(keys.ledger(TENANT), "settled") or 0) == tokens


async def _true(fact: bool) -> bool:
    return fact
