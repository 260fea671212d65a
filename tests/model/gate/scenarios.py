"""What may go wrong together. Each scenario is explored to its last state; together they take seconds."""

from __future__ import annotations

from typing import NamedTuple

from tests.model.checker import Checker, Explored
from tests.model.gate.calm import Calm
from tests.model.gate.invariants import AT_REST, OF_STATES, OF_STEPS
from tests.model.gate.model import Model
from tests.model.gate.world import Purse, canonical, new_world


class Scenario(NamedTuple):
    """How many requests race. ``states`` is how many there are at the least, so that an exploration that stopped short
    does not pass for a good one."""

    purse: Purse
    states: int
    requests: int = 1


SCENARIOS = {
    "two race for one bucket": Scenario(Purse(corrections=1, impatience=1), requests=2, states=2_000),
    "two race while limiters die": Scenario(Purse(crashes=1, lost_commits=1), requests=2, states=5_000),
    "two race while grants run out": Scenario(Purse(ends=1, access_crashes=1), requests=2, states=6_000),
    "limiters freeze": Scenario(Purse(freezes=1, ends=1), states=12_000),
    "limiters freeze and resign": Scenario(Purse(freezes=1, resigns=1), states=4_000),
    "limiters freeze while sessions are busy": Scenario(Purse(freezes=1, busy=1), states=2_500),
    "grants run out": Scenario(Purse(ends=2, busy=1, doubles=1), states=7_000),
    "sessions are busy": Scenario(Purse(busy=2, doubles=1, late_hints=1), states=1_500),
    "words are lost or come twice": Scenario(
        Purse(busy=1, lost_words=1, doubles=1, leaves=1, corrections=1), states=2_000
    ),
    "answers are lost": Scenario(
        Purse(lost_answers=1, lost_commits=1, restarts=1, leaves=1, corrections=1), states=1_200
    ),
    "commits arrive late": Scenario(Purse(late_commits=1, busy=1, crashes=1), states=1_500),
    "Redis rolls back": Scenario(Purse(rollbacks=1, busy=1), states=1_000),
    "Redis rolls back under two": Scenario(Purse(rollbacks=1), requests=2, states=10_000),
}


def explore(scenario: Scenario, model: Model) -> Explored:
    """All worlds of a scenario, until a promise is broken."""
    checker = Checker(model.moves, canonical, OF_STATES, OF_STEPS, Calm(model).next, AT_REST)
    return checker.explore(new_world(scenario.requests, scenario.purse))
