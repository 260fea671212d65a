"""Everything that matters at one moment, as a value: the store, two workers, a client, and what is under way."""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.model.store import NOBODY, Reply, Store


class Worker(NamedTuple):
    """What one worker believes: it owns ``generation`` from behind ``base``, has produced replies up to ``produced``,
    and knows that Redis has them up to ``acked``. ``end`` is the state that its last reply brings. ``told`` is why it
    is to stop. ``call`` is a take whose answer it does not have yet."""

    generation: int = NOBODY
    base: int = 0
    acked: int = 0
    produced: int = 0
    end: str = ""
    told: str = ""
    call: int = 0


class Client(NamedTuple):
    """A client and the access process that follows for it. ``asked``: ``""``, ``waits``, ``unsure`` (no answer to its
    submit yet), ``accepted``, ``refused``. ``follows``: ``""``, ``behind`` (the log is to be read), ``live``. ``view``
    is what it was shown since it was last told to start anew; ``gone`` means it will not be back."""

    asked: str = ""
    follows: str = ""
    view: tuple[Reply, ...] = ()
    gone: bool = False

    @property
    def seen(self) -> int:
        return self.view[-1].seq if self.view else 0

    @property
    def at_end(self) -> bool:
        return bool(self.view) and self.view[-1].ends


class Purse(NamedTuple):
    """The faults, and the free choices, that may still happen."""

    takes: int = 3
    crashes: int = 0
    freezes: int = 0
    lost_answers: int = 0
    late_calls: int = 0
    releases: int = 0
    cancels: int = 0
    deadlines: int = 0
    rollbacks: int = 0
    power_losses: int = 0
    lost_groups: int = 0
    forgotten_calls: int = 0
    access_crashes: int = 0
    visits: int = 0
    lost_hints: int = 0


class LateCall(NamedTuple):
    """A copy of a call that is still under way while its caller has repeated it; it may arrive whenever it likes."""

    function: str
    arguments: tuple[Any, ...]


class World(NamedTuple):
    """``disk`` is an older state of the store, to which a failover may return. ``heard`` is what mailbox and access
    process hold between them; it does not roll back. ``late``: the deadline has passed; ``waited``: nothing else was
    left to happen before. ``torn``: a function was cut short. ``faults`` counts what may excuse a death."""

    store: Store = Store()
    disk: Store | None = None
    workers: tuple[Worker, Worker] = (Worker(), Worker())
    client: Client = Client()
    heard: tuple[Reply, ...] = ()
    late: bool = False
    waited: bool = False
    torn: bool = False
    under_way: LateCall | None = None
    takes: int = 0
    faults: int = 0
    purse: Purse = Purse()


def spend(world: World, fault: str) -> World:
    """One coin less in the purse."""
    purse = world.purse._replace(**{fault: getattr(world.purse, fault) - 1})
    return world._replace(purse=purse, faults=min(3, world.faults + (fault in EXCUSES)))


EXCUSES = ("crashes", "freezes", "late_calls", "rollbacks", "power_losses")
"""After one of these a worker may be thought dead."""


def forgotten(world: World, at: int) -> World:
    """The same without the memory of a worker's last take."""
    calls = list(world.store.calls)
    calls[at] = (0, 0)
    return world._replace(store=world.store._replace(calls=tuple(calls)))


def with_worker(world: World, at: int, me: Worker) -> World:
    workers = (me, world.workers[1]) if at == 0 else (world.workers[0], me)
    return world._replace(workers=workers)


def canonical(world: World) -> World:
    """The same world with its two workers, who do not differ, in a fixed order."""
    ranks = [
        (me, world.store.calls[at], world.disk.calls[at] if world.disk else ()) for at, me in enumerate(world.workers)
    ]
    if ranks[0] <= ranks[1]:
        return world
    late = world.under_way
    if late is not None and late.function == "take":
        late = late._replace(arguments=(1 - late.arguments[0], *late.arguments[1:]))
    return world._replace(
        store=_turned(world.store),
        disk=_turned(world.disk) if world.disk else None,
        workers=(world.workers[1], world.workers[0]),
        under_way=late,
    )


def _turned(store: Store) -> Store:
    return store._replace(calls=(store.calls[1], store.calls[0]))
