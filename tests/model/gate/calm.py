"""The way on of a world in which nothing fails any more: from everywhere it must come to a good end."""

from __future__ import annotations

from collections.abc import Iterator

from tests.model.gate.model import Model, Move
from tests.model.gate.world import Purse, World, with_limiter

NOTHING_FAILS = Purse()


class Calm:
    """Everything under way arrives, the active limiter goes on, callers do; then time passes; last, patience ends."""

    def __init__(self, model: Model):
        self._model = model

    def next(self, world: World) -> Move | None:
        """The next step, ``None`` when all is done."""
        world = world._replace(purse=NOTHING_FAILS, disk=None)
        return next(self._steps(world), None)

    def _steps(self, world: World) -> Iterator[Move]:
        model = self._model
        yield from model.under_way(world)
        yield from self._tenures(world)
        yield from self._limiters(world)
        for request in range(len(world.callers)):
            yield from model.caller_moves(world, request)
            if world.store.states[request] == "queued":
                yield f"request {request} ends", model.ended(world, request)
        if world.past < world.drawn:
            yield "every grant is over", world._replace(past=world.drawn)
        for at, me in enumerate(world.limiters):
            for word in me.room:
                yield f"the patience of {word.request} ends", with_limiter(world, at, model.refuse(me, word))

    def _tenures(self, world: World) -> Iterator[Move]:
        """The deposed learn it; where nobody reigns, somebody takes over."""
        for at, me in enumerate(world.limiters):
            if me.tenure is not None and me.tenure != world.store.active:
                yield "a limiter learns that it is deposed", with_limiter(world, at, self._model.deposed(me))
        if not any(limiter.tenure for limiter in world.limiters):
            yield from self._model.time(world)
            yield from self._model.limiter_moves(world, 0)

    def _limiters(self, world: World) -> Iterator[Move]:
        for at, me in enumerate(world.limiters):
            if me.tenure is not None:
                yield from self._model.limiter_moves(world, at)
