"""What every model check does: no order of steps breaks a promise, and every step made wrong is found."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from tests.model.checker import Explored


class Scenario(Protocol):
    """What may go wrong together, and how many states that has at the least."""

    @property
    def states(self) -> int: ...


class Mutant(NamedTuple):
    """What is made wrong (the functions, or the model around them), the scenario that shows it, the broken promise."""

    wrong: type[Any]
    scenario: str
    breaks: str


S = TypeVar("S", bound=Scenario)
M = TypeVar("M")


@dataclass(frozen=True)
class Check(Generic[S, M]):
    """One protocol: ``model`` is made of ``functions``, and ``explore`` goes through all worlds of a scenario."""

    model: Callable[[Any], M]
    functions: type[Any]
    scenarios: Mapping[str, S]
    explore: Callable[[S, M], Explored]

    def every_promise_is_kept(self, name: str) -> None:
        """In one scenario, which is explored to its last state."""
        scenario = self.scenarios[name]
        explored = self.explore(scenario, self.model(self.functions()))
        sys.stdout.write(f"{name}: {explored.states} states, {explored.steps} steps\n")
        assert explored.violation is None, str(explored.violation)
        assert explored.states >= scenario.states, "the exploration stopped short"

    def is_found(self, mutant: Mutant) -> None:
        """By the promise that it breaks."""
        found = self.explore(self.scenarios[mutant.scenario], self._made_wrong(mutant.wrong)).violation
        assert found is not None, "nothing noticed"
        assert found.promise == mutant.breaks, str(found)

    def _made_wrong(self, wrong: type[Any]) -> M:
        """The model with one thing wrong."""
        return self.model(wrong()) if issubclass(wrong, self.functions) else wrong(self.functions())
