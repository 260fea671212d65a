"""append and its end: no token lost, none doubled, exactly one end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from contracts import keys
from contracts.functions import Chunk
from contracts.ids import AccessId
from contracts.messages import Delta, Finished, Started, Usage, decode_reply
from tests.integration.contracts.conftest import LEASE, MOMENT, SHARD, USAGE, Desk


async def test_a_repeated_append_is_harmless(desk: Desk) -> None:
    grant = await desk.running()
    for _ in range(3):
        assert await desk.append(grant, 2, Delta(text="a"), Delta(text="b")) == "ok"
    assert await desk.log(grant) == [1, 2, 3]


async def test_an_append_that_overlaps_writes_only_what_is_new(desk: Desk) -> None:
    grant = await desk.running()
    await desk.append(grant, 2, Delta(text="a"), Delta(text="b"))
    assert await desk.append(grant, 3, Delta(text="b"), Delta(text="c")) == "ok"
    entries: Any = await desk.redis.xrange(keys.replies(grant.id))
    texts = [getattr(decode_reply(payload), "text", "") for _, fields in entries for payload in fields.values()]
    assert "".join(texts) == "abc"


async def test_a_hole_is_refused(desk: Desk) -> None:
    grant = await desk.running()
    assert await desk.append(grant, 3, Delta(text="b")) == "gap"
    assert await desk.log(grant) == [1]


async def test_nothing_comes_after_the_end(desk: Desk) -> None:
    grant = await desk.running()
    assert await desk.finish(grant) == "ok"
    assert await desk.append(grant, 4, Delta(text="more")) == "ended"
    assert await desk.finish(grant) == "ended"
    assert await desk.log(grant) == [1, 2, 3]


async def test_the_end_is_one_step_in_log_session_usage_and_queue(desk: Desk) -> None:
    session = await desk.session()
    grant = await desk.running(session=session)
    await desk.finish(grant)

    assert await desk.state(grant) == "done"
    turns: Any = await desk.redis.xrange(keys.turns(session))
    assert [fields[b"type"] for _, fields in turns] == [b"turn.started", b"turn.finished"]
    assert turns[1][1][b"text"] == b"ab"
    ((_, used),) = await desk.redis.xrange(keys.usage(SHARD))  # type: ignore[misc]
    assert Usage.decode(used[b"usage"]) == USAGE  # type: ignore[index]
    assert await desk.redis.xlen(keys.requests(SHARD, "m", "interactive")) == 0
    assert await desk.redis.zcard(keys.leases(SHARD, "m")) == 0
    assert await desk.redis.zcard(keys.deadlines(SHARD)) == 0
    assert await desk.redis.ttl(keys.replies(grant.id)) > 0
    assert await desk.redis.ttl(keys.request(grant.id)) > await desk.redis.ttl(keys.replies(grant.id))


async def test_an_ended_request_leaves_no_key_without_an_end(desk: Desk) -> None:
    grant = await desk.running()
    await desk.finish(grant)
    names: Any = await desk.redis.keys(f"*{grant.id}*")
    assert names
    assert all([await desk.redis.ttl(name) > 0 for name in names])


async def test_one_append_speaks_for_many_requests_and_answers_each(desk: Desk) -> None:
    grants = [await desk.running() for _ in range(3)]
    stranger = Chunk(grants[1].id, grants[0].generation, 2, [Delta(text="x")])
    own = [Chunk(grant.id, grant.generation, 2, [Delta(text="x")]) for grant in (grants[0], grants[2])]
    answers = await desk.protocol.append(SHARD, [own[0], stranger, own[1]], LEASE)
    assert [answer.status for answer in answers] == ["ok", "fenced", "ok"]


async def test_followers_hear_in_their_mailbox_what_was_logged(desk: Desk) -> None:
    grant = await desk.running()
    mailbox = keys.mailbox(SHARD, AccessId("access-1"))
    await desk.redis.xadd(mailbox, {"": ""})
    assert await desk.protocol.attach(grant.id, AccessId("access-1")) == ("running", 1)
    await desk.append(grant, 2, Delta(text="a"), Delta(text="b"))
    entries: Any = await desk.redis.xrange(mailbox)
    assert [name.decode().split(":")[:2] for name in entries[-1][1]] == [[grant.id, "2"], [grant.id, "3"]]
    assert await desk.protocol.detach(grant.id, AccessId("access-1")) == 0
    await desk.append(grant, 4, Delta(text="c"))
    assert await desk.redis.xlen(mailbox) == len(entries)


async def test_the_mailbox_of_a_dead_process_is_not_made_again(desk: Desk) -> None:
    grant = await desk.running()
    await desk.protocol.attach(grant.id, AccessId("access-dead"))
    await desk.append(grant, 2, Delta(text="a"))
    assert not await desk.redis.exists(keys.mailbox(SHARD, AccessId("access-dead")))


async def test_cancelling_what_runs_is_told_to_its_worker(desk: Desk) -> None:
    grant = await desk.running()
    assert await desk.protocol.cancel(grant.id) == "running"
    (answer,) = await desk.protocol.append(SHARD, [Chunk(grant.id, grant.generation, 2, [Delta(text="a")])], LEASE)
    assert (answer.status, answer.cancel) == ("ok", "cancel")
    (renewed,) = await desk.protocol.renew(SHARD, [(grant.id, grant.generation)], LEASE)
    assert renewed.cancel == "cancel"


async def test_a_renewed_lease_does_not_expire(desk: Desk) -> None:
    await desk.submit(desk.request())
    (grant,) = await desk.take(lease=MOMENT)
    await desk.protocol.renew(SHARD, [(grant.id, grant.generation)], LEASE)
    await asyncio.sleep(2 * MOMENT.total_seconds())
    assert await desk.take(worker="other") == []


async def test_the_sweep_ends_what_is_past_its_deadline(desk: Desk) -> None:
    waits, runs = desk.request(deadline_seconds=0.05), desk.request(deadline_seconds=0.05)
    await desk.submit(runs)
    (grant,) = await desk.take()
    await desk.submit(waits)
    await asyncio.sleep(0.1)

    assert await desk.protocol.sweep(SHARD) == 2

    assert await desk.state(waits) == "expired"
    (answer,) = await desk.protocol.renew(SHARD, [(grant.id, grant.generation)], LEASE)
    assert answer.cancel == "deadline", "who works on it ends it, with its usage"


async def test_an_end_that_was_torn_is_completed(desk: Desk) -> None:
    """A crash between the log's end and the rest: the next take finds the truth in the log."""
    await desk.submit(desk.request())
    (grant,) = await desk.take(lease=timedelta(milliseconds=1))
    field = f"{grant.generation}:f"
    ended = Finished(usage=USAGE).encode()
    await desk.append(grant, 1, Started(worker="w"), lease=timedelta(milliseconds=1))
    await desk.redis.xadd(keys.replies(grant.id), {field: ended}, id="2-0")
    await asyncio.sleep(0.02)

    assert await desk.take(worker="other") == []
    assert await desk.state(grant) == "done"
    assert await desk.redis.xlen(keys.requests(SHARD, "m", "interactive")) == 0
