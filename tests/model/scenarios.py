"""What may go wrong together. Each scenario is explored to its last state; together they take seconds."""

from __future__ import annotations

from typing import NamedTuple

from tests.model.calm import Calm
from tests.model.checker import Checker, Explored
from tests.model.invariants import AT_REST, OF_STATES, OF_STEPS
from tests.model.model import Model
from tests.model.world import Purse, World, canonical


class Scenario(NamedTuple):
    """``submitted``: begins with a request in the queue; ``followed``: its client stays to see the answer. ``states``
    is how many there are at the least, so that an exploration that stopped short does not pass for a good one."""

    purse: Purse
    states: int
    submitted: bool = True
    followed: bool = False


SCENARIOS = {
    "workers die, freeze and leave": Scenario(
        Purse(takes=4, crashes=1, freezes=1, lost_answers=1, releases=1), states=10_000
    ),
    "cancel and deadline at any time": Scenario(
        Purse(takes=3, cancels=1, deadlines=1, lost_answers=1, crashes=1), states=3_000
    ),
    "calls arrive late": Scenario(Purse(takes=3, late_calls=1, freezes=2, forgotten_calls=1), states=8_000),
    "calls of one who left arrive late": Scenario(Purse(takes=2, late_calls=1, releases=1, cancels=1), states=1_000),
    "the group is lost": Scenario(Purse(takes=3, lost_groups=1, freezes=1, cancels=1, deadlines=1), states=1_000),
    "Redis rolls back": Scenario(Purse(takes=3, rollbacks=1, freezes=1, crashes=1), states=8_000),
    "power is lost in mid-function": Scenario(
        Purse(takes=2, power_losses=1, cancels=1, deadlines=1, freezes=1), states=20_000, submitted=False
    ),
    "access dies and Redis rolls back": Scenario(
        Purse(takes=2, rollbacks=1, access_crashes=1, lost_hints=1), states=8_000, followed=True
    ),
    "Redis rolls back and a cancel follows": Scenario(
        Purse(takes=2, rollbacks=1, cancels=1), states=4_000, followed=True
    ),
    "asking, leaving and coming back": Scenario(
        Purse(takes=1, lost_answers=1, late_calls=1, cancels=1, visits=1), states=12_000, submitted=False, followed=True
    ),
}


def explore(scenario: Scenario, model: Model) -> Explored:
    """All worlds of a scenario, until a promise is broken."""
    checker = Checker(model.moves, canonical, OF_STATES, OF_STEPS, Calm(model).next, AT_REST)
    return checker.explore(_start(scenario, model))


def _start(scenario: Scenario, model: Model) -> World:
    world = World(purse=scenario.purse)
    if scenario.submitted:
        _, world = next(model.submit(world))
    return world if scenario.followed else world._replace(client=world.client._replace(follows="", gone=True))
