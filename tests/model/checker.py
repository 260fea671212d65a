"""Breadth-first exploration of every state, with the shortest way to the first one that breaks a promise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)
LONGEST_CALM = 80


@dataclass(frozen=True)
class Violation:
    """A broken promise, by its name, and the steps that lead to it from the start."""

    promise: str
    trace: tuple[str, ...]

    def __str__(self) -> str:
        steps = "\n".join(f"  {number}. {step}" for number, step in enumerate(self.trace, 1))
        return f"{self.promise}\n{steps}"


@dataclass
class Explored:
    """How many states there are, how many steps between them, and the first broken promise."""

    states: int
    steps: int
    violation: Violation | None


@dataclass
class Checker(Generic[S]):
    """``moves`` lists the steps from a state; ``canonical`` maps states that do not differ onto one.

    ``of_states`` and ``of_steps`` are promises: each answers whether it is kept. ``calm`` is the one next step when
    nothing fails, ``None`` when all is done; ``at_rest`` are the promises of a world that has come to rest.
    """

    moves: Callable[[S], Iterable[tuple[str, S]]]
    canonical: Callable[[S], S]
    of_states: Mapping[str, Callable[[S], bool]]
    of_steps: Mapping[str, Callable[[S, str, S], bool]]
    calm: Callable[[S], tuple[str, S] | None]
    at_rest: Mapping[str, Callable[[S], bool]]
    _good: set[S] = field(default_factory=set)
    _came: dict[S, tuple[S, str] | None] = field(default_factory=dict)

    def explore(self, start: S) -> Explored:
        """Every state that can be reached from ``start``, until a promise is broken."""
        start = self.canonical(start)
        self._came, steps = {start: None}, 0
        waiting = deque([start])
        while waiting:
            state = waiting.popleft()
            for name, reached in self.moves(state):
                steps += 1
                after = self.canonical(reached)
                if broken := self._broken_step(state, name, reached):
                    return self._found(steps, state, broken, (name,))
                if after in self._came:
                    continue
                self._came[after] = (state, name)
                waiting.append(after)
                if found := self._broken_state(after):
                    return self._found(steps, after, *found)
        return Explored(len(self._came), steps, None)

    def _broken_step(self, before: S, name: str, after: S) -> str:
        return next((promise for promise, kept in self.of_steps.items() if not kept(before, name, after)), "")

    def _broken_state(self, state: S) -> tuple[str, tuple[str, ...]] | None:
        for promise, kept in self.of_states.items():
            if not kept(state):
                return promise, ()
        return self._restless(state)

    def _restless(self, state: S) -> tuple[str, tuple[str, ...]] | None:
        """Follow the calm way to its end, or to a state from where it is known to be good."""
        way, names = list[S](), list[str]()
        while state not in self._good:
            way.append(state)
            move = self.calm(state)
            if move is None:
                if broken := next((promise for promise, kept in self.at_rest.items() if not kept(state)), ""):
                    return broken, ("— nothing fails from here on —", *names)
                break
            names.append(move[0])
            if len(names) > LONGEST_CALM:
                return "Everything comes to rest.", ("— nothing fails from here on —", *names[:20], "…")
            state = self.canonical(move[1])
        self._good.update(way)
        return None

    def _found(self, steps: int, state: S, promise: str, rest: tuple[str, ...]) -> Explored:
        trace, at = list(reversed(rest)), state
        while (came := self._came[at]) is not None:
            at, name = came
            trace.append(name)
        return Explored(len(self._came), steps, Violation(promise, tuple(reversed(trace))))
