"""What the gate writes down: sums that hold to the token, once, whoever is active."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from contracts import connection, keys
from contracts.functions import Deposed, GateBook, Library
from contracts.functions.gate import Answered, Granted, Refunded, Reservation
from contracts.ids import RequestId, Shard
from contracts.messages import ModelStatus, Verdict
from limiter.fleet import Fleet
from tests.integration.limiter.gatehouse import (
    ACCESS,
    MODEL,
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

LOCK = timedelta(seconds=5)


def reservation(tokens: int = 100, nanos: int = 0) -> Reservation:
    return Reservation(
        tokens=tokens,
        nanos=nanos,
        tenant=TENANT,
        model=MODEL,
        user="",
        key="",
        service_class="interactive",
        prompt_tokens=tokens,
        answer_tokens=0,
        sequences=0,
        learns=False,
        grant_end_ms=0,
    )


async def test_usage_settles_once_however_often_it_is_told(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        granted = await admission.ask(query(tokens=100))
        await report_usage(redis, granted.id, 70)
        await report_usage(redis, granted.id, 70)
        await eventually(lambda: _usage_empty(redis), "settlement")
    assert await ledger(redis) == {"granted": 100, "settled": 70, "reserved": 0, "refunded": 30}


async def test_usage_beyond_the_estimate_counts_as_granted_after_all(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        granted = await admission.ask(query(tokens=100))
        await report_usage(redis, granted.id, 130)
        await eventually(lambda: _usage_empty(redis), "settlement")
    assert await ledger(redis) == {"granted": 130, "settled": 130, "reserved": 0, "refunded": 0}


async def test_a_request_that_ended_without_usage_gives_all_back(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        granted = await admission.ask(query(tokens=100))
        await report_usage(redis, granted.id, 0, state="cancelled")
        await eventually(lambda: _usage_empty(redis), "settlement")
    assert await ledger(redis) == {"granted": 100, "settled": 0, "reserved": 0, "refunded": 100}


async def test_usage_is_settled_after_its_group_was_lost(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        granted = await admission.ask(query(tokens=100))
        await redis.xgroup_destroy(keys.usage(Shard(0)), "limiter")
        await report_usage(redis, granted.id, 70)
        await eventually(lambda: _usage_empty(redis), "settlement")
    assert (await ledger(redis))["settled"] == 70


async def test_a_grant_that_nobody_submits_is_refunded(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with limiter_running(redis_url, grant_seconds=0.1, grant_slack_seconds=0.1), asking(redis_url) as admission:
        granted = await admission.ask(query(tokens=100))
        await eventually(lambda: _unreserved(redis, granted), "the refund")
    assert await ledger(redis) == {"granted": 100, "settled": 0, "reserved": 0, "refunded": 100}


async def test_a_long_generation_is_never_refunded_under_it(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with limiter_running(redis_url, grant_seconds=0.1, grant_slack_seconds=0.1), asking(redis_url) as admission:
        submitted, abandoned = await admission.ask(query()), await admission.ask(query())
        await redis.hset(keys.request(submitted.id), "state", "running")
        await eventually(lambda: _unreserved(redis, abandoned), "the other's refund")
    assert await redis.hexists(keys.reservations(), submitted.id)


async def test_a_grant_for_what_has_ended_and_is_paid_is_refunded(redis: Redis, redis_url: str) -> None:
    """As after a power loss that took the verdict and the settlement, but not the end."""
    await announce(redis)
    async with limiter_running(redis_url, grant_seconds=0.1, grant_slack_seconds=0.1), asking(redis_url) as admission:
        granted = await admission.ask(query(tokens=100))
        await redis.hset(keys.request(granted.id), "state", "done")
        await eventually(lambda: _unreserved(redis, granted), "the refund")
    assert (await ledger(redis))["refunded"] == 100


async def test_a_restarted_limiter_goes_on_from_the_ledger(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    await set_limits(redis, tokens_per_minute=1000, concurrency=2)
    async with asking(redis_url) as admission:
        async with limiter_running(redis_url):
            first = await admission.ask(query(tokens=900))
        async with limiter_running(redis_url):
            second = await admission.ask(query(tokens=50))
            await report_usage(redis, first.id, 850)
            await eventually(lambda: _usage_empty(redis), "settlement")
    assert second.limits is not None
    assert 50 <= second.limits.remaining_tokens < 100
    assert await ledger(redis) == {"granted": 950, "settled": 850, "reserved": 50, "refunded": 50}


async def test_who_is_deposed_writes_nothing(redis: Redis) -> None:
    book, asked = GateBook(Library(redis)), query()
    old, _ = await book.takeover("limiter-1", LOCK)
    assert old is not None
    await redis.delete(keys.active_limiter())
    new, _ = await book.takeover("limiter-2", LOCK)
    assert new is not None
    assert new.epoch == old.epoch + 1
    verdict = Verdict(id=asked.id, decision="granted")
    with pytest.raises(Deposed):
        await book.commit(old, LOCK, [Granted(ACCESS, verdict, reservation())], 1)
    assert not await redis.exists(keys.reservations(), keys.verdict(asked.id), keys.ledger(TENANT))


async def test_a_repeated_commit_grants_once(redis: Redis) -> None:
    book, asked = GateBook(Library(redis)), query()
    tenure, _ = await book.takeover("limiter-1", LOCK)
    assert tenure is not None
    grant = Granted(ACCESS, Verdict(id=asked.id, decision="granted"), reservation())
    assert await book.commit(tenure, LOCK, [grant], 1) == frozenset()
    assert await book.commit(tenure, LOCK, [grant], 1) == frozenset(), "its own copy is nothing to take back"
    assert (await ledger(redis))["granted"] == 100


async def test_a_second_decision_on_one_request_is_to_be_taken_back(redis: Redis) -> None:
    book, asked = GateBook(Library(redis)), query()
    tenure, _ = await book.takeover("limiter-1", LOCK)
    assert tenure is not None
    for number, known in ((1, frozenset[RequestId]()), (2, {asked.id})):
        verdict = Verdict(id=asked.id, decision="granted", grant_until=number)
        assert await book.commit(tenure, LOCK, [Granted(ACCESS, verdict, reservation())], number) == known
    assert (await ledger(redis))["granted"] == 100


async def test_a_copy_of_a_commit_that_comes_late_changes_nothing(redis: Redis) -> None:
    book, asked = GateBook(Library(redis)), query()
    tenure, _ = await book.takeover("limiter-1", LOCK)
    assert tenure is not None
    grant = Granted(ACCESS, Verdict(id=asked.id, decision="granted"), reservation())
    await book.commit(tenure, LOCK, [grant], 1)
    await book.commit(tenure, LOCK, [Refunded(asked.id)], 2)
    await book.commit(tenure, LOCK, [grant], 1)
    assert await ledger(redis) == {"granted": 100, "settled": 0, "reserved": 0, "refunded": 100}


async def test_a_refusal_says_nothing_about_what_is_asked_anew(redis: Redis) -> None:
    book, asked = GateBook(Library(redis)), query()
    tenure, _ = await book.takeover("limiter-1", LOCK)
    assert tenure is not None
    refused = Answered(ACCESS, Verdict(id=asked.id, decision="refused", attempt=1))
    granted = Granted(ACCESS, Verdict(id=asked.id, decision="granted", attempt=2), reservation())
    await book.commit(tenure, LOCK, [refused], 1)
    assert await book.commit(tenure, LOCK, [granted], 2) == frozenset()
    assert (await ledger(redis))["reserved"] == 100


async def test_what_a_frozen_predecessor_has_read_is_settled_in_the_same_tenure(redis: Redis, redis_url: str) -> None:
    """Redis serves the reader that has waited longest, also when it is no longer the active one."""
    await announce(redis)
    async with limiter_running(redis_url), asking(redis_url) as admission:
        granted = await admission.ask(query(tokens=100))
        await eventually(lambda: _read(redis), "the limiter reading", 10)
        async with redis.pipeline(transaction=True) as pipe:  # nobody else is served in between
            await report_usage(pipe, granted.id, 70)
            pipe.xreadgroup("limiter", "any", {keys.usage(Shard(0)): ">"})
            _, read = await pipe.execute()
        assert read
        await eventually(lambda: _usage_empty(redis), "settlement", 15)
    assert (await ledger(redis))["settled"] == 70


async def test_the_gate_holds_on_every_kind_of_server(every_server: str) -> None:
    redis = connection.commands(every_server)
    await redis.flushall()
    await announce(redis)
    async with limiter_running(every_server), asking(every_server) as admission:
        granted = await admission.ask(query(tokens=100))
        await report_usage(redis, granted.id, 70)
        await eventually(lambda: _usage_empty(redis), "settlement")
    assert await ledger(redis) == {"granted": 100, "settled": 70, "reserved": 0, "refunded": 30}
    await redis.aclose()


async def test_the_number_to_scale_on_is_published(redis: Redis, redis_url: str) -> None:
    await announce(redis, slots=1)
    async with limiter_running(redis_url, grants_per_slot=1), asking(redis_url) as admission:
        await admission.ask(query())
        waiting = asyncio.create_task(admission.ask(query(tokens=40, patience=5)))
        expected = ModelStatus(waiting=1, waiting_tokens=40, outstanding=1, slots=1)
        await eventually(lambda: _status_is(redis, expected), "the status")
        waiting.cancel()
        await asyncio.wait([waiting])
    assert await redis.ttl(keys.gate_status()) > 0


async def test_a_silent_worker_is_taken_off_the_roll(redis: Redis, redis_url: str) -> None:
    await announce(redis)
    async with limiter_running(redis_url, heartbeat_stale_seconds=0.3):
        await eventually(lambda: _fleet_empty(redis), "forgetting the worker")
    assert await redis.hlen(keys.fleet()) == 0


async def test_nobody_is_taken_off_the_roll_for_redis_having_been_away(redis: Redis) -> None:
    await announce(redis)
    moments = [0.0]
    fleet = Fleet(redis, stale_seconds=5, clock=lambda: moments[-1])
    assert await fleet.look()
    moments.append(30.0)  # a look took so long: there was nobody to announce oneself to
    assert await fleet.look()
    seen: list[bool] = []
    for second in range(31, 36):
        moments.append(second)
        seen.append(bool(await fleet.look()))
    assert (seen[0], seen[-1]) == (True, False)


async def _read(redis: Redis) -> bool:
    return bool(await redis.exists(keys.usage(Shard(0))))


async def _usage_empty(redis: Redis) -> bool:
    return await redis.xlen(keys.usage(Shard(0))) == 0


async def _unreserved(redis: Redis, granted: Verdict) -> bool:
    return not await redis.hexists(keys.reservations(), granted.id)


async def _status_is(redis: Redis, expected: ModelStatus) -> bool:
    wire = await redis.hget(keys.gate_status(), MODEL)
    return wire is not None and ModelStatus.decode(wire) == expected


async def _fleet_empty(redis: Redis) -> bool:
    return await redis.hlen(keys.fleet()) == 0
