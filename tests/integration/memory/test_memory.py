"""Sessions, their history and profiles on a real server."""

from __future__ import annotations

import asyncio
import time

import pytest
from redis.asyncio import Redis

from contracts import keys
from contracts.errors import NotFound
from contracts.ids import Shard, TenantId
from memory import History, Profiles, Session, Sessions

ACME, OTHER = TenantId("acme"), TenantId("other")


async def session(redis: Redis, user: str = "ada") -> Session:
    return await Sessions(redis).create(Shard(0), ACME, user, title="Water", metadata={"topic": "pipes"})


async def test_a_session_is_read_back_as_it_was_made(redis: Redis) -> None:
    made = await session(redis)
    assert await Sessions(redis).get(ACME, made.id) == made


@pytest.mark.parametrize("wrong", ["", "s0_short", "s0_" + "0" * 32, "s0_" + "g" * 32])
async def test_a_session_that_is_none_is_not_found(redis: Redis, wrong: str) -> None:
    with pytest.raises(NotFound):
        await Sessions(redis).get(ACME, wrong)


async def test_another_tenants_session_is_not_found(redis: Redis) -> None:
    made = await session(redis)
    with pytest.raises(NotFound):
        await Sessions(redis).get(OTHER, made.id)


async def test_a_deleted_session_leaves_nothing(redis: Redis) -> None:
    made = await session(redis)
    await History(redis).add(made.id, "q", "a")
    await Sessions(redis).delete(made)
    assert await redis.keys("*") == []


async def test_sessions_are_listed_for_their_user_alone(redis: Redis) -> None:
    made = await session(redis)
    await session(redis, user="bob")
    assert await Sessions(redis).list(Shard(0), ACME, "ada") == [made]
    assert await Sessions(redis).list(Shard(0), OTHER, "ada") == []


async def test_every_key_of_a_session_ends_some_day(redis: Redis) -> None:
    made = await session(redis)
    await History(redis).add(made.id, "q", "a")
    await History(redis).push(made.id, "ping", "orders")
    assert [await redis.ttl(key) > 0 for key in await redis.keys("*")] == [True] * 3


async def test_turns_are_read_in_the_order_they_were_said(redis: Redis) -> None:
    made, history = await session(redis), History(redis)
    await history.add(made.id, "one", "1")
    await history.push(made.id, "ping", "orders")
    await history.add(made.id, "two", "2")
    assert [turn.answer for turn in await history.recent(made.id)] == ["1", "ping", "2"]
    assert [turn.answer for turn in await history.recent(made.id, limit=1)] == ["2"]


async def test_turns_can_be_asked_for_by_time(redis: Redis) -> None:
    made, history = await session(redis), History(redis)
    await history.add(made.id, "one", "1")
    await asyncio.sleep(0.02)
    moment = time.time()
    await asyncio.sleep(0.02)
    await history.add(made.id, "two", "2")
    assert [turn.answer for turn in await history.between(made.id, since=moment)] == ["2"]
    assert [turn.answer for turn in await history.between(made.id, until=moment)] == ["1"]


async def test_many_profiles_come_in_one_round_trip(redis: Redis) -> None:
    profiles = Profiles(redis)
    await profiles.put(ACME, "ada", {"name": "Ada"})
    await profiles.put(ACME, "bob", {"name": "Bob"})
    before = (await redis.info("stats"))["total_reads_processed"]
    assert await profiles.get_many(ACME, ["bob", "nobody", "ada"]) == [{"name": "Bob"}, {}, {"name": "Ada"}]
    # One read for the batch, one for asking.
    assert (await redis.info("stats"))["total_reads_processed"] - before <= 2


async def test_a_changed_fact_leaves_the_others(redis: Redis) -> None:
    profiles = Profiles(redis)
    await profiles.put(ACME, "ada", {"name": "Ada", "plan": "free"})
    assert await profiles.patch(ACME, "ada", {"plan": None, "language": "en"}) == {"language": "en", "name": "Ada"}


async def test_a_profile_without_facts_takes_no_room(redis: Redis) -> None:
    await Profiles(redis).put(ACME, "ada", {})
    assert await redis.exists(keys.profile(ACME, "ada")) == 0
