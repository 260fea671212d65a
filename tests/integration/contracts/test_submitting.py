"""wait and submit: accepted means stored, and once."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from contracts import keys
from contracts.functions import Submission
from contracts.ids import AccessId
from contracts.messages import Failure
from tests.integration.contracts.conftest import SHARD, Desk


async def test_a_repeated_submit_queues_once(desk: Desk) -> None:
    request = desk.request()
    assert [(await desk.submit(request)).outcome for _ in range(3)] == ["ok", "ok", "ok"]
    assert await desk.redis.xlen(keys.requests(SHARD, "m", "interactive")) == 1


async def test_fifty_submits_with_one_idempotency_key_make_one_request(desk: Desk) -> None:
    requests = [desk.request() for _ in range(50)]
    answers = await asyncio.gather(
        *(desk.submit(request, idempotency_key="key", fingerprint="body") for request in requests)
    )
    accepted = [request.id for request, answer in zip(requests, answers, strict=True) if answer.outcome == "ok"]
    assert len(accepted) == 1
    assert {answer.other for answer in answers if answer.outcome == "existing"} == set(accepted)
    assert await desk.redis.xlen(keys.requests(SHARD, "m", "interactive")) == 1


async def test_an_idempotency_key_with_another_body_is_a_conflict(desk: Desk) -> None:
    await desk.submit(desk.request(), idempotency_key="key", fingerprint="body")
    assert (await desk.submit(desk.request(), idempotency_key="key", fingerprint="other")).outcome == "conflict"


async def test_an_idempotency_key_whose_request_came_to_nothing_is_free(desk: Desk) -> None:
    gone = desk.request()
    await desk.submit(gone, idempotency_key="key", fingerprint="body")
    await desk.protocol.cancel(gone.id)
    again = desk.request()
    assert (await desk.submit(again, idempotency_key="key", fingerprint="body")).outcome == "ok"


async def test_another_tenant_has_idempotency_keys_of_its_own(desk: Desk) -> None:
    await desk.submit(desk.request(), idempotency_key="key", fingerprint="body")
    other = desk.request(tenant="umbrella")
    assert (await desk.submit(other, idempotency_key="key", fingerprint="body")).outcome == "ok"


async def test_a_queue_at_its_bound_refuses(desk: Desk) -> None:
    assert (await desk.submit(desk.request(), bound=1)).outcome == "ok"
    refused = desk.request()
    assert (await desk.submit(refused, bound=1)).outcome == "full"
    assert await desk.state(refused) == ""


async def test_a_grant_that_ran_out_is_refused(desk: Desk) -> None:
    submission = Submission(desk.request(), timedelta(hours=1))
    late = await desk.protocol.submit(submission, queue_bound=9, grant_until=time.time() - 1)
    assert late.outcome == "late"


async def test_a_busy_session_says_with_what_and_is_free_after_the_end(desk: Desk) -> None:
    session = await desk.session()
    first = await desk.running(session=session)
    busy = await desk.submit(desk.request(session=session))
    assert (busy.outcome, busy.other) == ("busy", first.id)
    await desk.finish(first)
    assert (await desk.submit(desk.request(session=session))).outcome == "ok"


async def test_what_is_about_a_session_that_is_gone_is_not_queued(desk: Desk) -> None:
    session = await desk.session()
    about = [Submission(desk.request(), timedelta(hours=1), about=session, owner="ana") for _ in range(2)]
    assert (await desk.protocol.submit(about[0], queue_bound=9)).outcome == "ok"
    await desk.redis.delete(keys.session(session))
    assert (await desk.protocol.submit(about[1], queue_bound=9)).outcome == "unknown"
    assert await desk.state(about[1].request) == ""


async def test_what_is_about_a_session_neither_waits_for_it_nor_stands_in_it(desk: Desk) -> None:
    session = await desk.session()
    await desk.running(session=session)
    about = Submission(desk.request(), timedelta(hours=1), about=session)
    before = await desk.redis.xlen(keys.turns(session))
    assert (await desk.protocol.submit(about, queue_bound=9)).outcome == "ok"
    assert await desk.redis.xlen(keys.turns(session)) == before


async def test_another_tenants_session_is_nothing_to_ask_about(desk: Desk) -> None:
    about = Submission(desk.request(tenant="umbrella"), timedelta(hours=1), about=await desk.session())
    assert (await desk.protocol.submit(about, queue_bound=9)).outcome == "unknown"


async def test_a_session_left_busy_by_a_request_that_is_gone_heals(desk: Desk) -> None:
    session = await desk.session()
    gone = desk.request()
    await desk.redis.hset(keys.session(session), "busy", gone.id)
    assert (await desk.submit(desk.request(session=session))).outcome == "ok"


async def test_a_waiting_request_is_submitted_under_its_id(desk: Desk) -> None:
    request = desk.request()
    assert (await desk.protocol.wait(Submission(request, timedelta(hours=1)))).outcome == "ok"
    assert await desk.state(request) == "waiting"
    assert not await desk.take()
    assert (await desk.submit(request)).outcome == "ok"
    assert [grant.id for grant in await desk.take()] == [request.id]


async def test_a_waiting_request_that_was_cancelled_is_not_submitted(desk: Desk) -> None:
    request = desk.request()
    await desk.protocol.wait(Submission(request, timedelta(hours=1)))
    assert await desk.protocol.cancel(request.id) == "waiting"
    answer = await desk.submit(request)
    assert (answer.outcome, answer.state) == ("ended", "cancelled")
    assert await desk.log(request) == [1]


async def test_a_waiting_request_that_is_refused_ends_with_the_reason(desk: Desk) -> None:
    request = desk.request()
    await desk.protocol.wait(Submission(request, timedelta(hours=1)))
    await desk.protocol.attach(request.id, AccessId("access-1"))
    await desk.protocol.fail(request.id, Failure(code="rate_limit_exceeded", message="Too much.", fault="caller"))
    assert await desk.state(request) == "failed"
    assert await desk.redis.ttl(keys.request(request.id)) > 0
