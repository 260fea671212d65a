"""Who is to blame when workers and engines die, and what becomes of whom."""

from __future__ import annotations

import asyncio
from typing import Any

from contracts import keys
from contracts.functions import Grant
from contracts.messages import Delta, InferenceRequest, Started
from tests.integration.contracts.conftest import MOMENT, SHARD, Desk

BOOM = "the engine died"


async def crash(desk: Desk, *grants: Grant) -> None:
    """The engine dies under these requests, and their worker says so."""
    await desk.protocol.release(SHARD, [(grant.id, grant.generation) for grant in grants], BOOM)


async def suspect(desk: Desk, **changed: Any) -> InferenceRequest:
    """A queued request that two engines have died over."""
    request = desk.request(**changed)
    await desk.submit(request)
    for _ in range(2):
        await crash(desk, *await desk.take())
    return request


async def test_a_dead_engine_counts_against_all_that_ran_also_in_mid_answer(desk: Desk) -> None:
    first, second = await desk.running(), await desk.running()
    await desk.append(first, 2, Delta(text="a"))
    await crash(desk, first, second)
    assert [grant.deaths for grant in await desk.take(2)] == [1, 1]


async def test_a_worker_that_reports_twice_is_counted_once(desk: Desk) -> None:
    grant = await desk.running()
    await crash(desk, grant)
    await crash(desk, grant)
    assert [again.deaths for again in await desk.take()] == [1]


async def test_a_worker_killed_in_mid_answer_says_nothing_against_its_requests(desk: Desk) -> None:
    await desk.submit(desk.request())
    for number in range(5):
        (grant,) = await desk.take(lease=MOMENT)
        await desk.append(grant, grant.tail + 1, Delta(text="a") if number else Started(worker="w"), lease=MOMENT)
        await asyncio.sleep(2 * MOMENT.total_seconds())
    (grant,) = await desk.take()
    assert (grant.deaths, grant.is_suspect) == (0, False)


async def test_a_suspect_goes_to_an_idle_worker_and_comes_alone(desk: Desk) -> None:
    request = await suspect(desk)
    for _ in range(5):
        await desk.submit(desk.request())
    (grant,) = await desk.take(6)
    assert (grant.id, grant.is_suspect) == (request.id, True)


async def test_one_busy_worker_becomes_idle_for_a_suspect_and_the_others_work_on(desk: Desk) -> None:
    await suspect(desk)
    for _ in range(5):
        await desk.submit(desk.request())
    chosen, other = await desk.take(2, running=1), await desk.take(2, running=1, worker="other")
    assert (list(chosen), chosen.become_idle) == ([], True)
    assert (len(other), other.become_idle) == (2, False)
    assert (await desk.take(2, running=1)).become_idle, "it is asked again as long as the suspect waits"


async def test_who_became_idle_in_vain_works_on(desk: Desk) -> None:
    await suspect(desk)
    assert (await desk.take(1, running=1)).become_idle
    await desk.take(1, worker="idle")
    await desk.submit(desk.request())
    assert len(await desk.take(1, running=1)) == 1


async def test_a_suspect_that_dies_again_is_given_up_with_a_letter_and_an_end(desk: Desk) -> None:
    request = await suspect(desk)
    await crash(desk, *await desk.take())
    assert await desk.take() == []
    assert await desk.state(request) == "failed"
    ((_, letter),) = await desk.redis.xrange(keys.deadletters(SHARD))  # type: ignore[misc]
    assert (letter[b"id"], letter[b"error"], letter[b"deaths"]) == (request.id.encode(), BOOM.encode(), b"3")  # type: ignore[index]


async def test_a_suspect_that_is_released_stays_one_and_is_blamed_for_nothing(desk: Desk) -> None:
    request = await suspect(desk)
    (grant,) = await desk.take()
    await desk.protocol.release(SHARD, [(grant.id, grant.generation)])
    (again,) = await desk.take()
    assert (again.id, again.deaths) == (request.id, 2)


async def test_a_suspect_that_ends_well_leaves_nothing_behind(desk: Desk) -> None:
    request = await suspect(desk)
    (grant,) = await desk.take()
    await desk.append(grant, 1, Started(worker="w"))
    assert await desk.finish(grant) == "ok"
    assert await desk.state(request) == "done"
    assert not await desk.redis.exists(keys.suspects(SHARD, "m"), keys.leases(SHARD, "m"), keys.deadletters(SHARD))


async def test_a_cancelled_suspect_ends_at_once(desk: Desk) -> None:
    request = await suspect(desk)
    await desk.take(1, running=1)
    assert await desk.protocol.cancel(request.id) == "running"
    assert await desk.state(request) == "cancelled"
    assert await desk.take() == []


async def test_ten_lost_workers_are_too_many_whoever_was_to_blame(desk: Desk) -> None:
    request = desk.request()
    await desk.submit(request)
    for number in range(10):
        (grant,) = await desk.take(lease=MOMENT)
        await desk.append(grant, grant.tail + 1, Delta(text="a") if number else Started(worker="w"), lease=MOMENT)
        await asyncio.sleep(2 * MOMENT.total_seconds())
    assert await desk.take() == []
    assert await desk.state(request) == "failed"


async def test_a_repeated_take_gives_the_suspect_again(desk: Desk) -> None:
    request = await suspect(desk)
    first, again = await desk.take(call="c"), await desk.take(call="c")
    assert [(grant.id, grant.generation) for grant in first] == [(grant.id, grant.generation) for grant in again]
    assert first[0].id == request.id


async def test_a_queue_full_of_cancelled_requests_is_cleared_in_many_takes(desk: Desk) -> None:
    for _ in range(300):
        request = desk.request()
        await desk.submit(request, bound=1000)
        await desk.protocol.cancel(request.id)
    last = desk.request()
    await desk.submit(last, bound=1000)
    assert await desk.take() == []
    assert 0 < await desk.redis.xlen(keys.requests(SHARD, "m", "interactive")) < 300
    assert [grant.id for grant in await desk.take()] == [last.id]
