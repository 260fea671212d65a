"""One request, two workers, one client and a Redis that may fail: every step that any of them can make.

Theory of operation. A ``World`` is everything that matters at one moment; ``Model.moves`` lists what may happen next.
Nobody has a clock: a lease may run out at any time, which is what a frozen worker, a stalled network and a slow Redis
look like to the others, and a worker that is not moved for a while is a frozen one that thaws later. Faults are paid
for from a purse, so that the worlds are finitely many. Tokens are determined by their place (``t1`` is first), so what
is lost, doubled or reordered shows in the log; who wrote them is told by the generation.

Where this leads when nothing fails any more is told by ``calm.py``. Left out, because they do not meet here: other
requests in the same worker, idempotency keys, sessions, the gate. The real functions are held to the same promises,
with several requests, by ``tests/integration/contracts/test_state_machine.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.model.store import NOBODY, Answer, Draft, Entry, Functions, Grant, Reply, Store
from tests.model.world import LateCall, Worker, World, forgotten, spend, with_worker

Move = tuple[str, World]
Called = tuple[str, World, Any]


class Model:
    """The system with the given functions and number of tokens; access's own rules are methods, for mutants."""

    def __init__(self, functions: Functions, tokens: int = 2):
        self.functions = functions
        self.tokens = tokens

    def moves(self, world: World) -> Iterator[Move]:
        """Everything that may happen next, with its name."""
        yield from self.client_moves(world)
        for worker in (0, 1):
            yield from self.worker_moves(world, worker)
        yield from self.others(world)
        yield from self.failures(world)

    # The client, and access for it.

    def client_moves(self, world: World) -> Iterator[Move]:
        client = world.client
        if client.asked in ("", "waits", "unsure"):
            yield from self.submit(world)
        if not client.asked:
            for name, after, _ in self.call(world, "wait"):
                yield name, after._replace(client=client._replace(asked="waits"))
        if client.asked == "accepted" and not client.gone and not client.at_end:
            yield from self.following(world)
        if world.purse.cancels and client.asked:
            for name, after, _ in self.call(spend(world, "cancels"), "cancel"):
                yield name, after

    def submit(self, world: World) -> Iterator[Move]:
        for name, after, answer in self.call(world, "submit"):
            asked = {"ok": "accepted", "ended": "refused", None: "unsure"}[answer]
            follows = "live" if asked != "refused" else ""
            yield name, after._replace(client=world.client._replace(asked=asked, follows=follows))

    def following(self, world: World) -> Iterator[Move]:
        client = world.client
        if not client.follows:
            for name, after, _ in self.call(world, "attach"):
                yield name, after._replace(client=client._replace(follows="behind"))
            return
        if client.follows == "behind":
            yield "access reads the log", self.shown(world, self.read(client.view, world.store.log), "live")
        elif world.heard:
            yield "access hands on what it heard", self.hand_on(world)
        if world.purse.visits:
            for name, after, _ in self.call(spend(world, "visits"), "detach"):
                yield name, after._replace(client=client._replace(follows=""), heard=())

    def hand_on(self, world: World) -> World:
        """One reply from the mailbox: shown if it follows what was shown; else only the log can say."""
        view, reply = world.client.view, world.heard[0]
        rest = world._replace(heard=world.heard[1:])
        if reply.seq <= world.client.seen:
            return rest
        if self.follows_on(view, reply):
            return self.shown(rest, (*view, reply), "live")
        return self.shown(rest, None, "behind")

    def follows_on(self, view: tuple[Reply, ...], reply: Reply) -> bool:
        """Whether a reply surely continues what was shown: no hole, and by the same writer."""
        if not view:
            return reply.seq == 1
        return reply.seq == view[-1].seq + 1 and reply.generation == view[-1].generation

    def read(self, view: tuple[Reply, ...], log: tuple[Reply, ...]) -> tuple[Reply, ...]:
        """What the log adds to what was shown; all of it anew (a reset) where it does not hold the last one shown."""
        if view and not self.holds(log, view[-1]):
            view = ()
        seen = view[-1].seq if view else 0
        return (*view, *(reply for reply in log if reply.seq > seen))

    def holds(self, log: tuple[Reply, ...], shown: Reply) -> bool:
        return any((reply.seq, reply.generation) == (shown.seq, shown.generation) for reply in log)

    def look(self, world: World) -> World:
        """The look now and then at the tail of an open log: it finds what no mailbox told, an older log too."""
        client, log = world.client, world.store.log
        if not world.store.state:
            return world._replace(client=client._replace(gone=True, follows="", view=()), heard=())
        if self.needs_reading(client.view, log):
            return self.shown(world, None, "behind")
        return world

    def needs_reading(self, view: tuple[Reply, ...], log: tuple[Reply, ...]) -> bool:
        last = [(reply.seq, reply.generation) for reply in (log[-1:])]
        return last != [(reply.seq, reply.generation) for reply in view[-1:]]

    def shown(self, world: World, view: tuple[Reply, ...] | None, follows: str) -> World:
        client = world.client
        return world._replace(client=client._replace(follows=follows, view=client.view if view is None else view))

    # A worker.

    def worker_moves(self, world: World, at: int) -> Iterator[Move]:
        me = world.workers[at]
        if not me.generation:
            yield from self.take(world, at)
            return
        if me.produced > me.acked:
            yield from self.append(world, at, me)
        if not me.end:
            yield from self.append(world, at, self.produced(me))
            for name, after, answer in self.call(world, "renew", me.generation):
                yield name, with_worker(after, at, self.heed(me, answer))
            for fault, died in (("releases", False), ("crashes", True)):
                if getattr(world.purse, fault):
                    for name, after, _ in self.call(spend(world, fault), "release", me.generation, died):
                        yield name, with_worker(after, at, Worker())

    def take(self, world: World, at: int) -> Iterator[Move]:
        me = world.workers[at]
        if not me.call:
            if world.takes >= world.purse.takes:
                return
            world = world._replace(takes=world.takes + 1)
            me = Worker(call=world.takes)
        for name, after, grant in self.call(world, "take", at, me.call, me.call, world.late, silent=me):
            yield name, with_worker(after, at, me if grant is me else self.granted(grant))

    def granted(self, grant: Grant | None) -> Worker:
        return Worker(grant.generation, grant.tail, grant.tail, grant.tail) if grant else Worker()

    def produced(self, me: Worker) -> Worker:
        """One more reply: the next token, the end behind the last, or the end at once for who was told to stop."""
        if me.told:
            end = {"cancel": "cancelled", "deadline": "expired"}[me.told]
        else:
            end = "done" if me.produced >= self.tokens else ""
        return me._replace(produced=me.produced + 1, end=end)

    def append(self, world: World, at: int, me: Worker) -> Iterator[Move]:
        replies = tuple(self.reply(me, seq) for seq in range(me.acked + 1, me.produced + 1))
        for name, after, answer in self.call(world, "append", me.generation, me.acked + 1, replies, me.end):
            yield name, with_worker(after, at, self.heed(me, answer))

    def reply(self, me: Worker, seq: int) -> str:
        return me.end if me.end and seq == me.produced else f"t{seq}"

    def heed(self, me: Worker, answer: Answer | None) -> Worker:
        """What a worker makes of an answer. Its buffer reaches back to its base; below that, all is another's."""
        if answer is None:
            return me
        if answer.status in ("fenced", "ended") or answer.tail < me.base:
            return Worker()
        me = me._replace(acked=min(answer.tail, me.produced), told=me.told or answer.cancel)
        return Worker() if me.end and me.acked == me.produced else me

    # Time, the sweeper, and what fails.

    def others(self, world: World) -> Iterator[Move]:
        owner_lives = any(self.owns(world.store, me, at) for at, me in enumerate(world.workers))
        if world.store.lease == "held" and (world.purse.freezes or not owner_lives):
            after = spend(world, "freezes") if owner_lives else world
            yield "the lease runs out", after._replace(store=world.store._replace(lease="expired"))
        if world.purse.deadlines and world.store.state:
            yield "the deadline passes", spend(world, "deadlines")._replace(late=True)
        for name, after, _ in self.call(world, "sweep", world.late):
            if after.store != world.store:
                yield name, after
        if world.client.follows == "live" and not world.client.at_end and (after := self.look(world)) != world:
            yield "access looks at the tail", after
        if world.under_way:
            yield "a late call arrives", self.arrive(world)

    def owns(self, store: Store, me: Worker, at: int) -> bool:
        """Whether a living worker has the request, or will learn so when it repeats its take."""
        mine = me.generation or (store.calls[at][1] if me.call and store.calls[at][0] == me.call else NOBODY)
        return mine != NOBODY and mine == store.generation

    def arrive(self, world: World) -> World:
        late = world.under_way
        assert late is not None
        draft, arguments = Draft(world.store), late.arguments
        if late.function == "take":
            world, arguments = self.drawn_anew(world, arguments)
        getattr(self.functions, late.function)(draft, *arguments)
        return self.written(world, draft)._replace(under_way=None)

    def drawn_anew(self, world: World, arguments: tuple[Any, ...]) -> tuple[World, tuple[Any, ...]]:
        """A generation is of one execution: Redis adds its time to what the worker drew, so a copy gets another."""
        at, call, _, late = arguments
        takes = world.takes + 1
        return world._replace(takes=takes), (at, call, takes, late)

    def failures(self, world: World) -> Iterator[Move]:
        purse, client = world.purse, world.client
        for at in (0, 1):
            if purse.crashes and world.workers[at] != Worker():
                yield "a worker dies", self.reborn(spend(world, "crashes"), at)
        if purse.access_crashes and client.follows:
            after = spend(world, "access_crashes")
            yield "access dies", after._replace(client=client._replace(follows=""), heard=())
        if purse.lost_hints and world.heard:
            yield "the mailbox loses a reply", spend(world, "lost_hints")._replace(heard=world.heard[1:])
        yield from self.losses_of_redis(world)

    def losses_of_redis(self, world: World) -> Iterator[Move]:
        """What Redis forgets: who has what of the queue, an answered take, all that is younger than its disk."""
        purse, store = world.purse, world.store
        if purse.lost_groups and any(entry.delivered for entry in store.queue):
            queue = tuple(Entry(entry.number) for entry in store.queue)
            yield "Redis loses the group", spend(world, "lost_groups")._replace(store=store._replace(queue=queue))
        for at, (call, _) in enumerate(store.calls):
            if purse.forgotten_calls and call and world.workers[at].call != call:
                yield "Redis forgets an answered take", forgotten(spend(world, "forgotten_calls"), at)
        if purse.rollbacks and world.disk is None:
            yield "Redis writes to disk", world._replace(disk=store)
        elif purse.rollbacks and world.disk is not None and world.disk != store:
            yield "Redis rolls back", self.rolled_back(spend(world, "rollbacks"), world.disk)._replace(disk=None)

    def reborn(self, world: World, at: int) -> World:
        """Another process in a dead one's place; it has a new name, so Redis knows no call of it."""
        return with_worker(forgotten(world, at), at, Worker())

    def rolled_back(self, world: World, store: Store) -> World:
        """The store is an older one, and what was under way to the server before is gone with it. A client that has had
        its end is content, and not asked again."""
        client = world.client
        if client.at_end:
            client = client._replace(gone=True, follows="", view=())
        return world._replace(store=store, client=client, under_way=None)

    # Calls.

    def call(self, world: World, function: str, *arguments: Any, silent: Any = None) -> Iterator[Called]:
        """The ways a call may go; ``silent`` stands for the answer where none arrives."""
        draft = Draft(world.store)
        answer = getattr(self.functions, function)(draft, *arguments)
        yield function, self.written(world, draft), answer
        if world.purse.lost_answers and function != "sweep":
            yield f"{function}, its answer lost", self.written(spend(world, "lost_answers"), draft), silent
        if world.purse.power_losses:
            cut = spend(world, "power_losses")
            for number, partly in enumerate(draft.steps[:-1], 1):
                torn = self.rolled_back(cut, partly)._replace(torn=True)
                yield f"{function}, power lost after write {number}", torn, silent
        if world.purse.late_calls and not world.under_way and function != "sweep":
            late = spend(world, "late_calls")._replace(under_way=LateCall(function, arguments))
            yield f"{function}, still under way", late, silent

    def written(self, world: World, draft: Draft) -> World:
        """The world after a function, its followers told what was logged."""
        heard = world.heard
        if draft.now.followed and world.client.follows:
            heard = (*heard, *draft.now.log[len(world.store.log) :])
        return world._replace(store=draft.now, heard=heard)
