"""take: a request becomes one worker's own, and comes back when that worker is gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contracts import keys
from contracts.functions import Library, Protocol
from contracts.ids import WorkerId
from contracts.messages import Delta, Started
from tests.integration.contracts.conftest import MOMENT, SHARD, Desk


async def test_urgent_classes_come_first(desk: Desk) -> None:
    for service_class in ("batch", "standard", "interactive"):
        await desk.submit(desk.request(service_class=service_class))
    taken = [(await desk.take())[0].request.service_class for _ in range(3)]
    assert taken == ["interactive", "standard", "batch"]


@pytest.mark.parametrize("slots", [1, 3, 5])
async def test_a_worker_never_gets_more_than_its_free_slots(desk: Desk, slots: int) -> None:
    for service_class in ("interactive", "standard", "batch") * 3:
        await desk.submit(desk.request(service_class=service_class))
    assert len(await desk.take(slots)) == slots


async def test_a_repeated_take_returns_the_same_grants(desk: Desk) -> None:
    for _ in range(4):
        await desk.submit(desk.request())
    first, again = await desk.take(2, call="c"), await desk.take(2, call="c")
    assert [(grant.id, grant.generation) for grant in first] == [(grant.id, grant.generation) for grant in again]
    assert len(await desk.take(9)) == 2


async def test_two_workers_never_share_a_request(desk: Desk) -> None:
    for _ in range(40):
        await desk.submit(desk.request())
    taken = await asyncio.gather(*(desk.take(3, worker=f"w{number}") for number in range(20)))
    ids = [grant.id for grants in taken for grant in grants]
    assert len(ids) == len(set(ids)) == 40


async def test_an_expired_lease_is_continued_from_its_log_and_its_old_owner_is_fenced(desk: Desk) -> None:
    await desk.submit(desk.request())
    (first,) = await desk.take(lease=MOMENT)
    await desk.append(first, 1, Started(worker="w"), Delta(text="a", token_ids=(1,)), lease=MOMENT)
    await asyncio.sleep(2 * MOMENT.total_seconds())

    (second,) = await desk.take(worker="other")

    assert (second.id, second.tail, second.deaths) == (first.id, 2, 0)
    assert await desk.append(first, 3, Delta(text="b")) == "fenced"
    assert await desk.append(second, 3, Delta(text="b")) == "ok"
    assert await desk.log(first) == [1, 2, 3]


async def test_a_request_whose_workers_die_at_once_is_given_up_with_an_end(desk: Desk) -> None:
    request = desk.request()
    await desk.submit(request)
    for _ in range(3):
        assert len(await desk.take(lease=MOMENT)) == 1
        await asyncio.sleep(2 * MOMENT.total_seconds())
    assert await desk.take() == []
    assert await desk.state(request) == "failed"
    assert await desk.redis.xlen(keys.deadletters(SHARD)) == 1
    assert await desk.redis.xlen(keys.requests(SHARD, "m", "interactive")) == 0


async def test_what_a_leaving_worker_releases_is_taken_at_once_and_counts_no_death(desk: Desk) -> None:
    grant = await desk.running()
    assert await desk.protocol.release(SHARD, [(grant.id, grant.generation)]) == 1
    assert await desk.append(grant, 2, Delta(text="x")) == "fenced"
    (again,) = await desk.take()
    assert (again.id, again.tail, again.deaths) == (grant.id, 1, 0)


async def test_a_request_past_its_deadline_is_not_run(desk: Desk) -> None:
    request = desk.request(deadline_seconds=0.01)
    await desk.submit(request)
    await asyncio.sleep(0.05)
    assert await desk.take() == []
    assert await desk.state(request) == "expired"
    assert await desk.log(request) == [1]


async def test_a_cancelled_request_leaves_the_queue_when_a_worker_meets_it(desk: Desk) -> None:
    request = desk.request()
    await desk.submit(request)
    assert await desk.protocol.cancel(request.id) == "queued"
    assert await desk.state(request) == "cancelled"
    assert await desk.take() == []
    assert await desk.redis.xlen(keys.requests(SHARD, "m", "interactive")) == 0


async def test_a_second_entry_of_a_request_runs_nothing_twice_and_is_removed(desk: Desk) -> None:
    request = desk.request()
    queue = keys.requests(SHARD, "m", "interactive")
    await desk.submit(request)
    await desk.redis.xadd(queue, {"id": request.id})
    (grant,) = await desk.take(5)
    await desk.append(grant, 1, Started(worker="w"))
    await desk.finish(grant)
    assert await desk.redis.xlen(queue) == 0


async def test_an_entry_that_its_request_does_not_know_of_leaves_with_it(desk: Desk) -> None:
    request = desk.request()
    await desk.submit(request)
    await desk.redis.hdel(keys.request(request.id), "entry")
    (grant,) = await desk.take()
    await desk.append(grant, 1, Started(worker="w"))
    await desk.finish(grant)
    assert await desk.redis.xlen(keys.requests(SHARD, "m", "interactive")) == 0


async def test_work_goes_on_after_the_group_was_destroyed(desk: Desk) -> None:
    await desk.submit(desk.request())
    await desk.take()
    await desk.redis.xgroup_destroy(keys.requests(SHARD, "m", "interactive"), "workers")
    await desk.submit(desk.request())
    assert len(await desk.take(9)) == 1, "the one that runs is not given out again"


async def test_work_goes_on_after_a_flush_of_everything(desk: Desk) -> None:
    await desk.running()
    await desk.redis.flushall()
    await desk.redis.execute_command("FUNCTION", "FLUSH")
    await desk.submit(desk.request())
    assert len(await desk.take()) == 1


class Remembering(Library):
    """Keeps its last call, as the network may."""

    last: tuple[str, tuple[str, ...], tuple[Any, ...]]

    async def call(self, name: str, *redis_keys: str, args: tuple[Any, ...] = ()) -> Any:
        self.last = (name, redis_keys, args)
        return await super().call(name, *redis_keys, args=args)


async def test_a_copy_of_a_take_that_arrives_late_does_not_bring_back_a_fenced_generation(desk: Desk) -> None:
    library = Remembering(desk.redis)
    await desk.submit(desk.request())
    await desk.submit(desk.request())
    (first,) = await Protocol(library).take(
        SHARD, "m", WorkerId("w"), "1", slots=1, lease=MOMENT, classes=("interactive",)
    )
    name, redis_keys, args = library.last
    await desk.take(call="2")  # the same worker's next call: the first is remembered no longer
    await asyncio.sleep(2 * MOMENT.total_seconds())
    (second,) = await desk.take(worker="another", lease=MOMENT)
    await asyncio.sleep(2 * MOMENT.total_seconds())
    _, (third,) = await library.call(name, *redis_keys, args=args)
    assert first.id == second.id == third[0].decode()
    assert len({first.generation, second.generation, third[1].decode()}) == 3
