"""Following a log through everything that Redis may lose: hints, registrations, the last writes, the request itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from redis.asyncio import Redis

from access.follower import ROLLED_BACK, Logged
from access.mailbox import Mailbox
from access.pace import Pace
from contracts import connection, keys
from contracts.errors import CallerError, DependencyDown, NotFound
from contracts.functions import Chunk, Ending, Grant, Protocol, Submission
from contracts.ids import AccessId, RequestId, Shard, TenantId, WorkerId, new_request_id
from contracts.messages import (
    ChatMessage,
    Delta,
    Finished,
    Generate,
    InferenceRequest,
    Reply,
    SequenceStarted,
    Started,
    Usage,
)
from tests.unit.access.logs_of_requests import USAGE

SHARD = Shard(0)
ACCESS = AccessId("access-test")
BRIEF = timedelta(milliseconds=30)
LONG = timedelta(seconds=60)
SOON = 20.0


@dataclass
class House:
    """One access process's mailbox, and a hand that does what workers do."""

    redis: Redis
    protocol: Protocol
    mailbox: Mailbox
    followed: list[asyncio.Task[list[Logged]]] = field(default_factory=list)

    async def running(self, lease: timedelta = LONG) -> Grant:
        """A request that a worker has taken, and begun."""
        request = InferenceRequest(
            id=new_request_id(SHARD),
            tenant=TenantId("acme"),
            user="",
            key="k",
            model="m",
            service_class="interactive",
            task=Generate(messages=(ChatMessage(role="user", content="hi"),)),
            created_at=time.time(),
            deadline_seconds=60.0,
        )
        await self.protocol.submit(Submission(request, timedelta(hours=1)), queue_bound=100)
        return await self.taken(lease)

    async def taken(self, lease: timedelta = LONG) -> Grant:
        """What a worker gets to run; it says that it began."""
        end = time.monotonic() + SOON
        while time.monotonic() < end:
            call = new_request_id(SHARD)
            grants = await self.protocol.take(
                SHARD, "m", WorkerId("w"), call, slots=1, lease=lease, classes=("interactive",)
            )
            if grants:
                await self.say(grants[0], grants[0].tail + 1, Started(worker=WorkerId("w")), lease=lease)
                return grants[0]
            await asyncio.sleep(0.02)
        raise AssertionError("nothing to take")

    async def say(self, grant: Grant, first: int, *replies: Reply, lease: timedelta = LONG) -> None:
        ending = Ending("done", "", USAGE) if isinstance(replies[-1], Finished) else None
        [answer] = await self.protocol.append(SHARD, [Chunk(grant.id, grant.generation, first, replies, ending)], lease)
        assert answer.status == "ok"

    def follow(self, request_id: RequestId) -> Heard:
        heard = Heard()
        heard.task = asyncio.create_task(self._follow(request_id, heard))
        self.followed.append(heard.task)
        return heard

    async def _follow(self, request_id: RequestId, heard: Heard) -> list[Logged]:
        async for batch in self.mailbox.follow(request_id):
            heard.replies += batch
        return heard.replies

    async def image(self) -> dict[bytes, bytes]:
        """All of Redis, as it is on disk at this moment."""
        return {key: await self.redis.dump(key) for key in await self.redis.keys()}  # type: ignore[misc]

    async def power_loss(self, image: dict[bytes, bytes]) -> None:
        """Redis comes back with what was on disk."""
        await self.redis.flushdb()
        for key, value in image.items():
            await self.redis.restore(key, 0, value)


@dataclass
class Heard:
    """What one follower was given."""

    replies: list[Logged] = field(default_factory=list)
    task: asyncio.Task[list[Logged]] = field(default=None)  # type: ignore[assignment]  # set where it is made

    @property
    def text(self) -> str:
        """What a client has on its screen."""
        shown = ""
        for logged in self.replies:
            if logged is ROLLED_BACK:
                shown = ""
            elif isinstance(logged.reply, Delta):
                shown += logged.reply.text
        return shown

    @property
    def numbers(self) -> list[int]:
        return [logged.seq for logged in self.replies]

    async def until(self, text: str) -> None:
        end = time.monotonic() + SOON
        while self.text != text:
            assert time.monotonic() < end, f"heard {self.text!r} instead of {text!r}"
            assert not self.task.done() or self.text == text, self.task
            await asyncio.sleep(0.01)

    async def begun(self) -> None:
        end = time.monotonic() + SOON
        while not self.replies:
            assert time.monotonic() < end, "nothing was heard"
            await asyncio.sleep(0.01)

    async def end(self) -> list[Logged]:
        return await asyncio.wait_for(self.task, SOON)


@pytest.fixture
async def house(redis: Redis, redis_url: str, protocol: Protocol) -> AsyncIterator[House]:
    reads = connection.blocking(redis_url)
    mailbox = Mailbox(redis, reads, protocol, ACCESS, Pace(timedelta(0)))
    await mailbox.open(SHARD)
    reading = asyncio.create_task(mailbox.read(SHARD))
    made = House(redis, protocol, mailbox)
    yield made
    for task in (reading, *made.followed):
        task.cancel()
    await asyncio.gather(reading, *made.followed, return_exceptions=True)
    await reads.aclose()


def words(*texts: str) -> list[Reply]:
    return [Delta(text=text, token_ids=(1,)) for text in texts]


async def test_every_reply_is_handed_on_once_and_the_end_ends_it(house: House) -> None:
    grant = await house.running()
    heard = house.follow(grant.id)
    await house.say(grant, 2, SequenceStarted(), *words("a", "b"))
    await heard.until("ab")
    await house.say(grant, 5, *words("c"), Finished(usage=Usage()))
    await heard.end()
    assert heard.numbers == [1, 2, 3, 4, 5, 6]
    assert house.mailbox.open_requests == 0


async def test_another_worker_that_goes_on_is_no_rollback(house: House) -> None:
    grant = await house.running()
    heard = house.follow(grant.id)
    await house.say(grant, 2, *words("a"))
    await heard.until("a")
    await house.protocol.release(SHARD, [(grant.id, grant.generation)])
    other = await house.taken()
    await house.say(other, 4, *words("b"), Finished(usage=Usage()))
    await heard.end()
    assert (heard.numbers, heard.text) == ([1, 2, 3, 4, 5], "ab")


async def test_a_log_that_was_lost_and_regrew_is_told_and_then_read_whole(house: House) -> None:
    grant = await house.running(BRIEF)
    await house.say(grant, 2, *words("one "), lease=BRIEF)
    heard = house.follow(grant.id)
    await heard.until("one ")
    image = await house.image()
    await house.say(grant, 3, *words("two ", "three "), lease=BRIEF)
    await heard.until("one two three ")

    await house.power_loss(image)
    other = await house.taken()
    await house.say(other, 4, *words("2 ", "3 ", "4 "), Finished(usage=Usage()))

    await heard.end()
    assert heard.text == "one 2 3 4 "
    assert heard.replies.count(ROLLED_BACK) == 1
    assert heard.numbers[-8:] == [0, 1, 2, 3, 4, 5, 6, 7]


async def test_a_log_that_regrew_to_less_than_was_handed_on_is_found_by_looking(house: House) -> None:
    grant = await house.running(BRIEF)
    heard = house.follow(grant.id)
    await heard.begun()
    image = await house.image()
    await house.say(grant, 2, *words("a", "b", "c", "d"), lease=BRIEF)
    await heard.until("abcd")

    await house.power_loss(image)
    await house.redis.delete(keys.mailbox(SHARD, ACCESS))
    other = await house.taken()
    await house.say(other, 3, *words("x"), Finished(usage=Usage()))
    await house.mailbox.look_once()

    await heard.end()
    assert heard.text == "x"


async def test_a_log_that_is_gone_and_has_not_regrown_begins_anew(house: House) -> None:
    grant = await house.running()
    heard = house.follow(grant.id)
    await house.say(grant, 2, *words("a"))
    await heard.until("a")
    await house.redis.delete(keys.replies(grant.id))
    await house.mailbox.look_once()
    await heard.until("")
    await house.say(grant, 1, Started(worker=WorkerId("w")), *words("b"), Finished(usage=Usage()))
    await heard.end()
    assert heard.text == "b"


async def test_a_request_that_redis_lost_altogether_is_told(house: House) -> None:
    grant = await house.running()
    heard = house.follow(grant.id)
    await house.say(grant, 2, *words("a"))
    await heard.until("a")
    await house.redis.flushdb()
    await house.mailbox.look_once()
    with pytest.raises(DependencyDown) as lost:
        await heard.end()
    assert lost.value.code == "request_lost"


async def test_a_request_that_is_only_about_to_be_submitted_is_not_lost(house: House) -> None:
    expected = house.mailbox.expect(new_request_id(SHARD))
    await house.mailbox.look_once()
    assert not expected.lost


async def test_an_end_whose_hint_was_lost_is_found_by_looking(house: House) -> None:
    grant = await house.running()
    heard = house.follow(grant.id)
    await house.say(grant, 2, *words("a"))
    await heard.until("a")
    await house.redis.delete(keys.mailbox(SHARD, ACCESS))
    await house.say(grant, 3, *words("b"), Finished(usage=Usage()))
    assert not heard.task.done()
    await house.mailbox.look_once()
    await heard.end()
    assert heard.numbers == [1, 2, 3, 4]


async def test_a_follower_that_redis_forgot_is_registered_again(house: House) -> None:
    grant = await house.running()
    heard = house.follow(grant.id)
    await house.say(grant, 2, *words("a"))
    await heard.until("a")
    await house.redis.hdel(keys.request(grant.id), "followers")
    await house.mailbox.look_once()
    await house.say(grant, 3, *words("b"))
    await heard.until("ab")
    assert await house.redis.hget(keys.request(grant.id), "followers") == ACCESS.encode()


async def test_a_mailbox_made_again_is_heard_though_its_ids_begin_lower(house: House) -> None:
    """As after a flush while the server's clock was set back."""
    box = keys.mailbox(SHARD, ACCESS)
    grant = await house.running()
    heard = house.follow(grant.id)
    await heard.begun()
    await house.redis.xadd(box, {"": ""}, id="9999999999999-0")
    await house.say(grant, 2, *words("a"))
    await heard.until("a")
    await house.redis.delete(box)
    await house.mailbox.open(SHARD)
    await house.say(grant, 3, *words("b"))
    await heard.until("ab")
    assert heard.numbers == [1, 2, 3]


async def test_looking_asks_for_each_tail_once_and_for_nothing_more(house: House) -> None:
    waiting = [house.follow((await house.running()).id) for _ in range(20)]
    for heard in waiting:
        await heard.begun()
    before = await commands(house.redis)
    await house.mailbox.look_once()
    after = await commands(house.redis)
    called = {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}
    assert (called["xrevrange"], called["hmget"]) == (20, 20)
    assert not {"fcall", "xrange"} & set(called)


async def test_an_expired_log_and_an_unknown_request_are_not_the_same(house: House) -> None:
    grant = await house.running()
    await house.say(grant, 2, Finished(usage=Usage()))
    await house.redis.delete(keys.replies(grant.id))
    with pytest.raises(CallerError) as expired:
        await house.follow(grant.id).end()
    assert expired.value.code == "log_expired"
    with pytest.raises(NotFound):
        await house.follow(new_request_id(SHARD)).end()


async def commands(redis: Redis) -> dict[str, int]:
    """Calls that the server has seen, by command; what functions call counts too."""
    stats: Any = await redis.info("commandstats")
    return {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}


@pytest.mark.parametrize("lived", [0, 1, 2])
async def test_a_process_that_is_killed_while_it_makes_its_mailbox_leaves_none_that_stays(
    redis: Redis, redis_url: str, protocol: Protocol, monkeypatch: pytest.MonkeyPatch, lived: int
) -> None:
    said = iter(range(lived))
    execute = redis.execute_command

    async def until_killed(*command: Any, **options: Any) -> Any:
        if next(said, None) is None:
            raise ConnectionError("killed")
        return await execute(*command, **options)

    async with connection.blocking(redis_url) as reads:
        mailbox = Mailbox(redis, reads, protocol, ACCESS, Pace(timedelta(0)))
        with monkeypatch.context() as patch, contextlib.suppress(ConnectionError):
            patch.setattr(redis, "execute_command", until_killed)
            await mailbox.open(SHARD)
    assert await redis.ttl(keys.mailbox(SHARD, ACCESS)) != -1
