"""The way on of a world in which nothing fails any more: from everywhere it must come to a good end."""

from __future__ import annotations

from tests.model.model import Model, Move
from tests.model.world import Purse, World

NOTHING_FAILS = Purse(takes=0)


class Calm:
    """Every call is answered, every worker goes on, the sweep runs and access looks; the deadline comes last of all."""

    def __init__(self, model: Model):
        self._model = model

    def next(self, world: World) -> Move | None:
        """The next step, ``None`` when all is done."""
        world = world._replace(purse=NOTHING_FAILS, disk=None)
        for step in (self._calls, self._workers, self._lease, self._take, self._sweep, self._client):
            if (move := step(world)) is not None:
                return move
        if not world.late and world.store.watched:
            return "the deadline passes", world._replace(late=True, waited=True)
        return None

    def _calls(self, world: World) -> Move | None:
        if world.under_way:
            return "a late call arrives", self._model.arrive(world)
        if world.client.asked == "unsure":
            return next(self._model.submit(world))
        for at, me in enumerate(world.workers):
            if me.call and not me.generation:
                return next(self._model.take(world, at))
        return None

    def _workers(self, world: World) -> Move | None:
        for at, me in enumerate(world.workers):
            if me.generation:
                return next(self._model.append(world, at, me if me.end else self._model.produced(me)))
        return None

    def _lease(self, world: World) -> Move | None:
        if world.store.lease != "held":
            return None
        return "the lease runs out", world._replace(store=world.store._replace(lease="expired"))

    def _take(self, world: World) -> Move | None:
        """A take by whichever worker, if it changes anything."""
        name, after = next(self._model.take(world._replace(purse=Purse(takes=world.takes + 1)), 0))
        if after.store._replace(calls=world.store.calls) == world.store:
            return None
        return name, after._replace(purse=NOTHING_FAILS)

    def _sweep(self, world: World) -> Move | None:
        name, after, _ = next(self._model.call(world, "sweep", world.late))
        return (name, after) if after.store != world.store else None

    def _client(self, world: World) -> Move | None:
        client = world.client
        if client.asked != "accepted" or client.gone or client.at_end:
            return None
        if client.follows != "live" or world.heard:
            return next(self._model.following(world))
        after = self._model.look(world)
        return ("access looks at the tail", after) if after != world else None
