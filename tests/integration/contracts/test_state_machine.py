"""The real functions on real servers, in random orders of steps, against an oracle that knows what they must have done.

Time does not pass here: a rule says that a lease or a deadline has run out, and moves its end into the past.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from contracts import connection, keys
from contracts.functions import Appended, Chunk, Ending, Grant, Library, Protocol, Submission
from contracts.ids import AccessId, RequestId, Shard, TenantId, WorkerId, shard_of
from contracts.messages import CLASSES, ChatMessage, Delta, Finished, Generate, InferenceRequest, Usage
from tests.integration.contracts.oracle import Ask, compare, judged, look, mailbox, queued

T = TypeVar("T")
SHARDS = (Shard(0), Shard(1))
WORKERS = tuple(WorkerId(f"w{number}") for number in range(3))
READERS = (AccessId("access-1"), AccessId("access-2"))
LEASE = timedelta(minutes=5)
STEPS = settings(
    max_examples=25,
    stateful_step_count=40,
    derandomize=True,
    phases=[Phase.generate],  # to shrink takes minutes on a real server: add Phase.shrink when there is something to
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
which = st.integers(0, 10**6)
shards = st.sampled_from(SHARDS)
workers = st.sampled_from(WORKERS)
readers = st.sampled_from(READERS)


def test_every_order_of_steps_does_what_the_oracle_says(every_server: str) -> None:
    run_state_machine_as_test(lambda: Deliveries(every_server), settings=STEPS)


class Deliveries(RuleBasedStateMachine):
    """Requests on two shards, three workers, two access processes."""

    def __init__(self, url: str):
        super().__init__()
        self.runner = asyncio.Runner()
        self.redis = connection.commands(url)
        self.protocol = Protocol(Library(self.redis))
        self.asks: list[Ask] = []
        self.running: dict[WorkerId, dict[str, Held]] = {worker: {} for worker in WORKERS}
        self.last_take: dict[tuple[WorkerId, Shard], tuple[str, list[Grant]]] = {}
        self.calls = 0
        self.do(self.redis.flushall())
        for shard in SHARDS:
            for access in READERS:
                self.do(self.redis.xadd(keys.mailbox(shard, access), {"": ""}))

    # Asking and following.

    @initialize(each=st.lists(st.tuples(shards, st.sampled_from(CLASSES)), min_size=3, max_size=6))
    def some_have_asked(self, each: list[tuple[Shard, Any]]) -> None:
        for shard, service_class in each:
            self.ask(shard, service_class, waits=False)

    @rule(shard=shards, service_class=st.sampled_from(CLASSES), waits=st.booleans())
    def ask(self, shard: Shard, service_class: Any, waits: bool) -> None:
        request = _request(RequestId(f"s{shard}_{len(self.asks):032x}"), service_class)
        ask = Ask(request, "waiting" if waits else "queued")
        self.asks.append(ask)
        assert (self.wait(ask) if waits else self.submit(ask)) == "ok"

    @rule(at=which)
    def ask_again(self, at: int) -> None:
        ask = self.one(at)
        assert self.wait(ask) == "ok"
        assert self.submit(ask) == "ok"
        if ask.state == "waiting":
            ask.state, ask.late = "queued", False  # its deadline counts from its submit

    @rule(at=which, access=readers, come=st.booleans())
    def come_or_go(self, at: int, access: AccessId, come: bool) -> None:
        ask = self.one(at)
        if come:
            assert self.do(self.protocol.attach(ask.id, access)) == (ask.state, ask.tail)
            ask.followers |= {access} if not ask.ended else set()
        else:
            ask.followers.discard(access)
            assert self.do(self.protocol.detach(ask.id, access)) == len(ask.followers)

    @rule(at=which, why=st.sampled_from(["cancel", "deadline", "swept deadline", "sweep"]))
    def stop(self, at: int, why: str) -> None:
        ask = self.one(at)
        if why == "cancel":
            self.cancel(ask)
        if "deadline" in why:
            self.pass_the_deadline(ask)
        if why.startswith("sw"):
            self.sweep(shard_of(ask.id))

    def cancel(self, ask: Ask) -> None:
        assert self.do(self.protocol.cancel(ask.id)) == ask.state
        if ask.generation and not ask.ended:
            ask.cancel = "cancel"
        elif not ask.ended:
            ask.end("cancelled")

    def pass_the_deadline(self, ask: Ask) -> None:
        if not ask.ended:
            ask.late = True
            self.do(self.redis.hset(keys.request(ask.id), "deadline", 1))
            self.do(self.redis.zadd(keys.deadlines(shard_of(ask.id)), {ask.id: 1}))

    # Working.

    @rule(shard=shards, worker=workers, slots=st.integers(1, 3))
    def take(self, shard: Shard, worker: WorkerId, slots: int) -> None:
        self.calls += 1
        wanted = [ask for ask in self.on(shard) if ask.wanted]
        met = len([ask for ask in self.on(shard) if not ask.ended])
        grants = self.taken(shard, worker, f"call-{self.calls}", slots)
        for ask, seen in zip(self.on(shard), self.do(look(self.redis, self.on(shard))), strict=True):
            judged(ask, seen)
        met -= len([ask for ask in self.on(shard) if not ask.ended])
        if not met and not any(ask.suspect for ask in wanted):
            assert len(grants) == min(slots, len(wanted)), "work was left lying"
        for grant in grants:
            self.ask_of(grant).give(grant)
            self.running[worker][grant.id] = Held(grant)
        if any(grant.is_suspect for grant in grants):
            assert len(self.running[worker]) == 1, "a suspect runs alone"
        if grants:
            self.last_take[worker, shard] = f"call-{self.calls}", grants

    @rule(at=which)
    def take_again(self, at: int) -> None:
        if not self.last_take:
            return
        (worker, shard), (call, grants) = list(self.last_take.items())[at % len(self.last_take)]
        again = {(grant.id, grant.generation) for grant in self.taken(shard, worker, call, slots=3)}
        for grant in grants:
            ask = self.ask_of(grant)
            if not ask.ended:  # of what has ended, its first append tells
                assert ((grant.id, grant.generation) in again) == (ask.generation == grant.generation)
        assert again <= {(grant.id, grant.generation) for grant in grants}

    @rule(at=which, count=st.integers(1, 3), back=st.integers(0, 2))
    def append(self, at: int, count: int, back: int) -> None:
        """From ``back`` replies before what is known to be logged: what overlaps must not be doubled."""
        if held := self.held(at):
            self.say(held, count, back, ends=False)

    @rule(at=which, count=st.integers(0, 2))
    def append_the_end(self, at: int, count: int) -> None:
        if held := self.held(at):
            self.say(held, count, 0, ends=True)

    @rule(at=which)
    def renew_or_append_over_a_hole(self, at: int) -> None:
        held = self.held(at)
        if held is None:
            return
        self.write(held, held.chunk(self.ask_of(held.grant).tail + 2, 1, ends=False))
        expected = self.ask_of(held.grant).answer_to(held.chunk(held.known + 1, 0, ends=False))
        (answer,) = self.do(self.protocol.renew(held.shard, [(held.grant.id, held.grant.generation)], LEASE))
        assert (answer.status, answer.tail) == (expected.status, expected.tail)

    @rule(at=which, died=st.booleans())
    def release(self, at: int, died: bool) -> None:
        held = self.held(at)
        if held is None:
            return
        ask, owned = self.ask_of(held.grant), [(held.grant.id, held.grant.generation)]
        ours = ask.state == "running" and ask.generation == held.grant.generation
        for times in (ours, 0):
            assert self.do(self.protocol.release(held.shard, owned, "the engine died" if died else "")) == times
        if ours:
            ask.let_go(died=died)

    @rule(at=which, other=workers)
    def lose_to_another(self, at: int, other: WorkerId) -> None:
        """A worker freezes for longer than its lease, and another takes over."""
        held = self.held(at)
        if held is None:
            return
        self.run_out(self.ask_of(held.grant), held.grant.generation)
        if self.running[other].get(held.grant.id) is not held:
            self.take(held.shard, other, 3)

    @rule(worker=workers)
    def die(self, worker: WorkerId) -> None:
        """A worker is gone, with all it knew; its leases run out."""
        for held in self.running[worker].values():
            self.run_out(self.ask_of(held.grant), held.grant.generation)
        self.running[worker].clear()

    def sweep(self, shard: Shard) -> None:
        late = [ask for ask in self.on(shard) if ask.late and not ask.ended]
        assert self.do(self.protocol.sweep(shard)) == len(late)
        for ask in late:
            if ask.generation and not ask.lost:
                cancel = self.do(self.redis.hget(keys.request(ask.id), "cancel"))
                assert cancel is not None, "its worker is not told"
                ask.cancel = cancel.decode()
            else:
                ask.generation = ""
                ask.end("expired")

    # What holds after every step.

    @invariant()
    def redis_is_as_the_oracle_says(self) -> None:
        for ask, seen in zip(self.asks, self.do(look(self.redis, self.asks)), strict=True):
            compare(ask, seen)

    @invariant()
    def queues_hold_what_has_not_ended(self) -> None:
        for shard in SHARDS:
            found = [one for name in CLASSES for one in self.do(queued(self.redis, shard, name))]
            assert len(found) == len(set(found)), "a request stands in a queue twice"
            submitted = {ask.id for ask in self.on(shard) if not ask.ended and ask.state != "waiting"}
            assert submitted <= set(found)

    @invariant()
    def mailboxes_told_what_was_logged(self) -> None:
        for shard in SHARDS:
            for access in READERS:
                heard = {ask.id: ask.heard[access] for ask in self.on(shard) if access in ask.heard}
                assert self.do(mailbox(self.redis, shard, access)) == heard

    def teardown(self) -> None:
        """Nothing fails any more: all comes to an end, and nothing is left."""
        try:
            self.come_to_rest()
        finally:
            self.do(self.redis.aclose())
            self.runner.close()

    def come_to_rest(self) -> None:
        for worker in WORKERS:
            self.die(worker)
        for ask in self.asks:
            if ask.state == "waiting":
                self.cancel(ask)
        for shard in SHARDS:
            for _ in range(3 * len(self.asks) + 1):
                self.do(self.redis.delete(keys.emptying(shard, "m")))
                self.take(shard, WORKERS[0], 3)
                for held in list(self.running[WORKERS[0]].values()):
                    self.say(held, 1, 0, ends=True)
            self.sweep(shard)
            self.redis_is_as_the_oracle_says()
            assert all(ask.ended for ask in self.on(shard))
            for leftover in (keys.leases(shard, "m"), keys.suspects(shard, "m"), keys.deadlines(shard)):
                assert not self.do(self.redis.exists(leftover)), f"{leftover} is not empty"
            assert not [one for name in CLASSES for one in self.do(queued(self.redis, shard, name))]

    # What the rules are made of.

    def do(self, step: Coroutine[Any, Any, T] | Any) -> T:
        return self.runner.run(step)

    def on(self, shard: Shard) -> list[Ask]:
        return [ask for ask in self.asks if shard_of(ask.id) == shard]

    def one(self, at: int) -> Ask:
        return self.asks[at % len(self.asks)]

    def ask_of(self, grant: Grant) -> Ask:
        return next(ask for ask in self.asks if ask.id == grant.id)

    def held(self, at: int) -> Held | None:
        """One of what workers have. Not a precondition of rules: their choice must not depend on what Redis answers."""
        held = [held for worker in WORKERS for held in self.running[worker].values()]
        return held[at % len(held)] if held else None

    def drop(self, dropped: Held) -> None:
        for held in self.running.values():
            if held.get(dropped.grant.id) is dropped:
                del held[dropped.grant.id]

    def wait(self, ask: Ask) -> str:
        return self.do(self.protocol.wait(Submission(ask.request, timedelta(hours=1)), kept=LEASE)).outcome

    def submit(self, ask: Ask) -> str:
        return self.do(self.protocol.submit(Submission(ask.request, timedelta(hours=1)), queue_bound=1000)).outcome

    def taken(self, shard: Shard, worker: WorkerId, call: str, slots: int) -> list[Grant]:
        running = len(self.running[worker])
        return self.do(
            self.protocol.take(
                shard, "m", worker, call, slots=slots, lease=LEASE, classes=tuple(CLASSES), running=running
            )
        )

    def say(self, held: Held, count: int, back: int, *, ends: bool) -> None:
        """Append ``count`` new replies, twice, as a client that has heard no answer does."""
        first = max(held.base, held.known - back) + 1
        chunk = held.chunk(first, held.known + count - first + 1, ends=ends)
        self.write(held, chunk)
        again = self.write(held, chunk)
        held.known = again.tail
        if again.status in ("fenced", "ended"):
            self.drop(held)

    def write(self, held: Held, chunk: Chunk) -> Appended:
        expected = self.ask_of(held.grant).answer_to(chunk)
        (answer,) = self.do(self.protocol.append(held.shard, [chunk], LEASE))
        assert (answer.status, answer.tail) == (expected.status, expected.tail)
        assert answer.cancel == (expected.cancel if expected.status == "ok" else "")
        return answer

    def run_out(self, ask: Ask, generation: str) -> None:
        if ask.generation == generation and not ask.ended:
            ask.lost = True
            self.do(self.redis.zadd(keys.leases(shard_of(ask.id), "m"), {ask.id: 1}))


class Held:
    """What a worker has of one request: all its replies from ``base`` on can be made again."""

    def __init__(self, grant: Grant):
        self.grant = grant
        self.base = self.known = grant.tail
        self.shard = shard_of(grant.id)

    def chunk(self, first: int, count: int, *, ends: bool) -> Chunk:
        """``count`` replies from number ``first`` on, each saying its number, and an end behind them if ``ends``."""
        replies: list[Any] = [Delta(text=str(seq)) for seq in range(first, first + count)]
        ending = Ending("done", "", Usage()) if ends else None
        return Chunk(
            self.grant.id, self.grant.generation, first, [*replies, *([Finished(usage=Usage())] * ends)], ending
        )


def _request(request_id: RequestId, service_class: Any) -> InferenceRequest:
    return InferenceRequest(
        id=request_id,
        tenant=TenantId("acme"),
        user="",
        key="k",
        model="m",
        service_class=service_class,
        task=Generate(messages=(ChatMessage(role="user", content="hi"),)),
        created_at=time.time(),
        deadline_seconds=3600.0,
    )
