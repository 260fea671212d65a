"""The sweep: whatever was torn or left behind is mended or ended, and nothing else is touched."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from contracts import keys
from contracts.functions import Submission
from contracts.messages import Delta, Failed, Finished, Started, decode_reply, encode_reply
from tests.integration.contracts.conftest import MOMENT, SHARD, USAGE, Desk


async def test_of_many_sweepers_one_sweeps(desk: Desk) -> None:
    await desk.submit(desk.request(deadline_seconds=0.01))
    await asyncio.sleep(0.05)
    every = timedelta(minutes=1)
    late = [await desk.protocol.sweep(SHARD, every=every) for _ in range(3)]
    assert late == [1, 0, 0]
    assert 0 < await desk.redis.pttl(keys.sweeping(SHARD)) <= 60_000, "a sweeper that dies keeps nobody away"


async def test_a_request_without_an_entry_gets_one(desk: Desk) -> None:
    request = desk.request()
    await desk.submit(request)
    await desk.redis.delete(keys.requests(SHARD, "m", "interactive"))
    assert await desk.take() == []
    await desk.protocol.sweep(SHARD)
    await desk.protocol.sweep(SHARD)
    assert [grant.id for grant in await desk.take(9)] == [request.id]


async def test_a_submit_torn_after_its_state_is_queued(desk: Desk) -> None:
    request = desk.request()
    await desk.submit(request)
    await desk.redis.delete(keys.requests(SHARD, "m", "interactive"))
    await desk.redis.hdel(keys.request(request.id), "entry")
    await desk.protocol.sweep(SHARD)
    assert [grant.id for grant in await desk.take()] == [request.id]


async def test_an_entry_torn_out_of_its_take_is_queued_again(desk: Desk) -> None:
    request = desk.request()
    queue = keys.requests(SHARD, "m", "interactive")
    await desk.submit(request)
    await desk.redis.xgroup_create(queue, "workers", "0")
    await desk.redis.xreadgroup("workers", "any", {queue: ">"})
    assert await desk.take() == []
    await desk.protocol.sweep(SHARD)
    assert [grant.id for grant in await desk.take()] == [request.id]
    assert await desk.redis.xlen(queue) == 1


async def test_a_queued_request_is_left_where_it_is(desk: Desk) -> None:
    requests = [desk.request() for _ in range(3)]
    for request in requests:
        await desk.submit(request)
    queue = keys.requests(SHARD, "m", "interactive")
    before: Any = await desk.redis.xrange(queue)
    await desk.protocol.sweep(SHARD)
    assert await desk.redis.xrange(queue) == before


async def test_a_running_request_without_a_lease_gets_one_that_runs_out(desk: Desk) -> None:
    grant = await desk.running()
    await desk.redis.delete(keys.leases(SHARD, "m"))
    await desk.protocol.sweep(SHARD)
    assert await desk.redis.zscore(keys.leases(SHARD, "m"), grant.id)
    assert await desk.append(grant, 2, Delta(text="a")) == "ok", "its owner may well be alive"


async def test_an_end_that_was_torn_is_completed_without_any_worker(desk: Desk) -> None:
    grant = await desk.running()
    await desk.redis.xadd(keys.replies(grant.id), {f"{grant.generation}:f": Finished(usage=USAGE).encode()}, id="2-0")
    await desk.protocol.sweep(SHARD)
    assert await desk.state(grant) == "done"
    assert await desk.redis.zcard(keys.leases(SHARD, "m")) == 0


async def test_a_torn_end_keeps_the_state_that_its_reply_names(desk: Desk) -> None:
    grant = await desk.running()
    end = Finished(usage=USAGE, status="incomplete")
    await desk.redis.xadd(keys.replies(grant.id), {f"{grant.generation}:f": encode_reply(end)}, id="2-0")
    await desk.protocol.sweep(SHARD)
    assert await desk.state(grant) == "incomplete"


async def test_a_cancelled_request_past_its_deadline_is_still_cancelled(desk: Desk) -> None:
    await desk.submit(desk.request(deadline_seconds=0.1))
    (grant,) = await desk.take()
    await desk.protocol.cancel(grant.id)
    await asyncio.sleep(0.2)
    await desk.protocol.sweep(SHARD)
    assert await desk.redis.hget(keys.request(grant.id), "cancel") == b"cancel"


async def test_a_log_that_ended_well_is_not_called_expired(desk: Desk) -> None:
    await desk.submit(desk.request(deadline_seconds=0.1))
    (grant,) = await desk.take(lease=MOMENT)
    await desk.append(grant, 1, Started(worker="w"), lease=MOMENT)
    await desk.redis.xadd(keys.replies(grant.id), {f"{grant.generation}:f": Finished(usage=USAGE).encode()}, id="2-0")
    await asyncio.sleep(0.2)
    await desk.protocol.sweep(SHARD)
    assert (await desk.state(grant), await desk.log(grant)) == ("done", [1, 2])


async def test_a_log_without_an_end_past_its_deadline_gets_one_without_any_worker(desk: Desk) -> None:
    await desk.submit(desk.request(deadline_seconds=0.1))
    (grant,) = await desk.take(lease=MOMENT)
    await desk.append(grant, 1, Started(worker="w"), lease=MOMENT)
    await asyncio.sleep(0.2)
    await desk.protocol.sweep(SHARD)
    assert (await desk.state(grant), await desk.log(grant)) == ("expired", [1, 2])


async def test_a_waiting_request_that_nobody_keeps_fails_with_the_reason(desk: Desk) -> None:
    request = desk.request()
    await desk.protocol.wait(Submission(request, timedelta(hours=1)), kept=timedelta())
    await asyncio.sleep(0.01)
    await desk.protocol.sweep(SHARD)
    await desk.protocol.sweep(SHARD)
    assert await desk.state(request) == "waiting", "Redis may have been away, and who keeps it come back a moment later"
    await desk.redis.hset(keys.request(request.id), "kept", 1)
    await desk.protocol.sweep(SHARD)
    assert await desk.state(request) == "failed"
    ((_, fields),) = await desk.redis.xrange(keys.replies(request.id))  # type: ignore[misc]
    (payload,) = fields.values()  # type: ignore[union-attr]
    end = decode_reply(payload)
    assert isinstance(end, Failed)
    assert end.failure.code == "access_lost"


async def test_a_waiting_request_that_is_kept_goes_on_waiting(desk: Desk) -> None:
    request = desk.request()
    await desk.protocol.wait(Submission(request, timedelta(hours=1)), kept=timedelta())
    await asyncio.sleep(0.01)
    await desk.protocol.sweep(SHARD)
    assert await desk.protocol.keep_waiting(SHARD, [request.id]) == {request.id}
    await desk.protocol.sweep(SHARD)
    assert await desk.state(request) == "waiting"
    assert not await desk.redis.hexists(keys.request(request.id), "orphaned")


async def test_of_the_kept_ones_those_that_wait_no_more_are_told_apart(desk: Desk) -> None:
    waiting, queued, unknown = desk.request(), desk.request(), desk.request()
    await desk.protocol.wait(Submission(waiting, timedelta(hours=1)))
    await desk.submit(queued)
    kept = await desk.protocol.keep_waiting(SHARD, [waiting.id, queued.id, unknown.id])
    assert kept == {waiting.id}
    assert not await desk.redis.exists(keys.request(unknown.id))


async def test_a_sweep_looks_at_all_requests_in_rounds(desk: Desk) -> None:
    requests = [desk.request() for _ in range(25)]
    for request in requests:
        await desk.submit(request)
    await desk.redis.delete(keys.requests(SHARD, "m", "interactive"))
    for _ in range(3):
        await desk.protocol.sweep(SHARD, at_most=10)
    assert {grant.id for grant in await desk.take(50)} == {request.id for request in requests}
    assert not await desk.redis.exists(keys.swept(SHARD)), "the round is over"


async def test_the_deadline_of_a_request_that_is_gone_is_forgotten(desk: Desk) -> None:
    request = desk.request()
    await desk.submit(request)
    await desk.redis.delete(keys.request(request.id))
    await desk.protocol.sweep(SHARD)
    assert await desk.redis.zcard(keys.deadlines(SHARD)) == 0
