"""Access asks, limiters decide, Redis remembers: every step that any of them can make.

Theory of operation. A ``World`` is everything that matters at one moment; ``Model.moves`` lists what may happen next.
Who is not moved is frozen, a message that is not taken is delayed, and a lost question is one that was not put yet.
Nobody has a clock, but grants end in the order in which they were given. What may fail is paid for from a purse, so
that the worlds are finitely many.

Five rules make it hold together; each has its mutants:

- Only the active limiter writes, and its commits are counted: no copy of one comes behind a later one.
- Whatever is said of a grant names it. Access numbers its attempts: who lets go of a grant asks in a new attempt, hears
  no verdict on the old one, and takes nothing back that came after.
- Who does not know whether a submit has arrived lets go of nothing; the gate finds out, when the grant is over for all.
- Usage is acknowledged behind a commit, even of nothing: it proves that the reservation was ours to settle.
- Usage that somebody has read and not acknowledged is read again, for as long as a limiter lives.

Where this leads when nothing fails any more is told by ``calm.py``. Left out, because they do not meet here: who waits
in which order and is told so, buckets that refill, several tenants and models, requests that go on without a grant.
Left out, because it would heal some of what the promises are to find: the sweeper counts a grant as unused, too, whose
request has ended and is paid.
Left out, because nothing here could refuse it: a copy of a submit that arrives before its grant's end, and after its
repetition was answered that the session is busy.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.gate.store import (
    CORRECTED,
    ESTIMATE,
    REFUSED,
    USED,
    Correct,
    Draft,
    Entry,
    Functions,
    Grant,
    Held,
    Level,
    Refund,
    Refuse,
    Repeat,
    Settle,
    Store,
    Verdict,
    put,
)
from tests.model.gate.world import (
    Caller,
    Commit,
    Limiter,
    Stage,
    Word,
    World,
    spend,
    with_caller,
    with_limiter,
)

Move = tuple[str, World]


class Model:
    """The gate with the given functions; the rules of access and limiter are methods, for mutants."""

    def __init__(self, functions: Functions):
        self.functions = functions

    def moves(self, world: World) -> Iterator[Move]:
        """Everything that may happen next, with its name."""
        for request in range(len(world.callers)):
            yield from self.caller_moves(world, request)
            if world.store.states[request] == "queued":
                yield f"request {request} ends", self.ended(world, request)
        for at in (0, 1):
            yield from self.limiter_moves(world, at)
        yield from self.time(world)
        yield from self.under_way(world)
        yield from self.losses_of_redis(world)

    # A caller, and access for it.

    def caller_moves(self, world: World, request: int) -> Iterator[Move]:
        caller = world.callers[request]
        if caller.done:
            return
        if caller.phase == "asks":
            yield from self.asking(world, request)
        else:
            yield from self.submit(world, request)
        if caller.phase == "granted" and not caller.corrected and world.purse.corrections:
            yield from self.correct(world, request)
        if world.purse.leaves:
            yield from self.leave(world, request)
        if world.purse.access_crashes:
            yield f"access {request} dies", self.gone(spend(world, "access_crashes"), request)._replace(again=())

    def asking(self, world: World, request: int) -> Iterator[Move]:
        caller, verdict = world.callers[request], world.store.verdicts[request]
        if verdict is not None and self.answers(verdict, caller):
            yield f"caller {request} reads its verdict", self.told(world, request, verdict)
            return
        question = self.question(caller, request)
        if self.is_unheard(world, question):
            asked = self.publish(world, question)
            yield f"caller {request} asks", asked
            if world.purse.doubles and not world.again:
                yield f"caller {request} asks, and will again", spend(asked, "doubles")._replace(again=(question,))

    def is_unheard(self, world: World, question: Word) -> bool:
        """Whether a limiter that thinks it is active neither has it before it nor in its waiting room."""
        return any(
            limiter.tenure is not None and question not in limiter.inbox and question not in limiter.room
            for limiter in world.limiters
        )

    def question(self, caller: Caller, request: int) -> Word:
        return Word("ask", request, caller.attempt)

    def answers(self, verdict: Verdict, caller: Caller) -> bool:
        """Whether a verdict is on what the caller asks now."""
        return verdict == REFUSED or verdict.attempt == caller.attempt

    def told(self, world: World, request: int, verdict: Verdict) -> World:
        phase = "granted" if verdict.granted else "refused"
        grant = max(0, verdict.grant)
        return with_caller(world, request, world.callers[request]._replace(phase=phase, grant=grant))

    def submit(self, world: World, request: int) -> Iterator[Move]:
        caller = world.callers[request]
        draft = Draft(world.store)
        answer = self.functions.submit(draft, request, caller.grant, world.past)
        after = world._replace(store=draft.now)
        if answer == "ok":
            yield f"caller {request} submits", with_caller(after, request, caller._replace(phase="accepted"))
        else:
            yield from self.try_again(after, request, "is late")
        if world.purse.lost_answers:
            unsure = with_caller(after, request, caller._replace(phase="unsure", unsure=True))
            yield f"caller {request} submits, the answer lost", spend(unsure, "lost_answers")
        if world.purse.busy and not caller.unsure and not world.store.states[request]:
            yield from self.try_again(spend(world, "busy"), request, "finds its session busy")
        if caller.phase == "unsure" and world.purse.restarts:
            yield f"caller {request} starts anew", self.restart(spend(world, "restarts"), request)

    def try_again(self, world: World, request: int, why: str) -> Iterator[Move]:
        """Let go of a grant that was surely not used, and ask in a new attempt, in one breath."""
        before = world.callers[request]
        caller = Caller(attempt=self.next_attempt(before))
        words = (self.withdrawal(before, request), self.question(caller, request))
        after = with_caller(world, request, caller)
        yield f"caller {request} {why} and asks anew", self.publish(after, *words)
        if world.purse.doubles and not world.again:
            twice = self.publish(spend(after, "doubles"), *words)._replace(again=words)
            yield f"caller {request} {why} and asks anew, and will again", twice
        if world.purse.lost_words:
            yield f"caller {request} {why} and asks anew, unheard", spend(after, "lost_words")

    def next_attempt(self, caller: Caller) -> int:
        return caller.attempt + 1

    def withdrawal(self, caller: Caller, request: int) -> Word:
        return Word("withdraw", request, caller.attempt)

    def restart(self, world: World, request: int) -> World:
        """What failed is begun again. Its submit may have arrived, so it is the same attempt."""
        caller = world.callers[request]
        return with_caller(world, request, caller._replace(phase="asks", grant=0, corrected=False))

    def correct(self, world: World, request: int) -> Iterator[Move]:
        caller = world.callers[request]
        after = with_caller(spend(world, "corrections"), request, caller._replace(corrected=True))
        word = Word("correct", request, caller.attempt)
        yield f"caller {request} says what its prompt became", self.publish(after, word)
        if world.purse.doubles and not world.again:
            twice = self.publish(spend(after, "doubles"), word)._replace(again=(word,))
            yield f"caller {request} says what its prompt became, and will again", twice

    def leave(self, world: World, request: int) -> Iterator[Move]:
        caller, after = world.callers[request], self.gone(spend(world, "leaves"), request)
        yield f"caller {request} leaves without a word", after
        if self.may_withdraw(caller):
            yield f"caller {request} withdraws and leaves", self.publish(after, self.withdrawal(caller, request))

    def may_withdraw(self, caller: Caller) -> bool:
        return not caller.unsure

    def gone(self, world: World, request: int) -> World:
        return with_caller(world, request, Caller(phase="gone"))

    def publish(self, world: World, *words: Word) -> World:
        """Every limiter that thinks it is active hears it, behind what was said before."""
        if world.again:
            world = self.deliver(world._replace(again=()), world.again)
        return self.deliver(world, words)

    def deliver(self, world: World, words: tuple[Word, ...]) -> World:
        first, second = (self.hear(limiter, words) for limiter in world.limiters)
        return world._replace(limiters=(first, second))

    def hear(self, me: Limiter, words: tuple[Word, ...]) -> Limiter:
        return me if me.tenure is None else me._replace(inbox=(*me.inbox, *words))

    def ended(self, world: World, request: int) -> World:
        draft = Draft(world.store)
        self.functions.end(draft, request)
        return world._replace(store=draft.now)

    # A limiter.

    def limiter_moves(self, world: World, at: int) -> Iterator[Move]:
        me = world.limiters[at]
        if me.tenure is None:
            if world.store.active is None and (at == 0 or world.limiters[0].tenure is not None):
                yield from self.takeover(world, at)
            return
        name = f"limiter {me.tenure[1]}"
        yield from self.deciding(world, at, name)
        yield from self.settling(world, at, name)
        yield from self.sweeping(world, at, name)
        yield from self.ends_of_tenure(world, at, name)

    def deciding(self, world: World, at: int, name: str) -> Iterator[Move]:
        me = world.limiters[at]
        if self.has_to_decide(me):
            yield f"{name} decides", self.decide(world, at)
        if me.flight is not None:
            yield from self.commit(world, at)
        for word in me.room if world.purse.impatience else ():
            yield f"{name} refuses {word.request}", with_limiter(spend(world, "impatience"), at, self.refuse(me, word))

    def settling(self, world: World, at: int, name: str) -> Iterator[Move]:
        me = world.limiters[at]
        for request in self.readable(world, me) if not me.stage else ():
            yield f"{name} reads the usage of {request}", self.read_usage(world, at, request)
        if me.stage == "committed":
            yield f"{name} acknowledges {me.record}", self.acknowledge(world, at)

    def sweeping(self, world: World, at: int, name: str) -> Iterator[Move]:
        me = world.limiters[at]
        if me.found:
            yield f"{name} refunds what it found", with_limiter(world, at, self.refund_found(me))
        elif found := self.unused(world, me):
            yield f"{name} finds unused grants", with_limiter(world, at, me._replace(found=found))

    def ends_of_tenure(self, world: World, at: int, name: str) -> Iterator[Move]:
        me = world.limiters[at]
        if world.store.active != me.tenure:
            yield f"{name} learns that it is deposed", with_limiter(world, at, self.deposed(me))
        if world.purse.crashes:
            yield f"{name} dies", with_limiter(spend(world, "crashes"), at, Limiter())
        if world.purse.resigns:
            yield f"{name} resigns", self.resign(spend(world, "resigns"), at)

    def takeover(self, world: World, at: int) -> Iterator[Move]:
        draft = Draft(world.store)
        tenure = self.functions.takeover(draft, world.names + 1)
        after = world._replace(store=draft.now, names=world.names + 1)
        me = self.loaded(world.limiters[at], draft.now)._replace(tenure=tenure)
        yield f"limiter {world.names + 1} takes over", with_limiter(after, at, me)

    def loaded(self, me: Limiter, store: Store) -> Limiter:
        """The memory with which a tenure begins."""
        return Limiter(held=store.held, level=store.level)

    def deposed(self, me: Limiter) -> Limiter:
        """The memory with which it ends."""
        return Limiter()

    def resign(self, world: World, at: int) -> World:
        tenure = world.limiters[at].tenure
        assert tenure is not None
        draft = Draft(world.store)
        self.functions.resign(draft, tenure)
        return with_limiter(world._replace(store=draft.now), at, Limiter())

    def has_to_decide(self, me: Limiter) -> bool:
        waits = bool(me.room) and self.fits(me)
        return me.flight is None and bool(me.inbox or me.noted or me.stage == "noted" or waits)

    def decide(self, world: World, at: int) -> World:
        """Weigh what was heard, let go who may; all of it is in the commit that leaves now."""
        me = world.limiters[at]
        for word in me.inbox:
            me = self.weigh(me, word)
        me, drawn = self.drain(me, world.drawn)
        stage: Stage = "in flight" if me.stage == "noted" else me.stage
        entries = (*me.noted, *self.levels(me))
        me = me._replace(inbox=(), noted=(), flight=entries, stage=stage)
        return with_limiter(world._replace(drawn=drawn), at, me)

    def weigh(self, me: Limiter, word: Word) -> Limiter:
        match word.what:
            case "ask":
                return self.weigh_ask(me, word)
            case "withdraw":
                return self.withdraw(me, word)
            case "correct":
                return self.weigh_correction(me, word)

    def weigh_ask(self, me: Limiter, word: Word) -> Limiter:
        """A new attempt lets go of the grant that an older one was given."""
        held = me.held[word.request]
        if held is not None and held.attempt >= word.attempt:
            return self.noted(me, Repeat(word.request))
        if held is not None:
            me = self.refund(me, word.request)
        waiting = [other for other in me.room if other.request == word.request]
        if not waiting:
            return me._replace(room=(*me.room, word))
        newest = max(waiting[0], word)
        return me._replace(room=tuple(newest if other.request == word.request else other for other in me.room))

    def withdraw(self, me: Limiter, word: Word) -> Limiter:
        room = tuple(other for other in me.room if other.request != word.request or other.attempt > word.attempt)
        me = me._replace(room=room)
        held = me.held[word.request]
        return self.refund(me, word.request) if held is not None and self.is_meant(held, word) else me

    def is_meant(self, held: Held, word: Word) -> bool:
        """Whether a withdrawal is of this grant."""
        return held.attempt <= word.attempt

    def weigh_correction(self, me: Limiter, word: Word) -> Limiter:
        held = me.held[word.request]
        if held is None or held.attempt != word.attempt:
            return me
        after = held._replace(tokens=CORRECTED)
        me = me._replace(held=put(me.held, word.request, after), level=me.level + held.tokens - after.tokens)
        return self.noted(me, Correct(word.request, after))

    def drain(self, me: Limiter, drawn: int) -> tuple[Limiter, int]:
        """Grant to the first in line while the bucket holds it."""
        while me.room and self.fits(me):
            word, drawn = me.room[0], drawn + 1
            held = Held(drawn, word.attempt, ESTIMATE)
            me = me._replace(room=me.room[1:], held=put(me.held, word.request, held), level=me.level - ESTIMATE)
            me = self.noted(me, Grant(word.request, held))
        return me, drawn

    def fits(self, me: Limiter) -> bool:
        return me.level >= ESTIMATE

    def levels(self, me: Limiter) -> tuple[Entry, ...]:
        return (Level(me.level),)

    def refund(self, me: Limiter, request: int) -> Limiter:
        held = me.held[request]
        assert held is not None
        return self.noted(self.let_go(me, request, 0), Refund(request, held.grant))

    def let_go(self, me: Limiter, request: int, used: int) -> Limiter:
        held = me.held[request]
        if held is None:
            return me
        return me._replace(held=put(me.held, request, None), level=me.level + held.tokens - used)

    def refuse(self, me: Limiter, word: Word) -> Limiter:
        me = me._replace(room=tuple(other for other in me.room if other != word))
        return self.noted(me, Refuse(word.request))

    def noted(self, me: Limiter, entry: Entry) -> Limiter:
        return me._replace(noted=(*me.noted, entry))

    def commit(self, world: World, at: int) -> Iterator[Move]:
        me = world.limiters[at]
        assert me.tenure is not None
        assert me.flight is not None
        commit = Commit(me.tenure, me.number + 1, me.flight)
        name = f"limiter {me.tenure[1]} commits"
        after, known = self.written(world, commit)
        if known is None:
            yield f"{name} and learns that it is deposed", with_limiter(after, at, self.deposed(me))
            return
        answered = with_limiter(after, at, self.committed(me, known))
        yield name, answered
        if world.purse.lost_commits:
            yield f"{name}, the answer lost", spend(after, "lost_commits")
        if world.purse.late_commits and world.under_way is None:
            yield f"{name}, a copy still under way", spend(answered, "late_commits")._replace(under_way=commit)
        if world.purse.late_hints and world.hint is None:
            yield from self.late_hints(answered, me.flight, name)

    def written(self, world: World, commit: Commit) -> tuple[World, set[int] | None]:
        """The world after a commit, and what it answers."""
        draft = Draft(world.store)
        known = self.functions.commit(draft, commit.tenure, commit.number, commit.entries)
        if known is None:
            return world, None
        name = commit.tenure[1]
        return world._replace(
            store=draft.now,
            committed=tuple(sorted({*world.committed, *draft.now.grants})),
            wrote=max(world.wrote, name),
            usurped=world.usurped or name < world.wrote,
        ), known

    def committed(self, me: Limiter, known: set[int]) -> Limiter:
        for request in sorted(known):
            me = self.take_back(me, request)
        stage: Stage = "committed" if me.stage == "in flight" else me.stage
        return me._replace(flight=None, number=me.number + 1, stage=stage)

    def take_back(self, me: Limiter, request: int) -> Limiter:
        """Undo a reservation that was never written; the next commit says where the bucket really stands."""
        me = me._replace(room=tuple(word for word in me.room if word.request != request))
        return self.noted(self.let_go(me, request, 0), Repeat(request))

    def late_hints(self, world: World, entries: tuple[Entry, ...], name: str) -> Iterator[Move]:
        for entry in entries:
            if isinstance(entry, Grant | Repeat) and (verdict := world.store.verdicts[entry.request]) is not None:
                hint = (entry.request, verdict)
                yield f"{name}, its verdict still under way", spend(world, "late_hints")._replace(hint=hint)

    def readable(self, world: World, me: Limiter) -> list[int]:
        """Usage that was not acknowledged, whoever has read it."""
        return [request for request, usage in enumerate(world.store.usage) if usage]

    def read_usage(self, world: World, at: int, request: int) -> World:
        """Usage takes the place of a reservation; who waits under a name that has ended leaves."""
        me = world.limiters[at]
        if me.held[request] is None:
            me = me._replace(room=tuple(word for word in me.room if word.request != request))
        else:
            me = self.noted(self.let_go(me, request, USED), Settle(request, USED))
        me = me._replace(record=request, stage="noted")
        store = world.store._replace(usage=put(world.store.usage, request, "pending"))
        return with_limiter(world._replace(store=store), at, me)

    def acknowledge(self, world: World, at: int) -> World:
        me = world.limiters[at]
        draft = Draft(world.store)
        self.functions.acknowledge(draft, me.record)
        return with_limiter(world._replace(store=draft.now), at, me._replace(record=0, stage=""))

    def unused(self, world: World, me: Limiter) -> tuple[tuple[int, int], ...]:
        """Grants that are over for everybody, and whose requests nobody knows."""
        return tuple(
            (request, held.grant)
            for request, held in enumerate(me.held)
            if held is not None and held.grant <= self.overdue(world) and self.is_unused(world.store, request)
        )

    def overdue(self, world: World) -> int:
        """The last grant that is over for everybody: slack is what the clocks differ by."""
        return world.past

    def is_unused(self, store: Store, request: int) -> bool:
        return not store.states[request]

    def refund_found(self, me: Limiter) -> Limiter:
        for request, grant in me.found:
            held = me.held[request]
            if held is not None and self.is_found(held, grant):
                me = self.refund(me, request)
        return me._replace(found=())

    def is_found(self, held: Held, grant: int) -> bool:
        """Whether this is the grant that was looked at, and no later one of the same request."""
        return held.grant == grant

    # Time, what is under way, and what fails.

    def time(self, world: World) -> Iterator[Move]:
        active = world.store.active
        if active is not None:
            reigns = any(limiter.tenure == active for limiter in world.limiters)
            if world.purse.freezes or not reigns:
                after = spend(world, "freezes") if reigns else world
                yield "the lock runs out", after._replace(store=after.store._replace(active=None))
        if world.purse.ends and world.past < world.drawn:
            yield f"grant {world.past + 1} is over", spend(world, "ends")._replace(past=world.past + 1)

    def under_way(self, world: World) -> Iterator[Move]:
        if world.again:
            yield "what was published is published again", self.publish(world)
        if world.hint is not None:
            yield "a late verdict is heard", self.heard_late(world)
        if world.under_way is not None:
            after, _ = self.written(world, world.under_way)
            yield "a late copy of a commit arrives", after._replace(under_way=None)

    def heard_late(self, world: World) -> World:
        assert world.hint is not None
        (request, verdict), world = world.hint, world._replace(hint=None)
        caller = world.callers[request]
        meant = caller.phase == "asks" and self.answers(verdict, caller)
        return self.told(world, request, verdict) if meant else world

    def losses_of_redis(self, world: World) -> Iterator[Move]:
        if world.purse.rollbacks and world.disk is None:
            yield "Redis writes to disk", world._replace(disk=world.store)
        elif world.purse.rollbacks and world.disk is not None and world.disk != world.store:
            yield "Redis rolls back", self.rolled_back(spend(world, "rollbacks"))

    def rolled_back(self, world: World) -> World:
        """The store is an older one. Limiters know by their broken connections: to come back takes Redis longer than
        their clients try."""
        assert world.disk is not None
        return world._replace(
            store=world.disk, disk=None, under_way=None, limiters=(Limiter(), Limiter()), rolled_back=True
        )
