"""What Redis holds of one request, and the library's functions as pure steps on it.

Each function is a few writes in the order in which the Lua makes them, so that a power loss may cut it after any one.
What no promise depends on (bodies, sessions, usage, bells) is left out; a lease and a deadline are not times but facts:
held or run out, ahead or past.
"""

from __future__ import annotations

from typing import NamedTuple

ENDED = ("done", "failed", "cancelled", "expired")
SUSPECT_AFTER, DEATHS_ALLOWED = 1, 2
"""One fewer than the real limits: they are reached by fewer steps, and nothing else depends on them."""
NOBODY = 0
"""The generation of an end that no worker wrote."""


class Reply(NamedTuple):
    """One entry of the log. ``what`` is ``t1``, ``t2``, … for a token, or the state that the end brings."""

    seq: int
    generation: int
    what: str

    @property
    def ends(self) -> bool:
        return self.what in ENDED


class Entry(NamedTuple):
    """One entry of the work queue; ``delivered`` and not acknowledged means pending."""

    number: int
    delivered: bool = False


class Store(NamedTuple):
    """Redis. ``state`` is ``""`` while the request is unknown; ``generation`` 0 is in force for nobody.

    ``taken`` is the tail at the last take; ``lease`` is ``""``, ``held`` or ``expired``; ``entry`` is the queue entry
    that the request knows to be its own; ``calls`` what each worker's last take gave, as (call, generation);
    ``suspect`` and ``watched`` whether the request stands among the suspects and the deadlines; ``expires`` whether its
    keys have a time to live.
    """

    state: str = ""
    generation: int = NOBODY
    taken: int = 0
    released: bool = False
    cancel: str = ""
    deaths: int = 0
    lease: str = ""
    suspect: bool = False
    log: tuple[Reply, ...] = ()
    queue: tuple[Entry, ...] = ()
    entry: int = 0
    watched: bool = False
    calls: tuple[tuple[int, int], ...] = ((0, 0), (0, 0))
    followed: bool = False
    expires: bool = False

    @property
    def tail(self) -> int:
        return self.log[-1].seq if self.log else 0

    @property
    def ended(self) -> str:
        """The state that the log's last reply brings, when that is an end."""
        return self.log[-1].what if self.log and self.log[-1].ends else ""


class Draft:
    """A store while a function writes to it. ``steps`` is what a power loss may leave, oldest first."""

    def __init__(self, store: Store):
        self.now = store
        self.steps: list[Store] = []

    def write(self, **fields: object) -> None:
        after = self.now._replace(**fields)  # type: ignore[arg-type]  # fields are named by keyword
        if after != self.now:
            self.now = after
            self.steps.append(after)


class Grant(NamedTuple):
    """What a take gives."""

    generation: int
    tail: int


class Answer(NamedTuple):
    """What append and renew say."""

    status: str
    tail: int
    cancel: str = ""


class Functions:
    """The library. Every function may be repeated; ``late`` says whether the deadline has passed."""

    def wait(self, draft: Draft) -> str:
        if not draft.now.state:
            self.store(draft, "waiting")
        return "ok"

    def submit(self, draft: Draft) -> str:
        if self.submitted(draft.now):
            return "ok"
        if draft.now.state in ENDED:
            return "ended"
        self.store(draft, "queued")
        draft.write(followed=True)
        self.enter_queue(draft)
        return "ok"

    def take(self, draft: Draft, worker: int, call: int, generation: int, late: bool) -> Grant | None:
        """For a worker that runs nothing: it may be given a suspect."""
        if draft.now.calls[worker][0] == call:
            return self.repeated(draft.now, worker)
        if not (self.orphan(draft, generation, late) or self.begin_queued(draft, generation, late)):
            return None
        self.remember(draft, worker, call, generation)
        return Grant(generation, draft.now.tail)

    def append(self, draft: Draft, generation: int, first: int, replies: tuple[str, ...], end: str) -> Answer:
        """``end`` is the state that the last of ``replies`` brings, or ``""``."""
        if why := self.refused(draft.now, generation):
            return Answer(why, draft.now.tail)
        if self.leaves_hole(draft.now, first):
            return Answer("gap", draft.now.tail)
        for seq, what in self.numbered(draft.now, first, replies):
            draft.write(log=(*draft.now.log, Reply(seq, generation, what)))
        if end:
            self.settle(draft, end)
        else:
            draft.write(lease="held")
        return Answer("ok", draft.now.tail, draft.now.cancel)

    def renew(self, draft: Draft, generation: int) -> Answer:
        why = self.refused(draft.now, generation)
        if not why:
            draft.write(lease="held")
        return Answer(why or "ok", draft.now.tail, draft.now.cancel)

    def release(self, draft: Draft, generation: int, died: bool) -> None:
        """The owner lets go; ``died`` when it has lost its engine."""
        if draft.now.state == "running" and draft.now.generation == generation:
            if died:
                draft.write(deaths=draft.now.deaths + 1)
            self.disown(draft)

    def cancel(self, draft: Draft) -> None:
        if not draft.now.state or draft.now.state in ENDED:
            return
        if draft.now.generation:
            draft.write(cancel="cancel")
        else:
            self.end_idle(draft, "cancelled")

    def sweep(self, draft: Draft, late: bool) -> None:
        if late and draft.now.watched:
            self.end_late(draft)
        if draft.now.watched:
            self.mend(draft)

    def attach(self, draft: Draft) -> None:
        if draft.now.state and draft.now.state not in ENDED:
            draft.write(followed=True)

    def detach(self, draft: Draft) -> None:
        draft.write(followed=False)

    # What the functions are made of, in the order in which they call it.

    def submitted(self, store: Store) -> bool:
        """Whether this request has been through submit before, whatever became of it."""
        return bool(store.entry)

    def store(self, draft: Draft, state: str) -> None:
        draft.write(watched=True)
        draft.write(state=state)

    def enter_queue(self, draft: Draft) -> None:
        number = max((draft.now.entry, *(entry.number for entry in draft.now.queue))) + 1
        draft.write(queue=(*draft.now.queue, Entry(number)))
        draft.write(entry=number)

    def repeated(self, store: Store, worker: int) -> Grant | None:
        """The same grant again, if it is still that worker's."""
        _, generation = store.calls[worker]
        return Grant(generation, store.tail) if generation and generation == store.generation else None

    def orphan(self, draft: Draft, generation: int, late: bool) -> bool:
        """Give on what has lost its worker, or give it up; whether it was given on."""
        if draft.now.lease == "expired":
            if self.over(draft, late):
                draft.write(lease="")
            else:
                self.judge(draft)
        if draft.now.suspect and (draft.now.generation or self.over(draft, late)):
            draft.write(suspect=False)
        orphaned = draft.now.suspect or draft.now.lease == "expired"
        if orphaned:
            self.own(draft, generation)
        return orphaned

    def judge(self, draft: Draft) -> None:
        """Count a death, unless the worker let go by itself or the log has moved since the take."""
        if not draft.now.released:
            if draft.now.tail == draft.now.taken:
                draft.write(deaths=draft.now.deaths + 1)
            self.disown(draft)
        if draft.now.deaths >= DEATHS_ALLOWED:
            self.end_idle(draft, "failed")
        elif draft.now.deaths >= SUSPECT_AFTER:
            draft.write(suspect=True)
            draft.write(lease="")

    def begin_queued(self, draft: Draft, generation: int, late: bool) -> bool:
        granted = False
        for entry in draft.now.queue:
            if entry.delivered or granted:
                continue
            self.deliver(draft, entry)
            if draft.now.state == "running":
                self.met_again(draft, entry)
            elif self.over(draft, late):
                self.leave_queue(draft, entry.number)
            elif draft.now.state == "queued":
                draft.write(entry=entry.number)
                self.own(draft, generation)
                granted = True
        return granted

    def met_again(self, draft: Draft, entry: Entry) -> None:
        """An entry of what runs: its own, delivered again by a group made anew, or one too many. The owner ends it."""
        if entry.number != draft.now.entry:
            self.leave_queue(draft, entry.number)

    def remember(self, draft: Draft, worker: int, call: int, generation: int) -> None:
        calls = list(draft.now.calls)
        calls[worker] = (call, generation)
        draft.write(calls=tuple(calls))

    def over(self, draft: Draft, late: bool) -> bool:
        """Whether the request needs no worker any more; it is brought to its end here."""
        if not draft.now.state or draft.now.state in ENDED:
            return True
        if draft.now.ended:
            self.settle(draft, draft.now.ended)
        elif draft.now.cancel == "cancel":
            self.end_idle(draft, "cancelled")
        elif late:
            self.end_idle(draft, "expired")
        else:
            return False
        return True

    def own(self, draft: Draft, generation: int) -> None:
        draft.write(state="running", generation=generation, taken=draft.now.tail, released=False)
        draft.write(lease="held")
        draft.write(suspect=False)

    def disown(self, draft: Draft) -> None:
        draft.write(generation=NOBODY, released=True)
        draft.write(lease="expired")

    def deliver(self, draft: Draft, entry: Entry) -> None:
        draft.write(queue=tuple(Entry(it.number, it.delivered or it == entry) for it in draft.now.queue))

    def refused(self, store: Store, generation: int) -> str:
        if store.ended:
            return "ended"
        return "" if store.state == "running" and store.generation == generation else "fenced"

    def leaves_hole(self, store: Store, first: int) -> bool:
        return first > store.tail + 1

    def numbered(self, store: Store, first: int, replies: tuple[str, ...]) -> list[tuple[int, str]]:
        """The replies that the log does not have, with their numbers."""
        return [(seq, what) for seq, what in enumerate(replies, first) if seq > store.tail]

    def end_idle(self, draft: Draft, state: str) -> None:
        """End what no worker is generating. A log that has its end already is believed."""
        if draft.now.ended:
            state = draft.now.ended
        else:
            draft.write(log=(*draft.now.log, Reply(draft.now.tail + 1, NOBODY, state)))
        self.settle(draft, state)

    def settle(self, draft: Draft, state: str) -> None:
        """All that follows the terminal reply, which is in the log already. The state comes after all that it would
        keep others from doing again, and last comes that by which the sweep finds the request."""
        if draft.now.state == "running":
            self.leave_queue(draft, draft.now.entry)
        draft.write(lease="")
        draft.write(suspect=False)
        draft.write(expires=True)
        draft.write(state=state)
        draft.write(watched=False)

    def leave_queue(self, draft: Draft, number: int) -> None:
        draft.write(queue=tuple(entry for entry in draft.now.queue if entry.number != number))

    def end_late(self, draft: Draft) -> None:
        if draft.now.state in ("", *ENDED):
            draft.write(watched=False)
        elif draft.now.state == "running" and draft.now.lease == "held":
            draft.write(cancel=draft.now.cancel or "deadline")
        else:
            self.end_idle(draft, "expired")

    def mend(self, draft: Draft) -> None:
        """Bring what a torn function has left in line with the log, and its whereabouts with its state."""
        store = draft.now
        if store.state in ("", *ENDED):
            draft.write(watched=False)
        elif store.ended:
            self.settle(draft, store.ended)
        elif store.state == "queued":
            if Entry(store.entry) not in store.queue:
                self.leave_queue(draft, store.entry)
                self.enter_queue(draft)
        elif store.state == "running" and not store.lease and not store.suspect:
            draft.write(lease="held")
