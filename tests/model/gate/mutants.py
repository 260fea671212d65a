"""The gate with one step made wrong, and the promise that each of these breaks.

Some are what a simpler gate would do (names without attempts, commits without numbers); some are one forgotten line, or
two steps in the other order. All of them pass when nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.check import Mutant
from tests.model.gate.model import Model, Move
from tests.model.gate.store import (
    CAPACITY,
    ESTIMATE,
    Draft,
    Functions,
    Grant,
    Held,
    Level,
    Store,
    Tenure,
    Verdict,
    put,
)
from tests.model.gate.world import Caller, Limiter, Word, World, with_limiter

# The functions.


class CommitByAnybody(Functions):
    """A commit does not look at the tenure."""

    def may_write(self, store: Store, tenure: Tenure, number: int) -> bool:
        return True


class EpochUncounted(Functions):
    """A tenure signs with an epoch that is not counted on: the next one signs likewise."""

    def takeover(self, draft: Draft, name: int) -> Tenure | None:
        tenure = super().takeover(draft, 1)
        draft.write(epoch=0)
        return tenure


class CommitsUncounted(Functions):
    """A commit looks at the tenure alone: a copy may arrive behind a later commit."""

    def may_write(self, store: Store, tenure: Tenure, number: int) -> bool:
        return store.active == tenure


class VerdictOnlyPublished(Functions):
    """A grant is told and not stored: whoever misses the message never hears of it."""

    def store_verdict(self, draft: Draft, request: int, verdict: Verdict) -> None:
        pass


class GrantOverAGrant(Functions):
    """A grant does not look whether it was given before."""

    def grant(self, draft: Draft, request: int, held: Held) -> bool:
        self.reserve(draft, request, held)
        self.store_verdict(draft, request, Verdict(held.grant, held.attempt))
        return False


class SettleWithoutReservation(Functions):
    """Usage is booked whether or not anything is held for it."""

    def settle(self, draft: Draft, request: int, tokens: int) -> None:
        held = draft.now.held[request] or Held(0, 0, ESTIMATE)
        self.let_go(draft, request, held)
        self.add(draft, settled=tokens, refunded=held.tokens - tokens)
        self.count(draft, request, settled=1)


class SettleWithoutTheRest(Functions):
    """What was reserved beyond the usage is forgotten."""

    def settle(self, draft: Draft, request: int, tokens: int) -> None:
        held = draft.now.held[request]
        if held is not None:
            self.let_go(draft, request, held)
            self.add(draft, settled=tokens)
            self.count(draft, request, settled=1)


class RefundWithoutReservation(Functions):
    """A refund is booked whether or not anything is held."""

    def refund(self, draft: Draft, request: int, grant: int) -> None:
        held = draft.now.held[request] or Held(grant, 0, ESTIMATE)
        draft.write(held=put(draft.now.held, request, held))
        super().refund(draft, request, grant)


class CorrectionThatReserves(Functions):
    """A correction writes its reservation though the one that it corrects is gone."""

    def correct(self, draft: Draft, request: int, held: Held) -> None:
        if draft.now.held[request] is None:
            draft.write(held=put(draft.now.held, request, held))
            self.add(draft, reserved=held.tokens, granted=held.tokens)
        super().correct(draft, request, held)


class SubmitAtAnyTime(Functions):
    """submit does not look at the grant's end."""

    def is_late(self, grant: int, past: int) -> bool:
        return False


# The limiter.


class ToldBeforeTheCommit(Model):
    """A grant is published when it is decided."""

    def decide(self, world: World, at: int) -> World:
        after = super().decide(world, at)
        grants = [entry for entry in after.limiters[at].flight or () if isinstance(entry, Grant)]
        hints = [(grant.request, Verdict(grant.held.grant, grant.held.attempt)) for grant in grants]
        return after._replace(hint=hints[0] if hints else after.hint)


class LevelsInTheNextCommit(Model):
    """Where the bucket stands is written apart from what changed it."""

    def decide(self, world: World, at: int) -> World:
        after = super().decide(world, at)
        me = after.limiters[at]
        flight = me.flight or (Level(me.level),)
        if not any(isinstance(entry, Grant) for entry in flight):
            return after
        return with_limiter(after, at, me._replace(flight=flight[:-1], noted=flight[-1:]))


class RoomWithoutABound(Model):
    """Whoever waits is granted, whatever the bucket holds."""

    def fits(self, me: Limiter) -> bool:
        return True


class QuestionCountedTwice(Model):
    """A repeated question is one more, though its grant is held."""

    def weigh_ask(self, me: Limiter, word: Word) -> Limiter:
        return me._replace(room=(*me.room, word))


class KnownNotTakenBack(Model):
    """What a commit did not write stays in the memory."""

    def take_back(self, me: Limiter, request: int) -> Limiter:
        return me


class WithdrawalOfAnyGrant(Model):
    """A withdrawal takes back whatever the request holds now."""

    def is_meant(self, held: Held, word: Word) -> bool:
        return True


class SweepRefundsAnyGrant(Model):
    """Between look and refund the request may be granted anew: that grant is refunded."""

    def is_found(self, held: Held, grant: int) -> bool:
        return True


class SweepWithoutALook(Model):
    """A grant that is over is refunded, whether or not it was used."""

    def is_unused(self, store: Store, request: int) -> bool:
        return True


class SweepWithoutSlack(Model):
    """A grant that is over by the limiter's clock may still be submitted by another's."""

    def overdue(self, world: World) -> int:
        return world.past + 1


class AcknowledgedFirst(Model):
    """Usage is acknowledged when it is read."""

    def read_usage(self, world: World, at: int, request: int) -> World:
        after = super().read_usage(world, at, request)
        return after._replace(store=after.store._replace(usage=put(after.store.usage, request, "")))


class AcknowledgedWithoutACommit(Model):
    """Usage of what the memory does not hold is acknowledged at once: there is nothing to write."""

    def read_usage(self, world: World, at: int, request: int) -> World:
        holds = world.limiters[at].held[request] is not None
        after = super().read_usage(world, at, request)
        if holds:
            return after
        return with_limiter(after, at, after.limiters[at]._replace(stage="committed"))


class UnacknowledgedReadAtTheStart(Model):
    """What others have read and not acknowledged is read once, at the beginning of a tenure."""

    def takeover(self, world: World, at: int) -> Iterator[Move]:
        anew = tuple("new" if usage else "" for usage in world.store.usage)
        yield from super().takeover(world._replace(store=world.store._replace(usage=anew)), at)

    def readable(self, world: World, me: Limiter) -> list[int]:
        return [request for request, usage in enumerate(world.store.usage) if usage == "new"]


class SuccessorKeepsItsMemory(Model):
    """Who was active before goes on from where it was."""

    def loaded(self, me: Limiter, store: Store) -> Limiter:
        return me if me.held else super().loaded(me, store)

    def deposed(self, me: Limiter) -> Limiter:
        return Limiter(held=me.held, level=me.level)


class SuccessorForgetsReservations(Model):
    """A tenure begins with nothing held."""

    def loaded(self, me: Limiter, store: Store) -> Limiter:
        return super().loaded(me, store)._replace(held=(None,) * len(store.held))


class SuccessorFillsTheBucket(Model):
    """A tenure begins with a full bucket."""

    def loaded(self, me: Limiter, store: Store) -> Limiter:
        return super().loaded(me, store)._replace(level=CAPACITY)


class RollbackUnnoticed(Model):
    """The tenure goes on over what Redis has lost."""

    def rolled_back(self, world: World) -> World:
        return super().rolled_back(world)._replace(limiters=world.limiters)


# Access.


class AttemptsWithoutNumbers(Model):
    """Who lets go of a grant asks again under the same name."""

    def next_attempt(self, caller: Caller) -> int:
        return caller.attempt


class AnyVerdictTaken(Model):
    """A caller believes the verdict on an attempt that it has given up."""

    def answers(self, verdict: Verdict, caller: Caller) -> bool:
        return True


class WithdrawnThoughUnsure(Model):
    """Who leaves withdraws, though its submit may have arrived."""

    def may_withdraw(self, caller: Caller) -> bool:
        return True


class BegunAnewThoughUnsure(Model):
    """What failed is begun again in a new attempt, which lets go of the old one."""

    def restart(self, world: World, request: int) -> World:
        after = super().restart(world, request)
        caller = after.callers[request]
        callers = put(after.callers, request, caller._replace(attempt=caller.attempt + 1))
        return after._replace(callers=callers)


FREEZE = "limiters freeze while sessions are busy"
TWO_DIE = "two race while limiters die"
RUN_OUT = "grants run out"
BUSY = "sessions are busy"
WORDS = "words are lost or come twice"
ANSWERS = "answers are lost"
LATE = "commits arrive late"
ROLLBACK = "Redis rolls back"

MUTANTS = [
    Mutant(CommitByAnybody, FREEZE, "No reservation is left."),
    Mutant(EpochUncounted, FREEZE, "At most one tenure is active."),
    Mutant(CommitsUncounted, LATE, "What came back is in the bucket."),
    Mutant(VerdictOnlyPublished, ANSWERS, "Everything comes to rest."),
    Mutant(GrantOverAGrant, ANSWERS, "The sum of what is reserved is what is held."),
    Mutant(SettleWithoutReservation, ANSWERS, "What came back is in the bucket."),
    Mutant(SettleWithoutTheRest, BUSY, "granted = settled + reserved + refunded."),
    Mutant(RefundWithoutReservation, ANSWERS, "The sum of what is reserved is what is held."),
    Mutant(CorrectionThatReserves, ANSWERS, "A grant is settled or refunded, once."),
    Mutant(SubmitAtAnyTime, RUN_OUT, "No submitted request is refunded."),
    Mutant(ToldBeforeTheCommit, BUSY, "What a caller was told was committed."),
    Mutant(LevelsInTheNextCommit, TWO_DIE, "The bucket never shows more than is there."),
    Mutant(RoomWithoutABound, TWO_DIE, "What is held and spent fits the bucket."),
    Mutant(QuestionCountedTwice, WORDS, "No reservation is left."),
    Mutant(KnownNotTakenBack, FREEZE, "No reservation is left."),
    Mutant(WithdrawalOfAnyGrant, WORDS, "A verdict stays while it may be acted on."),
    Mutant(SweepRefundsAnyGrant, RUN_OUT, "A verdict stays while it may be acted on."),
    Mutant(SweepWithoutALook, RUN_OUT, "No submitted request is refunded."),
    Mutant(SweepWithoutSlack, FREEZE, "A verdict stays while it may be acted on."),
    Mutant(AcknowledgedFirst, FREEZE, "No usage is lost."),
    Mutant(AcknowledgedWithoutACommit, FREEZE, "No usage is lost."),
    Mutant(UnacknowledgedReadAtTheStart, FREEZE, "No reservation is left."),
    Mutant(SuccessorKeepsItsMemory, FREEZE, "Everything comes to rest."),
    Mutant(SuccessorForgetsReservations, FREEZE, "No reservation is left."),
    Mutant(SuccessorFillsTheBucket, TWO_DIE, "What is held and spent fits the bucket."),
    Mutant(RollbackUnnoticed, ROLLBACK, "No reservation is left."),
    Mutant(AttemptsWithoutNumbers, BUSY, "A verdict stays while it may be acted on."),
    Mutant(AnyVerdictTaken, BUSY, "A verdict stays while it may be acted on."),
    Mutant(WithdrawnThoughUnsure, ANSWERS, "No submitted request is refunded."),
    Mutant(BegunAnewThoughUnsure, ANSWERS, "Everything comes to rest."),
]
