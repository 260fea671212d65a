"""Asking the gate, from the caller's side: real Redis, a real limiter."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from contracts import keys
from contracts.errors import DependencyDown, LimitExceeded, Overload
from contracts.ids import AccessId, TenantId
from contracts.messages import Asks, Correction, Verdict
from limiter.policies.fair import AHEAD_OF_WORKERS
from tests.integration.limiter.gatehouse import (
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


async def test_a_copy_of_an_ask_costs_nothing(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with overheard(redis) as asks, limiter_running(redis_url), asking(redis_url) as admission:
        await admission.ask(query(tokens=100))
        await redis.publish(keys.asks_channel(), asks[0].encode())
        await admission.ask(query(tokens=30))  # decided after it
    assert (await ledger(redis))["granted"] == 130


async def test_a_copy_of_an_ask_that_comes_after_its_end_is_not_granted_anew(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with overheard(redis) as asks, limiter_running(redis_url), asking(redis_url) as admission:
        granted = await admission.ask(query(tokens=100))
        await report_usage(redis, granted.id, 60)
        await eventually(lambda: _settled(redis, 60), "settlement")
        await redis.publish(keys.asks_channel(), asks[0].encode())
        await admission.ask(query(tokens=30))
    assert await ledger(redis) == {"granted": 130, "settled": 60, "reserved": 30, "refunded": 40}


async def test_a_request_may_be_asked_for_anew_after_a_withdrawal(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    asked = query(tokens=100)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        first = await admission.ask(asked)
        admission.withdraw(asked.id)
        second = await admission.ask(asked)
    assert second.attempt > first.attempt
    assert await ledger(redis) == {"granted": 200, "settled": 0, "reserved": 100, "refunded": 100}


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


async def test_a_model_that_is_loading_takes_a_few_and_then_is_said_to_be_starting(
    redis: Redis, redis_url: str
) -> None:
    await announce(redis, state="loading")
    async with limiter_running(redis_url), asking(redis_url) as admission:
        for _ in range(AHEAD_OF_WORKERS):
            await admission.ask(query())
        with pytest.raises(Overload) as refused:
            await admission.ask(query())
    assert refused.value.code == "starting"
    assert refused.value.retry_after_seconds > 0


async def test_without_a_limiter_the_gate_is_closed(redis: Redis, redis_url: str) -> None:
    async with asking(redis_url, silence_allowed=timedelta(seconds=0.4)) as admission:
        with pytest.raises(DependencyDown) as down:
            await admission.ask(query(patience=5))
        assert not admission.heard
    assert down.value.retry_after_seconds > 0


async def test_a_tenant_that_fails_open_goes_on_without_a_limiter(
    redis: Redis, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await set_limits(redis, fail_open=1)
    asked = query(patience=5)
    async with asking(redis_url, silence_allowed=timedelta(seconds=0.4)) as admission:
        verdict = await admission.ask(asked)
    assert (verdict.decision, verdict.grant_until, verdict.tokens) == ("granted", 0.0, 0)
    said = capsys.readouterr()
    assert "admission.failed_open" in said.out + said.err
    assert asked.id in said.out + said.err


async def test_a_tenant_that_does_not_fail_open_is_refused_beside_one_that_does(
    redis: Redis, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await set_limits(redis, fail_open=1)
    other = query(tenant=TenantId("globex"))
    async with asking(redis_url, silence_allowed=timedelta(seconds=0.4)) as admission:
        with pytest.raises(DependencyDown) as down:
            await admission.ask(other)
    assert (down.value.code, down.value.retry_after_seconds) == ("limiter_unavailable", 0.4)
    said = capsys.readouterr()
    assert "admission.failed_closed" in said.out + said.err


async def test_an_ask_repeated_says_how_long_its_caller_waits(redis: Redis, redis_url: str) -> None:
    async with overheard(redis) as asks, asking(redis_url, silence_allowed=timedelta(seconds=0.6)) as admission:
        with pytest.raises(DependencyDown):
            await admission.ask(query(patience=5))
        await eventually(lambda: _true(any(one.withdrawn for one in asks)), "the withdrawal")
    waited = [one.waited_seconds for message in asks for one in message.queries]
    assert waited[0] == 0
    assert waited == sorted(set(waited))
    assert 0.1 < waited[-1] < 5


async def test_a_correction_leaves_with_the_next_message(redis: Redis, redis_url: str) -> None:
    composed = Correction(id=query().id, prompt_tokens=70)
    async with overheard(redis) as asks, asking(redis_url) as admission:
        admission.correct(composed.id, 60)
        admission.correct(composed.id, composed.prompt_tokens)
        await eventually(lambda: _true(bool(asks)), "a message")
    assert asks == [Asks(corrections=(composed,))]


async def test_a_request_that_is_withdrawn_is_not_corrected(redis: Redis, redis_url: str) -> None:
    withdrawn = query().id
    async with overheard(redis) as asks, asking(redis_url) as admission:
        admission.correct(withdrawn, 70)
        admission.withdraw(withdrawn)
        await eventually(lambda: _true(bool(asks)), "a message")
    (said,) = asks
    assert (said.corrections, [one.id for one in said.withdrawn]) == ((), [withdrawn])


async def test_a_composed_prompt_takes_the_place_of_the_expected_one(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        granted = await admission.ask(query(tokens=100))
        admission.correct(granted.id, 70)
        await eventually(lambda: _reserved(redis, 70), "the correction")
    assert granted.tokens == 100
    assert await ledger(redis) == {"granted": 100, "settled": 0, "reserved": 70, "refunded": 30}


async def test_a_quota_that_is_used_up_is_the_callers_own_limit(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    await set_limits(redis, tokens_per_day=150)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        first = await admission.ask(query(tokens=100))
        await report_usage(redis, first.id, 100)
        await eventually(lambda: _settled(redis, 100), "settlement")
        with pytest.raises(LimitExceeded) as refused:
            await admission.ask(query(tokens=100, patience=5))
    assert refused.value.code == "quota_exceeded"
    assert 0 < refused.value.retry_after_seconds <= 86_400


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
    return (await ledger(redis))["settled"] == tokens


async def _reserved(redis: Redis, tokens: int) -> bool:
    return (await ledger(redis))["reserved"] == tokens


@contextlib.asynccontextmanager
async def overheard(redis: Redis) -> AsyncGenerator[list[Asks]]:
    """What access processes say to the limiter, from now on."""
    heard: list[Asks] = []
    pubsub = redis.pubsub()
    await pubsub.subscribe(keys.asks_channel())
    assert (await pubsub.get_message(timeout=5))["type"] == "subscribe"  # type: ignore[index]

    async def listen() -> None:
        async for message in pubsub.listen():
            heard.append(Asks.decode(message["data"]))  # noqa: PERF401  (seen while it grows)

    task = asyncio.create_task(listen())
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait([task])
        await pubsub.aclose()


async def _true(fact: bool) -> bool:
    return fact
