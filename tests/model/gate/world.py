"""Everything that matters at one moment, as a value: the store, two limiters, the callers, and what is under way."""

from __future__ import annotations

from typing import Literal, NamedTuple

from tests.model.gate.store import CAPACITY, Entry, Held, Store, Tenure, Verdict

What = Literal["ask", "withdraw", "correct"]
Phase = Literal["asks", "granted", "unsure", "accepted", "refused", "gone"]
Stage = Literal["", "noted", "in flight", "committed"]


class Word(NamedTuple):
    """Something that access says to the limiter, about one attempt of a request."""

    what: What
    request: int
    attempt: int


class Caller(NamedTuple):
    """One request's caller, and access for it. ``attempt`` counts its questions: one that lets go of a grant puts
    another. ``grant`` is the one that it holds; ``unsure``: a submit under it had no answer, whatever came since."""

    phase: Phase = "asks"
    attempt: int = 1
    grant: int = 0
    unsure: bool = False
    corrected: bool = False

    @property
    def done(self) -> bool:
        return self.phase in ("accepted", "refused", "gone")


class Limiter(NamedTuple):
    """One limiter's memory; all of it belongs to its tenure, and ``tenure`` is ``None`` for a standby.

    ``number`` is its last answered commit. ``noted`` is for the next commit, ``flight`` is the one that has no answer
    yet. ``record`` is the request whose usage it settles: once that is committed, it is acknowledged. ``found`` are
    grants whose requests it has found to be unknown.
    """

    tenure: Tenure | None = None
    number: int = 0
    held: tuple[Held | None, ...] = ()
    level: int = CAPACITY
    room: tuple[Word, ...] = ()
    inbox: tuple[Word, ...] = ()
    noted: tuple[Entry, ...] = ()
    flight: tuple[Entry, ...] | None = None
    record: int = 0
    stage: Stage = ""
    found: tuple[tuple[int, int], ...] = ()


class Commit(NamedTuple):
    """A copy of a commit that is still under way while its limiter has repeated it."""

    tenure: Tenure
    number: int
    entries: tuple[Entry, ...]


class Purse(NamedTuple):
    """The faults, and the free choices, that may still happen."""

    ends: int = 0
    crashes: int = 0
    freezes: int = 0
    resigns: int = 0
    access_crashes: int = 0
    lost_answers: int = 0
    lost_commits: int = 0
    late_commits: int = 0
    late_hints: int = 0
    lost_words: int = 0
    doubles: int = 0
    corrections: int = 0
    busy: int = 0
    leaves: int = 0
    restarts: int = 0
    impatience: int = 0
    rollbacks: int = 0


class World(NamedTuple):
    """``past`` is the clock: grants up to it are over for everybody, by clocks that differ. ``drawn`` is the number of
    the last grant that was decided, ``names`` that of the last tenure. ``again``: what access has published and, having
    had no answer, will publish once more. ``hint``: a verdict on its way to a caller.

    For the promises: ``committed`` are all grants that were ever written; ``wrote`` is the last limiter that wrote,
    ``usurped`` whether one of an earlier tenure wrote after it; ``rolled_back`` whether Redis has lost anything.
    """

    store: Store
    callers: tuple[Caller, ...]
    limiters: tuple[Limiter, Limiter] = (Limiter(), Limiter())
    disk: Store | None = None
    again: tuple[Word, ...] = ()
    hint: tuple[int, Verdict] | None = None
    under_way: Commit | None = None
    names: int = 0
    drawn: int = 0
    past: int = 0
    committed: tuple[int, ...] = ()
    wrote: int = 0
    usurped: bool = False
    rolled_back: bool = False
    purse: Purse = Purse()


def new_world(requests: int, purse: Purse) -> World:
    return World(Store.empty(requests), (Caller(),) * requests, purse=purse)


def spend(world: World, fault: str) -> World:
    """One coin less in the purse."""
    return world._replace(purse=world.purse._replace(**{fault: getattr(world.purse, fault) - 1}))


def with_limiter(world: World, at: int, me: Limiter) -> World:
    return world._replace(limiters=(me, world.limiters[1]) if at == 0 else (world.limiters[0], me))


def with_caller(world: World, at: int, caller: Caller) -> World:
    return world._replace(callers=(*world.callers[:at], caller, *world.callers[at + 1 :]))


LONG_AGO = 3
"""More commits than the repetition of one can make good."""


def canonical(world: World) -> World:
    """The same world with its two limiters, who do not differ, in a fixed order; without what is of no consequence:
    how often a grant came and went, and how many commits there were before the last."""
    store, disk, late = world.store, world.disk, world.under_way
    limiters = [_counted_anew(limiter, store, disk) for limiter in world.limiters]
    limiters.sort(key=lambda limiter: limiter.tenure or (0, 0), reverse=True)
    if late is not None:
        behind = store.commits - late.number if late.tenure == store.active else 0
        late = late._replace(number=max(-behind, -LONG_AGO))
    if disk is not None:
        behind = store.commits - disk.commits if disk.active == store.active else 0
        disk = _uncounted(disk)._replace(commits=max(-behind, -LONG_AGO))
    return world._replace(
        store=_uncounted(store)._replace(commits=0), disk=disk, limiters=(limiters[0], limiters[1]), under_way=late
    )


def _counted_anew(me: Limiter, store: Store, disk: Store | None) -> Limiter:
    """The last commit that Redis knows of its tenure has the number 0."""
    for known in (store, disk):
        if known is not None and me.tenure is not None and known.active == me.tenure:
            return me._replace(number=me.number - known.commits)
    return me._replace(number=0)


def _uncounted(store: Store) -> Store:
    sums, tallies = store.sums, store.tallies
    tallies = tuple(tally._replace(granted=tally.granted - tally.refunded, refunded=0) for tally in tallies)
    return store._replace(sums=sums._replace(granted=sums.granted - sums.refunded, refunded=0), tallies=tallies)
