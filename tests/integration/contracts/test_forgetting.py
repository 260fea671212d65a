"""A request is found by its user as long as there is anything of it, and can be forgotten once it has ended."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from contracts import keys
from contracts.functions import Library, Protocol, Submission, Turns
from contracts.ids import SessionId, TenantId, WorkerId
from contracts.messages import Finished
from tests.integration.contracts.conftest import SHARD, USAGE, Desk

ACME = TenantId("acme")
HOUR = timedelta(hours=1)
INDEX = keys.user_requests(SHARD, ACME, "ana")


async def indexed(desk: Desk) -> dict[str, float]:
    """Request → in how many seconds it will be gone."""
    rows: Any = await desk.redis.zrange(INDEX, 0, -1, withscores=True)
    return {name.decode(): gone / 1000 - time.time() for name, gone in rows}


async def ended(desk: Desk, **changes: Any) -> str:
    grant = await desk.running(user="ana", **changes)
    assert await desk.append(grant, 2, Finished(usage=USAGE), end="done") == "ok"
    return grant.id


async def given_up(desk: Desk) -> str:
    request = desk.request(user="ana")
    await desk.submit(request)
    for _ in range(3):
        (grant,) = await desk.take()
        await desk.protocol.release(SHARD, [(grant.id, grant.generation)], "the engine died")
    assert not await desk.take()
    return request.id


async def test_what_a_user_asks_is_indexed_from_the_first_step_until_it_is_gone(desk: Desk) -> None:
    request = desk.request(user="ana")
    await desk.protocol.wait(Submission(request, HOUR))
    assert indexed_for(await indexed(desk), request.id, 60 + 7200)
    await desk.submit(request)
    (grant,) = await desk.take()
    await desk.append(grant, 1, Finished(usage=USAGE), end="done")
    assert indexed_for(await indexed(desk), request.id, 7200)
    assert await desk.redis.pexpiretime(INDEX) >= await desk.redis.pexpiretime(keys.request(request.id)) - 10


async def test_what_names_no_user_is_indexed_for_its_owner(desk: Desk) -> None:
    request = desk.request()
    await desk.protocol.submit(Submission(request, HOUR, owner="ana"), queue_bound=9)
    assert set(await indexed(desk)) == {request.id}


async def test_nobodys_requests_are_in_no_index(desk: Desk) -> None:
    await desk.submit(desk.request())
    assert [key async for key in desk.redis.scan_iter("*userrequests*")] == []


async def test_a_dead_letter_keeps_its_request_in_the_index(desk: Desk) -> None:
    request_id = await given_up(desk)
    assert indexed_for(await indexed(desk), request_id, 30 * 86400)
    await desk.protocol.drop(desk.request(id=request_id).id)
    assert indexed_for(await indexed(desk), request_id, 7200)


async def test_what_is_gone_leaves_the_index_with_the_next_request(desk: Desk) -> None:
    await desk.redis.zadd(INDEX, {"s0_gone": 1.0})
    request_id = await ended(desk)
    assert set(await indexed(desk)) == {request_id}


async def test_a_forgotten_request_leaves_nothing(desk: Desk) -> None:
    request_id = await ended(desk)
    gone = await desk.protocol.forget(desk.request(id=request_id).id)
    assert gone is not None
    assert (gone.requests, gone.dead_letters, gone.idempotency_records) == (1, 0, 0)
    assert [key async for key in desk.redis.scan_iter(f"*{request_id}*")] == []
    assert await indexed(desk) == {}


async def test_its_letter_and_its_idempotency_record_go_with_it(desk: Desk) -> None:
    request_id = await given_up(desk)
    gone = await desk.protocol.forget(desk.request(id=request_id).id)
    assert gone is not None
    assert gone.dead_letters == 1
    assert await desk.redis.xlen(keys.deadletters(SHARD)) == 0
    request = desk.request(user="ana")
    await desk.submit(request, idempotency_key="once", fingerprint="f")
    await desk.protocol.cancel(request.id)
    gone = await desk.protocol.forget(request.id)
    assert gone is not None
    assert gone.idempotency_records == 1
    assert await desk.redis.exists(keys.idempotency(SHARD, ACME, "once")) == 0


async def test_an_idempotency_record_that_names_another_request_by_now_stays(desk: Desk) -> None:
    first, second = desk.request(user="ana"), desk.request(user="ana")
    for request in (first, second):
        assert (await desk.submit(request, idempotency_key="once", fingerprint="f")).outcome == "ok"
        await desk.protocol.cancel(request.id)
    gone = await desk.protocol.forget(first.id)
    assert gone is not None
    assert gone.idempotency_records == 0


async def test_what_has_not_ended_is_not_forgotten(desk: Desk) -> None:
    grant = await desk.running(user="ana")
    assert await desk.protocol.forget(grant.id) is None
    assert await desk.redis.exists(keys.request(grant.id)) == 1


async def test_forgetting_twice_or_what_never_was_is_nothing(desk: Desk) -> None:
    request_id = desk.request(id=await ended(desk)).id
    for nothing in (request_id, desk.request().id):
        await desk.protocol.forget(request_id)
        gone = await desk.protocol.forget(nothing)
        assert gone is not None
        assert gone.requests == 0


async def test_one_that_still_waited_for_its_grant_can_not_come_back(desk: Desk) -> None:
    """Its access process does not know that it was forgotten, and submits it when the grant comes."""
    request = desk.request(user="ana")
    await desk.protocol.wait(Submission(request, HOUR))
    await desk.protocol.cancel(request.id)
    await desk.protocol.forget(request.id)
    assert (await desk.submit(request)).outcome == "ended"
    assert set(await desk.redis.hgetall(keys.request(request.id))) == {b"state"}
    assert 0 < await desk.redis.ttl(keys.request(request.id)) <= 7200


async def test_nothing_is_queued_for_a_session_that_is_gone(desk: Desk) -> None:
    session = await desk.session()
    await desk.redis.delete(keys.session(session))
    request = desk.request(session=session, user="ana")
    assert (await desk.submit(request)).outcome == "unknown"
    assert [key async for key in desk.redis.scan_iter(f"*{session}*")] == []


@pytest.mark.parametrize("tenant", ["other", ""])
async def test_a_session_of_another_tenant_takes_no_turn(desk: Desk, tenant: str) -> None:
    session, turns = await desk.session(), Turns(Library(desk.redis))
    assert (await desk.submit(desk.request(session=session, tenant=TenantId(tenant)))).outcome == "unknown"
    assert await turns.say(session, TenantId(tenant), [("user", "q")]) is None
    assert await turns.adopt(session, TenantId(tenant), "eve") is None
    assert await desk.redis.exists(keys.turns(session)) == 0


async def test_turns_end_with_their_session_and_are_as_many_as_asked_for(desk: Desk) -> None:
    session = await desk.session()
    await desk.redis.expire(keys.session(session), 1000)
    turns = Turns(Library(desk.redis), kept=20)
    for number in range(400):
        await turns.say(session, ACME, [("user", f"q{number}")])
    assert await desk.redis.xlen(keys.turns(session)) < 200
    assert 0 < await desk.redis.ttl(keys.turns(session)) <= 1000
    short = Protocol(Library(desk.redis), turns_kept=20)
    assert (await short.submit(Submission(desk.request(session=session), HOUR), queue_bound=9)).outcome == "ok"
    (grant,) = await desk.take(worker=WorkerId("w"))
    await desk.append(grant, 1, Finished(usage=USAGE), end="done")
    assert 0 < await desk.redis.ttl(keys.turns(session)) <= 1000


async def test_nobodys_session_becomes_that_of_the_first_who_speaks(desk: Desk) -> None:
    session, turns = await desk.session(), Turns(Library(desk.redis))
    await desk.redis.zadd(keys.sessions(SHARD, ACME, ""), {session: 7})
    assert [await turns.adopt(session, ACME, user) for user in ("ana", "ben", "ana")] == ["ana"] * 3
    assert await listed(desk, "ana") == [(session, 7.0)]
    assert await listed(desk, "") == await listed(desk, "ben") == []


async def listed(desk: Desk, user: str) -> list[tuple[SessionId, float]]:
    rows: Any = await desk.redis.zrange(keys.sessions(SHARD, ACME, user), 0, -1, withscores=True)
    return [(SessionId(name.decode()), score) for name, score in rows]


def indexed_for(index: dict[str, float], request_id: str, seconds: float) -> bool:
    return seconds - 10 < index[request_id] <= seconds + 1
