"""Every key that a function touches lies in the slot of its shard: what a cluster demands, seen on a single server.

MONITOR shows each command that a function gives. A single server would forgive a key of another slot; a cluster refuses
it, and only when it comes to it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib import resources
from urllib.parse import urlparse

import pytest
from redis.crc import key_slot

from contracts import keys
from contracts.functions import (
    Chunk,
    Ending,
    GateBook,
    Grant,
    LearnedFacts,
    Library,
    Push,
    Pushes,
    PushQuota,
    Submission,
    Summaries,
    Turns,
)
from contracts.functions.gate import (
    Corrected,
    Entry,
    Granted,
    Learned,
    Levels,
    Refunded,
    Repeated,
    Reservation,
    Settled,
)
from contracts.ids import AccessId, SessionId, Shard, TenantId, WorkerId, new_request_id
from contracts.messages import Delta, Failure, Finished, Verdict
from tests.integration.contracts.conftest import USAGE, Desk

LEASE = timedelta(seconds=5)
HOUR = timedelta(hours=1)
ACCESS = AccessId("access-1")
WORKER = WorkerId("w")
FUNCTIONS = set(
    re.findall(r"register\('(\w+)'", resources.files("contracts.functions").joinpath("register.lua").read_text("utf-8"))
)
"""All that are registered: one that is new is to be called here too."""


@pytest.fixture
async def monitor(every_server: str) -> AsyncIterator[Monitor]:
    address = urlparse(every_server)
    # A line may be the source of the whole library.
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1 << 20)
    writer.write(b"MONITOR\r\n")
    assert await reader.readline() == b"+OK\r\n"
    yield Monitor(reader)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("shard", [Shard(0), Shard(1), Shard(17), Shard(9999)])
async def test_every_function_stays_in_the_slot_of_its_shard(desk: Desk, monitor: Monitor, shard: Shard) -> None:
    await call_all(desk, shard)
    seen = await monitor.until(desk)
    assert seen.functions == {name for name in FUNCTIONS if not name.startswith(("gate_", "profile_", "quota_"))}
    assert {key_slot(key.encode()) for key in seen.keys} == {key_slot(keys.shard_prefix(shard).encode())}
    assert seen.kinds >= {"request", "replies", "requests", "leases", "suspects", "emptying", "bell", "deadlines"}
    assert seen.kinds >= {"grants", "mailbox", "usage", "idempotency", "deadletters", "session", "turns"}
    assert seen.kinds >= {"sessions", "userrequests"}


async def test_the_gate_stays_in_its_own_slot(desk: Desk, monitor: Monitor) -> None:
    await call_gate(GateBook(Library(desk.redis)))
    seen = await monitor.until(desk)
    assert seen.functions == {name for name in FUNCTIONS if name.startswith("gate_")}
    assert {key_slot(key.encode()) for key in seen.keys} == {key_slot(keys.gate_prefix().encode())}


async def test_what_is_learned_of_a_user_stays_in_the_users_slot(desk: Desk, monitor: Monitor) -> None:
    facts, acme = LearnedFacts(Library(desk.redis)), TenantId("acme")
    await facts.switch(acme, "ana", on=True)
    fact = b'{"value": "Ana", "at": 9000000000000}'
    for _ in range(2):
        assert await facts.learn(acme, "ana", 9_000_000_000_000, {"name": fact})
    await facts.forget(acme, "ana")
    await facts.switch(acme, "ana", on=False)
    seen = await monitor.until(desk)
    assert seen.functions == {name for name in FUNCTIONS if name.startswith("profile_")}
    assert {key_slot(key.encode()) for key in seen.keys} == {key_slot(keys.learned(acme, "ana").encode())}


async def test_what_counts_pushes_stays_in_the_slot_of_their_streams(desk: Desk, monitor: Monitor) -> None:
    quota, session = PushQuota(Library(desk.redis), 9, 9), SessionId(new_request_id(Shard(7)))
    assert await quota.charge(TenantId("acme"), "hotels", session, "ana", ["a", "b"]) is None
    seen = await monitor.until(desk)
    assert seen.functions == {name for name in FUNCTIONS if name.startswith("quota_")}
    assert seen.kinds == {"bucket", "counted"}
    assert {key_slot(key.encode()) for key in seen.keys} == {key_slot(keys.push("hotels").encode())}


async def test_two_shards_lie_in_two_slots(desk: Desk, monitor: Monitor) -> None:
    """Otherwise the tests above would show nothing."""
    for shard in (Shard(0), Shard(1)):
        await desk.protocol.sweep(shard)
    seen = await monitor.until(desk)
    assert len({key_slot(key.encode()) for key in seen.keys}) == 2


class Monitor:
    """What MONITOR shows: the functions that were called, and the keys of the commands they gave."""

    def __init__(self, reader: asyncio.StreamReader):
        self._reader = reader
        self.functions: set[str] = set()
        self.keys: set[str] = set()

    @property
    def kinds(self) -> set[str]:
        """The part of each key behind its shard."""
        return {key.split("}:", 1)[1].split(":")[0] for key in self.keys}

    async def until(self, desk: Desk) -> Monitor:
        """Read all that was done so far."""
        await desk.redis.echo("enough")
        while b'"ECHO"' not in (line := await self._reader.readline()):
            self._note(line.decode("utf-8", "replace"))
        return self

    def _note(self, line: str) -> None:
        words = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
        if words[0].upper() == "FCALL":
            self.functions.add(words[1].rsplit("_", 1)[0])
        if words[0].upper() != "PUBLISH":
            self.keys.update(word for word in words if word.startswith(keys.PREFIX))


async def call_all(desk: Desk, shard: Shard) -> None:
    """Every function of the delivery protocol, on ways that touch every kind of key."""
    protocol, session = desk.protocol, SessionId(new_request_id(shard))
    await desk.redis.hset(keys.session(session), mapping={"tenant": "acme", "summarize": "1"})
    await desk.redis.xadd(keys.mailbox(shard, ACCESS), {"": ""})
    waits, gives_up, runs = (desk.request(id=new_request_id(shard), session=session, user="ana") for _ in range(3))
    for request in (waits, gives_up):
        await protocol.wait(Submission(request, HOUR))
    await protocol.keep_waiting(shard, [waits.id])
    await protocol.fail(gives_up.id, Failure(code="c", message="m"))
    await protocol.cancel(waits.id)
    submission = Submission(runs, HOUR, idempotency_key="key", fingerprint="body")
    assert (await protocol.submit(submission, queue_bound=9, follower=ACCESS)).outcome == "ok"
    grant = await take(desk, shard)
    await protocol.renew(shard, [(grant.id, grant.generation)], LEASE)
    await protocol.attach(grant.id, ACCESS)
    end = Ending("done", "a", USAGE)
    chunk = Chunk(grant.id, grant.generation, 1, [Delta(text="a"), Finished(usage=USAGE)], end)
    assert (await protocol.append(shard, [chunk], LEASE))[0].status == "ok"
    await protocol.detach(grant.id, ACCESS)
    push = Push("push-1", "hotels", TenantId("acme"), session, "Ping.")
    assert await Summaries(Library(desk.redis)).keep(session, TenantId("acme"), "1-0", b"{}") == "ok"
    await LearnedFacts(Library(desk.redis)).advance(session, TenantId("acme"), "1-0")
    pushed = await Pushes(Library(desk.redis)).push(push)
    assert pushed.outcome == "ok"
    turns = Turns(Library(desk.redis))
    assert await turns.say(session, TenantId("acme"), [("user", "q"), ("assistant", "a")])
    assert (await turns.unsay(session, TenantId("acme"), pushed.entry, "assistant")).outcome == "ok"
    assert await turns.adopt(session, TenantId("acme"), "ana") == "ana"
    assert await protocol.forget(grant.id)
    await lose_one(desk, shard)
    await protocol.sweep(shard, every=LEASE)


async def lose_one(desk: Desk, shard: Shard) -> None:
    """A request whose engine dies under it until it is given up, while a busy worker makes room for it."""
    request = desk.request(id=new_request_id(shard))
    await desk.protocol.submit(Submission(request, HOUR), queue_bound=9)
    for deaths in range(3):
        if deaths == 2:
            await desk.protocol.take(
                shard, "m", WORKER, "busy", slots=1, lease=LEASE, classes=("interactive",), running=1
            )
        grant = await take(desk, shard)
        await desk.protocol.release(shard, [(grant.id, grant.generation)], died="the engine died")
    assert not await desk.protocol.take(shard, "m", WORKER, "last", slots=1, lease=LEASE, classes=("interactive",))
    assert await desk.state(request) == "failed"
    assert await desk.protocol.drop(request.id)


async def take(desk: Desk, shard: Shard) -> Grant:
    desk.calls += 1
    (grant,) = await desk.protocol.take(
        shard, "m", WORKER, f"call-{desk.calls}", slots=1, lease=LEASE, classes=("interactive", "standard", "batch")
    )
    return grant


async def call_gate(book: GateBook) -> None:
    """Every function of the gate."""
    tenure, now_ms = await book.takeover("limiter-1", LEASE)
    assert tenure is not None
    verdict = Verdict(id=new_request_id(Shard(3)), decision="granted")
    tenant = TenantId("acme")
    held = Reservation(10, 20, tenant, "m", "ana", "k", "standard", 4, 6, 1, learns=True, grant_end_ms=now_ms + 1000)
    entries: list[Entry] = [
        Granted(ACCESS, verdict, held),
        Corrected(verdict.id, held),
        Settled(verdict.id, 8, 16, "2026-02-28", "2026-02"),
        Refunded(verdict.id),
        Repeated(ACCESS, verdict.id),
        Levels(keys.hashed(tenant), 1, 1, now_ms, 60),
        Learned(tenant, "m", "1:0:0"),
    ]
    await book.commit(tenure, LEASE, entries, 1)
    await book.keep(tenure, LEASE)
    await book.resign(tenure)
