"""How long a wait will be: what is measured for it, and how well it was foretold. Pure: time is a parameter.

A wait is the tokens that go before, by the speed at which tokens go. Three things make that wrong, and each is learned:
answers are shorter than what is reserved for them (``Pace.used_share``), a fleet is slower or faster than it says
(``Pace.per_second``), and others come and go while one waits (``Foresight``).
"""

from __future__ import annotations

from collections import deque
from math import exp
from statistics import median
from typing import Generic, TypeVar

K = TypeVar("K")

ENOUGH = 4
"""So many stretches of time between settlements say something about a speed."""
MANY = 32
"""What is learned forgets over so many settlements or grants."""
WINDOW_SECONDS = 30.0
"""A speed forgets over so many seconds, if they hold many settlements."""
LEAST, MOST = 0.01, 100.0
"""A factor beyond these says more about a few odd cases than about the next one."""
TOLD_AT_BEST_SECONDS = 0.1
"""Callers are told tenths of a second."""


class Pace:
    """How many tokens a second one model's requests really use, measured while the fleet has all it can take.

    A sum of tokens over a sum of time, both forgetting, so that settlements in bursts weigh as those in a row do. Tell
    it to ``rest`` whenever the fleet could take more: until the next settlement after that, time is not counted.
    """

    def __init__(self) -> None:
        self._tokens = 0.0
        self._seconds = 0.0
        self._stretches = 0
        self._since_ms: int | None = None
        self._usage = Foresight()

    def settled(self, reserved: int, used: int, now_ms: int) -> None:
        """A request has ended that had ``reserved`` tokens and used ``used``."""
        self._usage.learn(reserved, used)
        if self._since_ms is not None:
            self._count(used, max(0, now_ms - self._since_ms) / 1000)
        self._since_ms = now_ms

    def rest(self) -> None:
        """The fleet could take more than it has: what it does now is not what it can do."""
        self._since_ms = None

    def per_second(self, now_ms: int) -> float:
        """0 while too little was measured. It falls while settlements fail to come."""
        if self._stretches < ENOUGH:
            return 0.0
        silent_ms = 0 if self._since_ms is None else max(0, now_ms - self._since_ms)
        return self._tokens / (self._seconds + silent_ms / 1000)

    @property
    def used_share(self) -> float:
        """Tokens used for each that was reserved."""
        return self._usage.factor

    def _count(self, tokens: int, seconds: float) -> None:
        kept = max(1 - 1 / MANY, exp(-seconds / WINDOW_SECONDS))
        self._tokens = kept * self._tokens + tokens
        self._seconds = kept * self._seconds + seconds
        self._stretches += seconds > 0


class Foresight:
    """The ``factor`` between what is foreseen and what comes, over recent cases, each by its size; 1 before any."""

    def __init__(self, foreseen: float = 0.0, came: float = 0.0):
        self._foreseen = foreseen
        self._came = came
        self.factor = 1.0

    def learn(self, foreseen: int, came: int) -> None:
        kept = 1 - 1 / MANY
        self._foreseen = kept * self._foreseen + foreseen
        self._came = kept * self._came + came
        if self._foreseen:
            self.factor = min(MOST, max(LEAST, self._came / self._foreseen))

    def seed(self) -> Foresight:
        """A beginning for one of its kind, which soon forgets it."""
        return Foresight(self._foreseen / MANY, self._came / MANY)


class Foresights(Generic[K]):
    """A foresight for each of many. One of which little is known goes by all of them."""

    def __init__(self) -> None:
        self._all = Foresight()
        self._each: dict[K, Foresight] = {}

    def learn(self, key: K, foreseen: int, came: int) -> None:
        self._all.learn(foreseen, came)
        if key not in self._each:
            self._each[key] = self._all.seed()
        self._each[key].learn(foreseen, came)

    def factor(self, key: K) -> float:
        return self._each.get(key, self._all).factor

    def forget(self, key: K) -> None:
        self._each.pop(key, None)


class Accuracy:
    """How well the last waits that ended in a grant were foretold, in seconds."""

    def __init__(self) -> None:
        self._errors: deque[float] = deque(maxlen=256)

    def note(self, told_seconds: float, waited_seconds: float) -> None:
        waited_seconds = max(waited_seconds, TOLD_AT_BEST_SECONDS)
        self._errors.append(abs(told_seconds - waited_seconds) / waited_seconds)

    @property
    def error(self) -> float:
        """The median of |told - waited| / waited; 0 before any."""
        return median(self._errors) if self._errors else 0.0
