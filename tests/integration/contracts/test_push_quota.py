"""What publishers may push: counted exactly, once by id, in buckets that refill."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from contracts import keys
from contracts.functions import Exhausted, Library, PushQuota
from contracts.ids import SessionId, TenantId
from tests.integration.contracts.conftest import Desk

ACME = TenantId("acme")
HERE, ELSEWHERE = SessionId("s0_" + "1" * 32), SessionId("s1_" + "2" * 32)


def quota(desk: Desk, per_minute: int = 1000, user_per_hour: int = 1000) -> PushQuota:
    return PushQuota(Library(desk.redis), per_minute, user_per_hour)


async def room(
    made: PushQuota,
    *ids: str,
    user: str = "ana",
    session: SessionId = HERE,
    publisher: str = "hotels",
    tenant: TenantId = ACME,
) -> bool:
    return await made.charge(tenant, publisher, session, user, ids) is None


async def test_those_who_race_for_the_last_pushes_get_exactly_what_is_there(desk: Desk) -> None:
    made = quota(desk, user_per_hour=7)
    assert sorted(await asyncio.gather(*(room(made, str(n)) for n in range(64)))) == [False] * 57 + [True] * 7


async def test_a_push_is_counted_once_by_its_id_also_when_there_is_no_room_any_more(desk: Desk) -> None:
    made = quota(desk, user_per_hour=2)
    assert [await room(made, one) for one in ("a", "a", "b", "b", "c", "a")] == [True, True, True, True, False, True]


async def test_what_was_refused_is_not_counted(desk: Desk) -> None:
    made = quota(desk, user_per_hour=3)
    assert [await room(made, *ids) for ids in (("a", "b"), ("c", "d"), ("a", "b", "c"))] == [True, False, True]


async def test_a_publisher_that_may_say_no_more_to_one_user_may_speak_to_another(desk: Desk) -> None:
    made = quota(desk, user_per_hour=1)
    assert await room(made, "a", user="ana")
    assert not await room(made, "b", user="ana")
    assert await room(made, "b", user="ben")


async def test_a_users_conversations_share_a_quota_also_under_one_id(desk: Desk) -> None:
    made = quota(desk, user_per_hour=1)
    assert [await room(made, "a", session=session) for session in (HERE, ELSEWHERE, HERE)] == [True, False, True]


async def test_a_conversation_that_is_nobodys_has_a_quota_of_its_own(desk: Desk) -> None:
    made = quota(desk, user_per_hour=1)
    assert [await room(made, "a", user="", session=session) for session in (HERE, ELSEWHERE)] == [True, True]
    assert not await room(made, "b", user="", session=HERE)


async def test_all_users_of_a_tenant_share_what_its_publisher_may_say_in_a_minute(desk: Desk) -> None:
    made = quota(desk, per_minute=1)
    assert await room(made, "a", user="ana")
    assert not await room(made, "b", user="ben")
    assert await room(made, "b", user="ben", publisher="orders")
    assert await room(made, "b", user="ben", tenant=TenantId("rival"))


@pytest.mark.parametrize(
    ("per_minute", "user_per_hour", "expected"),
    [
        (2, 1000, Exhausted("publisher", 2, timedelta(seconds=30))),
        (1000, 2, Exhausted("user", 2, timedelta(seconds=1800))),
    ],
)
async def test_who_is_refused_hears_whose_quota_it_was_and_when_to_come_back(
    desk: Desk, per_minute: int, user_per_hour: int, expected: Exhausted
) -> None:
    made = quota(desk, per_minute, user_per_hour)
    assert await room(made, "a", "b")
    told = await made.charge(ACME, "hotels", HERE, "ana", ["c"])
    assert told is not None
    assert (told.whose, told.most) == (expected.whose, expected.most)
    assert timedelta(0) <= expected.retry_after - told.retry_after < timedelta(seconds=5)


async def test_there_is_room_again_when_it_was_said_to_be(desk: Desk) -> None:
    made = quota(desk, per_minute=600)
    assert await room(made, *map(str, range(600)))
    told = await made.charge(ACME, "hotels", HERE, "ana", ["late"])
    assert told is not None
    assert told.retry_after <= timedelta(milliseconds=100)
    await asyncio.sleep(told.retry_after.total_seconds())
    assert await room(made, "late")


async def test_a_bucket_is_kept_until_it_is_full_again(desk: Desk) -> None:
    await room(quota(desk, per_minute=60, user_per_hour=60), "a", "b", "c")
    for bucket, ms in (
        (keys.publisher_bucket(ACME, "hotels"), 3_000),
        (keys.target_bucket(ACME, "hotels", "ana"), 180_000),
    ):
        assert 0 < await desk.redis.pttl(bucket) <= ms
    assert 86400 - 60 < await desk.redis.ttl(keys.counted_push(ACME, "hotels", HERE, "a")) <= 86400
