"""The protocol with one step made wrong, and the promise that each of these breaks.

Some are what a simpler protocol would do (an integer epoch, a counter for the tail); some are one forgotten line, or
two writes in the other order. All of them pass when nothing fails.
"""

from __future__ import annotations

from typing import Any

from tests.model.check import Mutant
from tests.model.model import Model
from tests.model.store import ENDED, Answer, Draft, Entry, Functions, Grant, Reply, Store
from tests.model.world import World


class EpochForAGeneration(Functions):
    """The generation is a number that Redis counts up: it rolls back with the data, and is given out again."""

    def own(self, draft: Draft, generation: int) -> None:
        last = max((reply.generation for reply in draft.now.log), default=draft.now.generation)
        super().own(draft, last + 1)

    def take(self, draft: Draft, worker: int, call: int, generation: int, late: bool) -> Grant | None:
        grant = super().take(draft, worker, call, generation, late)
        return grant and grant._replace(generation=draft.now.generation)


class GenerationOfTheCaller(Model):
    """A generation is what the worker drew, so a copy of its take brings back a generation that was fenced."""

    def drawn_anew(self, world: World, arguments: tuple[Any, ...]) -> tuple[World, tuple[Any, ...]]:
        return world, arguments


class TakeWithoutMemory(Functions):
    """A take does not know that it was made before."""

    def remember(self, draft: Draft, worker: int, call: int, generation: int) -> None:
        pass


class TakeThatFencesNobody(Functions):
    """Who continues a log writes on under the generation that wrote it."""

    def own(self, draft: Draft, generation: int) -> None:
        super().own(draft, draft.now.log[-1].generation if draft.now.log else generation)

    def take(self, draft: Draft, worker: int, call: int, generation: int, late: bool) -> Grant | None:
        grant = super().take(draft, worker, call, generation, late)
        return grant and grant._replace(generation=draft.now.generation)


class AppendUnfenced(Functions):
    """append looks at the log alone, not at who is writing."""

    def refused(self, store: Store, generation: int) -> str:
        return "ended" if store.ended else "" if store.state == "running" else "fenced"


class AppendAfterTheEnd(Functions):
    """append looks at the state alone, not at the log."""

    def refused(self, store: Store, generation: int) -> str:
        return "" if store.state == "running" and store.generation == generation else "fenced"

    def numbered(self, store: Store, first: int, replies: tuple[str, ...]) -> list[tuple[int, str]]:
        """What the worker sends last is written even so."""
        return super().numbered(store, first, replies) or [(store.tail + 1, replies[-1])]


class AppendThatNumbers(Functions):
    """A plain XADD: what is repeated is written again, behind the tail."""

    def numbered(self, store: Store, first: int, replies: tuple[str, ...]) -> list[tuple[int, str]]:
        return list(enumerate(replies, store.tail + 1))


class AppendOverAHole(Functions):
    """append takes every number that is new."""

    def leaves_hole(self, store: Store, first: int) -> bool:
        return False


class TailFromACounter(Functions):
    """The last number is a field, written after the log: a power loss leaves it behind, and Redis refuses the number
    that it says is free."""

    def append(self, draft: Draft, generation: int, first: int, replies: tuple[str, ...], end: str) -> Answer:
        counter = draft.now.taken
        if not self.refused(draft.now, generation) and first <= counter + 1 <= draft.now.tail:
            return Answer("error", counter)
        answer = super().append(draft, generation, first, replies, "")
        draft.write(taken=draft.now.tail)
        if end and answer.status == "ok":
            self.settle(draft, end)
        return answer


class StateBeforeLog(Functions):
    """An end that no worker writes is written into the state first, then into the log."""

    def end_idle(self, draft: Draft, state: str) -> None:
        draft.write(state=state)
        super().end_idle(draft, state)


class StateBeforeItsCleanUp(Functions):
    """The end's state is written before the request has left queue and leases: who finds it there does nothing."""

    def settle(self, draft: Draft, state: str) -> None:
        ran = draft.now.state == "running"
        draft.write(state=state)
        if ran:
            self.leave_queue(draft, draft.now.entry)
        draft.write(lease="", suspect=False)
        draft.write(expires=True)
        draft.write(watched=False)


class StoredBeforeItsDeadline(Functions):
    """A request is stored, then its deadline: the sweep goes by deadlines."""

    def store(self, draft: Draft, state: str) -> None:
        draft.write(state=state)
        draft.write(watched=True)


class OwnedInTwoWrites(Functions):
    """The mark that the last owner let go is removed after the new one is written."""

    def own(self, draft: Draft, generation: int) -> None:
        draft.write(state="running", generation=generation, taken=draft.now.tail)
        draft.write(released=False)
        draft.write(lease="held")
        draft.write(suspect=False)


class EndUnread(Functions):
    """An end found in the log is taken for a good one, whatever it says."""

    def settle(self, draft: Draft, state: str) -> None:
        super().settle(draft, "done" if draft.now.ended == "expired" and draft.now.state != "running" else state)


class TornEndUnhealed(Functions):
    """Nobody looks whether the log of an unended request has its end."""

    def over(self, draft: Draft, late: bool) -> bool:
        if draft.now.ended and draft.now.state not in ENDED:
            return False
        return super().over(draft, late)

    def mend(self, draft: Draft) -> None:
        if not draft.now.ended:
            super().mend(draft)

    def end_late(self, draft: Draft) -> None:
        if not draft.now.ended:
            super().end_late(draft)


class EndWithoutAck(Functions):
    """The end leaves its entry in the queue."""

    def settle(self, draft: Draft, state: str) -> None:
        queue = draft.now.queue
        super().settle(draft, state)
        draft.write(queue=queue)


class EndThatKeepsItsLease(Functions):
    """Neither the end nor who finds the lease run out removes it."""

    def settle(self, draft: Draft, state: str) -> None:
        lease = draft.now.lease
        super().settle(draft, state)
        draft.write(lease=lease)

    def orphan(self, draft: Draft, generation: int, late: bool) -> bool:
        return draft.now.state not in ENDED and super().orphan(draft, generation, late)


class CancelEndsWhatRuns(Functions):
    """cancel writes the state of what runs, and leaves the log to its worker."""

    def cancel(self, draft: Draft) -> None:
        if draft.now.generation:
            draft.write(state="cancelled")
        else:
            super().cancel(draft)


class SweepEndsWhatRuns(Functions):
    """The sweep ends what is past its deadline, whoever works on it."""

    def end_late(self, draft: Draft) -> None:
        if draft.now.state in ("", *ENDED):
            draft.write(watched=False)
        else:
            self.end_idle(draft, "expired")


class SweepForgetsTheCancel(Functions):
    """At the deadline, a worker that has not heard of the cancel yet is told of the deadline alone."""

    def end_late(self, draft: Draft) -> None:
        if draft.now.state == "running" and draft.now.lease == "held":
            draft.write(cancel="deadline")
        else:
            super().end_late(draft)


class TakeEndsWhatRuns(Functions):
    """An entry that a new group delivers again is ended by who meets it, though its owner lives."""

    def met_again(self, draft: Draft, entry: Entry) -> None:
        if draft.now.cancel == "cancel":
            self.end_idle(draft, "cancelled")


class ReleaseThatFencesNobody(Functions):
    """Who lets go of a request may still write."""

    def release(self, draft: Draft, generation: int, died: bool) -> None:
        super().release(draft, generation, died)
        if draft.now.released:
            draft.write(generation=generation)


class SubmitTwice(Functions):
    """A repeated submit queues again."""

    def submitted(self, store: Store) -> bool:
        return False


class SubmitThatLooksAtTheEndFirst(Functions):
    """A repeated submit of what has ended meanwhile is refused, as if it had never been accepted."""

    def submitted(self, store: Store) -> bool:
        return store.state not in ENDED and super().submitted(store)


class MailboxWithoutGapCheck(Model):
    """Access shows whatever is newer than what it has shown."""

    def follows_on(self, view: tuple[Reply, ...], reply: Reply) -> bool:
        return True


class MailboxWithoutWriterCheck(Model):
    """Access shows the next number, whoever wrote it."""

    def follows_on(self, view: tuple[Reply, ...], reply: Reply) -> bool:
        return reply.seq == (view[-1].seq if view else 0) + 1


class ResumeWithoutGenerationCheck(Model):
    """Access goes on behind a number, whoever wrote it."""

    def holds(self, log: tuple[Reply, ...], shown: Reply) -> bool:
        return any(reply.seq == shown.seq for reply in log)


class LookForwardOnly(Model):
    """Access looks whether the log is longer than what it has shown, not whether it is another."""

    def needs_reading(self, view: tuple[Reply, ...], log: tuple[Reply, ...]) -> bool:
        return bool(log) and log[-1].seq > (view[-1].seq if view else 0)


class NoLook(Model):
    """Access trusts its mailbox."""

    def needs_reading(self, view: tuple[Reply, ...], log: tuple[Reply, ...]) -> bool:
        return False


DEATHS = "workers die, freeze and leave"
STOPS = "cancel and deadline at any time"
LATE_CALLS = "calls arrive late"
LEFT = "calls of one who left arrive late"
GROUP = "the group is lost"
ROLLBACK = "Redis rolls back"
POWER = "power is lost in mid-function"
ACCESS = "access dies and Redis rolls back"
REGRET = "Redis rolls back and a cancel follows"
ASKING = "asking, leaving and coming back"

MUTANTS = [
    Mutant(EpochForAGeneration, ROLLBACK, "At most one worker owns the request."),
    Mutant(GenerationOfTheCaller, LATE_CALLS, "Nobody else writes behind an owner's take."),
    Mutant(TakeWithoutMemory, DEATHS, "No death is counted where nobody died."),
    Mutant(TakeThatFencesNobody, DEATHS, "At most one worker owns the request."),
    Mutant(AppendUnfenced, DEATHS, "Nobody else writes behind an owner's take."),
    Mutant(AppendAfterTheEnd, STOPS, "No token is doubled or out of place."),
    Mutant(AppendThatNumbers, DEATHS, "No token is doubled or out of place."),
    Mutant(AppendOverAHole, ROLLBACK, "The log has no hole."),
    Mutant(TailFromACounter, POWER, "Everything comes to rest."),
    Mutant(StateBeforeLog, POWER, "A terminal state has its terminal reply."),
    Mutant(StateBeforeItsCleanUp, POWER, "An ended request leaves no key for ever."),
    Mutant(StoredBeforeItsDeadline, POWER, "Every request comes to an end."),
    Mutant(OwnedInTwoWrites, POWER, "Everything comes to rest."),
    Mutant(EndUnread, POWER, "States change as the table says."),
    Mutant(TornEndUnhealed, POWER, "Nothing is left pending."),
    Mutant(EndWithoutAck, DEATHS, "Nothing is left pending."),
    Mutant(EndThatKeepsItsLease, DEATHS, "Nothing is left pending."),
    Mutant(CancelEndsWhatRuns, STOPS, "A terminal state has its terminal reply."),
    Mutant(SweepEndsWhatRuns, STOPS, "Who holds the lease writes the end."),
    Mutant(SweepForgetsTheCancel, STOPS, "A cancel is not forgotten."),
    Mutant(TakeEndsWhatRuns, GROUP, "Who holds the lease writes the end."),
    Mutant(ReleaseThatFencesNobody, LEFT, "What was released is free to take."),
    Mutant(SubmitTwice, ASKING, "A request stands in the queue once."),
    Mutant(SubmitThatLooksAtTheEndFirst, ASKING, "Who is told 'refused' has nothing running."),
    Mutant(MailboxWithoutGapCheck, ACCESS, "Every client gets the whole answer, or is told."),
    Mutant(MailboxWithoutWriterCheck, ACCESS, "Every client gets the whole answer, or is told."),
    Mutant(ResumeWithoutGenerationCheck, ACCESS, "Every client gets the whole answer, or is told."),
    Mutant(LookForwardOnly, REGRET, "Every client gets the whole answer, or is told."),
    Mutant(NoLook, ACCESS, "Every client gets the whole answer, or is told."),
]
